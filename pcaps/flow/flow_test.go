package flow

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/wire"
)

const (
	fin = wire.TCPFin
	syn = wire.TCPSyn
	rst = wire.TCPRst
	psh = wire.TCPPsh
	ack = wire.TCPAck
)

var (
	client = netip.MustParseAddrPort("10.0.0.1:49152")
	server = netip.MustParseAddrPort("10.0.0.2:1883")
)

// build makes an Ethernet frame, padded to 60 bytes as on a wire.
func build(src, dst netip.AddrPort, f wire.TCPFields, payload string) []byte {
	n := wire.TCPHeaderLen + len(f.Options) + len(payload)
	b := make([]byte, max(60, 14+40+n))
	f.SrcPort, f.DstPort = src.Port(), dst.Port()
	ip := b[14:]
	var tcp []byte
	if src.Addr().Is4() {
		b = b[:max(60, 14+20+n)]
		wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv4)
		wire.PutIPv4(ip, wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: src.Addr(), Dst: dst.Addr()}, n)
		tcp = ip[20:]
	} else {
		wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv6)
		wire.PutIPv6(ip, wire.ProtocolTCP, 64, src.Addr(), dst.Addr(), n)
		tcp = ip[40:]
	}
	copy(tcp[wire.TCPHeaderLen+len(f.Options):], payload)
	wire.PutTCP(tcp, f, src.Addr(), dst.Addr(), len(payload))
	return b
}

// transcript feeds a Table and writes down what comes out.
type transcript struct {
	testing.TB
	table  *Table
	lines  []string
	frames uint64
	now    sim.Time
	ended  []*Conversation
	stream map[string][]byte // by conversation and side; a gap is its length in '?'
	last   Result
}

func newTranscript(tb testing.TB, config Config) *transcript {
	tb.Helper()
	r := &transcript{TB: tb, stream: map[string][]byte{}}
	table, err := New(config, r)
	if err != nil {
		tb.Fatal(err)
	}
	r.table = table
	return r
}

func (r *transcript) note(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *transcript) Data(c *Chunk) {
	id := fmt.Sprint(c.Conversation.ID, c.Side)
	if got := int64(len(r.stream[id])); got != c.Offset {
		r.Errorf("chunk of %s at %d, the stream is at %d", id, c.Offset, got)
	}
	if c.Missing > 0 {
		r.note("%v gap %d+%d: %v", c.Side, c.Offset, c.Missing, c.Reason)
		r.stream[id] = append(r.stream[id], strings.Repeat("?", int(c.Missing))...)
		return
	}
	r.stream[id] = append(r.stream[id], c.Data...)
	line := fmt.Sprintf("%v %d %q #%d", c.Side, c.Offset, c.Data, c.Frame)
	if c.ReadyFrame != c.Frame {
		line += fmt.Sprintf(" ready #%d", c.ReadyFrame)
	}
	r.lines = append(r.lines, line)
}

func (r *transcript) Message(m *Message) {
	line := fmt.Sprintf("%v %v %d+%d #%d-%d", m.Side, m.Type, m.Offset, m.Len, m.FirstFrame, m.LastFrame)
	if m.Missing > 0 {
		line += fmt.Sprintf(" missing %d", m.Missing)
	}
	if m.Truncated() {
		line += fmt.Sprintf(" raw %d", len(m.Raw))
	}
	if m.Coalesced {
		line += " coalesced"
	}
	if m.Resumed {
		line += " resumed"
	}
	r.lines = append(r.lines, line)
}

func (r *transcript) Notice(n *Notice) {
	switch n.Kind {
	case NoticeEnded:
		r.ended = append(r.ended, n.Conversation)
		r.note("ended %d: %v", n.Conversation.ID, n.Conversation.End)
	case NoticeOpened:
		r.note("opened %d.%d", n.Conversation.ID, n.Conversation.Incarnation)
	case NoticeProtocol:
		h := n.Conversation.Half(n.Side)
		r.note("%v is %v: %v", n.Side, h.Protocol, h.Evidence)
	default:
		line := fmt.Sprintf("%v %v %d+%d", n.Side, n.Kind, n.Offset, n.Len)
		if n.Reason != NoReason {
			line += fmt.Sprintf(": %v", n.Reason)
		}
		r.lines = append(r.lines, line)
	}
}

// feed gives the table a frame, a millisecond after the one before.
func (r *transcript) feed(data []byte) Result {
	r.frames++
	r.now = r.now.Add(time.Millisecond)
	r.last = r.table.Feed(Frame{Data: data, Link: LinkEthernet, At: r.now, Number: r.frames})
	return r.last
}

func (r *transcript) up(flags wire.TCPFlags, seq, ackNo uint32, payload string) Result {
	return r.feed(build(client, server, wire.TCPFields{Seq: seq, Ack: ackNo, Flags: flags, Window: 8192}, payload))
}

func (r *transcript) down(flags wire.TCPFlags, seq, ackNo uint32, payload string) Result {
	return r.feed(build(server, client, wire.TCPFields{Seq: seq, Ack: ackNo, Flags: flags, Window: 8192}, payload))
}

// handshake takes frames 1 to 3; both streams begin at x+1.
func (r *transcript) handshake(x, y uint32) {
	r.up(syn, x, 0, "")
	r.down(syn|ack, y, x+1, "")
	r.up(ack, x+1, y+1, "")
	r.lines = nil
}

// want compares what was written down since the last call.
func (r *transcript) want(lines ...string) {
	r.Helper()
	if got, want := strings.Join(r.lines, "\n"), strings.Join(lines, "\n"); got != want {
		r.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	r.lines = nil
}

func connect(id string) string {
	return string(codec.AppendConnect(nil, &codec.Connect{CleanSession: true, KeepAlive: 60, ClientID: []byte(id)}))
}

func publish(topic, payload string) string {
	return string(codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), Payload: []byte(payload)}))
}

func ping() string { return "\xc0\x00" }

func TestInOrderConversation(t *testing.T) {
	r := newTranscript(t, Config{})
	r.up(syn, 999, 0, "")
	if r.last.Labels != LabelIncarnation || r.last.Side != SideA {
		t.Errorf("first SYN: %+v", r.last)
	}
	r.down(syn|ack, 4999, 1000, "")
	r.up(ack, 1000, 5000, "")
	r.want("opened 1.1")
	r.up(ack|psh, 1000, 5000, connect("d"))
	r.want(`A 0 "\x10\r\x00\x04MQTT\x04\x02\x00<\x00\x01d" #4`, "A is MQTT: starts with CONNECT", "A CONNECT 0+15 #4-4")
	r.down(ack|psh, 5000, 1015, "\x20\x02\x00\x00")
	r.want(`B 0 " \x02\x00\x00" #5`, "B is MQTT: the other direction is MQTT", "B CONNACK 0+4 #5-5")
	r.up(ack|fin, 1015, 5004, "\xe0\x00")
	r.want(`A 15 "\xe0\x00" #6`, "A DISCONNECT 15+2 #6-6")
	r.down(ack|fin, 5004, 1018, "")
	r.up(ack, 1018, 5005, "")
	r.table.Close()
	r.want("ended 1: FIN")
	c := r.ended[0]
	if c.Client != SideA || c.Role != RoleBySYN || c.Handshake != HandshakeComplete || c.EndedBy != SideA ||
		c.MQTTVersion != 4 || c.Protocol != ProtocolMQTT || c.OneSided() || c.Midstream() {
		t.Errorf("%+v", c)
	}
	if want := "#1 10.0.0.1:49152 -> 10.0.0.2:1883 MQTT, handshake complete, end FIN, 5+3 frames, 17+4 bytes, 2+1 messages, 0+0 bytes in gaps"; c.String() != want {
		t.Errorf("got  %v\nwant %v", c, want)
	}
	if s := r.table.Stats(); s.Held != 0 || s.Live != 0 || s.Frames != 8 {
		t.Errorf("after Close: %+v", s)
	}
}

func TestHoleIsFilledByRetransmission(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(ack, 100, 200, "abc")
	r.up(ack, 106, 200, "ghi") // "def" is missing
	if r.last.Labels != LabelNew|LabelOutOfOrder || r.last.Offset != 6 {
		t.Errorf("%+v", r.last)
	}
	r.down(ack, 200, 103, "")
	r.want(`A 0 "abc" #4`)
	r.up(ack, 103, 200, "def")
	if r.last.Labels != LabelNew|LabelFills {
		t.Errorf("%+v", r.last)
	}
	r.want(`A 3 "def" #7`, `A 6 "ghi" #5 ready #7`)
	r.up(ack, 103, 200, "defghi")
	if r.last.Labels != LabelRepeated || r.last.Dropped != ReasonRepeated {
		t.Errorf("%+v", r.last)
	}
	r.want()
}

func TestSequenceNumbersWrapAround(t *testing.T) {
	for start := uint32(0xFFFFFFF0); start != 8; start++ {
		r := newTranscript(t, Config{NoMQTT: true})
		r.handshake(start, 0xFFFFFFFF)
		r.up(ack, start+5, 0, "efgh")
		r.up(ack, start+1, 0, "abcd")
		r.down(ack, 0, start+9, "ABCD")
		r.up(ack, start+3, 4, "cdefghijkl")
		r.want(`A 0 "abcd" #5`, `A 4 "efgh" #4 ready #5`, `B 0 "ABCD" #6`, `A 8 "ijkl" #7`)
	}
}

func TestAcknowledgedHoleBecomesAGap(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(ack, 110, 200, "later")
	r.down(ack, 200, 115, "") // the server has it all
	r.want()
	r.now = r.now.Add(50 * time.Millisecond)
	r.up(ack, 115, 200, "")
	r.want("A gap 0+10: acknowledged but not captured", `A 10 "later" #4 ready #6`)
	r.up(ack, 100, 200, "0123456789") // too late
	if r.last.Dropped != ReasonRepeated {
		t.Errorf("%+v", r.last)
	}
	// The end of a stream that the capture lacks.
	r.down(ack, 200, 130, "")
	r.table.Close()
	r.want("A gap 15+15: acknowledged but not captured", "ended 1: open")
}

func TestHoleTimesOutWithoutAcknowledgement(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true, HoleTimeout: time.Second})
	r.up(ack, 100, 0, "abc")
	r.up(ack, 110, 0, "xyz")
	r.now = r.now.Add(time.Second)
	r.up(ack, 113, 0, "!")
	r.want("opened 1.1", `A 0 "abc" #1`, "A gap 3+7: not filled in time", `A 10 "xyz" #2 ready #3`, `A 13 "!" #3`)
}

func TestFirstCopyWins(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(ack, 100, 200, "abcdef")
	r.up(ack, 102, 200, "cdXfGH") // differs at 4
	if r.last.Labels != LabelNew|LabelRepeated|LabelDiffers {
		t.Errorf("%+v", r.last)
	}
	r.want(`A 0 "abcdef" #4`, "A overlap 4+4", `A 6 "GH" #5`)
	// Two pieces wait; a third covers both and the holes around them.
	r.up(ack, 110, 200, "kl")
	r.up(ack, 114, 200, "op")
	r.up(ack, 109, 200, "jKlmnoPqr")
	r.want("A overlap 10+2", "A overlap 15+2")
	r.up(ack, 108, 200, "i")
	r.want(`A 8 "i" #9`, `A 9 "j" #8 ready #9`, `A 10 "kl" #6 ready #9`, `A 12 "mn" #8 ready #9`,
		`A 14 "op" #7 ready #9`, `A 16 "qr" #8 ready #9`)
	c := r.last.Conversation
	if c.A.Differing != 2 || c.A.Gaps != 0 || c.A.Bytes != 18 {
		t.Errorf("%+v", c.A)
	}
}

func TestProbesAreNotData(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(ack, 100, 200, "abc")
	r.down(ack, 200, 103, "")
	r.lines = nil
	for _, garbage := range []string{"", "\x00"} {
		if r.up(ack, 102, 200, garbage); r.last.Labels != LabelKeepAlive {
			t.Errorf("keep-alive of %d bytes: %+v", len(garbage), r.last)
		}
		r.down(ack, 200, 103, "")
	}
	// A closed window, and one byte into it.
	r.feed(build(server, client, wire.TCPFields{Seq: 200, Ack: 103, Flags: ack}, ""))
	if r.up(ack, 103, 200, "d"); r.last.Labels != LabelNew|LabelZeroWindowProbe {
		t.Errorf("probe: %+v", r.last)
	}
	r.up(ack, 103, 200, "def") // sent again in full when the window opens
	r.want(`A 3 "d" #11`, `A 4 "ef" #12`)
	if h := r.last.Conversation; h.A.KeepAlives != 2 || h.A.ZeroWindowProbes != 1 || h.B.ZeroWindows != 1 {
		t.Errorf("%+v", h)
	}
	// Without data before it, a keep-alive must not count as a byte: midstream,
	// its number is one too low.
	r = newTranscript(t, Config{NoMQTT: true})
	r.up(ack, 99, 7, "")
	r.up(ack, 100, 7, "abc")
	r.want("opened 1.1", `A 0 "abc" #2`)
}

func TestSegmentOutsideTheWindowIsDropped(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.down(ack, 200, 100, "") // window 8192
	r.up(ack, 100+8193, 200, "far")
	if r.last.Labels != LabelOutOfWindow || r.last.Dropped != ReasonOutOfWindow {
		t.Errorf("%+v", r.last)
	}
	r.up(ack, 100, 200, "near")
	r.want(`A 0 "near" #6`)
	// Four in a row are believed: the capture lacks what lies between.
	for i := range uint32(3) {
		r.up(ack, 50000+2*i, 200, "xx")
	}
	r.want()
	r.up(ack, 50006, 200, "yy")
	r.want("A gap 4+49902: sequence numbers moved on", `A 49906 "yy" #10`)
	// Far behind, they are another connection whose SYN was not captured.
	for i := range uint32(4) {
		r.up(ack, 3221275472+2*i, 200, "zz")
	}
	r.want("ended 1: replaced", "opened 2.2", `A 0 "zz" #14`)
	if !r.last.Conversation.Midstream() || r.ended[0].A.Frames+1 != 13-1 {
		t.Errorf("%v after %v", r.last.Conversation, r.ended[0])
	}
}

func TestFINEndsTheStream(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(ack|fin, 103, 200, "def") // "abc" is missing
	r.up(ack, 100, 200, "abc")
	r.up(ack, 106, 200, "too late")
	if r.last.Dropped != ReasonAfterFIN {
		t.Errorf("%+v", r.last)
	}
	r.up(ack|fin, 103, 200, "def") // again
	r.down(ack|fin, 200, 107, "")
	r.up(rst, 107, 0, "reset text")
	r.want(`A 0 "abc" #5`, `A 3 "def" #4 ready #5`)
	if c := r.last.Conversation; c.A.FINs != 2 || c.End != EndRST || c.EndedBy != SideA || r.last.Dropped != ReasonOnRST {
		t.Errorf("%+v", c)
	}
}

func TestBlindResetIsIgnored(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	r.up(rst, 1<<31, 0, "")
	if r.last.Ignored != ReasonBlindReset || r.last.Conversation.End != EndOpen {
		t.Errorf("%+v", r.last)
	}
}

func TestDamagedSegmentIsDropped(t *testing.T) {
	r := newTranscript(t, Config{NoMQTT: true})
	r.handshake(99, 199)
	bad := build(client, server, wire.TCPFields{Seq: 100, Ack: 200, Flags: ack}, "abc")
	bad[len(bad)-1] ^= 1 // padding: not covered
	if r.feed(bad); r.last.Ignored != NoReason {
		t.Errorf("%+v", r.last)
	}
	bad[14+20+20] ^= 1
	bad[14+20+7] += 3 // the next segment
	if r.feed(bad); r.last.Ignored != ReasonBadChecksum {
		t.Errorf("%+v", r.last)
	}
	r.up(ack, 103, 200, "def")
	r.want(`A 0 "abc" #4`, `A 3 "def" #6`)
	// From a sender whose checksums are always wrong they are left alone.
	r = newTranscript(t, Config{NoMQTT: true})
	r.feed(bad)
	r.want("opened 1.1", `A 0 "`+"`"+`bc" #1`)
}
