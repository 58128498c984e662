package flow

import (
	"net/netip"
	"testing"
	"time"

	"hilnet/wire"
)

func TestNewSYNStartsAnIncarnation(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(ack, 100, 200, "abc")
	r.up(syn, 99, 0, "") // a copy from the network, at once: nothing new
	r.want(`A 0 "abc" #4`)
	// The device reboots and repeats number and port; the server remembers.
	r.now = r.now.Add(time.Second)
	r.up(syn, 99, 0, "")
	r.want("ended 1: replaced", "opened 2.2")
	r.down(ack, 200, 103, "") // challenge, of the earlier incarnation
	if r.last.Ignored != ReasonStaleACK {
		t.Errorf("challenge: %+v", r.last)
	}
	r.down(ack, 200, 103, "old news")
	r.up(rst, 103, 0, "") // the answer to the challenge
	if r.last.Ignored != ReasonStaleACK {
		t.Errorf("reset: %+v", r.last)
	}
	r.now = r.now.Add(time.Second)
	r.up(syn, 99, 0, "") // the SYN again, of the same incarnation
	r.down(syn|ack, 7000, 100, "")
	r.up(ack, 100, 7001, "abc")
	r.want(`A 0 "abc" #12`)
	r.up(syn, 12345, 0, "") // and with another number
	r.want("ended 2: replaced", "opened 3.3")
	if c := r.ended[1]; c.Handshake != HandshakeComplete || c.A.SYNs != 2 {
		t.Errorf("%+v", c)
	}
}

func TestRefusedConnectionsAreIncarnations(t *testing.T) {
	r := newTranscript(t, Config{})
	for range 2 { // with the same number
		r.up(syn, 99, 0, "")
		r.down(rst|ack, 0, 100, "")
	}
	r.want("opened 1.1", "ended 1: RST", "opened 2.2")
	if !r.ended[0].Refused || r.ended[0].EndedBy != SideB {
		t.Errorf("%+v", r.ended[0])
	}
}

func TestSimultaneousOpen(t *testing.T) {
	other := netip.MustParseAddrPort("10.0.0.2:5000")
	r := newTranscript(t, Config{NoMQTT: true})
	send := func(src, dst netip.AddrPort, flags wire.TCPFlags, seq, ackNo uint32, payload string) {
		r.feed(build(src, dst, wire.TCPFields{Seq: seq, Ack: ackNo, Flags: flags, Window: 500}, payload))
	}
	send(client, other, syn, 99, 0, "")
	send(other, client, syn, 199, 0, "")
	send(client, other, syn|ack, 99, 200, "")
	send(other, client, syn|ack, 199, 100, "")
	send(client, other, ack, 100, 200, "one")
	send(other, client, ack, 200, 103, "two")
	r.want("opened 1.1", `A 0 "one" #5`, `B 0 "two" #6`)
	if c := r.last.Conversation; c.Handshake != HandshakeSimultaneous || c.Client != NoSide {
		t.Errorf("%+v", c)
	}
}

func TestHandshakeOutOfOrder(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.down(syn|ack, 199, 100, "")
	r.up(syn, 99, 0, "")
	r.up(ack, 100, 200, "abc")
	r.want("opened 1.1", `B 0 "abc" #3`)
	if c := r.last.Conversation; c.Client != SideB || c.Handshake != HandshakeComplete {
		t.Errorf("%+v", c)
	}
	// Data before the SYN, and data with it.
	r = newTranscript(t, Config{NoMQTT: true})
	r.up(ack, 102, 200, "cd")
	r.up(syn, 101, 0, "")
	r.up(ack, 104, 200, "ef")
	r.want("opened 1.1", `A 0 "cd" #1`, `A 2 "ef" #3`)
	r = newTranscript(t, Config{NoMQTT: true})
	r.up(syn, 99, 0, "abc")
	r.down(syn|ack, 199, 103, "")
	r.up(ack, 103, 200, "def")
	r.want("opened 1.1", `A 0 "abc" #1`, `A 3 "def" #3`)
}

func TestMidstreamServerIsToldByPortOrMessages(t *testing.T) {
	r := newTranscript(t, Config{})
	r.down(ack, 7, 1, "")
	if c := r.last.Conversation; c.Client != SideB || c.Role != RoleByPort || !c.OneSided() || !c.Midstream() {
		t.Errorf("%+v", c)
	}
	odd := netip.MustParseAddrPort("10.0.0.2:4444")
	r.feed(build(odd, client, wire.TCPFields{Seq: 7, Flags: ack}, "\xd0\x00\xd0\x00"))
	if c := r.last.Conversation; c.Client != SideB || c.Role != RoleByMQTT || c.Protocol != ProtocolMQTT {
		t.Errorf("%+v", c)
	}
}

func TestSplitHandshake(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.up(syn, 999, 0, "")
	r.down(ack, 2000, 1000, "")
	r.down(syn, 3000, 0, "")
	r.up(syn|ack, 999, 3001, "")
	r.down(ack, 3001, 1000, "")
	r.up(ack, 1000, 3001, "data")
	r.want("opened 1.1", `A 0 "data" #6`)
}
