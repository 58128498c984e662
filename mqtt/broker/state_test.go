package broker_test

import (
	"errors"
	"strings"
	"testing"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
)

// restart ends the script's broker and starts one with its state.
func (s *script) restart(cfg broker.Config) {
	s.t.Helper()
	b, err := broker.Restore(cfg, s.b.Snapshot())
	if err != nil {
		s.t.Fatal(err)
	}
	s.b = b
}

func TestAStateOutlivesTheBroker(t *testing.T) {
	s := newScript(t, broker.Config{})
	pub, sub := s.client("pub"), s.dial()
	s.send(sub, connect("sub", false, 0), subscribe(1, "q1", 1), subscribe(2, "q2", 2), publish("up", "held", 2, 40))
	s.send(pub, retain("kept", "value", 1, 1), publish("q1", "one", 1, 2), publish("q2", "two", 2, 3), publish("q2", "three", 2, 4))
	s.send(sub, ack(codec.PUBREC, 2)) // two: released
	s.lose(sub)
	s.send(pub, publish("q1", "four", 1, 5))
	s.out = map[broker.ConnID][]string{}

	s.restart(broker.Config{})
	sub = s.dial()
	s.send(sub, connect("sub", false, 0))
	s.want(sub, "CONNACK session-present accepted", "PUBLISH q1 dup id=1 q1 3 B", "PUBREL id=2", "PUBLISH q2 dup id=3 q2 5 B", "PUBLISH q1 id=4 q1 4 B")
	s.send(sub, publish("up", "held", 2, 40), ack(codec.PUBREL, 40)) // sent before: not passed on twice
	s.want(sub, "PUBREC id=40", "PUBCOMP id=40")
	late := s.dial()
	s.send(late, connect("late", true, 0), subscribe(1, "#", 1))
	s.want(late, "CONNACK accepted", "SUBACK id=1 q1", "PUBLISH q1 retain id=1 kept 5 B")
}

func TestASnapshotLeavesWhatEndsWithTheServer(t *testing.T) {
	s := newScript(t, broker.Config{})
	s.subscriber("clean", "t", 1)
	if kept := string(s.b.Snapshot()); strings.Contains(kept, "clean") || !strings.Contains(kept, `"version": 1`) {
		t.Error(kept)
	}
}

func TestHostileStatesAreRefused(t *testing.T) {
	const head = `{"format":"hilnet-broker-state","version":1,"assigned_ids":0,`
	one := func(session string) string {
		return head + `"messages":[{"topic":"t","qos":1,"payload":"eA=="}],"retained":[],"sessions":[{"client":"c","last_id":1,` + session + `}]}`
	}
	if _, err := broker.Restore(broker.Config{}, []byte(one(`"inflight":[{"message":0,"id":1,"qos":1}]`))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":               ``,
		"not JSON":            `{`,
		"other format":        `{"format":"x","version":1}`,
		"other version":       `{"format":"hilnet-broker-state","version":2}`,
		"unknown key":         head + `"x":1}`,
		"something behind it": head + `"messages":[],"retained":[],"sessions":[]} {}`,
		"topic":               head + `"messages":[{"topic":"#","qos":0,"payload":""}]}`,
		"QoS":                 head + `"messages":[{"topic":"t","qos":3,"payload":""}]}`,
		"no message":          head + `"messages":[],"retained":[0]}`,
		"negative":            head + `"messages":[],"retained":[-1]}`,
		"retained twice":      head + `"messages":[{"topic":"t","qos":1,"payload":"eA=="}],"retained":[0,0]}`,
		"retained, empty":     head + `"messages":[{"topic":"t","qos":1,"payload":""}],"retained":[0]}`,
		"no client":           head + `"messages":[],"sessions":[{"client":""}]}`,
		"client twice":        head + `"messages":[],"sessions":[{"client":"c"},{"client":"c"}]}`,
		"filter":              one(`"filters":[{"filter":"a#","qos":0}]`),
		"filter's QoS":        one(`"filters":[{"filter":"a","qos":3}]`),
		"filters' order":      one(`"filters":[{"filter":"b","qos":0},{"filter":"a","qos":0}]`),
		"levels":              one(`"filters":[{"filter":"a/b/c/d/e/f","qos":0}]`),
		"packet zero":         one(`"inflight":[{"message":0,"id":0,"qos":1}]`),
		"packet twice":        one(`"inflight":[{"message":0,"id":1,"qos":1},{"message":0,"id":1,"qos":1}]`),
		"QoS 0 inflight":      one(`"inflight":[{"message":0,"id":1,"qos":0}]`),
		"released QoS 1":      one(`"inflight":[{"message":0,"id":1,"qos":1,"released":true}]`),
		"queued with packet":  one(`"queue":[{"message":0,"id":1,"qos":1}]`),
		"no such message":     one(`"queue":[{"message":1,"qos":1}]`),
		"incoming":            one(`"incoming":[2,1]`),
		"too many":            one(`"incoming":[],"queue":[{"message":0,"qos":1},{"message":0,"qos":1},{"message":0,"qos":1}]`),
	} {
		if _, err := broker.Restore(broker.Config{MaxQueued: 2, MaxTopicLevels: 5}, []byte(text)); !errors.Is(err, broker.ErrState) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// FuzzRestore: a state from anywhere is refused or kept as it is, within limits.
func FuzzRestore(f *testing.F) {
	s := newScript(f, broker.Config{})
	sub := s.dial()
	s.send(sub, connect("sub", false, 0), subscribe(1, "#", 2), retain("a", "b", 2, 7))
	s.b.Closed(s.now, sub)
	if err := s.b.Publish(0, "c", []byte("d"), 1, false); err != nil {
		f.Fatal(err)
	}
	f.Add(s.b.Snapshot())
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := broker.Restore(fuzzConfig, data)
		if err != nil {
			if !errors.Is(err, broker.ErrState) {
				t.Fatal(err)
			}
			return
		}
		kept := b.Snapshot()
		again, err := broker.Restore(fuzzConfig, kept)
		if err != nil || string(again.Snapshot()) != string(kept) {
			t.Fatalf("%v\n%s", err, kept)
		}
		if n := b.Stats(); n.Sessions > 4 || n.Retained > 2 || n.Subscriptions > 12 {
			t.Fatalf("beyond the limits: %+v", n)
		}
	})
}
