package flow

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"hilnet/wire"
)

var (
	client6 = netip.MustParseAddrPort("[fd00::1]:49152")
	server6 = netip.MustParseAddrPort("[fd00::2]:1883")
)

// insert puts extra at offset at of b.
func insert(b []byte, at int, extra ...byte) []byte {
	return append(append(bytes.Clone(b[:at]), extra...), b[at:]...)
}

// set is b with the bytes at offset at replaced.
func set(b []byte, at int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], with)
	return b
}

// extend6 puts an extension header in front of the TCP header of an IPv6 frame.
func extend6(b []byte, protocol byte, header ...byte) []byte {
	header[0] = b[14+6]
	b = insert(b, 14+40, header...)
	b[14+6] = protocol
	binary.BigEndian.PutUint16(b[14+4:], binary.BigEndian.Uint16(b[14+4:])+uint16(len(header)))
	return b
}

func TestFramesThatHoldTCP(t *testing.T) {
	v4 := build(client, server, wire.TCPFields{Seq: 1, Flags: ack}, "0123456789")
	v6 := build(client6, server6, wire.TCPFields{Seq: 1, Flags: ack}, "0123456789")
	ip4, ip6 := v4[14:], v6[14:]
	hop := []byte{0, 0, 1, 4, 0, 0, 0, 0}
	for _, c := range []struct {
		name  string
		link  LinkType
		frame []byte
		vlans []uint16
	}{
		{"IPv4", LinkEthernet, v4, nil},
		{"IPv6", LinkEthernet, v6, nil},
		{"802.1Q", LinkEthernet, insert(v4, 12, 0x81, 0, 0x20, 7), []uint16{7}},
		{"priority tag", LinkEthernet, insert(v4, 12, 0x81, 0, 0xE0, 0), nil},
		{"four tags", LinkEthernet, insert(v6, 12, 0x88, 0xA8, 0, 1, 0x91, 0, 0, 2, 0x81, 0, 0, 3, 0x81, 0, 0, 4), []uint16{1, 2, 3, 4}},
		{"padding", LinkEthernet, append(bytes.Clone(v4), "padding"...), nil},
		{"offloaded length", LinkEthernet, set(v4, 16, 0, 0), nil},
		{"offloaded length, IPv6", LinkEthernet, set(v6, 18, 0, 0), nil},
		{"hop-by-hop", LinkEthernet, extend6(v6, wire.ProtocolHopByHop, hop...), nil},
		{"routing and destination options", LinkEthernet, extend6(extend6(v6, wire.ProtocolDestOpts, hop...), wire.ProtocolRouting, hop...), nil},
		{"atomic fragment", LinkEthernet, extend6(v6, wire.ProtocolFragment, 0, 0, 0, 0, 1, 2, 3, 4), nil},
		{"authentication header", LinkEthernet, extend6(v6, protocolAH, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1), nil},
		{"raw", LinkRaw, ip4, nil},
		{"raw IPv6", LinkRaw, ip6, nil},
		{"LINKTYPE_IPV4", LinkIPv4, ip4, nil},
		{"LINKTYPE_IPV6", LinkIPv6, ip6, nil},
		{"DLT_RAW", 12, ip4, nil},
		{"null", LinkNull, append([]byte{2, 0, 0, 0}, ip4...), nil},
		{"null, big-endian", LinkNull, append([]byte{0, 0, 0, 30}, ip6...), nil},
		{"loop", LinkLoop, append([]byte{0, 0, 0, 24}, ip6...), nil},
		{"SLL", LinkSLL, append(append(make([]byte, 14), 8, 0), ip4...), nil},
		{"SLL2", LinkSLL2, append(append([]byte{0x86, 0xDD}, make([]byte, 18)...), ip6...), nil},
		{"SLL, tagged", LinkSLL, append(append(make([]byte, 14), 0x81, 0, 0, 9, 8, 0), ip4...), []uint16{9}},
	} {
		table, err := New(Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := table.Feed(Frame{Data: c.frame, Link: c.link})
		if r.Ignored != NoReason || string(r.Payload) != "0123456789" {
			t.Errorf("%s: ignored: %v, payload %q", c.name, r.Ignored, r.Payload)
			continue
		}
		if a := r.Conversation.A.Addr; a != client && a != client6 {
			t.Errorf("%s: from %v", c.name, a)
		}
		if got := r.Conversation.VLANs; len(got) != len(c.vlans) || len(got) > 0 && got[len(got)-1] != c.vlans[len(got)-1] {
			t.Errorf("%s: VLANs %v", c.name, got)
		}
		if r.Labels&LabelBadChecksum != 0 {
			t.Errorf("%s: checksum called wrong", c.name)
		}
		// Cut anywhere: no panic, and TCP only when its header is there.
		for n := range c.frame {
			if r := table.Feed(Frame{Data: c.frame[:n], Link: c.link}); r.Ignored == NoReason && len(r.TCP) < 20 {
				t.Errorf("%s cut at %d: %+v", c.name, n, r)
			}
		}
	}
}

func TestFramesThatAreIgnored(t *testing.T) {
	v4 := build(client, server, wire.TCPFields{Seq: 1, Flags: ack}, "0123456789")
	v6 := build(client6, server6, wire.TCPFields{Seq: 1, Flags: ack}, "0123456789")
	many := v6
	for range maxExtensions {
		many = extend6(many, wire.ProtocolDestOpts, 0, 0, 1, 4, 0, 0, 0, 0)
	}
	tag := []byte{0x81, 0, 0, 1}
	for _, c := range []struct {
		want  Reason
		link  LinkType
		frame []byte
	}{
		{ReasonLinkType, 147, v4},
		{ReasonShort, LinkEthernet, v4[:13]},
		{ReasonShort, LinkEthernet, v4[:14+19]},
		{ReasonShort, LinkEthernet, v4[:14+20+19]},
		{ReasonShort, LinkEthernet, v6[:14+39]},
		{ReasonShort, LinkRaw, nil},
		{ReasonNotIP, LinkEthernet, set(v4, 12, 8, 6)},
		{ReasonNotIP, LinkNull, append([]byte{7, 0, 0, 0}, v4[14:]...)},
		{ReasonTags, LinkEthernet, insert(v4, 12, bytes.Repeat(tag, 5)...)},
		{ReasonIPHeader, LinkEthernet, set(v4, 14, 0x44)},
		{ReasonIPHeader, LinkEthernet, set(v4, 14, 0x75)},
		{ReasonIPHeader, LinkEthernet, set(v4, 16, 0, 19)},
		{ReasonFragment, LinkEthernet, set(v4, 20, 0x20, 0)},
		{ReasonFragment, LinkEthernet, set(v4, 20, 0, 3)},
		{ReasonFragment, LinkEthernet, extend6(v6, wire.ProtocolFragment, 0, 0, 0, 1, 0, 0, 0, 0)},
		{ReasonNotTCP, LinkEthernet, set(v4, 23, 17)},
		{ReasonNotTCP, LinkEthernet, set(v6, 20, 50)},
		{ReasonExtensions, LinkEthernet, many},
		{ReasonTCPHeader, LinkEthernet, set(v4, 14+20+12, 0x40)},
		{ReasonTCPHeader, LinkEthernet, set(v4, 14+20+12, 0xF0)},
	} {
		table, err := New(Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r := table.Feed(Frame{Data: c.frame, Link: c.link}); r.Ignored != c.want || r.Conversation != nil {
			t.Errorf("got %v, want %v for % x", r.Ignored, c.want, c.frame)
		}
		if s := table.Stats(); s.Ignored[c.want] != 1 || s.Frames != 1 || s.Live != 0 {
			t.Errorf("%v: %+v", c.want, s)
		}
	}
}

func TestFramesCutByTheCaptureLeaveGaps(t *testing.T) {
	r := newTranscript(t, Config{})
	r.handshake(99, 199)
	whole := build(client, server, wire.TCPFields{Seq: 100, Ack: 200, Flags: ack}, connect("device")+publish("topic", "payload"))
	r.feed(whole[:14+40+30]) // 10 of 16 bytes of the PUBLISH
	r.up(ack, 136, 200, ping())
	r.want(`A 0 "\x10\x12\x00\x04MQTT\x04\x02\x00<\x00\x06device0\x0e\x00\x05topicp" #4`,
		"A is MQTT: starts with CONNECT", "A CONNECT 0+20 #4-4 coalesced", "A gap 30+6: frame cut by the capture",
		"A PUBLISH 20+16 #4-4 missing 6 raw 10 coalesced", `A 36 "\xc0\x00" #5`, "A PINGREQ 36+2 #5-5")
}

func TestVLANsAndLanesKeepConversationsApart(t *testing.T) {
	frame := build(client, server, wire.TCPFields{Seq: 1, Flags: ack}, "x")
	tagged := insert(frame, 12, 0x81, 0, 0, 5)
	for _, c := range []struct {
		config Config
		want   uint64
	}{{Config{}, 3}, {Config{IgnoreVLAN: true}, 2}} {
		table, err := New(c.config, nil)
		if err != nil {
			t.Fatal(err)
		}
		table.Feed(Frame{Data: frame, Link: LinkEthernet})
		table.Feed(Frame{Data: tagged, Link: LinkEthernet})
		table.Feed(Frame{Data: frame, Link: LinkEthernet, Lane: 1})
		if got := table.Stats().Conversations; got != c.want {
			t.Errorf("%d conversations, want %d", got, c.want)
		}
	}
}

func TestHostThatTalksToItself(t *testing.T) {
	self := netip.MustParseAddrPort("127.0.0.1:7")
	r := newTranscript(t, Config{NoMQTT: true})
	for i, d := range []Direction{Outbound, Inbound} {
		frame := build(self, self, wire.TCPFields{Seq: uint32(1000 * i), Flags: ack}, "x")
		r.table.Feed(Frame{Data: frame, Link: LinkEthernet, Direction: d, Number: uint64(i)})
	}
	r.want("opened 1.1", `A 0 "x" #0`, `B 0 "x" #1`)
}

func TestChecksumsLeftToTheHardwareAreRecognised(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199) // with right checksums: wrong ones are dropped from here on
	seq := uint32(100)
	for _, partial := range []uint16{0, ^wire.Fold(wire.PseudoSum(client.Addr(), server.Addr(), wire.ProtocolTCP, 20+3))} {
		b := build(client, server, wire.TCPFields{Seq: seq, Ack: 200, Flags: ack}, "abc")
		binary.BigEndian.PutUint16(b[14+20+16:], partial)
		if r.feed(b); r.last.Ignored != NoReason || r.last.Labels != LabelNew {
			t.Errorf("%#04x: %+v", partial, r.last)
		}
		seq += 3
	}
	b := build(client, server, wire.TCPFields{Seq: seq, Ack: 200, Flags: ack}, "abc")
	binary.BigEndian.PutUint16(b[14+20+16:], 1)
	if r.feed(b); r.last.Ignored != ReasonBadChecksum {
		t.Errorf("%+v", r.last)
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := map[string]Reason{}
	for reason := range reasonCount {
		name := reason.String()
		if other, twice := seen[name]; twice || name == "" {
			t.Errorf("reason %d is called %q, as %d is", reason, name, other)
		}
		seen[name] = reason
	}
}
