package play_test

import (
	"testing"

	"hilnet/mqtt/codec"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// What does not begin with CONNECT takes no conversation away from the recorded client,
// whatever it speaks; it is counted, with the reason.
func TestWhoBeginsWithoutCONNECTTakesNoConversation(t *testing.T) {
	for name, first := range map[string][]byte{
		"HTTP":            []byte("GET / HTTP/1.1\r\n"),
		"a byte of HTTP":  []byte("G"),
		"TLS":             {0x16, 0x03, 0x01, 0x00, 0xc8, 0x01},
		"PINGREQ":         {0xc0, 0},
		"PUBLISH":         {0x30, 3, 0, 1, 'a'},
		"no length":       {0x10, 0xff, 0xff, 0xff, 0xff, 0xff},
		"an empty packet": {0x10, 0},
	} {
		loop := sim.NewLoop(sim.Config{})
		defer loop.Close()
		p := &pipe{loop: loop}
		s := expecting(2)
		player, err := play.New(play.Config{Loop: loop, Script: s, As: script.Broker, Network: p})
		if err != nil {
			t.Fatal(err)
		}
		if err := player.Start(); err != nil {
			t.Fatal(err)
		}
		stranger := &caller{}
		p.accept(stranger).Data(first)
		if !stranger.aborted {
			t.Errorf("%s: it is kept", name)
		}
		live := &caller{}
		e := p.accept(live)
		if e == nil {
			t.Fatalf("%s: the recorded client finds no conversation", name)
		}
		e.Data(s.Conversations[0].Events[0].Raw)
		r := player.Report()
		if live.aborted || r.Strangers != 1 ||
			len(r.StrangerReasons) != 1 || r.StrangerReasons[0] != (play.Tally{Reason: "its first bytes are no CONNECT", Count: 1}) {
			t.Errorf("%s: thrown out %v, %d strangers: %v", name, live.aborted, r.Strangers, r.StrangerReasons)
		}
	}
}

// A conversation that was recorded without CONNECT is that of a client which does the same.
func TestAConversationWithoutCONNECTIsTakenByAClientWithoutOne(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	p := &pipe{loop: loop}
	s := expecting(2)
	ping := []byte{byte(codec.PINGREQ) << 4, 0}
	first := &s.Conversations[0].Events[0]
	first.Type, first.Raw, first.Segments = codec.PINGREQ, ping, []int{2}
	player, err := play.New(play.Config{Loop: loop, Script: s, As: script.Broker, Network: p})
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	live := &caller{}
	p.accept(live).Data(ping)
	if r := player.Report(); live.aborted || r.Strangers != 0 {
		t.Errorf("thrown out %v, %v", live.aborted, r.StrangerReasons)
	}
}
