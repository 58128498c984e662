package emu

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/mqtt"
	"hilnet/mqtt/broker"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// found runs a finder over events and returns its findings. An event's T is in
// milliseconds; one without a node happens to the device.
func found(t *testing.T, end time.Duration, events ...trace.Event) []scenarios.Finding {
	t.Helper()
	f := newFinder(load(t, `
version: 1
name: x
devices: [{name: device, mqtt: {client_id: client}, steps: [connect]}, {name: other, steps: [connect]}]
broker: {kind: model}
`))
	events = append([]trace.Event{{Kind: scenarios.KindBoot, Count: 1}}, events...)
	events = append(events, trace.Event{T: sim.Time(end / 1e6), Node: "nobody", Kind: trace.KindEnd})
	for i := range events {
		e := events[i]
		e.T *= 1e6
		e.Seq = uint64(i + 1)
		if e.Node == "" {
			e.Node = "device"
		}
		f.add(&e)
	}
	return f.findings()
}

func at(ms int, e trace.Event) trace.Event {
	e.T = sim.Time(ms)
	return e
}

func tcp(ms int, text string, count int64) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindTCP, Text: text, Count: count})
}

func drop(ms int, reason trace.DropReason) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindDrop, Reason: reason, Topic: "t", QoS: 1})
}

func connected(ms int, keepalive, status int) []trace.Event {
	return []trace.Event{
		at(ms, trace.Event{Kind: trace.KindConnect, Count: int64(keepalive)}),
		at(ms, trace.Event{Kind: mqtt.KindState, Text: "connecting"}),
		at(ms+100, trace.Event{Kind: mqtt.KindState, Text: map[bool]string{true: "connected", false: "idle"}[status == 0]}),
		at(ms+100, trace.Event{Kind: trace.KindConnected, Status: uint32(status)}),
	}
}

func state(ms int, text string) trace.Event {
	return at(ms, trace.Event{Kind: mqtt.KindState, Text: text})
}

func publishEvent(ms int, id uint16) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindPublish, QoS: 1, ID: id})
}

func retries(from, to int64) (all []trace.Event) {
	for n := from; n <= to; n++ {
		all = append(all, tcp(int(1000*n), "data again", n))
	}
	return all
}

// waits is a thread's wait for a packet with the mutex held.
func waits(from, to int) []trace.Event {
	all := []trace.Event{
		at(from, trace.Event{Kind: trace.KindWait, Stage: "mqtt", Text: "begins to wait for a packet of pool with the client's mutex held"}),
		at(from, trace.Event{Kind: trace.KindPoolEmpty, Text: "mqtt", Count: -1}),
	}
	if to > 0 {
		all = append(all, at(to, trace.Event{Kind: trace.KindWait, Stage: "mqtt", Text: "a packet of pool", Count: int64(to-from) * 1e6}))
	}
	return all
}

func leaked(ms int, n int64) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindCounters, Stage: scenarios.StageLeaks, Values: []trace.Value{{Name: "unread at disconnect", N: n}}})
}

func script(groups ...any) (all []trace.Event) {
	for _, g := range groups {
		switch g := g.(type) {
		case trace.Event:
			all = append(all, g)
		case []trace.Event:
			all = append(all, g...)
		}
	}
	return all
}

func callback(ms int, took time.Duration) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindWait, Stage: "mqtt", Text: "in callback receive_notify, with the client's mutex held", Count: int64(took)})
}

func stillIn(ms int) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindWait, Stage: "mqtt", Text: "still in callback receive_notify, with the client's mutex held"})
}

func brokerLost(ms int, cause string) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindBrokerDisconnected, Node: brokerNode, Client: "client", Text: cause})
}

var (
	pingreq      = trace.Event{Kind: trace.KindPingReq}
	pingTimeout  = trace.Event{Kind: trace.KindPingTimeout}
	goneEvent    = trace.Event{Kind: trace.KindDisconnected}
	received     = trace.Event{Kind: trace.KindReceived}
	blockedEvent = at(6000, trace.Event{Kind: trace.KindMessageGet, Status: uint32(mqtt.InsufficientBufferSpace), Text: mqtt.TextBlocked, Len: 300, Hash: 7})

	poolEmpty = trace.Event{Kind: trace.KindPoolEmpty, Text: "interrupt"}
	off       = trace.Event{Kind: scenarios.KindOff, Text: "power cut"}
)

// findingCases have for each kind events that show it, with words of its text,
// and events that are near and do not.
var findingCases = []struct {
	name      string
	moment    time.Duration
	text      string
	yes, near [][]trace.Event
	end       time.Duration // of the runs that show it, if not a minute
}{
	{
		"deadlock_client_mutex", 10 * time.Second, `"mqtt" has waited 50s for a packet while it holds the client's mutex`,
		[][]trace.Event{script(waits(10000, 0))},
		[][]trace.Event{script(waits(10000, 11000)), script(waits(57000, 0))},
		0,
	},
	{
		"client_waited_for_packet", 10 * time.Second, `"mqtt" waited 6s for a packet`,
		[][]trace.Event{script(waits(10000, 16000))},
		[][]trace.Event{script(waits(10000, 14000)), script(waits(10000, 0))},
		0,
	},
	{
		"packets_leaked", 5 * time.Second, "3 packets leaked: 3 unread at disconnect",
		[][]trace.Event{script(drop(5000, trace.DropUnread), drop(5000, trace.DropUnread), leaked(60000, 3))},
		[][]trace.Event{script(drop(5000, trace.DropUnread))},
		0,
	},
	{
		"acknowledged_then_dropped", 5 * time.Second, `2 messages were acknowledged by TCP and dropped for want of packets, the first to "t"; 2 of them the broker waits`,
		[][]trace.Event{script(drop(5000, trace.DropPublishCopy), drop(6000, trace.DropPublishCopy))},
		[][]trace.Event{script(drop(5000, trace.DropMalformedMQTT))},
		0,
	},
	{
		"session_lost_to_one_ping", 10 * time.Second, "one PINGRESP was not there after 1s",
		[][]trace.Event{script(connected(0, 4, 0), at(10000, pingreq), at(11000, pingTimeout), state(11000, "idle"), at(11200, goneEvent))},
		[][]trace.Event{
			script(connected(0, 4, 0), at(10000, pingreq), at(11000, pingTimeout), at(22000, goneEvent)),                                                                // a dead link
			script(connected(0, 4, 0), at(10000, pingreq), at(11000, pingTimeout), at(15300, trace.Event{Kind: trace.KindTCP, Text: retryLimit}), at(15300, goneEvent)), // dead before the ping
			script(connected(0, 4, 0), at(10000, pingreq), at(14000, pingTimeout), at(14200, goneEvent)),                                                                // the whole keepalive
			script(connected(0, 4, 0), at(10000, pingreq), at(11200, goneEvent)),                                                                                        // another cause
		},
		0,
	},
	{
		"keepalive_stopped", 100 * time.Millisecond, "sent no PINGREQ for 14.9s",
		[][]trace.Event{script(connected(0, 10, 0), brokerLost(15000, broker.CauseKeepAlive))},
		[][]trace.Event{
			script(connected(0, 10, 0), at(9000, pingreq), brokerLost(15000, broker.CauseKeepAlive)),   // lost on the way
			script(connected(0, 10, 0), at(9000, off), brokerLost(15000, broker.CauseKeepAlive)),       // no power
			script(connected(0, 10, 0), at(9000, goneEvent), brokerLost(15000, broker.CauseKeepAlive)), // given up
			script(connected(0, 10, 0), brokerLost(15000, broker.CauseClosed)),
		},
		0,
	},
	{
		"callback_blocked_client", 8 * time.Second, "receive_notify kept the MQTT thread waiting for 2s",
		[][]trace.Event{script(callback(10000, 2*time.Second))},
		[][]trace.Event{script(callback(10000, 900*time.Millisecond))},
		0,
	},
	{
		"callback_never_returned", 9 * time.Second, "the application's receive_notify has not returned for 51s",
		[][]trace.Event{script(stillIn(10000)), script(stillIn(10000), callback(12000, time.Second))}, // one inside it
		[][]trace.Event{script(stillIn(10000), callback(12000, 3*time.Second)), script(callback(10000, 20*time.Second)), script(stillIn(57000))},
		0,
	},
	{
		"retry_limit_bypassed", time.Second, "20 times in 19s, beyond its limit of 10",
		[][]trace.Event{retries(1, 20)},
		[][]trace.Event{script(retries(1, 10), tcp(11000, "retry limit, connection ended", 10)), script(retries(1, 9), retries(1, 9))},
		0,
	},
	{
		"retries_exhausted", 11 * time.Second, "until its retry limit",
		[][]trace.Event{script(tcp(11000, "retry limit, connection ended", 10))},
		[][]trace.Event{retries(1, 10)},
		0,
	},
	{
		"connack_with_data_refused", 1100 * time.Millisecond, "connect failed with 0x10008",
		[][]trace.Event{script(at(1100, trace.Event{Kind: trace.KindDrop, Reason: trace.DropMalformedMQTT, Text: "CONNACK with 9 bytes behind it in one segment"}), connected(1000, 4, 0x10008))},
		[][]trace.Event{script(connected(1000, 4, 0x10008)), script(drop(500, trace.DropMalformedMQTT), connected(1000, 4, 0x10008))},
		0,
	},
	{
		"connect_never_ends", 3 * time.Second, "has lasted 1m57s",
		[][]trace.Event{script(state(3000, "connecting"))},
		[][]trace.Event{script(state(3000, "connecting")), script(state(0, "connecting"), state(30000, "idle"))},
		2 * time.Minute,
	},
	{
		"disconnect_told_late", 20 * time.Second, "11s after the client had given it up",
		[][]trace.Event{script(connected(0, 0, 0), state(20000, "idle"), at(31000, goneEvent))},
		[][]trace.Event{script(connected(0, 0, 0), state(20000, "idle"), at(20100, goneEvent)), script(state(20000, "idle"))},
		0,
	},
	{
		"application_stopped_reading", 5 * time.Second, "2 messages waited for message_get, the oldest for 10s",
		[][]trace.Event{script(at(5000, received), at(6000, received), at(15000, poolEmpty))},
		[][]trace.Event{
			script(at(5000, received), at(6000, trace.Event{Kind: trace.KindMessageGet}), at(15000, poolEmpty)),
			script(at(5000, received), at(9000, poolEmpty)),
			script(at(5000, received), at(15000, off)),
		},
		0,
	},
	{
		"message_blocks_queue", 6 * time.Second, "a message of 300 bytes does not fit the buffers of message_get: it stays in the queue, and up to 1 message behind it",
		[][]trace.Event{script(at(5000, received), at(5000, received), blockedEvent, blockedEvent)},
		[][]trace.Event{
			script(at(6000, trace.Event{Kind: trace.KindMessageGet, Status: uint32(mqtt.InsufficientBufferSpace), Text: "cut to the buffers"})),
			script(at(6000, trace.Event{Kind: trace.KindMessageGet})),
		},
		0,
	},
	{
		"pool_exhausted", 5 * time.Second, "1 arriving frame dropped and 1 control packet (ACK, SYN, FIN, RST, ARP) not sent because the pool was empty",
		[][]trace.Event{script(drop(5000, trace.DropRxPool), drop(6000, trace.DropControl))},
		[][]trace.Event{script(drop(5000, trace.DropLinkDown), at(6000, poolEmpty))},
		0,
	},
	{
		"arp_queue_overflow", 5 * time.Second, "1 packet that waited for an ARP reply",
		[][]trace.Event{script(drop(5000, trace.DropARPQueue))},
		[][]trace.Event{script(drop(5000, trace.DropARPTimeout))},
		0,
	},
	{
		"half_open_peer", 10 * time.Second, "for 5s after the device had lost its power",
		[][]trace.Event{script(connected(0, 10, 0), at(10000, off), brokerLost(15000, broker.CauseKeepAlive))},
		[][]trace.Event{
			script(connected(0, 10, 0), at(10000, off), brokerLost(10100, broker.CauseClosed)),
			script(connected(0, 10, 0), at(9000, goneEvent), at(10000, off), brokerLost(15000, broker.CauseClosed)),
		},
		0,
	},
	{
		"packet_id_reused", 9 * time.Second, "packet identifier 1, which another unacknowledged one",
		[][]trace.Event{script(publishEvent(5000, 1), publishEvent(9000, 1))},
		[][]trace.Event{
			script(publishEvent(5000, 1), at(6000, trace.Event{Kind: trace.KindAcked, ID: 1}), publishEvent(9000, 1)),
			script(publishEvent(5000, 1), at(6000, off), publishEvent(9000, 1)),
			script(publishEvent(5000, 1), publishEvent(9000, 2)),
		},
		0,
	},
	{
		"login_forgotten", 10100 * time.Millisecond, "refused the client that it had let in before",
		[][]trace.Event{script(connected(0, 10, 0), connected(10000, 10, 0x10085))},
		[][]trace.Event{script(connected(0, 10, 0x10085)), script(connected(0, 10, 0), connected(10000, 10, 0x10083))},
		0,
	},
	{
		"tls_failed", 5 * time.Second, "TLS failed: expired (",
		[][]trace.Event{
			script(at(5000, trace.Event{Kind: trace.KindTLSFailed, Text: "expired", Status: 7}), connected(5000, 10, 0x10005)),
			script(at(5000, trace.Event{Kind: trace.KindTLSFailed, Text: "expired"}), at(6000, goneEvent)),
		},
		[][]trace.Event{script(connected(5000, 10, 0x10005)), script(at(5000, trace.Event{Kind: trace.KindTLSFailed, Node: "nobody"}))},
		0,
	},
	{
		"refusal_taken_for_grant", 5 * time.Second, `the subscription to "t"`,
		[][]trace.Event{script(at(5000, trace.Event{Kind: trace.KindSubscribed, Topic: "t", QoS: 0x80}))},
		[][]trace.Event{script(at(5000, trace.Event{Kind: trace.KindSubscribed, Topic: "t", QoS: 1})),
			script(at(5000, trace.Event{Kind: trace.KindSubscribed, Topic: "t", QoS: 0x80, Status: 0x10008}))}, // told
		0,
	},
}

func overseenBy(oracle string, ms int) trace.Event {
	return at(ms, trace.Event{Kind: trace.KindOracle, Stage: oracle, Count: int64(2 * time.Second), Text: "as it was seen"})
}

func TestEachKindOfFindingIsFoundAndNothingNearIt(t *testing.T) {
	seen := map[string]bool{}
	cases := slices.Clone(findingCases)
	for _, name := range []string{oracleARP, oracleProgress, oracleTooSoon, oracleTooLate, oracleSendsDown, oracleISN} {
		c := findingCases[0] // what an oracle has seen becomes a finding of its name, from when it began
		c.name, c.moment, c.text, c.end = name, 4*time.Second, "as it was seen, 2 times in all", 0
		c.yes = [][]trace.Event{script(overseenBy(name, 6000), overseenBy(name, 9000))}
		c.near = [][]trace.Event{script(overseenBy("another", 6000))}
		cases = append(cases, c)
	}
	for _, c := range cases {
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			end := time.Minute
			if c.end > 0 {
				end = c.end
			}
			for _, events := range c.yes {
				all := found(t, end, events...)
				i := slices.IndexFunc(all, func(f scenarios.Finding) bool { return f.Name == c.name })
				if i < 0 {
					t.Fatalf("not found: %+v", all)
				}
				f := all[i]
				if f.Device != "device" || time.Duration(f.T) != c.moment || !strings.Contains(f.Text, c.text) || len(f.Events) == 0 || f.Count < 1 {
					t.Errorf("%+v, want %q at %v", f, c.text, c.moment)
				}
				for _, seq := range f.Events {
					if seq < 2 || int(seq) > len(events)+1 {
						t.Errorf("it rests on event %d", seq)
					}
				}
			}
			for _, events := range c.near {
				for _, f := range found(t, time.Minute-time.Second, events...) {
					if f.Name == c.name {
						t.Errorf("found where it is not: %+v", f)
					}
				}
			}
		})
	}
	for i, k := range scenarios.FindingKinds() {
		if !seen[k.Name] || detectors[i].name != k.Name {
			t.Errorf("%s has no case, or detector %d is %s", k.Name, i, detectors[i].name)
		}
		for _, quirk := range strings.Split(k.Quirk, ", ") {
			if known := func(q scenarios.Quirk) bool { return q.Name == quirk }; quirk != "" && !slices.ContainsFunc(scenarios.QuirkList(), known) {
				t.Errorf("%s: there is no quirk %q", k.Name, quirk)
			}
		}
	}
}

// What the client writes of a callback that waits for ever is what the detector
// reads; a device that is switched off meanwhile says nothing more.
func TestACallbackThatNeverReturnsIsFound(t *testing.T) {
	const text = `
version: 1
name: x
duration: 60s
devices: [{app: stuck}]
broker: {kind: model}
timeline:
  - {at: 10s, do: broker_publish, topic: t, payload: one}
  - {at: 20s, do: broker_publish, topic: t, payload: two}
`
	for _, c := range []struct {
		takes  time.Duration // -1: for ever
		more   string
		finds  string
		moment time.Duration
	}{
		{-1, "", "callback_never_returned", 10 * time.Second},
		{-1, "  - {at: 30s, do: power_cut}\n", "callback_never_returned", 10 * time.Second},
		{-1, "  - {at: 12s, do: power_cut}\n", "", 0},
		{3 * time.Second, "", "callback_blocked_client", 10 * time.Second},
		{0, "", "", 0},
	} {
		app := func(task *sim.Task, client *mqtt.Client) {
			client.ReceiveNotifySet(func(client *mqtt.Client, _ int) {
				thread := client.Kernel().Current().Task()
				if c.takes >= 0 {
					thread.Sleep(c.takes)
					return
				}
				var never sim.Cond
				thread.Wait(&never, -1)
			})
			client.Connect(brokerAt, 60, true, 500)
			client.Subscribe("t", 0)
		}
		r, err := Run(t.Context(), load(t, text+c.more), Options{Apps: map[string]App{"stuck": app}})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range r.Outcome.Findings {
			if names = append(names, f.Name); f.Name == c.finds && time.Duration(f.T).Round(time.Second) != c.moment {
				t.Errorf("%s at %v, want %v", f.Name, f.T, c.moment)
			}
		}
		if got := strings.Join(names, " "); got != c.finds && got != strings.TrimSpace(c.finds+" half_open_peer") {
			t.Errorf("%v %s: findings %q, want %q", c.takes, c.more, got, c.finds)
		}
	}
}

// A device's findings do not hang on another's events, and what happens a
// thousand times is one finding that says so.
func TestFindingsAreByDeviceAndBounded(t *testing.T) {
	var script []trace.Event
	for i := range 1000 {
		e := drop(1000+i, trace.DropPublishCopy)
		e.Node = []string{"device", "other"}[i%2]
		script = append(script, e)
	}
	all := found(t, time.Minute, script...)
	if len(all) != 2 || all[0].Device != "device" || all[1].Device != "other" || all[0].Count != 500 || len(all[0].Events) != maxEvidence {
		t.Errorf("%+v", all)
	}
	for _, e := range script {
		e.Node = "nobody"
		if got := found(t, time.Minute, e); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
	}
}

// What the detectors read in events is what the client, the pool and the engine
// write: a run of the real thing shows each.
func TestFindingsAreReadByExpectations(t *testing.T) {
	sc := load(t, `
version: 1
name: x
duration: 60s
devices: [{pool: {packets: 6, payload: 512B}, mqtt: {wait: 2s}, steps: [connect, every: {period: 200ms, for: 30s, do: [publish: {topic: t, size: 400B, qos: 1}]}]}]
links: [{delay: 200ms, rate: 9600bit, queue: {packets: 20}}]
broker: {kind: model}
expect:
  - findings == 0
  - finding.pool_exhausted == 0
  - device("device").findings > 0
  - device("device").finding.pool_exhausted == 0
  - all(devices, .finding.packets_leaked == 0)
`)
	r, err := Run(t.Context(), sc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Checks {
		got = append(got, fmt.Sprint(c.Passed))
		if !c.Passed && (c.Moment == nil || !strings.Contains(c.Why, "arriving frames dropped")) {
			t.Errorf("%s: %s", c.That, c.Why)
		}
	}
	if want := "false false true false true"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	_, err = scenarios.Load("x.yaml", []byte("version: 1\nname: x\ndevices: [{steps: [connect]}]\nbroker: {kind: model}\nexpect: [finding.packets_leeked == 0]\n"))
	if err == nil || !strings.Contains(err.Error(), `did you mean "packets_leaked"?`) {
		t.Errorf("%v", err)
	}
}
