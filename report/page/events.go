package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/pcaps/flow"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// An event is an event of the trace as the page shows it.
type event struct {
	t          int64
	seq        uint64
	kind, node string
	text       string
	frame      uint64
	lane       int
	level      int
}

// The levels of an event.
const (
	levelUsual = iota
	levelNote
	levelBad
)

// Event adds an event of the trace, in the order of the trace.
func (b *Builder) Event(e *trace.Event) {
	b.traced = true
	b.head.Length = max(b.head.Length, int64(e.T))
	lane := b.laneOf(e)
	b.follow(e, lane)
	b.decide(e)
	switch e.Kind {
	case trace.KindCounters, trace.KindPoolLow:
		return // the numbers of the outcome, and a curve
	case trace.KindDrop:
		b.died(e, lane)
	}
	if len(b.events) >= MaxEvents {
		b.cutEv++
		return
	}
	b.events = append(b.events, event{
		t: int64(e.T), seq: e.Seq, kind: string(e.Kind), node: nodeOf(e), text: words(e), frame: e.Frame, lane: lane, level: level(e),
	})
}

func nodeOf(e *trace.Event) string {
	if e.Stage == "" || e.Node == e.Stage {
		return e.Node
	}
	return e.Node + " " + e.Stage
}

// laneOf returns the lane that an event belongs to, or -1.
func (b *Builder) laneOf(e *trace.Event) int {
	if i := b.lane(e.Node); i >= 0 {
		return i
	}
	if i := b.laneOfLink(e.Node); i >= 0 {
		return i
	}
	if e.Client != "" {
		if i, ok := b.clients[e.Client]; ok {
			return i
		}
	}
	if len(b.head.Lanes) == 1 {
		return 0
	}
	return -1
}

// died marks the frame that a drop event is about, when it died behind the link.
func (b *Builder) died(e *trace.Event, lane int) {
	if e.Frame == 0 {
		return
	}
	for i := range b.head.Lanes {
		if lane >= 0 && i != lane {
			continue
		}
		for _, r := range b.byID[frameKey{i, e.Frame}] {
			switch {
			case r.flags&(FlagLost|FlagDied) != 0:
			case b.laneOfLink(e.Node) >= 0: // the capture does not tell, as it was written too early
				r.flags |= FlagLost
				r.place = place(e.Stage)
				r.why = fmt.Sprintf("lost: %s at %s", e.Reason, nodeOf(e))
			default:
				r.flags |= FlagDied
				r.place = 100
				r.why = fmt.Sprintf("dropped: %s at %s", e.Reason, nodeOf(e))
			}
		}
	}
}

// follow keeps curves and bands.
func (b *Builder) follow(e *trace.Event, lane int) {
	if lane < 0 {
		return
	}
	own := e.Node == b.head.Lanes[lane].Device
	switch e.Kind {
	case trace.KindConnect, trace.KindPublish, trace.KindRepublish, trace.KindAcked:
		if _, known := b.clients[e.Client]; own && !known && e.Client != "" && len(b.clients) < liveClients {
			b.clients[e.Client] = lane
		}
	}
	name := b.head.Lanes[lane].Device
	switch e.Kind {
	case trace.KindPoolLow:
		if e.Stage == scenarios.StagePool {
			b.point(name+"/"+scenarios.StagePool+"/minimum", e.T, e.Count)
		}
	case trace.KindPublish, trace.KindRepublish:
		if e.QoS > 0 && e.Status == 0 && e.ID != 0 || e.Kind == trace.KindRepublish {
			b.inFlight(lane, e.T, e.ID, true)
		}
	case trace.KindDrop:
		if own && e.ID != 0 && (e.Reason == "clean_session" || e.Reason == "client_deleted") {
			b.inFlight(lane, e.T, e.ID, false)
		}
	case trace.KindAcked:
		b.inFlight(lane, e.T, e.ID, false)
		if len(b.acked) < maxAcked && !b.live {
			b.acked = append(b.acked, e.Count)
		}
	case trace.KindConnected:
		if own && e.Status == 0 {
			b.begin(lane, "session", "connected", e.T, false)
		}
	case trace.KindDisconnected:
		if own {
			b.end(lane, "session", "connected", e.T)
		}
	case scenarios.KindBoot:
		b.end(lane, "power", "off", e.T)
	case scenarios.KindOff:
		b.forget(lane, e.T)
		b.end(lane, "session", "connected", e.T)
		b.begin(lane, "power", "off", e.T, true)
	case trace.KindNIC:
		for _, s := range []nic.State{nic.LinkDown, nic.TxError} {
			b.end(lane, "nic", s.String(), e.T)
		}
		if e.Text != nic.LinkUp.String() {
			b.begin(lane, "nic", e.Text, e.T, true)
		}
	case trace.KindLink:
		b.end(lane, "link", "blackhole", e.T)
		if e.Text == "blackhole" {
			b.begin(lane, "link", e.Text, e.T, true)
		}
	case trace.KindAction:
		track := "timeline"
		switch e.Node {
		case b.head.Lanes[lane].Link:
			track = "link"
		case name:
			track = "device"
		}
		if what, over := strings.CutPrefix(e.Text, "end of "); over {
			b.end(lane, track, what, e.T)
		} else if strings.Contains(e.Text, " for ") || strings.HasSuffix(e.Text, " until undone") {
			b.begin(lane, track, e.Text, e.T, true)
		}
	}
}

// inFlight counts the messages that wait for their acknowledgement.
func (b *Builder) inFlight(lane int, t sim.Time, id uint16, on bool) {
	key := messageID{lane, id}
	if b.pending[key] != on {
		if on {
			b.pending[key] = true
			b.count[lane]++
		} else {
			delete(b.pending, key)
			b.count[lane]--
		}
	}
	b.point(b.head.Lanes[lane].Device+"/mqtt", t, int64(b.count[lane]))
}

// forget is what a device does with its messages when its power goes.
func (b *Builder) forget(lane int, t sim.Time) {
	for id := range 1 << 16 {
		delete(b.pending, messageID{lane, uint16(id)})
	}
	b.count[lane] = 0
	b.point(b.head.Lanes[lane].Device+"/mqtt", t, 0)
}

// message does the same by the messages of a capture, where there is no trace.
func (b *Builder) message(lane int, m *flow.Message) {
	if b.traced || len(m.Raw) < 2 {
		return
	}
	fromClient := m.Conversation.Client == m.Side
	var p codec.Packet
	if p.Decode(m.Raw) != nil {
		return
	}
	switch {
	case m.Type == codec.PUBLISH && fromClient && p.Publish.QoS > 0:
		b.inFlight(lane, m.FirstAt, p.Publish.ID, true)
	case (m.Type == codec.PUBACK || m.Type == codec.PUBCOMP) && !fromClient:
		b.inFlight(lane, m.ReadyAt, p.ID, false)
	}
}

func (b *Builder) begin(lane int, track, state string, t sim.Time, bad bool) {
	if len(b.bands)+len(b.open) >= maxBands {
		return
	}
	if !slices.ContainsFunc(b.open, func(x Band) bool { return x.Lane == lane && x.Track == track && x.State == state }) {
		b.open = append(b.open, Band{Lane: lane, Track: track, State: state, From: int64(t), Bad: bad})
	}
}

func (b *Builder) end(lane int, track, state string, t sim.Time) {
	for i, x := range b.open {
		if x.Lane == lane && x.Track == track && x.State == state {
			x.To = int64(t)
			b.bands = append(b.bands, x)
			b.open = slices.Delete(b.open, i, i+1)
			return
		}
	}
}

// Sample adds a moment of the file of samples.
func (b *Builder) Sample(e *trace.Event) {
	b.sampled = true
	for _, v := range e.Values {
		b.point(e.Node+"/"+e.Stage+"/"+v.Name, e.T, v.N)
	}
}

// level says how much an event matters to who looks for trouble.
func level(e *trace.Event) int {
	switch e.Kind {
	case trace.KindDrop, trace.KindPoolEmpty, trace.KindDisconnected, trace.KindPingTimeout, scenarios.KindOff:
		return levelBad
	case trace.KindConnected, trace.KindPublish, trace.KindMessageGet, trace.KindBrokerConnected:
		if e.Status != 0 && e.Status != uint32(noMessage) {
			return levelBad
		}
	case trace.KindAction, trace.KindNIC, trace.KindLink, scenarios.KindBoot, trace.KindApp, trace.KindEnd, trace.KindPoolLeak:
		return levelNote
	}
	return levelUsual
}

// noMessage is NXD_MQTT_NO_MESSAGE, which message_get returns as a matter of
// course.
const noMessage = 0x1000A

// words put an event into words.
func words(e *trace.Event) string {
	var w []string
	add := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	if e.Reason != "" {
		add("%s", e.Reason)
	}
	if e.Text != "" {
		add("%s", e.Text)
	}
	if e.Topic != "" {
		add("%q", e.Topic)
	}
	if e.QoS > 0 {
		add("QoS %d", e.QoS)
	}
	if e.ID != 0 {
		add("packet %d", e.ID)
	}
	if e.Dup {
		add("DUP")
	}
	if e.Len > 0 {
		add("%d bytes", e.Len)
	}
	if e.Status != 0 {
		if strings.HasPrefix(string(e.Kind), "broker.") {
			add("return code %d", e.Status)
		} else {
			add("%v", nic.Status(e.Status))
		}
	}
	switch e.Kind {
	case trace.KindAcked:
		add("after %v", time.Duration(e.Count).Round(time.Microsecond))
	case trace.KindWait:
		add("for %v", time.Duration(e.Count).Round(time.Microsecond))
	case trace.KindConnect:
		add("keepalive %d s", e.Count)
	case trace.KindPoolLeak:
		add("%d packets", e.Count)
	case trace.KindEnd:
		add("after %v", time.Duration(e.Count))
	}
	return strings.Join(w, ", ")
}

// eventColumns makes columns of the events that are new.
func (b *Builder) eventColumns() *Events {
	events := b.events[b.seen:]
	b.seen = len(b.events)
	out := &Events{N: len(events)}
	for _, e := range events {
		out.T, out.Seq = append(out.T, e.t), append(out.Seq, int64(e.seq))
		out.Kind, out.Node, out.Text = append(out.Kind, b.text(e.kind)), append(out.Node, b.text(e.node)), append(out.Text, b.text(e.text))
		out.Frame, out.Lane, out.Level = append(out.Frame, int64(e.frame)), append(out.Lane, e.lane), append(out.Level, e.level)
	}
	out.T, out.Seq = deltas(out.T), deltas(out.Seq)
	return out
}

// Len returns the number of events; it is 0 for nil.
func (e *Events) Len() int {
	if e == nil {
		return 0
	}
	return e.N
}
