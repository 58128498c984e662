package flow

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/wire"
)

// sent is what a client sends in the tests below: messages of several sizes.
func sent() (stream string, ends []int) {
	for _, m := range []string{connect("device"), publish("a/b", "hello"), ping(), publish("c", strings.Repeat("x", 300)), "\xe0\x00"} {
		stream += m
		ends = append(ends, len(stream))
	}
	return stream, ends
}

// collector keeps the messages of a Table.
type collector struct{ messages []Message }

func (c *collector) Data(*Chunk)    {}
func (c *collector) Notice(*Notice) {}
func (c *collector) Message(m *Message) {
	k := *m
	k.Raw = bytes.Clone(m.Raw)
	c.messages = append(c.messages, k)
}

func TestMessagesSplitAtEveryBytePosition(t *testing.T) {
	stream, ends := sent()
	for i := 1; i < len(stream); i++ {
		for j := i; j <= len(stream); j += 1 + j%7 {
			var got collector
			table, err := New(Config{}, &got)
			if err != nil {
				t.Fatal(err)
			}
			table.Feed(Frame{Data: build(client, server, wire.TCPFields{Seq: 99, Flags: syn}, ""), Link: LinkEthernet})
			cuts := []int{0, i, j, len(stream)}
			for k := range 3 {
				part := stream[cuts[k]:cuts[k+1]]
				f := wire.TCPFields{Seq: 100 + uint32(cuts[k]), Flags: ack}
				table.Feed(Frame{Data: build(client, server, f, part), Link: LinkEthernet, Number: uint64(k)})
			}
			begin := 0
			if len(got.messages) != len(ends) {
				t.Fatalf("cut at %d and %d: %d messages", i, j, len(got.messages))
			}
			for n, m := range got.messages {
				where := func(at int) uint64 { // the frame that holds the byte at
					for k := 2; ; k-- {
						if cuts[k] <= at && cuts[k] < cuts[k+1] {
							return uint64(k)
						}
					}
				}
				first, last := where(begin), where(ends[n]-1)
				shares := begin > cuts[first] || ends[n] < cuts[last+1]
				if string(m.Raw) != stream[begin:ends[n]] || m.Offset != int64(begin) || m.Len != ends[n]-begin ||
					m.FirstFrame != first || m.LastFrame != last || m.Coalesced != shares || m.Index != n+1 || m.Resumed {
					t.Fatalf("cut at %d and %d, message %d: %+v", i, j, n, m)
				}
				begin = ends[n]
			}
		}
	}
}

func TestGapWithinAMessageKeepsBoundaries(t *testing.T) {
	r := newTranscript(t, Config{})
	r.handshake(99, 199)
	big := publish("t", strings.Repeat("x", 200))
	r.up(ack, 100, 200, connect("d")+big[:50])
	r.lines = nil
	r.up(ack, 100+15+150, 200, big[150:]+ping()) // 100 bytes missing
	r.down(ack, 200, 100+15+uint32(len(big))+2, "")
	r.now = r.now.Add(time.Second)
	r.up(ack, 100+15+uint32(len(big))+2, 200, ping())
	want := []string{
		"A gap 65+100: acknowledged but not captured",
		fmt.Sprintf("A 165 %q #5 ready #7", big[150:]+ping()),
		fmt.Sprintf("A PUBLISH 15+%d #4-5 missing 100 raw 50 coalesced", len(big)),
		fmt.Sprintf("A PINGREQ %d+2 #5-5 coalesced", 15+len(big)),
		fmt.Sprintf(`A %d "\xc0\x00" #7`, 17+len(big)),
		fmt.Sprintf("A PINGREQ %d+2 #7-7", 17+len(big)),
	}
	r.want(want...)
}

// lose feeds a handshake, a CONNECT and then payload behind a hole of 20 bytes.
func lose(t *testing.T, config Config, after ...string) *transcript {
	config.GapGrace = -1
	r := newTranscript(t, config)
	r.handshake(99, 199)
	r.up(ack, 100, 200, connect("d"))
	r.lines = nil
	seq := uint32(100 + 15 + 20)
	for i, s := range after {
		r.up(ack, seq, 200, s)
		seq += uint32(len(s))
		if i == 0 {
			r.down(ack, 200, seq, "")
		}
	}
	var kept []string
	for _, line := range r.lines {
		if f := strings.Fields(line); len(f) > 2 && f[2][0] != '"' {
			kept = append(kept, line)
		}
	}
	r.lines = kept
	return r
}

func TestBoundariesLostAndFoundAgain(t *testing.T) {
	gap := "A gap 15+20: acknowledged but not captured"
	lost := "A boundary lost 15+0: acknowledged but not captured"
	p := publish("t/opic", "payload") // 17 bytes
	// A segment of whole packets.
	lose(t, Config{}, p).want(gap, lost, "A boundary found 35+20", "A PUBLISH 35+17 #5-5 resumed")
	lose(t, Config{}, p+ping()+p).want(gap, lost, "A boundary found 35+20",
		"A PUBLISH 35+17 #5-5 coalesced resumed", "A PINGREQ 52+2 #5-5 coalesced resumed", "A PUBLISH 54+17 #5-5 coalesced resumed")
	// The rest of a message first; it stands for nothing.
	lose(t, Config{}, "yload", p).want(gap, lost, "A boundary found 40+25", "A PUBLISH 40+17 #7-7 resumed")
	// A packet over several segments is proven by its end.
	lose(t, Config{}, p[:3], p[3:12], p[12:]+ping()).want(gap, lost, "A boundary found 35+20",
		"A PUBLISH 35+17 #5-8 coalesced resumed", "A PINGREQ 52+2 #8-8 coalesced resumed")
	// Packets that are not in shape prove nothing: QoS 3, wildcard in the topic,
	// length not in its shortest form, reserved flags, and a packet too short.
	for _, bad := range []string{"\x36" + p[1:], publish("t/#", "payload"), "\x30\x8f\x00" + p[2:], "\xc1\x00", p[:16] + "\x00x"} {
		lose(t, Config{}, bad).want(gap, lost)
	}
	// What looks like a start does not when the rest goes on differently.
	lose(t, Config{}, p[:6], "#"+p[7:], ping()).want(gap, lost, "A boundary found 52+37", "A PINGREQ 52+2 #8-8 resumed")
}

func TestBoundaryIsNotSoughtWithinASegment(t *testing.T) {
	// The first bytes of the segment fall into the gap that was told; what is
	// left of it is no segment's beginning, whatever it looks like.
	r := lose(t, Config{}, "yload")
	r.lines = nil
	r.up(ack, 100+15+20, 200, "yload"+ping())
	r.want(`A 40 "\xc0\x00" #7`)
	r.up(ack, 100+15+27, 200, ping())
	r.want(`A 42 "\xc0\x00" #8`, "A boundary found 42+27", "A PINGREQ 42+2 #8-8 resumed")
}

func TestMalformedLengthLosesBoundaries(t *testing.T) {
	r := newTranscript(t, Config{})
	r.handshake(99, 199)
	r.up(ack, 100, 200, connect("d"))
	r.lines = nil
	r.up(ack, 115, 200, "\x30\xff\xff")
	r.up(ack, 118, 200, "\xff\xff\x01")
	r.up(ack, 121, 200, ping())
	r.want(`A 15 "0\xff\xff" #5`, `A 18 "\xff\xff\x01" #6`, "A boundary lost 15+0: remaining length has more than four bytes",
		`A 21 "\xc0\x00" #7`, "A boundary found 21+6", "A PINGREQ 21+2 #7-7 resumed")
}

func TestLongMessageIsTruncatedNotLost(t *testing.T) {
	r := newTranscript(t, Config{MaxMessage: 64})
	r.handshake(99, 199)
	long := publish("t", strings.Repeat("x", 500))
	stream := connect("d") + long + long
	for i := 0; i < len(stream); i += 100 {
		r.up(ack, 100+uint32(i), 200, stream[i:min(i+100, len(stream))])
	}
	var got []string
	for _, line := range r.lines {
		if strings.Contains(line, "PUBLISH") {
			got = append(got, line)
		}
	}
	r.lines = got
	r.want("A PUBLISH 15+506 #4-9 raw 64 coalesced", "A PUBLISH 521+506 #9-14 raw 64 coalesced")
}

func TestUnfinishedMessageIsReported(t *testing.T) {
	r := newTranscript(t, Config{})
	r.handshake(99, 199)
	r.up(ack, 100, 200, connect("d")+"\x30\x10\x00")
	r.lines = nil
	r.table.Close()
	r.want("A unfinished message 15+18: conversation ended", "ended 1: open")
}

func TestOtherProtocolsAreLeftAlone(t *testing.T) {
	for _, c := range []struct {
		first    string
		protocol Protocol
		evidence Evidence
	}{
		{"\x16\x03\x01\x00\xc8\x01", ProtocolTLS, EvidenceTLSRecord},
		{"GET /mqtt HTTP/1.1\r\n", ProtocolHTTP, EvidenceHTTP},
		{"SSH-2.0-x\r\n", ProtocolOther, EvidenceOtherStart},
		{"\x10\x0d\x00\x04HTTP\x04", ProtocolOther, EvidenceOtherStart},
		{connect("x"), ProtocolMQTT, EvidenceConnect},
		{"\x10\x0f\x00\x06MQIsdp\x03\x00\x00\x00\x00\x01d", ProtocolMQTT, EvidenceConnect},
		{"\x20\x02\x00\x00", ProtocolMQTT, EvidenceConnack},
	} {
		// On an odd port, whole and byte by byte.
		for _, step := range []int{1, 100} {
			r := newTranscript(t, Config{MQTTPorts: []uint16{}})
			r.handshake(99, 199)
			for i := 0; i < len(c.first); i += step {
				r.up(ack, 100+uint32(i), 200, c.first[i:min(i+step, len(c.first))])
			}
			h := r.last.Conversation.A
			if h.Protocol != c.protocol || h.Evidence != c.evidence || c.protocol == ProtocolMQTT && h.MessageCount() != 1 {
				t.Errorf("%q by %d: %v, %v, %d messages", c.first, step, h.Protocol, h.Evidence, h.MessageCount())
			}
		}
	}
}

func TestStreamWithoutCONNECTOnTheMQTTPort(t *testing.T) {
	r := newTranscript(t, Config{})
	r.handshake(99, 199)
	r.up(ack, 100, 200, publish("t", "x"))
	r.want(`A 0 "0\x04\x00\x01tx" #4`, "A boundary lost 0+0: stream does not start with CONNECT or CONNACK",
		"A is MQTT: segments hold whole MQTT packets", "A boundary found 0+0", "A PUBLISH 0+6 #4-4 resumed")
}

func TestUnknownStreamIsSearchedForABoundedTime(t *testing.T) {
	r := newTranscript(t, Config{MQTTPorts: []uint16{}})
	for i := range uint32(100) {
		r.up(ack, 100+1000*i, 200, strings.Repeat("noise, no", 111)+"!")
	}
	if h := r.last.Conversation.A; h.Protocol != ProtocolOther || h.Evidence != EvidenceNoPackets {
		t.Errorf("%v, %v", h.Protocol, h.Evidence)
	}
}

func TestShapeAcceptsWhatTheCodecWrites(t *testing.T) {
	packets := [][]byte{
		[]byte(connect("id")), codec.AppendConnack(nil, codec.Connack{}), []byte(publish("t", "x")),
		codec.AppendPublish(nil, &codec.Publish{Topic: []byte("t"), QoS: 2, ID: 7}),
		codec.AppendAck(nil, codec.PUBACK, 1), codec.AppendAck(nil, codec.PUBREL, 1), codec.AppendAck(nil, codec.UNSUBACK, 1),
		codec.AppendSubscribe(nil, 1, []codec.Subscription{{Filter: []byte("a/#"), QoS: 1}, {Filter: []byte("b")}}),
		codec.AppendSuback(nil, 1, []byte{0, 1, 0x80}), codec.AppendUnsubscribe(nil, 1, [][]byte{[]byte("a"), []byte("+/b")}),
		[]byte(ping()), codec.AppendEmpty(nil, codec.PINGRESP), codec.AppendEmpty(nil, codec.DISCONNECT),
		// MQTT 5: CONNACK, PUBACK, SUBSCRIBE, SUBACK, UNSUBACK, DISCONNECT and AUTH with properties.
		[]byte("\x20\x06\x00\x00\x03\x22\x00\x0a"), []byte("\x40\x04\x00\x01\x10\x00"), []byte("\x82\x07\x00\x01\x00\x00\x01a\x2e"),
		[]byte("\x90\x04\x00\x01\x00\x87"), []byte("\xb0\x04\x00\x01\x00\x11"), []byte("\xe0\x02\x8e\x00"), []byte("\xf0\x02\x18\x00"),
	}
	for _, p := range packets {
		for n := 1; n < len(p); n++ {
			if size, ok := shape(p[:n]); size != 0 || !ok {
				t.Errorf("first %d bytes of % x: %d, %v", n, p, size, ok)
			}
		}
		if size, ok := shape(append(p, "more"...)); size != len(p) || !ok {
			t.Errorf("% x: %d, %v", p, size, ok)
		}
	}
}

func TestTLSIsRecognisedMidstream(t *testing.T) {
	odd := Config{MQTTPorts: []uint16{}}
	r := newTranscript(t, odd)
	r.up(ack, 100, 200, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
	if h := r.last.Conversation.A; h.Protocol != ProtocolTLS || h.BoundariesLost != 0 {
		t.Errorf("%+v", h)
	}
	r = newTranscript(t, odd) // in the middle of a record first
	r.up(ack, 100, 200, "xxxx")
	r.up(ack, 104, 200, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
	if h := r.last.Conversation.A; h.Protocol != ProtocolTLS || h.BoundariesLost != 1 {
		t.Errorf("%+v", h)
	}
}

func TestMessageIsCutWhenMemoryEnds(t *testing.T) {
	r := newTranscript(t, Config{MaxMemory: 300, History: -1})
	r.handshake(99, 199)
	long := publish("t", strings.Repeat("x", 500))
	stream := connect("d") + long + ping()
	for i := 0; i < len(stream); i += 100 {
		r.up(ack, 100+uint32(i), 200, stream[i:min(i+100, len(stream))])
	}
	if c := r.last.Conversation; c.A.MessageCount() != 3 || c.A.BoundariesLost != 0 {
		t.Errorf("%v", c)
	}
	if s := r.table.Stats(); s.MaxHeld > 300 {
		t.Errorf("%d bytes held", s.MaxHeld)
	}
}
