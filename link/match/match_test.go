package match_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/link/match"
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

var (
	deviceMAC = wire.MAC{2, 0, 0, 0, 0, 2}
	brokerMAC = wire.MAC{2, 0, 0, 0, 0, 1}
	device    = netip.MustParseAddrPort("10.0.0.2:49152")
	broker    = netip.MustParseAddrPort("10.0.0.1:1883")
)

// A bench is a link with rules, the TCP of both its ends, and what came out.
type bench struct {
	t       testing.TB
	loop    *sim.Loop
	link    *link.Link
	matcher *match.Matcher
	seq     [2]uint32 // next of device and broker
	out     [2][]string
	last    [2][]byte // frame that came out
	events  []trace.Event
}

func newBench(t testing.TB, rules ...match.Rule) *bench {
	t.Helper()
	b := &bench{t: t, loop: sim.NewLoop(sim.Config{}), seq: [2]uint32{1000, 5000}}
	log := trace.NewLog(b.loop.Now)
	log.Subscribe(func(e *trace.Event) { b.events = append(b.events, *e) })
	var err error
	if b.link, err = link.New(link.World{Loop: b.loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link"}); err != nil {
		t.Fatal(err)
	}
	b.link.Connect(b.arrive(1), b.arrive(0))
	if b.matcher, err = match.New(match.Config{Loop: b.loop, Trace: log, Rules: rules}); err != nil {
		t.Fatal(err)
	}
	if err := b.matcher.Attach(b.link); err != nil {
		t.Fatal(err)
	}
	return b
}

// arrive notes the messages in what comes out.
func (b *bench) arrive(way int) link.Sink {
	return link.SinkFunc(func(f *link.Frame) {
		var l wire.Layers
		if err := l.Parse(f.Data); err == nil && l.TCP != nil {
			b.out[way] = append(b.out[way], b.name(l.Payload, l.TCP))
			if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
				b.t.Error("a wrong TCP checksum came out")
			}
		}
		b.last[way] = append([]byte(nil), l.Payload...)
		f.Release()
	})
}

func (b *bench) name(p []byte, tcp wire.TCP) string {
	if len(p) == 0 {
		for _, f := range []struct {
			flag wire.TCPFlags
			name string
		}{{wire.TCPSyn, "SYN"}, {wire.TCPFin, "FIN"}, {wire.TCPRst, "RST"}} {
			if tcp.Has(f.flag) {
				return f.name
			}
		}
		return "ACK"
	}
	var all []string
	for len(p) > 0 {
		h, ok, err := codec.ParseHeader(p)
		if err != nil || !ok || h.Len() > len(p) {
			return strings.Join(append(all, fmt.Sprintf("%d bytes", len(p))), "+")
		}
		s, _, _ := strings.Cut(codec.Summary(p[:h.Len()]), " malformed")
		all = append(all, s)
		p = p[h.Len():]
	}
	return strings.Join(all, "+")
}

// send sends a segment; back is how far behind its stream it begins.
func (b *bench) send(way int, flags wire.TCPFlags, payload []byte, back uint32) {
	b.t.Helper()
	src, dst, from, to := device, broker, deviceMAC, brokerMAC
	if way == 1 {
		src, dst, from, to = broker, device, brokerMAC, deviceMAC
	}
	f := link.NewFrame(14 + 20 + 20 + len(payload))
	wire.PutEthernet(f.Data, to, from, wire.EtherTypeIPv4)
	copy(f.Data[54:], payload)
	wire.PutTCP(f.Data[34:], wire.TCPFields{SrcPort: src.Port(), DstPort: dst.Port(), Seq: b.seq[way] - back, Ack: b.seq[1-way], Flags: flags, Window: 60000}, src.Addr(), dst.Addr(), len(payload))
	wire.PutIPv4(f.Data[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: src.Addr(), Dst: dst.Addr()}, 20+len(payload))
	if back == 0 {
		b.seq[way] += uint32(len(payload))
		if flags&(wire.TCPSyn|wire.TCPFin) != 0 {
			b.seq[way]++
		}
	}
	if way == 0 {
		b.link.Up.Put(f)
	} else {
		b.link.Down.Put(f)
	}
	b.run(time.Millisecond)
}

func (b *bench) run(d time.Duration) {
	if err := b.loop.Run(b.loop.Now().Add(d)); err != nil {
		b.t.Fatal(err)
	}
	if err := b.link.Check(); err != nil {
		b.t.Error(err)
	}
}

const (
	up   = 0
	down = 1
	psh  = wire.TCPPsh | wire.TCPAck
)

// open does the handshakes of TCP and MQTT.
func (b *bench) open() {
	b.t.Helper()
	b.send(up, wire.TCPSyn, nil, 0)
	b.send(down, wire.TCPSyn|wire.TCPAck, nil, 0)
	b.send(up, wire.TCPAck, nil, 0)
	b.send(up, psh, connect, 0)
	b.send(down, psh, []byte{0x20, 2, 0, 0}, 0)
}

var connect = []byte("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04dev1")

func publish(topic string, qos uint8, id uint16, dup bool) []byte {
	return codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), QoS: qos, ID: id, Dup: dup, Payload: []byte("x")})
}

func puback(id uint16) []byte { return []byte{0x40, 2, byte(id >> 8), byte(id)} }

// want compares what came out behind the handshakes.
func (b *bench) want(way int, want ...string) {
	b.t.Helper()
	got := b.out[way]
	for len(got) > 0 && (got[0] == "SYN" || got[0] == "ACK" || strings.HasPrefix(got[0], "CONN")) {
		got = got[1:]
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		b.t.Errorf("way %d: came out:\n%s\nwant:\n%s", way, g, w)
	}
}

// tells checks that an event of a kind has a text.
func (b *bench) tells(kind trace.Kind, text string) {
	b.t.Helper()
	for _, e := range b.events {
		if e.Kind == kind && strings.Contains(e.Text, text) {
			return
		}
	}
	b.t.Errorf("no %s says %q; there are:", kind, text)
	for _, e := range b.events {
		b.t.Errorf("%s: %s", e.Kind, e.Text)
	}
}

func both(r match.Rule) match.Rule { r.Up, r.Down = true, true; return r }

func TestTheThirdPubackIsDroppedAndItsCopiesPass(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 3, Down: true})
	b.open()
	for id := uint16(1); id <= 4; id++ {
		b.send(up, psh, publish("t", 1, id, false), 0)
		b.send(down, psh, puback(id), 0)
		if id == 3 {
			b.send(down, psh, puback(id), 4) // TCP sends it again
		}
	}
	b.want(down, "PUBACK id=1", "PUBACK id=2", "PUBACK id=3", "PUBACK id=4")
	b.tells(trace.KindMatch, "rule 1, drop PUBACK #3 down: PUBACK id=3")
	b.tells(trace.KindDrop, "drop PUBACK #3")
	if notes := b.matcher.Finish(); len(notes) > 0 {
		t.Errorf("notes %q", notes)
	}
}

func TestCopiesAreCounted(t *testing.T) {
	for _, tt := range []struct {
		copies, want int
	}{{1, 3}, {2, 2}, {match.AllCopies, 0}} {
		b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 1, Down: true, Copies: tt.copies})
		b.open()
		b.send(down, psh, puback(1), 0)
		for range 3 {
			b.send(down, psh, puback(1), 4)
		}
		if got := len(b.out[down]) - 2; got != tt.want {
			t.Errorf("copies %d: %d came out, want %d: %q", tt.copies, got, tt.want, b.out[down])
		}
	}
}

func TestAMessageIsMetBySegmentOfItsLastByte(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBLISH, Topic: "a/#", Up: true})
	b.open()
	p := publish("a/long/topic", 0, 0, false)
	b.send(up, psh, p[:5], 0)
	b.send(up, psh, p[5:], 0)
	b.want(up, "5 bytes")
}

func TestPublishIsChosenByTopicQoSIdentifierAndDup(t *testing.T) {
	yes, one := true, uint8(1)
	for _, r := range []match.Rule{
		{Topic: "a/+"}, {QoS: &one, Topic: "a/#"}, {ID: 7}, {Dup: &yes},
	} {
		r.Do, r.Message, r.Up = match.Drop, codec.PUBLISH, true
		b := newBench(t, r)
		b.open()
		b.send(up, psh, publish("b/c", 0, 0, false), 0)
		b.send(up, psh, publish("a/c", 1, 7, true), 0)
		b.send(up, psh, publish("b/c", 1, 8, false), 0)
		b.want(up, "PUBLISH q0 b/c 1 B", "PUBLISH q1 id=8 b/c 1 B")
	}
}

func TestASegmentWithSeveralMessagesIsReported(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 2, Down: true})
	b.open()
	b.send(down, psh, append(append(puback(1), puback(2)...), 0xd0, 0), 0)
	b.want(down)
	b.tells(trace.KindMatch, "PUBACK id=2, in a segment with PUBACK, PUBACK, PINGRESP")
}

func TestADelayedMessageIsOvertaken(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Delay, Message: codec.PUBLISH, Nth: 1, Up: true, By: 5 * time.Second})
	b.open()
	b.send(up, psh, publish("a", 0, 0, false), 0)
	b.send(up, psh, publish("b", 0, 0, false), 0)
	b.want(up, "PUBLISH q0 b 1 B")
	b.run(4997 * time.Millisecond)
	b.want(up, "PUBLISH q0 b 1 B")
	b.run(2 * time.Millisecond)
	b.want(up, "PUBLISH q0 b 1 B", "PUBLISH q0 a 1 B")
}

func TestAHeldMessageWaitsForFrames(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Hold, Message: codec.PUBLISH, Nth: 1, Up: true, Frames: 2})
	b.open()
	for _, topic := range []string{"a", "b", "c", "d"} {
		b.send(up, psh, publish(topic, 0, 0, false), 0)
	}
	b.want(up, "PUBLISH q0 b 1 B", "PUBLISH q0 c 1 B", "PUBLISH q0 a 1 B", "PUBLISH q0 d 1 B")
}

func TestACorruptedByteReachesTheApplication(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Corrupt, Message: codec.CONNACK, Byte: 3, Down: true})
	b.open()
	if got := b.last[down]; len(got) != 4 || got[3] != 0xff || got[2] != 0 {
		t.Errorf("the CONNACK is % x, want its byte 3 flipped", got)
	}
	b = newBench(t, match.Rule{Do: match.Corrupt, Message: codec.CONNACK, Byte: 4, Down: true})
	b.open()
	b.tells(trace.KindMatch, "nothing, for byte 4 is not in this segment")
}

func TestADuplicatedMessageComesTwice(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Duplicate, Message: codec.PUBACK, Down: true})
	b.open()
	b.send(down, psh, puback(1), 0)
	b.want(down, "PUBACK id=1", "PUBACK id=1")
}

func TestSegmentsAreChosenByFlagsBytesAndNumber(t *testing.T) {
	for _, tt := range []struct {
		rule     match.Rule
		up, down string
	}{
		{match.Rule{TCP: "SYN"}, "ACK CONNECT FIN ACK", "SYN CONNACK FIN"},
		{match.Rule{TCP: "SYN+ACK"}, "SYN ACK CONNECT FIN ACK", "CONNACK FIN"},
		{match.Rule{TCP: "FIN"}, "SYN ACK CONNECT ACK", "SYN CONNACK"},
		{match.Rule{TCP: "ACK"}, "SYN CONNECT FIN", "SYN CONNACK FIN"},
		{match.Rule{TCP: "ACK", Nth: 2}, "SYN ACK CONNECT FIN", "SYN CONNACK FIN"},
		{match.Rule{Bytes: &match.Range{From: 3, To: 3}}, "SYN ACK FIN ACK", "SYN FIN"},
		{match.Rule{Bytes: &match.Range{From: 4, To: 9}}, "SYN ACK FIN ACK", "SYN CONNACK FIN"},
		{match.Rule{Frame: 2}, "SYN CONNECT FIN ACK", "SYN FIN"},
	} {
		r := both(tt.rule)
		r.Do = match.Drop
		b := newBench(t, r)
		b.open()
		b.send(up, wire.TCPFin|wire.TCPAck, nil, 0)
		b.send(down, wire.TCPFin|wire.TCPAck, nil, 0)
		b.send(up, wire.TCPAck, nil, 0)
		var got [2]string
		for i, all := range b.out {
			for _, s := range all {
				got[i] += strings.Fields(s)[0] + " "
			}
		}
		if u, d := strings.TrimSpace(got[0]), strings.TrimSpace(got[1]); u != tt.up || d != tt.down {
			t.Errorf("%s: up %q, want %q; down %q, want %q", &r, u, tt.up, d, tt.down)
		}
	}
}

func TestARepeatedSYNIsACopy(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, TCP: "SYN", Nth: 1, Up: true, Copies: 2})
	b.send(up, wire.TCPSyn, nil, 0)
	b.send(up, wire.TCPSyn, nil, 1)
	b.send(up, wire.TCPSyn, nil, 1)
	if got := strings.Join(b.out[up], " "); got != "SYN" {
		t.Errorf("came out: %s, want the third SYN only", got)
	}
}

func TestARuleThatNeverMatchedIsReported(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 3, Down: true}, match.Rule{Do: match.Drop, Message: codec.SUBACK, Down: true})
	b.open()
	b.send(down, psh, puback(1), 0)
	notes := b.matcher.Finish()
	want := "link: rule 1, drop PUBACK #3 down: never had anything to do, only 1 came that it counts\nlink: rule 2, drop SUBACK down: never had anything to do"
	if got := strings.Join(notes, "\n"); got != want {
		t.Errorf("notes:\n%s\nwant:\n%s", got, want)
	}
	b.tells(trace.KindUnused, "rule 2, drop SUBACK down")
}

func TestTLSIsAnErrorAndNotSilence(t *testing.T) {
	b := newBench(t, both(match.Rule{Do: match.Drop, Message: codec.PUBACK}))
	b.send(up, wire.TCPSyn, nil, 0)
	b.send(down, wire.TCPSyn|wire.TCPAck, nil, 0)
	b.send(up, psh, []byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0}, 0)
	b.tells(trace.KindUnread, "carries TLS")
	if notes := strings.Join(b.matcher.Finish(), "\n"); !strings.Contains(notes, "rules for MQTT messages could not see everything: the connection of 10.0.0.2:49152 to 10.0.0.1:1883 carries TLS") {
		t.Errorf("notes: %s", notes)
	}
}

// A hit whose frame a blackhole swallows first has nothing to act on, and says so.
func TestAFrameThatWasDroppedBeforeTheRuleIsReported(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 1, Down: true})
	b.open()
	b.link.Down.Blackhole.Set(true)
	b.send(down, psh, puback(1), 0)
	b.link.Down.Blackhole.Set(false)
	b.send(down, psh, puback(2), 0)
	b.want(down, "PUBACK id=2")
	b.tells(trace.KindMatch, "PUBACK id=1: nothing, for the frame was dropped in front of the rule")
}

func TestHeldFramesHaveALimit(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Hold, TCP: "PSH", Up: true, Frames: match.MaxFrames})
	b.open()
	for range match.MaxHeld + 3 {
		b.send(up, psh, []byte{0xc0, 0}, 0)
	}
	full := 0
	for _, e := range b.events {
		if e.Kind == trace.KindDrop && e.Reason == trace.DropDelayFull {
			full++
		}
	}
	if full != 4 || b.link.Up.Counters().InFlight != match.MaxHeld { // the CONNECT is held too
		t.Errorf("%d dropped, %d held; want 4 and %d", full, b.link.Up.Counters().InFlight, match.MaxHeld)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	zero := uint8(0)
	for _, r := range []match.Rule{
		{Do: match.Drop, Up: true},
		{Do: match.Drop, Up: true, Message: codec.PUBACK, TCP: "SYN"},
		{Do: "eat", Up: true, Frame: 1},
		{Do: match.Drop, Frame: 1},
		{Do: match.Drop, Up: true, Message: codec.PUBACK, QoS: &zero},
		{Do: match.Drop, Up: true, Message: codec.PUBLISH, Topic: "a/#/b"},
		{Do: match.Drop, Up: true, TCP: "SYN+SYN"},
		{Do: match.Drop, Up: true, Bytes: &match.Range{From: 3, To: 2}},
		{Do: match.Drop, Up: true, Frame: 3, Copies: 2},
		{Do: match.Drop, Up: true, Frame: 3, By: 1},
		{Do: match.Delay, Up: true, Frame: 3},
		{Do: match.Hold, Up: true, Frame: 3, Frames: -1},
		{Do: match.Drop, Up: true, Frame: 3, Frames: 2},
		{Do: match.Drop, Up: true, Frame: 3, Byte: 1},
		{Do: match.Drop, Up: true, TCP: "SYN", ID: 3},
	} {
		if _, err := match.New(match.Config{Rules: []match.Rule{r}}); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}

// Whatever the frames are, nothing panics, every frame is accounted for, and
// what is held has its limits.
func FuzzMatcher(f *testing.F) {
	f.Add([]byte("\x00\x02\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04dev1"), uint8(0))
	f.Add([]byte{1, 0x18, 0x40, 2, 0, 1, 0x40, 2, 0, 2}, uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, kind uint8) {
		actions := match.Actions()
		do := actions[int(kind)%len(actions)]
		rules := []match.Rule{{Message: codec.PUBLISH, Topic: "a/#", Copies: match.AllCopies}, {Message: codec.PUBACK, ID: 1}, {TCP: "PSH", Copies: 2}, {Bytes: &match.Range{From: 1, To: 40}}, {Frame: 3}}
		for i := range rules {
			rules[i] = both(rules[i])
			rules[i].Do = do
			switch do {
			case match.Delay:
				rules[i].By = time.Millisecond
			case match.Hold:
				rules[i].Frames = 2
			case match.Corrupt:
				rules[i].Byte = int(kind)
			case match.Drop, match.Duplicate:
			}
		}
		b := newBench(t, rules...)
		b.open()
		for len(text) > 2 {
			n := min(int(text[1]%40), len(text)-2)
			b.send(int(text[0]&1), wire.TCPFlags(text[0]>>1)|wire.TCPAck, text[2:2+n], uint32(text[1]>>6))
			text = text[2+n:]
		}
		b.matcher.Finish()
	})
}
