package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hilnet/mqtt/codec"
	"hilnet/sim"
)

// The trie and the sorted list agree with codec.Match, filter by filter, while
// subscriptions come and go.
func TestIndexesAgreeWithMatch(t *testing.T) {
	levels := []string{"", "a", "b", "$x", "+", "#"}
	random := sim.NewRand(1, "subscriptions")
	path := func(words []string) string {
		p := make([]string, 1+random.IntN(4))
		for i := range p {
			p[i] = words[random.IntN(len(words))]
		}
		return strings.Join(p, "/")
	}
	sessions := make([]*session, 5)
	for i := range sessions {
		sessions[i] = &session{seq: uint64(i + 1)}
	}
	type key struct{ filter, session string }
	var trie subscriptions
	model := map[key]uint8{}
	var kept retained
	checks := 0
	for range 2_000 {
		f, i := path(levels), random.IntN(len(sessions))
		if codec.ValidFilter([]byte(f)) == nil {
			k := key{f, fmt.Sprint(i)}
			if random.IntN(3) > 0 {
				model[k] = uint8(random.IntN(3))
				trie.set(f, sessions[i], model[k])
			} else {
				delete(model, k)
				trie.remove(f, sessions[i])
			}
			checkRetained(t, &kept, f)
		}
		topic := path(levels[:4])
		if topic == "" {
			continue
		}
		if random.IntN(8) == 0 {
			kept.remove(topic)
		} else {
			kept.set(&message{topic: topic}, 1000, 1<<20)
		}
		var want []string
		for i := range sessions {
			qos := -1
			for k, q := range model {
				if k.session == fmt.Sprint(i) && codec.Match(k.filter, topic) {
					qos = max(qos, int(q))
				}
			}
			if qos >= 0 {
				want = append(want, fmt.Sprintf("%d:%d", i+1, qos))
			}
		}
		var got []string
		for _, s := range trie.match(nil, topic) {
			got = append(got, fmt.Sprintf("%d:%d", s.seq, s.matchQoS))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("topic %q matches %v, want %v of %v", topic, got, want, model)
		}
		checks += len(want)
	}
	if trie.n != len(model) || checks < 500 {
		t.Errorf("%d subscriptions, want %d; %d matches", trie.n, len(model), checks)
	}
	for k := range model {
		var i int
		fmt.Sscan(k.session, &i)
		trie.remove(k.filter, sessions[i])
	}
	if trie.n != 0 || len(trie.root.children) != 0 {
		t.Errorf("%d subscriptions and %d nodes left", trie.n, len(trie.root.children))
	}
}

func checkRetained(t *testing.T, r *retained, filter string) {
	t.Helper()
	var want []string
	for _, m := range r.messages {
		if codec.Match(filter, m.topic) {
			want = append(want, m.topic)
		}
	}
	var got []string
	for _, m := range r.matching(filter) {
		got = append(got, m.topic)
	}
	if !slices.Equal(got, want) || !slices.IsSorted(got) {
		t.Fatalf("filter %q finds %q, want %q", filter, got, want)
	}
}

// Clients that come and go within their keep alive must not pile up timers.
func TestTimersOfClosedConnectionsAreForgotten(t *testing.T) {
	b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("a"), CleanSession: true, KeepAlive: 65_535})
	for i := range 10_000 {
		id := ConnID(i)
		b.Open(0, id, "")
		b.Data(0, id, c)
		b.Outputs()
		if i%100 != 0 {
			b.Closed(0, id)
		}
	}
	if n := len(b.timers.heap); n > 2*len(b.conns)+64 {
		t.Errorf("%d timers for %d connections", n, len(b.conns))
	}
	if len(b.conns) != 0 || b.Stats().Sessions != 0 { // the last one was closed, and each took over from its forerunner
		t.Errorf("%d connections", len(b.conns))
	}
}

// A packet moves its connection's deadline without a new timer.
func TestPacketsDoNotPileUpTimers(t *testing.T) {
	b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	b.Open(0, 1, "")
	b.Data(0, 1, codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("a"), CleanSession: true, KeepAlive: 60}))
	for now := range sim.Time(1000) {
		b.Data(now, 1, codec.AppendEmpty(nil, codec.PINGREQ))
	}
	if n := len(b.timers.heap); n != 1 {
		t.Errorf("%d timers for one connection", n)
	}
}

func TestQueueKeepsOrderAcrossItsCompaction(t *testing.T) {
	var q queue
	in, out := 0, 0
	random := sim.NewRand(2, "queue")
	for range 100_000 {
		if q.len() < 50 && (q.len() == 0 || random.IntN(2) == 0) {
			q.push(delivery{msg: &message{qos: uint8(in)}})
			in++
		} else {
			if got := q.pop().msg.qos; got != uint8(out) {
				t.Fatalf("item %d is %d", out, got)
			}
			out++
		}
	}
	if cap(q.items) > 256 || q.bytes != 0 {
		t.Errorf("room for %d items, %d bytes", cap(q.items), q.bytes)
	}
}
