package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/pcaps"
	"hilnet/replay/script"
	"hilnet/wire"
)

// This file makes captures of MQTT sessions for the tests: segment by segment, over
// IPv4 or IPv6, with whatever link layer and faults of capturing.

// A madeFrame is an IP packet of a made capture.
type madeFrame struct {
	at   time.Duration
	up   bool // from the client
	ip   []byte
	data int // bytes of payload
}

// A maker makes the packets of connections.
type maker struct {
	frames []madeFrame
	at     time.Duration
}

// A talk is one connection.
type talk struct {
	m              *maker
	client, server netip.AddrPort
	next           [2]uint32 // sequence numbers: the client's, the server's
	size           int       // of segments
}

var (
	madeClient  = netip.MustParseAddrPort("10.7.0.2:40001")
	madeServer  = netip.MustParseAddrPort("10.7.0.1:1883")
	madeClient6 = netip.MustParseAddrPort("[2001:db8::2]:40001")
	madeServer6 = netip.MustParseAddrPort("[2001:db8::1]:1883")
)

// talk opens a connection with its three segments.
func (m *maker) talk(client, server netip.AddrPort, isn uint32) *talk {
	k := &talk{m: m, client: client, server: server, next: [2]uint32{isn, isn + 5000}, size: 1400}
	k.send(true, wire.TCPSyn, nil)
	k.send(false, wire.TCPSyn|wire.TCPAck, nil)
	k.send(true, wire.TCPAck, nil)
	return k
}

// send appends a segment.
func (k *talk) send(up bool, flags wire.TCPFlags, data []byte) {
	from, to, i := k.client, k.server, 0
	if !up {
		from, to, i = to, from, 1
	}
	f := wire.TCPFields{SrcPort: from.Port(), DstPort: to.Port(), Seq: k.next[i], Ack: k.next[1-i], Flags: flags, Window: 60000}
	if flags&wire.TCPAck == 0 {
		f.Ack = 0
	}
	head := wire.IPv4HeaderLen
	if from.Addr().Is6() {
		head = wire.IPv6HeaderLen
	}
	ip := make([]byte, head+wire.TCPHeaderLen+len(data))
	copy(ip[head+wire.TCPHeaderLen:], data)
	wire.PutTCP(ip[head:], f, from.Addr(), to.Addr(), len(data))
	if head == wire.IPv6HeaderLen {
		wire.PutIPv6(ip, wire.ProtocolTCP, 64, from.Addr(), to.Addr(), len(ip)-head)
	} else {
		wire.PutIPv4(ip, wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: from.Addr(), Dst: to.Addr(), ID: uint16(len(k.m.frames))}, len(ip)-head)
	}
	k.m.at += 2 * time.Millisecond
	k.m.frames = append(k.m.frames, madeFrame{k.m.at, up, ip, len(data)})
	k.next[i] += uint32(len(data))
	if flags&(wire.TCPSyn|wire.TCPFin) != 0 {
		k.next[i]++
	}
}

// say sends bytes in segments, and the other side acknowledges them.
func (k *talk) say(up bool, data []byte) {
	for len(data) > 0 {
		n := min(len(data), k.size)
		k.send(up, wire.TCPAck|wire.TCPPsh, data[:n])
		data = data[n:]
	}
	k.send(!up, wire.TCPAck, nil)
}

// end closes the connection from both sides, the client first, or resets it.
func (k *talk) end(reset bool) {
	if reset {
		k.send(true, wire.TCPRst|wire.TCPAck, nil)
		return
	}
	k.send(true, wire.TCPFin|wire.TCPAck, nil)
	k.send(false, wire.TCPFin|wire.TCPAck, nil)
	k.send(true, wire.TCPAck, nil)
}

// packet writes a packet of MQTT of a version.
func packet(version uint8, f script.Fields) []byte { return f.Append(nil, version) }

// A sessionKind says what a made session does.
type sessionKind struct {
	version uint8
	id      string
	payload int // bytes
	qos     byte
}

// session is the whole of an MQTT session: connect, subscribe, publish to itself,
// disconnect.
func (k *talk) session(s sessionKind) {
	name := []byte("MQTT")
	if s.version == 3 {
		name = []byte("MQIsdp")
	}
	topic, payload := []byte("made/"+s.id), bytes.Repeat([]byte("."), s.payload)
	k.say(true, packet(s.version, script.Fields{Type: codec.CONNECT, Connect: script.Connect{Protocol: name, Level: s.version, Flags: 2, KeepAlive: 60, ClientID: []byte(s.id)}}))
	suback := []byte{0x90, 3, 0, 1, s.qos}
	if s.version == 5 {
		k.say(false, []byte{0x20, 3, 0, 0, 0})
		suback = []byte{0x90, 4, 0, 1, 0, s.qos}
	} else {
		k.say(false, []byte{0x20, 2, 0, 0})
	}
	k.say(true, packet(s.version, script.Fields{Type: codec.SUBSCRIBE, Flags: 2, ID: 1, HasID: true, Filters: []script.Filter{{Topic: topic, Options: s.qos}}}))
	k.say(false, suback)
	publish := func(up bool, id uint16) {
		k.say(up, packet(s.version, script.Fields{Type: codec.PUBLISH, Flags: s.qos << 1, ID: id, HasID: s.qos > 0, Topic: topic, Payload: payload}))
		switch s.qos {
		case 1:
			k.say(!up, codec.AppendAck(nil, codec.PUBACK, id))
		case 2:
			k.say(!up, codec.AppendAck(nil, codec.PUBREC, id))
			k.say(up, codec.AppendAck(nil, codec.PUBREL, id))
			k.say(!up, codec.AppendAck(nil, codec.PUBCOMP, id))
		}
	}
	publish(true, 2)
	publish(false, 1)
	k.say(true, []byte{0xe0, 0})
}

// A madeFile says how a made capture is written.
type madeFile struct {
	link pcaps.LinkType
	// interfaces of the file, and those that a frame stands at; nil: one, the first.
	interfaces int
	at         func(n int, f *madeFrame) []int
	vlan       func(f *madeFrame) int // 0: none
	snap       int                    // 0: none
	secrets    []byte
	change     func(frames []madeFrame) []madeFrame
}

// dress puts the link layer in front of a packet.
func (w *madeFile) dress(f *madeFrame) []byte {
	ether := uint16(wire.EtherTypeIPv4)
	if f.ip[0]>>4 == 6 {
		ether = wire.EtherTypeIPv6
	}
	var head []byte
	switch w.link {
	case 113: // Linux cooked
		head = append(make([]byte, 14), byte(ether>>8), byte(ether))
		head[1] = map[bool]byte{true: 4}[f.up]
	case 276: // Linux cooked, version 2
		head = append([]byte{byte(ether >> 8), byte(ether)}, make([]byte, 18)...)
		head[7] = 2
	case 101: // raw IP
	case 0: // BSD loopback
		head = []byte{2, 0, 0, 0}
	default:
		head = make([]byte, 12, 18)
		head[0], head[6] = 2, 2
		head[map[bool]int{true: 5, false: 11}[f.up]] = 1
		if w.vlan != nil {
			if v := w.vlan(f); v > 0 {
				head = append(head, 0x81, 0x00, byte(v>>8), byte(v))
			}
		}
		head = append(head, byte(ether>>8), byte(ether))
	}
	return append(head, f.ip...)
}

// write writes the packets to a file.
func (w *madeFile) write(t testing.TB, frames []madeFrame) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pcaps.NewWriter(file, pcaps.Section{}, pcaps.WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range max(1, w.interfaces) {
		if _, err := out.AddInterface(pcaps.Interface{LinkType: w.link, SnapLen: uint32(w.snap)}); err != nil {
			t.Fatal(err)
		}
	}
	if w.secrets != nil {
		if err := out.WriteSecrets(&pcaps.Secrets{Kind: pcaps.SecretsTLS, Data: w.secrets}); err != nil {
			t.Fatal(err)
		}
	}
	if w.change != nil {
		frames = w.change(frames)
	}
	for n := range frames {
		at := []int{0}
		if w.at != nil {
			at = w.at(n, &frames[n])
		}
		for _, i := range at {
			data := w.dress(&frames[n])
			p := pcaps.Packet{Interface: i, Time: pcaps.VirtualEpoch + pcaps.Stamp(frames[n].at), Data: data, OriginalLen: len(data)}
			if w.snap > 0 && len(data) > w.snap {
				p.Data = data[:w.snap]
			}
			if err := out.WritePacket(&p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// webSocket is a session of MQTT over WebSocket as far as nobody reads on.
func (k *talk) webSocket() {
	k.say(true, []byte("GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"))
	k.say(false, []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTzaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"))
	k.say(true, binary.BigEndian.AppendUint16(nil, 0x828e))
}
