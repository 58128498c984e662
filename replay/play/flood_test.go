package play_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// expecting is a conversation whose client expects so many messages of the broker: half
// of them PUBLISH, half of them PUBACK for what it has published.
func expecting(n int) *script.Script {
	c := &script.Conversation{ID: 1, Version: 4, After: -1}
	add := func(from script.Role, raw []byte, cause int, rule script.Rule) int {
		c.Events = append(c.Events, script.Event{From: from, Kind: script.Message, Type: codec.Type(raw[0] >> 4), ID: script.IDOf(raw), Raw: raw,
			Frame: uint64(len(c.Events) + 1), Cause: cause, Rule: rule, Segments: []int{len(raw)}})
		return len(c.Events) - 1
	}
	connect := script.Fields{Type: codec.CONNECT, Connect: script.Connect{Protocol: []byte("MQTT"), Level: 4, Flags: 2, ClientID: []byte("x")}}
	add(script.Client, connect.Append(nil, 4), script.Start, script.RuleSequence)
	add(script.Broker, []byte{0x20, 2, 0, 0}, 0, script.RuleProtocol)
	for i := range n / 2 {
		f := script.Fields{Type: codec.PUBLISH, Flags: 2, ID: uint16(i%60000 + 1), HasID: true, Topic: []byte("up"), Payload: fmt.Append(nil, i)}
		at := add(script.Client, f.Append(nil, 4), 1, script.RuleAnswer)
		add(script.Broker, codec.AppendAck(nil, codec.PUBACK, f.ID), at, script.RuleProtocol)
		f = script.Fields{Type: codec.PUBLISH, Topic: fmt.Appendf(nil, "down/%d", i), Payload: fmt.Append(nil, i)}
		add(script.Broker, f.Append(nil, 4), at, script.RuleProtocol)
	}
	return &script.Script{Conversations: []*script.Conversation{c}}
}

// A million messages that nobody expected take seconds, whatever is expected besides:
// each is looked up, not searched for.
func TestAMillionUnexpectedMessagesAreNoBurden(t *testing.T) {
	const expected, flood = 100_000, 1_000_000
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	p := &pipe{loop: loop}
	p.accept = func(c play.Conn) *play.Events {
		said := false
		return &play.Events{Data: func([]byte) {
			if said {
				return
			}
			said = true
			c.Write([]byte{0x20, 2, 0, 0}, nil)
			one := bytes.Repeat([]byte{0x40, 2, 0xff, 0xff}, 1000) // PUBACK of nothing
			for range flood / 1000 {
				c.Write(one, nil)
			}
			loop.After(time.Second, c.Close)
		}, Closed: func(error) {}}
	}
	player, err := play.New(play.Config{Loop: loop, Script: expecting(expected), As: script.Client, Network: p, Timing: play.Fast})
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := player.Report()
	if r.Received.Extra != flood || r.Received.Matched != 1 || r.Received.Missing != expected || r.Conversations[0].MoreNotListed == 0 {
		t.Errorf("%+v", r.Received)
	}
}

// What comes in another order than it was recorded is found all the same, by its content
// or its identifier.
func TestWhatComesInAnotherOrderIsFound(t *testing.T) {
	s := expecting(400)
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	p := &pipe{loop: loop}
	p.accept = func(c play.Conn) *play.Events {
		said := false
		return &play.Events{Data: func([]byte) {
			if said {
				return
			}
			said = true
			c.Write([]byte{0x20, 2, 0, 0}, nil)
			all := s.Conversations[0].Events
			for i := len(all) - 1; i > 1; i-- {
				if all[i].From == script.Broker {
					c.Write(all[i].Raw, nil)
				}
			}
		}, Closed: func(error) {}}
	}
	player, err := play.New(play.Config{Loop: loop, Script: s, As: script.Client, Network: p, Timing: play.Fast})
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := player.Report()
	if r.Reproduced != 1 || r.Verdict != play.Equivalent || r.Received.Reordered != 399 || r.Received.Differing != 0 {
		t.Errorf("%s %+v %v", r.Verdict, r.Received, r.Conversations[0].Differences)
	}
}

// Without regard to the clock, a client that publishes still comes after the one that
// subscribes.
func TestFastConversationsBeginInTheirOrder(t *testing.T) {
	const ms = time.Millisecond
	one := func(id uint64, begin time.Duration, packets ...[]byte) *script.Conversation {
		c := &script.Conversation{ID: id, Version: 4, After: -1, Begin: begin, Open: begin, Flags: script.Flags{OneSided: true}}
		for i, raw := range packets {
			at := begin + time.Duration(i+1)*ms
			c.Events = append(c.Events, script.Event{From: script.Client, Kind: script.Message, Type: codec.Type(raw[0] >> 4), Raw: raw, At: at, Ready: at,
				Frame: uint64(i + 1), Cause: i - 1, Rule: script.RuleSequence, Segments: []int{len(raw)}})
		}
		return c
	}
	connect := script.Fields{Type: codec.CONNECT, Connect: script.Connect{Protocol: []byte("MQTT"), Level: 4, Flags: 2, ClientID: []byte("x")}}
	subscribe := script.Fields{Type: codec.SUBSCRIBE, Flags: 2, ID: 1, HasID: true, Filters: []script.Filter{{Topic: []byte("a")}}}
	publish := script.Fields{Type: codec.PUBLISH, Topic: []byte("a")}
	first := connect.Append(nil, 4)
	s := &script.Script{Conversations: []*script.Conversation{
		one(1, 0, first, subscribe.Append(nil, 4)), one(2, 50*ms, first, publish.Append(nil, 4)), one(3, 60*ms, first, publish.Append(nil, 4)),
	}}
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var order []codec.Type
	p := &pipe{loop: loop, delay: 10 * ms, tap: func(_ int, data []byte) []byte {
		order = append(order, codec.Type(data[0]>>4))
		return data
	}, accept: func(play.Conn) *play.Events { return &play.Events{Data: func([]byte) {}, Closed: func(error) {}} }}
	player, err := play.New(play.Config{Loop: loop, Script: s, As: script.Client, Network: p, Timing: play.Fast})
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := []codec.Type{codec.CONNECT, codec.SUBSCRIBE, codec.CONNECT, codec.PUBLISH, codec.CONNECT, codec.PUBLISH}
	if fmt.Sprint(order) != fmt.Sprint(want) || player.Report().Sent.Sent != 6 {
		t.Errorf("%v", order)
	}
}
