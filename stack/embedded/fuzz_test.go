package embedded

import (
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

// fuzzFrames cuts fuzz data into frames: two bytes of length, then the frame.
// An odd length asks for right checksums, so that the fuzzer gets past them.
func fuzzFrames(data []byte, fn func([]byte)) {
	for len(data) > 2 {
		n := int(data[0])<<8 | int(data[1])
		data = data[2:]
		size := min(n>>1&2047, len(data), 1514)
		frame := append([]byte(nil), data[:size]...)
		data = data[size:]
		if n&1 == 1 {
			repair(frame)
		}
		fn(frame)
	}
}

// repair makes the checksums of a frame right, as far as it has any.
func repair(frame []byte) {
	if len(frame) < 34 || frame[14] != 0x45 {
		return
	}
	h := wire.IPv4(frame[14:34])
	h.UpdateChecksum()
	end := min(14+h.TotalLen(), len(frame))
	if end < 34 {
		return
	}
	switch body := frame[34:end]; {
	case h.Protocol() == wire.ProtocolTCP && len(body) >= 20:
		body[16], body[17] = 0, 0
		sum := wire.Fold(wire.Sum(wire.PseudoSum(h.Src(), h.Dst(), wire.ProtocolTCP, len(body)), body))
		body[16], body[17] = byte(sum>>8), byte(sum)
	case h.Protocol() == wire.ProtocolUDP && len(body) >= 8:
		body[6], body[7] = 0, 0
	case h.Protocol() == wire.ProtocolICMP && len(body) >= 8:
		body[2], body[3] = 0, 0
		sum := wire.Checksum(body)
		body[2], body[3] = byte(sum>>8), byte(sum)
	}
}

func withLength(frame []byte, repaired bool) []byte {
	n := len(frame) << 1
	if repaired {
		n |= 1
	}
	return append([]byte{byte(n >> 8), byte(n)}, frame...)
}

// FuzzInput gives any frames to a device with a connection, a listening socket
// and a UDP socket: nothing panics, the books stay right after each frame, and
// in the end every packet is back in the pool.
func FuzzInput(f *testing.F) {
	seed := newDevice(f, deviceConfig{})
	var session []byte
	for _, frame := range [][]byte{
		seed.hostTCP(pushAck, 6, 1, 100, nil, []byte("world")), seed.hostTCP(pushAck, 1, 11, 100, nil, []byte("hello wor")),
		seed.hostTCP(flagACK, 1, 1, 0, nil, nil), seed.hostTCP(flagACK, 1, 1, 5000, nil, nil), seed.hostTCP(flagACK, 1, 1, 5000, nil, nil),
		seed.hostTCP(finAck, 11, 11, 100, nil, nil), seed.hostTCP(wire.TCPRst, 12, 0, 0, nil, nil),
		seed.hostTCP(wire.TCPSyn, 12, 0, 9, wire.AppendMSS(nil, 1), nil),
		ipFrame(wire.ProtocolICMP, 64, 1, 0, false, echo(wire.ICMPEchoRequest, 1, "ping")),
		ipFrame(wire.ProtocolUDP, 64, 2, 0, false, udpPayload(1, 2000, "udp")),
		ipFrame(wire.ProtocolUDP, 1, 3, 0, true, udpPayload(1, 2000, "12345678")),
		ipFrame(wire.ProtocolUDP, 1, 3, 16, false, []byte("x")),
		ipFrame(77, 1, 4, 0, false, []byte("unknown")),
	} {
		f.Add(withLength(frame, true))
		session = append(session, withLength(frame, true)...)
	}
	f.Add(session)
	f.Fuzz(fuzzInput)
}

func fuzzInput(t *testing.T, data []byte) {
	if len(data) > 16384 {
		return
	}
	d := newDevice(t, deviceConfig{payload: 256, packets: 24})
	d.t = quiet{t}
	s := d.socket()
	s.Connect(broker, rtos.NoWait)
	d.host(synAck, 0, 1, 64240, "")
	d.send(s, 10)
	listening := d.socket()
	listening.Listen(1883, 1, nil)
	listening.Accept(rtos.NoWait)
	u := d.ip.NewUDPSocket(UDPConfig{Queue: 2})
	u.Bind(2000)
	i := 0
	fuzzFrames(data, func(frame []byte) {
		d.deliver(frame)
		if err := d.ip.Check(); err != nil {
			t.Fatalf("after frame %d, %s: %v", i, wire.Summary(frame), err)
		}
		if i++; i%5 == 0 {
			d.read(s)
		}
		if i%7 == 0 && s.State() == Established && d.pool.Free() > 2 {
			p, _ := d.pool.Allocate(nic.IPv4TCP, rtos.NoWait)
			p.Append([]byte("more"), d.pool, rtos.NoWait)
			if s.Send(p, rtos.NoWait) != nic.Success {
				p.Release()
			}
		}
		_ = d.loop.Run(d.loop.Now() + 50e6)
	})
	s.Disconnect(rtos.NoWait)
	s.Unbind()
	listening.Disconnect(rtos.NoWait)
	listening.Unaccept()
	d.ip.Unlisten(1883)
	u.Unbind()
	d.run(float64(d.loop.Now())/1e6 + 500_000) // ARP and reassembly end
	if d.pool.Free() != d.pool.Total() {
		t.Fatalf("%d of %d packets free; %v", d.pool.Free(), d.pool.Total(), d.pool.Holdings())
	}
}

// quiet is a test that does not mind what the device sends: FuzzInput gives the
// stack what no peer would, and its answers are as odd.
type quiet struct{ *testing.T }

func (quiet) Errorf(string, ...any) {}
