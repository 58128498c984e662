package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"hilnet/emu"
	"hilnet/report/page"
	"hilnet/scenarios"
	"hilnet/sim"
)

// How often a page gets what is new, and how much of it at once.
const (
	chunkEvery   = 200 * time.Millisecond
	chunkMoments = 8192
	watchNap     = 10 * time.Millisecond // between two looks at a run that does little
)

// Config says what a View shows.
type Config struct {
	// World is the run, before Run; Scenario is what it was made of.
	World    *emu.World
	Scenario *scenarios.Scenario
	// Source is how the user named the scenario.
	Source string
	// Token, if it is set, is what a browser must know. An address that other
	// machines reach must have one.
	Token string
	// Hosts are the names of this machine, beside its addresses and localhost, by
	// which it may be asked.
	Hosts []string
}

// A View shows one run.
type View struct {
	server  server
	watch   *emu.Watch
	session *emu.Session // nil: nothing can be done by hand
	feed    *page.Feed
	sc      *scenarios.Scenario
	source  string
	why     string // there is no session
	fed     chan struct{}

	mu   sync.Mutex // guards the rest
	hand []byte     // the state of the session as it was told last
}

// New returns a View of a run that has not begun.
func New(cfg Config) (*View, error) {
	feed, err := page.NewFeed(cfg.Scenario, cfg.Source)
	if err != nil {
		return nil, err
	}
	v := &View{watch: cfg.World.Watch(), feed: feed, sc: cfg.Scenario, source: cfg.Source, fed: make(chan struct{})}
	session, err := cfg.World.ByHand()
	var no *emu.RefusedError
	switch {
	case errors.As(err, &no):
		v.why = no.Why
	case err != nil:
		return nil, err
	}
	v.session = session
	v.server = server{
		guard: guard{cfg.Token, cfg.Hosts}, hub: newHub(), run: strconv.FormatInt(time.Now().UnixNano(), 36),
		scenario: v.scenario, do: v.do, metrics: v.metrics,
	}
	if v.server.page, v.server.policy, err = feed.Page(); err != nil {
		return nil, err
	}
	v.server.prepare()
	v.tellHand()
	v.tellNow()
	return v, nil
}

// Serve serves the run until ctx is done. Then it tells the pages that this was
// all, and closes the listener. It is called once, and before the run begins.
func (v *View) Serve(ctx context.Context, l net.Listener) error {
	pumped := make(chan struct{})
	stop := make(chan struct{})
	go func() { defer close(pumped); v.pump(stop) }()
	err := v.server.serve(ctx, l)
	close(stop)
	<-pumped
	return err
}

// pump feeds the page.
func (v *View) pump(stop <-chan struct{}) {
	defer close(v.fed)
	tick := time.NewTicker(chunkEvery)
	defer tick.Stop()
	for waiting := 0; ; {
		due := false
		select {
		case <-stop:
			return
		case <-tick.C:
			due = true
		case <-v.watch.Ready():
		}
		moments, missed, more := v.watch.Take()
		for i := range moments {
			missed += moments[i].Missed
			v.feed.Add(&moments[i])
			if waiting++; waiting >= chunkMoments {
				v.tellChunk(false)
				waiting = 0
			}
		}
		if missed > 0 {
			v.server.hub.tell("missed", fmt.Appendf(nil, `{"moments":%d}`, missed))
		}
		if !more {
			v.tellChunk(true)
			v.tellHand()
			v.tellNow()
			return
		}
		if due {
			v.tellChunk(false)
			v.tellHand()
			v.tellNow()
			waiting = 0
		} else if len(moments) < chunkMoments {
			nap(watchNap, stop)
		}
	}
}

func nap(d time.Duration, stop <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}

// tellChunk tells what is new of the run.
func (v *View) tellChunk(last bool) {
	if c := v.feed.Take(last); c != nil {
		v.server.hub.tell("chunk", mustJSON(c))
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("live: %T as JSON: %v", v, err)) // they are ours
	}
	return text
}

// End tells what came of the run: the pages show it, and /report has the whole
// page, which b is of.
func (v *View) End(b *page.Builder) error {
	<-v.fed
	head := mustJSON(b.Head())
	var text bytes.Buffer
	if err := b.Write(&text); err != nil {
		return err
	}
	v.server.mu.Lock()
	v.server.report = text.Bytes()
	v.server.mu.Unlock()
	v.server.hub.tell("end", head)
	return nil
}

// now are the numbers that a page shows while the run goes on. Times are in ns.
type now struct {
	T         sim.Time  `json:"t"`
	Of        sim.Time  `json:"of"`
	Published uint64    `json:"published"`
	Acked     uint64    `json:"acked"`
	Mean      int64     `json:"mean"`
	Connected uint64    `json:"connected"`
	Frames    uint64    `json:"frames"`
	Dropped   uint64    `json:"dropped"` // by links
	Drops     uint64    `json:"drops"`
	Reason    string    `json:"reason"` // the most frequent
	Pools     []nowPool `json:"pools"`
}

type nowPool struct {
	Device string `json:"device"`
	Free   int64  `json:"free"`
	Low    int64  `json:"low"`
	Wait   int64  `json:"wait"`
}

func (v *View) tellNow() {
	c := v.watch.Counts()
	n := now{T: c.Now, Of: sim.Time(v.sc.Duration), Published: c.Published, Acked: c.Acked, Connected: c.Connected, Pools: []nowPool{}}
	if c.Acked > 0 {
		n.Mean = int64(c.AckSum) / int64(c.Acked)
	}
	for _, l := range c.Links {
		n.Frames += l.Steps[emu.FrameEntered]
		n.Dropped += l.Steps[emu.FrameDropped]
	}
	most := uint64(0)
	for reason, k := range c.Drops {
		n.Drops += k
		if k > most || k == most && string(reason) < n.Reason {
			most, n.Reason = k, string(reason)
		}
	}
	for _, p := range c.Pools {
		n.Pools = append(n.Pools, nowPool(p))
	}
	v.server.hub.set("now", mustJSON(&n))
}

// metrics writes the numbers for Prometheus.
func (v *View) metrics(s *served) []byte {
	c := v.watch.Counts()
	return expose(v.sc.Name, &c, s)
}
