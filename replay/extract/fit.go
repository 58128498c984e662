package extract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hilnet/emu"
	"hilnet/scenarios"
	"hilnet/wire"
)

// An identity says which segment of a session a frame is, whatever its number: the
// connection, the byte that it begins with, and how often that was sent before.
type identity struct {
	way  way
	conn int    // from 0, in order
	kind string // carries, ack, or what else it is
	rel  uint32 // its sequence number, or the one it acknowledges, from the initial one
	try  int
	at   int64
}

// A reader gives frames their identities.
type identifier struct {
	k     *Capture
	conns map[uint64]int       // looked up only
	isn   map[[2]uint64]uint32 // by connection and way
	seen  map[identity]int     // how often, without try and at
	spans map[[2]uint64][]span2
}

type span2 struct{ from, to uint32 }

func newIdentifier(k *Capture) *identifier {
	return &identifier{k: k, conns: map[uint64]int{}, isn: map[[2]uint64]uint32{}, seen: map[identity]int{}, spans: map[[2]uint64][]span2{}}
}

// of identifies the next frame. It has to be called for all of them, in order.
func (d *identifier) of(p *packet) identity {
	id := identity{way: p.way, kind: p.what(), at: p.at}
	if p.conn == 0 {
		id.try = d.count(id)
		return id
	}
	if _, ok := d.conns[p.conn]; !ok {
		d.conns[p.conn] = len(d.conns)
	}
	id.conn = d.conns[p.conn]
	own, peer := [2]uint64{p.conn, uint64(p.way)}, [2]uint64{p.conn, uint64(p.way.peer())}
	if _, ok := d.isn[own]; !ok || p.has(wire.TCPSyn) {
		d.isn[own] = p.seq
	}
	if _, ok := d.isn[peer]; !ok {
		d.isn[peer] = p.ack - 1
	}
	if p.carries() == 0 {
		id.kind, id.rel = "ack", p.ack-d.isn[peer]
		id.try = d.count(id)
		return id
	}
	id.kind, id.rel = "carries", p.seq-d.isn[own]
	for _, s := range d.spans[own] {
		if s.from <= id.rel && id.rel < s.to {
			id.try++
		}
	}
	const most = 256 // repetitions are near
	spans := append(d.spans[own], span2{id.rel, id.rel + p.carries()})
	d.spans[own] = spans[max(0, len(spans)-most):]
	return id
}

func (d *identifier) count(id identity) int {
	id.at, id.try = 0, 0
	n := d.seen[id]
	d.seen[id]++
	return n
}

// effects are what the link did to single frames, with the identities of these.
func (c *Conditions) effects() []effect {
	var all []effect
	add := func(dir string, frame uint64, at time.Duration, e effect) {
		e.way, e.at = up, at
		if dir == "down" {
			e.way = down
		}
		k := c.device
		if e.way == down && c.far != nil {
			k = c.far
		}
		if frame == 0 || e.way == down && c.far == nil && c.Place != atPeer || e.way == up && c.Place == atPeer {
			e.what = identity{way: e.way, kind: e.what.kind, at: int64(at), try: -1} // only about when is known
		} else {
			e.what, e.counted = k.identify(frame), k.count(frame)
		}
		all = append(all, e)
	}
	for _, d := range c.Drops {
		if d.Cause == "outage" {
			continue // the outage is an action of its own
		}
		kind := "carries"
		switch d.What {
		case "ack", "rst":
			kind = "ack"
		case "arp", "other":
			kind = d.What
		}
		add(d.Dir, d.Frame, d.At, effect{do: "drop", words: fmt.Sprintf("%s, %.3f s: %s", frameWords(d.Frame), d.At.Seconds(), d.What), what: identity{kind: kind}})
	}
	for _, d := range c.Duplicates {
		add(d.Dir, d.Frame, d.At, effect{do: "duplicate", words: frameWords(d.Frame)})
	}
	for _, d := range c.Reorders {
		if c.far != nil { // with one capture it is not known what it overtook
			add(d.Dir, d.Frame, d.At, effect{do: "delay", by: d.By + time.Millisecond, words: frameWords(d.Frame)})
		}
	}
	return all
}

// count is the position of a frame among those of its way, from 1.
func (k *Capture) count(frame uint64) (n uint64) {
	w := k.packets[frame-1].way
	for i := range k.packets[:frame] {
		if p := &k.packets[i]; p.way == w && !p.twin {
			n++
		}
	}
	return n
}

func frameWords(n uint64) string {
	if n == 0 {
		return "a frame that no capture has"
	}
	return fmt.Sprintf("frame %d", n)
}

// identify gives the identity of one frame of a capture.
func (k *Capture) identify(frame uint64) identity {
	if k.identities == nil {
		d := newIdentifier(k)
		k.identities = make(map[uint64]identity, len(k.packets)) // looked up only
		for i := range k.packets {
			if p := &k.packets[i]; p.way != noWay && !p.twin {
				k.identities[p.frame] = d.of(p)
			}
		}
	}
	return k.identities[frame]
}

// maxFits bounds the runs that look for the numbers of frames.
const maxFits = 400

// Fit finds the numbers that the frames of the capture have in a run: another stack
// acknowledges otherwise, so they may be others. At first they are taken to be those of
// the capture; from the first one on that the run sends something else at, it runs the
// scenario with the losses so far, finds the next one in it, and so on. What it cannot
// find it tells.
func (m *Making) Fit(ctx context.Context) (missed []string, err error) {
	dir, err := os.MkdirTemp("", "hilnet-extract-")
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "make a folder for runs", Err: err, Hint: "check the disk"}
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is the system's to clean up otherwise
	if len(m.effects) == 0 {
		return nil, nil
	}
	for i := range m.effects {
		m.effects[i].number = m.effects[i].counted
	}
	next := 0
	r, err := m.run(ctx, dir)
	if err == nil {
		next = r.fits(m.effects)
	} else if !errors.Is(err, errSilence) {
		return nil, err
	}
	for i := range m.effects[next:] {
		m.effects[next+i].number = 0
	}
	batch := (len(m.effects) + maxFits - 1) / maxFits
	for next < len(m.effects) {
		r, err := m.run(ctx, dir)
		if err != nil {
			return nil, err
		}
		for range batch {
			if next == len(m.effects) {
				break
			}
			e := &m.effects[next]
			next++
			if e.number = r.find(e, m.taken(e.way)); e.number == 0 {
				missed = append(missed, fmt.Sprintf("%s %s", e.way, e.words))
			}
		}
	}
	return missed, nil
}

// fits is how many of the effects, from the first on, meet in the run what they met in
// the capture.
func (r *rerun) fits(effects []effect) int {
	const near = int64(100 * time.Millisecond)
	for i := range effects {
		e := &effects[i]
		if e.number == 0 || e.number > uint64(len(r.sent[e.way])) {
			return i
		}
		id := r.sent[e.way][e.number-1]
		if off := id.at - int64(e.at); max(off, -off) > near {
			return i
		}
		if id.at, id.try = e.what.at, e.what.try; id != e.what {
			return i
		}
	}
	return len(effects)
}

// taken are the numbers that effects have already.
func (m *Making) taken(w way) map[uint64]bool {
	all := map[uint64]bool{} // looked up only
	for _, e := range m.effects {
		if e.way == w && e.number > 0 {
			all[e.number] = true
		}
	}
	return all
}

// A rerun is what a run of the scenario sent.
type rerun struct {
	result *emu.Result
	sent   [3][]identity // by way; the number at the link's entrance is the position, from 1
	caught [2]*Capture   // at the device and at the broker
}

// load reads the scenario as it is so far.
func (m *Making) load() (*scenarios.Scenario, error) {
	sc, err := scenarios.Load(m.name+".yaml", []byte(m.Text()))
	if err == nil && m.plan.Recorded {
		sc.Broker.Capture.File = m.plan.Capture
	}
	return sc, err
}

// errSilence is a run in which the device sent nothing, and got nothing.
var errSilence = errors.New("extract: in the run of the scenario that was made of the capture the device neither sends nor gets anything")

// run runs the scenario as it is so far.
func (m *Making) run(ctx context.Context, dir string) (*rerun, error) {
	sc, err := m.load()
	if err != nil {
		return nil, fmt.Errorf("extract: the scenario that was made of the capture does not load: %w", err)
	}
	r := &rerun{}
	if r.result, err = emu.Run(ctx, sc, emu.Options{Out: dir}); err != nil {
		return nil, err
	}
	for i, point := range []string{"device", "peer"} {
		f, err := os.Open(filepath.Join(dir, sc.Name+"."+point+".pcapng"))
		if err != nil {
			return nil, err
		}
		k, err := Read(ctx, f.Name(), f, Config{Device: sc.Devices[0].Address.Addr(), MQTTPorts: []uint16{uint16(sc.Broker.Port)}})
		if err := f.Close(); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		device := sc.Devices[0].Address.Addr()
		if !slices.ContainsFunc(k.packets, func(p packet) bool { return p.src == device || p.dst == device }) {
			return nil, errSilence
		}
		if _, err := k.ends(); err != nil {
			return nil, err
		}
		r.caught[i] = k
		behind := int64(k.start.Sub(r.caught[0].start)) // of the device's first frame: times are since that
		w := ways[i]
		d := newIdentifier(k)
		for j := range k.packets {
			p := &k.packets[j]
			if p.way == noWay {
				continue
			}
			if id := d.of(p); p.way == w {
				id.at += behind
				r.sent[w] = append(r.sent[w], id)
			}
		}
	}
	return r, nil
}

// find returns the number of the frame that an effect means, 0 if there is none.
func (r *rerun) find(e *effect, taken map[uint64]bool) uint64 {
	const near = int64(500 * time.Millisecond)
	best, off := uint64(0), int64(2*near)
	for i, id := range r.sent[e.way] {
		n := uint64(i) + 1
		d := id.at - int64(e.at)
		d = max(d, -d)
		if e.what.try >= 0 && e.what.kind == "carries" {
			if same := id; same.kind == e.what.kind && same.conn == e.what.conn && same.rel == e.what.rel && same.try == e.what.try && !taken[n] {
				return n
			}
		}
		if id.kind == e.what.kind && !taken[n] && d < off && d <= near {
			best, off = n, d
		}
	}
	return best
}
