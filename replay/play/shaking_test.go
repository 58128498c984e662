package play_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// Clients of a network of hilnet's own that do not shake hands are bounded, as those of
// the host's sockets are; each is counted and told of, and they make room when their time
// is over.
func TestClientsThatShakeHandsAreBounded(t *testing.T) {
	const clients, most = 300, 256
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	p := &pipe{loop: loop}
	told := map[string]int{}
	network := play.NewTLSNetwork(loop, p, func(int) *tls.Config { return &tls.Config{} }, func(err error) { told[err.Error()]++ })
	player, err := play.New(play.Config{Loop: loop, Script: expecting(2), As: script.Broker, Network: network, Accept: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range clients {
		if p.accept(&caller{}) == nil {
			refused++
		}
	}
	if r := player.Report(); refused != clients-most || told["caller: TLS: 256 clients shake hands already"] != refused || r.Strangers != refused {
		t.Errorf("%d are refused, %d counted: %v", refused, r.Strangers, told)
	}
	if err := loop.Run(sim.Time(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if p.accept(&caller{}) == nil {
		t.Error("there is no room when they have gone")
	}
	all := 0
	for text, n := range told {
		if all += n; !strings.Contains(text, "shake hands") {
			t.Error(text)
		}
	}
	if r := player.Report(); r.Strangers != clients || all != clients {
		t.Errorf("%d are counted, %d told of: %v", r.Strangers, all, told)
	}
}
