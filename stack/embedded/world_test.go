package embedded

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

var (
	deviceMAC  = wire.MAC{0x02, 0x4e, 0x58, 0, 0, 2}
	hostMAC    = wire.MAC{0x02, 0, 0, 0, 0, 1}
	deviceAddr = netip.MustParseAddr("10.50.0.2")
	hostAddr   = netip.MustParseAddr("10.50.0.1")
	broker     = netip.AddrPortFrom(hostAddr, 1883)
)

const (
	testISN   = 1000
	testPort  = 50000
	hostISN   = 9000
	pushAck   = wire.TCPAck | wire.TCPPsh
	finAck    = wire.TCPAck | wire.TCPFin
	synAck    = wire.TCPSyn | wire.TCPAck
	hostReply = 20 * time.Microsecond // until the scripted peer answers
)

// A device is a stack under test with a scripted peer on its wire: what the
// device sends becomes a line of text with the time in ms; numbers are relative.
type device struct {
	t      testing.TB
	loop   *sim.Loop
	kernel *rtos.Kernel
	pool   *nic.Pool
	nic    *nic.NIC
	ip     *IP
	trace  *trace.Log
	lines  []string
	drops  []trace.DropReason
	onSend func(l *wire.Layers) // the peer's reaction
	frames int
	raw    [][]byte
	hostID uint16
}

type deviceConfig struct {
	payload, packets int
	quirks           *Quirks
	profile          Profile
	isn              []uint32
	ports            []uint16
	rand             *sim.Rand
	noARP            bool // do not answer ARP
	noIDs            bool
	noAddress        bool
	gateway          netip.Addr
	lowWatermark     int
	auxiliary        int // packets of a second pool
	latency          time.Duration
}

func newDevice(t testing.TB, cfg deviceConfig) *device {
	t.Helper()
	if cfg.packets == 0 {
		cfg.payload, cfg.packets = 1536, 32
	}
	loop := sim.NewLoop(sim.Config{})
	t.Cleanup(func() { _ = loop.Close() })
	d := &device{t: t, loop: loop, kernel: rtos.NewKernel(loop, rtos.Config{})}
	d.trace = trace.NewLog(loop.Now)
	d.trace.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop {
			d.drops = append(d.drops, e.Reason)
		}
	})
	var err error
	d.pool, err = nic.NewPool(d.kernel, d.trace, nic.PoolConfig{Payload: cfg.payload, Packets: cfg.packets, LowWatermark: cfg.lowWatermark})
	if err != nil {
		t.Fatal(err)
	}
	d.nic, err = nic.New(loop, d.kernel, d.trace, nic.Config{MAC: deviceMAC, RXPool: d.pool})
	if err != nil {
		t.Fatal(err)
	}
	d.nic.SetWire(link.SinkFunc(d.sent))
	if cfg.isn == nil && cfg.rand == nil {
		cfg.isn = []uint32{testISN, testISN, testISN}
	}
	if cfg.ports == nil && cfg.rand == nil {
		cfg.ports = []uint16{testPort, testPort, testPort}
	}
	var auxiliary *nic.Pool
	if cfg.auxiliary > 0 {
		if auxiliary, err = nic.NewPool(d.kernel, d.trace, nic.PoolConfig{Name: "aux", Payload: 128, Packets: cfg.auxiliary}); err != nil {
			t.Fatal(err)
		}
	}
	addr := netip.PrefixFrom(deviceAddr, 24)
	if cfg.noAddress {
		addr = netip.Prefix{}
	}
	d.ip, err = New(loop, d.kernel, d.trace, Config{
		AuxiliaryPool: auxiliary, Latency: cfg.latency,
		Node: "dev", Addr: addr, Gateway: cfg.gateway, Profile: cfg.profile,
		Quirks: cfg.quirks, Pool: d.pool, NIC: d.nic, ISN: cfg.isn, Ports: cfg.ports, Rand: cfg.rand,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.noARP {
		d.ip.AddStaticARP(hostAddr, hostMAC)
	}
	return d
}

// sent is the wire: it writes the frame down and lets the peer react to it.
func (d *device) sent(f *link.Frame) {
	data := append([]byte(nil), f.Data...)
	f.Release()
	d.frames++
	d.raw = append(d.raw, data)
	var l wire.Layers
	if err := l.Parse(data); err != nil {
		d.t.Fatalf("the device sent %s", wire.Summary(data))
	}
	if len(data) < 60 {
		d.t.Errorf("a frame of %d bytes was not padded", len(data))
	}
	if l.IPv4 != nil && !l.IPv4.ChecksumOK() {
		d.t.Errorf("IP checksum of %s", wire.Summary(data))
	}
	line := ""
	switch {
	case l.TCP != nil:
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
			d.t.Errorf("TCP checksum of %s", wire.Summary(data))
		}
		line = fmt.Sprintf("%s %d %d len=%d win=%d id=%d", flagLetters(l.TCP.Flags()), l.TCP.Seq()-testISN,
			relative(l.TCP.Ack()), len(l.Payload), l.TCP.Window(), l.IPv4.ID())
	case l.ARP != nil && l.ARP.Operation() == wire.ARPRequest:
		line = fmt.Sprintf("ARP who has %v", l.ARP.Target())
	case l.ARP != nil:
		line = fmt.Sprintf("ARP to %v", l.ARP.Target())
	default:
		line = wire.Summary(data)
	}
	d.say("%s", line)
	if d.onSend != nil {
		d.onSend(&l)
	}
}

// relative makes an acknowledgement of the peer's numbers relative, 0 for none.
func relative(ack uint32) uint32 {
	if ack == 0 {
		return 0
	}
	return ack - hostISN
}

// flagLetters is a segment's flags as tcpdump has them.
func flagLetters(f wire.TCPFlags) string {
	var s strings.Builder
	for i, c := range "FSRPA" {
		if f&(1<<i) != 0 {
			s.WriteRune(c)
		}
	}
	return s.String()
}

func (d *device) say(format string, args ...any) {
	ms := float64(d.loop.Now()/1e4) / 100
	d.lines = append(d.lines, fmt.Sprintf("%g %s", ms, fmt.Sprintf(format, args...)))
}

// run lets time pass until a moment in ms and checks the pool at each event.
func (d *device) run(ms float64) {
	d.t.Helper()
	if err := d.loop.Run(sim.Time(ms * 1e6)); err != nil {
		d.t.Fatal(err)
	}
	if err := d.ip.Check(); err != nil {
		d.t.Fatal(err)
	}
}

// want compares the transcript so far and begins a new one.
func (d *device) want(lines ...string) {
	d.t.Helper()
	got, want := strings.Join(d.lines, "\n"), strings.Join(lines, "\n")
	if got != want {
		d.t.Errorf("transcript:\n%s\nwant:\n%s", got, want)
	}
	d.lines = nil
}

// at runs fn in interrupt context at a moment in ms.
func (d *device) at(ms float64, fn func()) { d.loop.At(sim.Time(ms*1e6), fn) }

// thread runs fn as an application thread of priority 10.
func (d *device) thread(fn func(th *rtos.Thread)) { d.kernel.NewThread("app", 10, fn) }

// deliver hands the device a frame now.
func (d *device) deliver(frame []byte) { d.nic.Put(link.CopyFrame(frame)) }

// hostTCP builds a frame of the peer; numbers are relative.
func (d *device) hostTCP(flags wire.TCPFlags, seq, ack uint32, window uint16, options []byte, payload []byte) []byte {
	ackField := uint32(0)
	if flags&wire.TCPAck != 0 {
		ackField = testISN + ack
	}
	d.hostID++
	return tcpFrame(broker, netip.AddrPortFrom(deviceAddr, testPort), d.hostID, wire.TCPFields{
		Seq: hostISN + seq, Ack: ackField, Flags: flags, Window: window, Options: options,
	}, payload)
}

// host delivers such a frame now.
func (d *device) host(flags wire.TCPFlags, seq, ack uint32, window uint16, payload string) {
	var options []byte
	if flags&wire.TCPSyn != 0 {
		options = wire.AppendMSS(nil, 1460)
	}
	d.deliver(d.hostTCP(flags, seq, ack, window, options, []byte(payload)))
}

// tcpFrame builds a frame from the host to the device.
func tcpFrame(from, to netip.AddrPort, id uint16, f wire.TCPFields, payload []byte) []byte {
	n := wire.TCPHeaderLen + len(f.Options) + len(payload)
	b := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+n)
	wire.PutEthernet(b, deviceMAC, hostMAC, wire.EtherTypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{ID: id, DontFragment: true, TTL: 64, Protocol: wire.ProtocolTCP, Src: from.Addr(), Dst: to.Addr()}, n)
	f.SrcPort, f.DstPort = from.Port(), to.Port()
	copy(b[34+wire.TCPHeaderLen+len(f.Options):], payload)
	wire.PutTCP(b[34:], f, from.Addr(), to.Addr(), len(payload))
	return b
}

// socket returns a socket as NetX's MQTT client makes it.
func (d *device) socket() *TCPSocket { return d.ip.NewTCPSocket(SocketConfig{DontFragment: true}) }

// message returns a packet as the MQTT client makes it, with n bytes.
func (d *device) message(n int) *nic.Packet {
	d.t.Helper()
	p, status := d.pool.Allocate(nic.IPv4TCP, rtos.NoWait)
	if status != nic.Success {
		d.t.Fatalf("allocate: %v", status)
	}
	if status := p.Append([]byte(strings.Repeat("x", n)), d.pool, rtos.NoWait); status != nic.Success {
		d.t.Fatalf("append: %v", status)
	}
	return p
}

// send sends n bytes without waiting.
func (d *device) send(s *TCPSocket, n int) {
	d.t.Helper()
	if status := s.Send(d.message(n), rtos.NoWait); status != nic.Success {
		d.t.Fatalf("send %d bytes: %v", n, status)
	}
}

// connected returns a socket whose connection stands at 0.02 ms, with the
// peer's window, and an empty transcript.
func (d *device) connected(window uint16) *TCPSocket {
	d.t.Helper()
	s := d.socket()
	d.at(0, func() {
		if status := s.Connect(broker, rtos.NoWait); status != nic.InProgress {
			d.t.Fatalf("connect: %v", status)
		}
	})
	d.at(0.02, func() { d.host(synAck, 0, 1, window, "") })
	d.run(0.02)
	d.want("0 S 0 0 len=0 win=8192 id=1", "0.02 A 1 1 len=0 win=8192 id=2")
	return s
}

// wantFree checks the number of free packets.
func (d *device) wantFree(n int) {
	d.t.Helper()
	if free := d.pool.Free(); free != n {
		d.t.Errorf("%d packets free, want %d; held: %v", free, n, d.ip.Holdings())
	}
}

// read takes all that can be received and returns it.
func (d *device) read(s *TCPSocket) string {
	d.t.Helper()
	var got strings.Builder
	for {
		p, status := s.Receive(rtos.NoWait)
		if status != nic.Success {
			return got.String()
		}
		got.Write(p.AppendTo(nil))
		if status := p.Release(); status != nic.Success {
			d.t.Fatalf("release of received data: %v", status)
		}
	}
}
