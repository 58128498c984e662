package extract

import (
	"context"
	"fmt"
	"os"
	"strings"

	"hilnet/emu"
	"hilnet/mqtt/codec"
)

// An Again is what the scenario does when it is run, beside what the capture shows.
type Again struct {
	Result     *emu.Result
	Conditions *Conditions // of the run
	Rows       []Row
}

// A Row is a number of the capture and of the run.
type Row struct {
	What           string
	Capture, Rerun int
	Differ         bool // by more than they may
}

// Again runs the scenario and extracts the conditions of the run: the round trip.
func (m *Making) Again(ctx context.Context) (*Again, error) {
	dir, err := os.MkdirTemp("", "hilnet-extract-")
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "make a folder for runs", Err: err, Hint: "check the disk"}
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is the system's to clean up otherwise
	r, err := m.run(ctx, dir)
	if err != nil {
		return nil, err
	}
	a := &Again{Result: r.result}
	if a.Conditions, err = Pair(r.caught[0], r.caught[1]); err != nil {
		return nil, err
	}
	a.compare(m, r)
	return a, nil
}

// compare lays numbers beside each other.
func (a *Again) compare(m *Making, r *rerun) {
	row := func(what string, capture, rerun, within int) {
		d := rerun - capture
		a.Rows = append(a.Rows, Row{What: what, Capture: capture, Rerun: rerun, Differ: max(d, -d) > within})
	}
	t := &tap{k: r.caught[0], device: a.Conditions.Device}
	s := sessionOf(t)
	row("connections", len(m.session.conns), len(s.conns), 0)
	for _, typ := range []codec.Type{codec.CONNECT, codec.CONNACK, codec.SUBSCRIBE, codec.UNSUBSCRIBE, codec.PUBLISH, codec.PUBACK, codec.PINGREQ, codec.PINGRESP, codec.DISCONNECT} {
		// A scenario's SUBSCRIBE has one filter.
		if n := m.session.messages[typ] + m.session.filters[typ]; n+s.messages[typ] > 0 {
			row(typ.String(), n, s.messages[typ], n/50)
		}
	}
	row("PUBLISH with DUP", m.session.repeats(m.c.device), s.repeats(r.caught[0]), 0)
	if m.plan.Recorded {
		return
	}
	for _, w := range ways {
		// In an outage the device may send a frame more or less.
		within := m.c.of(w).Data.Max - m.c.of(w).Data.Min
		for _, o := range m.c.Outages {
			within += 1 + o.Frames/20
		}
		row("lost with data, "+w.String(), m.c.of(w).Data.Estimate, a.Conditions.of(w).Data.Estimate, within)
	}
	row("outages", len(m.c.Outages), len(a.Conditions.Outages), 0)
	const unit = 1e6
	row("shortest round trip in ms", int(m.c.RTT.Min/unit), int(a.Conditions.RTT.Min/unit), 2)
}

// repeats counts the PUBLISHes with DUP of the connections.
func (s *session) repeats(k *Capture) int {
	n := 0
	for _, v := range s.conns {
		for _, i := range s.of[v] {
			if m := &k.messages[i]; m.Type == codec.PUBLISH && m.Flags&8 != 0 {
				n++
			}
		}
	}
	return n
}

// Differs reports whether the run did something else than the capture shows.
func (a *Again) Differs() bool {
	for _, r := range a.Rows {
		if r.Differ {
			return true
		}
	}
	return false
}

// Text is a table of both.
func (a *Again) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-28s %8s %8s\n", "the same again", "capture", "run")
	for _, r := range a.Rows {
		mark := ""
		if r.Differ {
			mark = "  differs"
		}
		fmt.Fprintf(&b, "  %-28s %8d %8d%s\n", r.What, r.Capture, r.Rerun, mark)
	}
	return b.String()
}
