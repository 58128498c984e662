package scenarios

import (
	"fmt"
	"strings"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// maxMoments bounds the events that are remembered for each name, maxFleetMoments
// those of one device of a fleet.
const (
	maxMoments      = 64
	maxFleetMoments = 2
)

// A Tally computes an Outcome from the events of a run. Its memory grows by
// about 100 bytes for each different message.
type Tally struct {
	devices  []deviceTally
	links    []LinkOutcome
	drops    Drops
	counters []counters
	messages map[messageKey]*message
	order    []*message // as first seen
	moments  moments
	duration time.Duration
	names    map[string]int // index of a device by name
	clients  map[string]int // and by client identifier, the first that has it
	real     []bool         // the devices that are not models: what they do, the broker tells
	models   int            // the devices that are
	linked   map[string]int // index of a link by name
	own      int            // events that are remembered for each name of a device
	// others counts what no device of the scenario did.
	others deviceTally
	net    SwitchOutcome
	tap    TapOutcome
	gate   GatewayOutcome
	last   trace.Event // its T is the length of a run that has no end event
}

type deviceTally struct {
	DeviceOutcome
	latency []time.Duration
	moments moments
}

// counters is one counters event.
type counters struct {
	node, stage   string
	in, out, lost int64
	text          string // why they contradict each other, or ""
}

type messageKey struct {
	client string
	hash   uint64
	qos    uint8
}

// A message is all equal messages of one client.
type message struct {
	device            int // -1: none of the scenario
	qos               uint8
	accepted, refused int
	arrived, dup      int
	unarrived         []call // those that were accepted, the oldest first, at most maxMoments
}

// A call is a publish call that returned success.
type call struct {
	at    sim.Time
	seq   uint64
	topic string
	id    uint16
}

func (c *call) moment() Moment {
	return Moment{c.at, c.seq, fmt.Sprintf("the message to %s published with packet identifier %d did not arrive; it was published", c.topic, c.id)}
}

// NewTally returns a Tally for runs of a complete scenario.
func NewTally(s *Scenario) *Tally {
	t := &Tally{
		drops: newDrops(), messages: map[messageKey]*message{}, names: map[string]int{}, clients: map[string]int{},
		linked: map[string]int{}, own: maxMoments,
		others: deviceTally{DeviceOutcome: DeviceOutcome{Drops: newDrops()}},
	}
	if len(s.Devices) > MaxShared {
		t.own = maxFleetMoments
	}
	for i, d := range s.Devices {
		t.names[d.Name] = i
		t.real = append(t.real, !d.Model())
		if d.Model() {
			t.models++
		}
		if _, taken := t.clients[d.MQTT.ClientID]; !taken {
			t.clients[d.MQTT.ClientID] = i
		}
		t.devices = append(t.devices, deviceTally{
			DeviceOutcome: DeviceOutcome{Name: d.Name, Drops: newDrops(), Pool: PoolOutcome{MinFree: -1}},
		})
	}
	for i, l := range s.Links {
		t.linked[l.Name] = i
		t.links = append(t.links, LinkOutcome{
			Name: l.Name, Up: WayOutcome{Reason: map[string]int{}}, Down: WayOutcome{Reason: map[string]int{}},
		})
	}
	return t
}

func newDrops() Drops { return Drops{Reason: map[string]int{}, Stage: map[string]int{}} }

func (d *Drops) add(e *trace.Event) {
	n := dropped(e)
	d.Total += n
	d.Reason[string(e.Reason)] += n
	d.Stage[e.Node+"/"+e.Stage] += n
}

// dropped returns how many frames a drop event stands for.
func dropped(e *trace.Event) int {
	if n, several := e.Value(ValueFrames); several {
		return int(n)
	}
	return 1
}

// device returns the index of the device that an event belongs to, or -1.
func (t *Tally) device(e *trace.Event) int {
	if i, ok := t.names[e.Node]; ok {
		return i
	}
	if i, ok := t.clients[e.Client]; ok && e.Client != "" {
		return i
	}
	return -1
}

func (t *Tally) at(i int) *deviceTally {
	if i < 0 {
		return &t.others
	}
	return &t.devices[i]
}

// note remembers an event under a name, also as the device's. After maxMoments
// it costs nothing.
func (t *Tally) note(name string, e *trace.Event, format string, args ...any) {
	all, own := &t.moments, (*moments)(nil)
	if i := t.device(e); i >= 0 {
		own = &t.devices[i].moments
	}
	if !all.room(name, maxMoments) && (own == nil || !own.room(name, t.own)) {
		return
	}
	m := Moment{e.T, e.Seq, fmt.Sprintf(format, args...)}
	all.add(name, m, maxMoments)
	if own != nil {
		own.add(name, m, t.own)
	}
}

// moments remembers the first events of each name.
type moments map[string][]Moment

func (m *moments) room(name string, limit int) bool { return len((*m)[name]) < limit }

func (m *moments) add(name string, at Moment, limit int) {
	if *m == nil {
		*m = moments{}
	}
	if m.room(name, limit) {
		(*m)[name] = append((*m)[name], at)
	}
}

// Add takes the next event. It keeps nothing of e's memory but its strings.
func (t *Tally) Add(e *trace.Event) {
	t.last.T = e.T
	switch e.Kind {
	case trace.KindPublish:
		t.published(e)
	case trace.KindBrokerReceived:
		if e.Text != "will" && e.Text != "server" { // no client published these
			t.arrived(e)
		}
	case trace.KindAcked:
		d := t.at(t.device(e))
		d.Acknowledged++
		d.LastAckTime = time.Duration(e.T)
		d.latency = append(d.latency, time.Duration(e.Count))
	case trace.KindMessageGet:
		if e.Status == 0 {
			t.at(t.device(e)).Received++
			t.note("received", e, "a message of %s was taken", e.Topic)
		}
	case trace.KindConnected, trace.KindDisconnected, trace.KindPingTimeout:
		t.session(e)
	case trace.KindBrokerConnected, trace.KindBrokerDisconnected:
		if i := t.device(e); e.Client != "" && (i >= 0 && t.real[i] || i < 0 && t.models == 0) {
			t.session(e)
		}
	case KindBoot:
		if e.Count > 1 {
			t.at(t.device(e)).Reboots++
			t.note("reboots", e, "start number %d", e.Count)
		}
	case trace.KindDrop:
		t.drop(e)
	case trace.KindPoolEmpty, trace.KindPoolLow:
		if e.Stage == StagePool { // others are those of the DHCP and DNS clients
			t.pool(e)
		}
	case trace.KindExecStart, trace.KindExecOutput, trace.KindExecExit:
		t.exec(e)
	case trace.KindCounters:
		t.count(e)
	case trace.KindEnd:
		t.duration = time.Duration(e.Count)
	}
}

func (t *Tally) session(e *trace.Event) {
	d := t.at(t.device(e))
	switch {
	case e.Kind == trace.KindDisconnected, e.Kind == trace.KindBrokerDisconnected:
		d.Disconnects++
		t.note("disconnects", e, "disconnected: %s", e.Text)
	case e.Kind == trace.KindPingTimeout:
		d.PingTimeouts++
		t.note("ping_timeouts", e, "a keepalive request was not answered")
	case e.Status != 0:
		d.ConnectErrors++
		t.note("connect_errors", e, "connect failed with status 0x%x", e.Status)
	default:
		d.Connects++
		t.note("connects", e, "connected")
		if d.Connects > 1 {
			d.Reconnects++
			t.note("reconnects", e, "connected again")
		}
	}
}

func (t *Tally) message(e *trace.Event) *message {
	key := messageKey{e.Client, e.Hash, e.QoS}
	m := t.messages[key]
	if m == nil {
		m = &message{device: t.device(e), qos: e.QoS}
		t.messages[key] = m
		t.order = append(t.order, m)
	}
	return m
}

func (t *Tally) published(e *trace.Event) {
	m := t.message(e)
	if m.device < 0 {
		m.device = t.device(e)
	}
	d := t.at(t.device(e))
	if e.Status != 0 {
		m.refused++
		d.PublishErrors++
		t.note("publish_errors", e, "publish to %s failed with status 0x%x", e.Topic, e.Status)
		return
	}
	m.accepted++
	d.Published++
	t.note("published", e, "published to %s", e.Topic)
	if len(m.unarrived) < maxMoments {
		m.unarrived = append(m.unarrived, call{e.T, e.Seq, e.Topic, e.ID})
	}
}

func (t *Tally) arrived(e *trace.Event) {
	m := t.message(e)
	m.arrived++
	if e.Dup {
		m.dup++
	}
	if len(m.unarrived) > 0 {
		if m.unarrived = m.unarrived[1:]; len(m.unarrived) == 0 {
			m.unarrived = nil // most messages end here: keep no memory
		}
	} else if m.accepted+m.refused > 0 && m.arrived > m.accepted+m.refused {
		t.note("duplicated", e, "a message to %s arrived again, with packet identifier %d,", e.Topic, e.ID)
	}
}

func (t *Tally) drop(e *trace.Event) {
	t.drops.add(e)
	t.noteDrop(&t.moments, e)
	if i, ok := t.names[e.Node]; ok {
		t.devices[i].Drops.add(e)
		t.noteDrop(&t.devices[i].moments, e)
	}
	if i, ok := t.linked[e.Node]; ok {
		way, _, _ := strings.Cut(e.Stage, "/")
		if w := t.links[i].way(way); w != nil {
			w.Reason[string(e.Reason)] += dropped(e)
		}
	}
}

func (t *Tally) noteDrop(m *moments, e *trace.Event) {
	for _, name := range []string{"drops.total", "drops.reason." + string(e.Reason)} {
		if len((*m)[name]) == 0 { // the first one is enough
			m.add(name, Moment{e.T, e.Seq, fmt.Sprintf("first drop, %s in %s/%s,", e.Reason, e.Node, e.Stage)}, 1)
		}
	}
}

func (l *LinkOutcome) way(stage string) *WayOutcome {
	switch stage {
	case StageUp:
		return &l.Up
	case StageDown:
		return &l.Down
	}
	return nil
}

func (t *Tally) pool(e *trace.Event) {
	i := t.device(e)
	if i < 0 {
		return
	}
	p := &t.devices[i].Pool
	if e.Kind == trace.KindPoolEmpty {
		p.EmptyRequests++
		if m := &t.devices[i].moments; m.room("pool.empty_requests", t.own) {
			m.add("pool.empty_requests", Moment{e.T, e.Seq, e.Text + " found the pool empty"}, t.own)
		}
		return
	}
	if p.MinFree < 0 || int(e.Count) < p.MinFree {
		p.MinFree = int(e.Count)
	}
}

// count takes a counters event.
func (t *Tally) count(e *trace.Event) {
	get := func(name string) int64 {
		n, _ := e.Value(name)
		return n
	}
	if t.part(e) {
		return
	}
	if e.Stage == StagePool {
		if i := t.device(e); i >= 0 {
			// The counters are those of the last boot, the events those of all.
			p := &t.devices[i].Pool
			p.Total, p.FreeAtEnd = int(get(ValueTotal)), int(get(ValueFree))
			if low := int(get(ValueMinFree)); p.MinFree < 0 || low < p.MinFree {
				p.MinFree = low
			}
			p.EmptyRequests = max(p.EmptyRequests, int(get(ValueEmptyRequests)))
		}
		return
	}
	if _, conserved := e.Value(ValueIn); !conserved {
		return // other counters
	}
	c := counters{node: e.Node, stage: e.Stage, in: get(ValueIn), out: get(ValueOut), lost: get(ValueDropped)}
	if in, out := c.in+get(ValueDuplicated)+get(ValueGenerated), c.out+c.lost+get(ValueInFlight); in != out {
		c.text = fmt.Sprintf("%s/%s: in %d + duplicated %d + generated %d is not out %d + dropped %d + in flight %d", c.node, c.stage,
			c.in, get(ValueDuplicated), get(ValueGenerated), c.out, c.lost, get(ValueInFlight))
	}
	t.counters = append(t.counters, c)
	if i, ok := t.linked[e.Node]; ok {
		if w := t.links[i].way(e.Stage); w != nil {
			w.Entered, w.Arrived, w.Dropped = int(c.in), int(c.out), int(c.lost)
			w.InFlight, w.Duplicated = int(get(ValueInFlight)), int(get(ValueDuplicated))
		}
	}
}
