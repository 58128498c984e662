package scenarios

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"hilnet/trace"
)

// A run is a trace made by hand: each event a second after the one before.
type script struct {
	*testing.T
	s     *Scenario
	tally *Tally
	seq   uint64
}

func newScript(t *testing.T, expect ...string) *script {
	text := strings.Replace(base, "links:\n", "  - {name: other, steps: [connect]}\nlinks:\n", 1)
	text = strings.Replace(text, delay, "    device: device", 1)
	text = strings.Replace(text, cut, "{at: 20s, do: blackhole, link: link}", 1)
	text = strings.Replace(text, "  - lost == 0\n", "", 1)
	if len(expect) == 0 {
		text = strings.Replace(text, "expect:\n", "", 1)
	}
	for _, e := range expect {
		text += "  - '" + e + "'\n"
	}
	s := load(t, text)
	return &script{T: t, s: s, tally: NewTally(s)}
}

func (r *script) add(events ...trace.Event) *script {
	for _, e := range events {
		r.seq++
		e.Seq = r.seq
		e.T = 0
		e.T = e.T.Add(time.Duration(r.seq) * time.Second)
		r.tally.Add(&e)
	}
	return r
}

// failures returns what the expectations of the scenario say.
func (r *script) failures() string {
	var all []string
	for _, v := range r.tally.Outcome().Judge(r.s) {
		if v.Passed != (v.Why == "") {
			r.Errorf("%+v", v)
		}
		if !v.Passed {
			all = append(all, v.Why)
		}
	}
	return strings.Join(all, "\n")
}

func publish(hash uint64, status uint32) trace.Event {
	return trace.Event{Kind: trace.KindPublish, Node: "device", Client: "device", Topic: "a", QoS: 1, ID: uint16(hash), Hash: hash, Status: status}
}

func arrive(hash uint64, dup bool) trace.Event {
	return trace.Event{Kind: trace.KindBrokerReceived, Node: "broker", Client: "device", Topic: "a", QoS: 1, ID: uint16(hash), Hash: hash, Dup: dup}
}

func acked(latency time.Duration) trace.Event {
	return trace.Event{Kind: trace.KindAcked, Node: "device", Client: "device", Count: int64(latency)}
}

func TestMessagesAreFollowedToTheBroker(t *testing.T) {
	type want struct{ published, errors, delivered, lost, duplicated int }
	qos0 := publish(7, 0)
	qos0.QoS = 0
	for _, c := range []struct {
		name   string
		events []trace.Event
		want   want
	}{
		{"one arrives", []trace.Event{publish(1, 0), arrive(1, false)}, want{1, 0, 1, 0, 0}},
		{"one arrives before the call returns", []trace.Event{arrive(1, false), publish(1, 0)}, want{1, 0, 1, 0, 0}},
		{"one is lost", []trace.Event{publish(1, 0), publish(2, 0), arrive(2, false)}, want{2, 0, 1, 1, 0}},
		{"one arrives twice", []trace.Event{publish(1, 0), arrive(1, false), arrive(1, true)}, want{1, 0, 1, 0, 1}},
		{"equal messages are counted", []trace.Event{publish(1, 0), publish(1, 0), publish(1, 0), arrive(1, false), arrive(1, false)}, want{3, 0, 2, 1, 0}},
		{"a call fails and nothing arrives", []trace.Event{publish(1, 0x30)}, want{0, 1, 0, 0, 0}},
		{"a call fails but the message arrives", []trace.Event{publish(1, 0x30), arrive(1, false)}, want{0, 1, 1, 0, 0}},
		{"an accepted call comes before a failed one", []trace.Event{publish(1, 0x30), publish(1, 0), arrive(1, false)}, want{1, 1, 1, 0, 0}},
		{"QoS 0 is never lost", []trace.Event{qos0}, want{1, 0, 0, 0, 0}},
		{"a publisher without a trace", []trace.Event{arrive(1, false), arrive(1, false), arrive(1, true)}, want{0, 0, 2, 0, 1}},
		{"nothing", nil, want{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newScript(t).add(c.events...).tally.Outcome()
			for _, m := range []Traffic{o.Traffic, o.Devices[0].Traffic} {
				if got := (want{m.Published, m.PublishErrors, m.Delivered, m.Lost, m.Duplicated}); got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			}
			if o.Devices[1].Traffic != (Traffic{}) {
				t.Errorf("the other device has %+v", o.Devices[1].Traffic)
			}
		})
	}
}

func TestSessionsAreCountedForEachDevice(t *testing.T) {
	up := func(node string, status uint32) trace.Event {
		return trace.Event{Kind: trace.KindConnected, Node: node, Client: node, Status: status}
	}
	o := newScript(t).add(
		up("device", 0x1000f), up("device", 0), up("other", 0),
		trace.Event{Kind: trace.KindPingTimeout, Node: "device"},
		trace.Event{Kind: trace.KindDisconnected, Node: "device", Text: "keepalive"},
		up("device", 0),
		trace.Event{Kind: trace.KindMessageGet, Node: "other", Client: "other"},
		trace.Event{Kind: trace.KindMessageGet, Node: "other", Client: "other", Status: 1},
	).tally.Outcome()
	if o.Connects != 3 || o.Reconnects != 1 || o.ConnectErrors != 1 || o.Disconnects != 1 || o.PingTimeouts != 1 || o.Received != 1 {
		t.Errorf("all: %+v", o.Traffic)
	}
	if o.Devices[1].Connects != 1 || o.Devices[1].Reconnects != 0 || o.Devices[1].Received != 1 {
		t.Errorf("other: %+v", o.Devices[1].Traffic)
	}
	if o.Duration != 8*time.Second {
		t.Errorf("a run without an end event lasted %v", o.Duration)
	}
}

func TestLatenciesAreExactByNearestRank(t *testing.T) {
	r := newScript(t)
	for i := range 200 {
		r.add(acked(time.Duration(200-i) * time.Millisecond))
	}
	o := r.tally.Outcome()
	got := []time.Duration{o.LatencyP50, o.LatencyP95, o.LatencyP99, o.LatencyMax, o.LastAckTime}
	want := []time.Duration{100 * time.Millisecond, 190 * time.Millisecond, 198 * time.Millisecond, 200 * time.Millisecond, 200 * time.Second}
	if !reflect.DeepEqual(got, want) || o.Acknowledged != 200 || o.Devices[0].LatencyP99 != want[2] {
		t.Errorf("got %v, want %v", got, want)
	}
	// Asking in the middle of a run changes nothing.
	r.add(acked(time.Hour))
	if o := r.tally.Outcome(); o.LatencyMax != time.Hour || o.LatencyP50 != 101*time.Millisecond {
		t.Errorf("afterwards max %v, median %v", o.LatencyMax, o.LatencyP50)
	}
}

func frames(node, stage string, in, out, dropped, inFlight int64) trace.Event {
	return trace.Event{Kind: trace.KindCounters, Node: node, Stage: stage, Values: []trace.Value{
		{Name: ValueIn, N: in}, {Name: ValueOut, N: out}, {Name: ValueDropped, N: dropped}, {Name: ValueInFlight, N: inFlight},
	}}
}

func TestPoolsLinksAndDropsAreReported(t *testing.T) {
	drop := trace.Event{Kind: trace.KindDrop, Node: "link", Stage: "up/loss", Reason: trace.DropLoss}
	nic := trace.Event{Kind: trace.KindDrop, Node: "device", Stage: "nic/rx", Reason: trace.DropRxPool}
	r := newScript(t,
		`drops.total == 3 and drops.reason.loss == 2 and drops.reason["rx_pool_empty"] == 1`,
		`drops.stage["link/up/loss"] == 2`,
		`link("link").up.dropped == 2 and link("link").up.reason.loss == 2 and link("link").up.entered == 10`,
		`link("link").down.arrived == 5 and link("link").down.in_flight == 1`,
		`device("device").drops.total == 1`,
		`device("device").pool.min_free == 3 and device("device").pool.total == 16`,
		`conservation_errors == 0 and duration == 1m`,
	).add(
		trace.Event{Kind: trace.KindPoolLow, Node: "device", Stage: "pool", Count: 7},
		drop, drop, nic,
		frames("link", "up", 10, 8, 2, 0), frames("link", "up/loss", 10, 8, 2, 0), frames("link", "down", 6, 5, 0, 1),
		trace.Event{Kind: trace.KindCounters, Node: "device", Stage: StagePool, Values: []trace.Value{
			{Name: ValueTotal, N: 16}, {Name: ValueFree, N: 15}, {Name: ValueMinFree, N: 3}, {Name: ValueEmptyRequests, N: 2},
		}},
		trace.Event{Kind: trace.KindEnd, Count: int64(time.Minute)},
	)
	if why := r.failures(); why != "" {
		t.Error(why)
	}
	if p := r.tally.Outcome().Devices[0].Pool; p != (PoolOutcome{16, 3, 15, 2}) {
		t.Errorf("pool %+v", p)
	}
}

func TestWithoutCountersThePoolIsKnownFromItsEvents(t *testing.T) {
	o := newScript(t).add(
		trace.Event{Kind: trace.KindPoolLow, Node: "device", Stage: "pool", Count: 7},
		trace.Event{Kind: trace.KindPoolLow, Node: "device", Stage: "pool", Count: 6},
		trace.Event{Kind: trace.KindPoolEmpty, Node: "device", Stage: "pool"},
	).tally.Outcome()
	if p := o.Devices[0].Pool; p.MinFree != 6 || p.EmptyRequests != 1 {
		t.Errorf("pool %+v", p)
	}
}

func TestAFrameThatVanishesIsAConservationError(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []trace.Event
		want   string
	}{
		{"leaked", []trace.Event{frames("link", "up", 10, 8, 1, 0)}, "link/up: in 10 + duplicated 0 + generated 0 is not out 8 + dropped 1 + in flight 0"},
		{"dropped without an event", []trace.Event{frames("link", "up/loss", 10, 9, 1, 0)}, "link/up/loss: dropped 1 frames, the trace has 0 drop events"},
	} {
		r := newScript(t, "conservation_errors == 0").add(c.events...)
		o := r.tally.Outcome()
		if got := strings.Join(o.ConservationErrors, "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
		if r.failures() == "" {
			t.Errorf("%s: passed", c.name)
		}
	}
}

func TestAFailureNamesValuesAndTheEventThatDecidedIt(t *testing.T) {
	down := trace.Event{Kind: trace.KindDisconnected, Node: "device", Text: "keepalive"}
	for _, c := range []struct {
		expect string
		events []trace.Event
		want   string
	}{
		{"lost == 0", []trace.Event{publish(1, 0), arrive(1, false), publish(2, 0)},
			"expected lost == 0, got lost = 1; the message to a published with packet identifier 2 did not arrive; it was published at 3s (event 3)"},
		{"disconnects <= 1", []trace.Event{down, down, down},
			"expected disconnects <= 1, got disconnects = 3; disconnected: keepalive at 2s (event 2)"},
		{"disconnects < 1", []trace.Event{down, down}, "expected disconnects < 1, got disconnects = 2; disconnected: keepalive at 1s (event 1)"},
		{"disconnects == 3", []trace.Event{down}, "expected disconnects == 3, got disconnects = 1"},
		{"published > 0 and acknowledged == published and lost >= 0", []trace.Event{publish(1, 0)},
			"expected acknowledged == published, got acknowledged = 0, published = 1; published to a at 1s (event 1)"},
		{"latency_p99 < 500ms", []trace.Event{acked(612345 * time.Microsecond)}, "expected latency_p99 < 500ms, got latency_p99 = 612.345ms"},
		{"last_ack_time > 2 * 45s", []trace.Event{acked(1)}, "expected last_ack_time > 2 * 45s, got last_ack_time = 1s"},
		{`device("other").connects == 1`, nil, `expected device("other").connects == 1, got device("other").connects = 0`},
		{`device("device").duplicated == 0`, []trace.Event{publish(1, 0), arrive(1, false), arrive(1, true)},
			`expected device("device").duplicated == 0, got device("device").duplicated = 1; a message to a arrived again, with packet identifier 1, at 3s (event 3)`},
		{"drops.reason.loss == 0", []trace.Event{{Kind: trace.KindDrop, Node: "link", Stage: "down/loss", Reason: trace.DropLoss}},
			"expected drops.reason.loss == 0, got drops.reason.loss = 1; first drop, loss in link/down/loss, at 1s (event 1)"},
		{"max(lost, duplicated) > 0 || not (connects == 0)", nil, "expected max(lost, duplicated) > 0 || not (connects == 0), got lost = 0, duplicated = 0, connects = 0"},
	} {
		r := newScript(t, c.expect).add(c.events...)
		if got := r.failures(); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.expect, got, c.want)
		}
	}
}

func TestAnExpectationCannotRunAway(t *testing.T) {
	s := load(t, base)
	for _, text := range []string{"len(1..100000000) == 0", "(1..100000)[0] == 1"} {
		v := (&Outcome{}).judge(s, Expectation{That: text})
		if v.Passed || v.Why == "" {
			t.Errorf("%s: %+v", text, v)
		}
	}
}

func TestTheOutcomeDependsOnTheTraceAlone(t *testing.T) {
	run := func() *Outcome {
		r := newScript(t)
		for i := range uint64(50) {
			r.add(publish(i, 0), publish(i%7, 0))
			if i%3 > 0 {
				r.add(arrive(i, false), acked(time.Duration(i)))
			}
		}
		return r.tally.Outcome()
	}
	if a, b := run(), run(); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v and %+v", a, b)
	}
}
