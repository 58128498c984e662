package play_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// A pipe is a network of two ends in memory, a delay apart. tap sees, and may
// change, what the client's end (0) and the broker's (1) send.
type pipe struct {
	loop   *sim.Loop
	delay  time.Duration
	accept func(play.Conn) *play.Events
	tap    func(from int, data []byte) []byte
}

type pipeEnd struct {
	p      *pipe
	side   int
	peer   *pipeEnd
	events *play.Events
	over   bool
}

func (p *pipe) Dial(_ *script.Conversation, e *play.Events) play.Conn {
	a, b := &pipeEnd{p: p, events: e}, &pipeEnd{p: p, side: 1}
	a.peer, b.peer = b, a
	p.loop.After(p.delay, func() {
		if p.accept != nil {
			b.events = p.accept(b)
		}
		if b.events == nil {
			p.loop.After(p.delay, func() { e.Closed(errors.New("refused")) })
			return
		}
		p.loop.After(p.delay, e.Connected)
	})
	return a
}

func (p *pipe) Listen(accept func(play.Conn) *play.Events) error { p.accept = accept; return nil }
func (p *pipe) Stop()                                            {}

func (c *pipeEnd) Remote() string { return "pipe" }

func (c *pipeEnd) deliver(fn func(e *play.Events)) {
	to := c.peer
	c.p.loop.After(c.p.delay, func() {
		if !to.over && to.events != nil {
			fn(to.events)
		}
	})
}

func (c *pipeEnd) Write(data []byte, _ []int) {
	if c.p.tap != nil {
		data = c.p.tap(c.side, data)
	}
	if len(data) > 0 && !c.over {
		c.deliver(func(e *play.Events) { e.Data(data) })
	}
}

func (c *pipeEnd) Close() {
	if !c.over {
		c.over = true
		c.deliver(func(e *play.Events) { e.Closed(io.EOF) })
	}
}

func (c *pipeEnd) Abort() {
	if !c.over {
		c.over = true
		c.deliver(func(e *play.Events) { e.Closed(errors.New("reset")) })
	}
}

// read reads a capture of the test data.
func read(t testing.TB, name string) *script.Script {
	t.Helper()
	f, err := os.Open(filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := script.Read(f, script.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// both plays a script's two sides against each other in virtual time.
func both(t testing.TB, s *script.Script, p *pipe, change func(client, broker *play.Config)) (client, broker *play.Report) {
	t.Helper()
	p.loop = sim.NewLoop(sim.Config{})
	defer p.loop.Close()
	base := play.Config{Loop: p.loop, Script: s, Network: p, Synthetic: true}
	cc, bc := base, base
	cc.As, bc.As = script.Client, script.Broker
	if change != nil {
		change(&cc, &bc)
	}
	b, err := play.New(bc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := play.New(cc)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Start(), c.Start(), p.loop.Run(sim.Time(24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if !c.Ended() || !b.Ended() {
		t.Fatalf("client ended %v, broker ended %v", c.Ended(), b.Ended())
	}
	return c.Report(), b.Report()
}
