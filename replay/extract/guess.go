package extract

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"hilnet/emu"
)

// A guess is the search for what a capture does not show.
type guess struct {
	m        *Making
	dir      string
	capture  []drawn
	runs     int
	most     int
	usual    likeness // of the scenario that nothing was looked for
	best     likeness
	kept     bool
	progress func(runs, most, same, frames int)
}

// maxGuesses and maxGuessed bound the search: runs, and frames of the device in all
// of them.
const (
	maxGuesses = 300
	maxGuessed = 2_000_000
)

// Guess looks, with the recording as the broker, for what a capture made at the
// device does not show: the phase of the device's clock, and, where the peer sent
// again and again what had come, how large its packet pool is and when its application
// takes messages. It tries, and keeps what makes most of the device's frames come
// again. progress, if it is not nil, is told after each run: how many of at most how
// many there were, and how many of the device's frames come again in the best.
func (m *Making) Guess(ctx context.Context, progress func(runs, most, same, frames int)) error {
	if !m.plan.Recorded || m.print.Profile != "netx" {
		return nil
	}
	return m.guess(ctx, min(maxGuesses, maxGuessed/(len(m.c.device.packets)+1)), progress)
}

// guess looks in at most so many runs; one run shows nothing.
func (m *Making) guess(ctx context.Context, most int, progress func(runs, most, same, frames int)) error {
	k := m.c.device
	dir, err := os.MkdirTemp("", "hilnet-extract-")
	if err != nil {
		return &emu.EnvironmentError{Op: "make a folder for runs", Err: err, Hint: "check the disk"}
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is the system's to clean up otherwise
	g := &guess{m: m, dir: dir, capture: drawing(k), most: most, progress: progress}
	if m.guessed = g; len(g.capture) == 0 || g.most < 2 {
		return nil
	}
	if g.usual, err = g.try(ctx, hidden{}); err != nil {
		return err
	}
	g.best = g.usual
	if err := g.search(ctx, droughts(k)); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if g.kept = g.best.same > g.usual.same; !g.kept {
		m.hidden = hidden{}
	}
	return nil
}

// errEnough ends a search.
var errEnough = errors.New("extract: enough runs")

// try runs the scenario with h.
func (g *guess) try(ctx context.Context, h hidden) (likeness, error) {
	if g.runs >= g.most {
		return likeness{}, errEnough
	}
	before := g.m.hidden
	g.m.hidden = h
	r, err := g.m.run(ctx, g.dir)
	g.m.hidden = before
	l := likeness{frames: len(g.capture)}
	switch {
	case err == nil:
		l = compare(g.capture, drawing(r.caught[0]))
	case !errors.Is(err, errSilence): // a pool may be too small for anything
		return l, err
	}
	g.runs++
	if g.progress != nil {
		g.progress(g.runs, g.most, max(l.same, g.best.same), l.frames)
	}
	return l, nil
}

// each tries what change makes of the best so far, for each value, and keeps the best.
func each[T any](ctx context.Context, g *guess, values []T, change func(*hidden, T)) error {
	from := g.m.hidden
	for _, v := range values {
		if g.best.whole() {
			return nil
		}
		h := from
		change(&h, v)
		l, err := g.try(ctx, h)
		if err != nil {
			return err
		}
		if l.better(g.best) {
			g.best, g.m.hidden = l, h
		}
	}
	return nil
}

// search goes through what may be hidden, one after the other: first what is
// cheapest.
func (g *guess) search(ctx context.Context, dry []*drought) error {
	if err := g.beats(ctx); err != nil {
		return err
	}
	if len(dry) > 0 && !g.best.whole() {
		// A recorded device's first frame came a moment after its clock's tick, so what
		// it got came behind ticks that a run has at the same time.
		if err := g.unless(ctx, func(h *hidden) { h.late = max(h.late, usualLate) }); err != nil {
			return err
		}
	}
	for _, v := range dry {
		if g.best.whole() {
			break
		}
		if err := g.starved(ctx, v); err != nil {
			return err
		}
	}
	if g.m.hidden.packets > 0 {
		if err := g.beats(ctx); err != nil {
			return err
		}
	}
	// What makes no difference is left out again.
	for _, leave := range []func(*hidden){
		func(h *hidden) { h.late = 0 }, func(h *hidden) { h.wait = 0 },
		func(h *hidden) { h.holds = nil }, func(h *hidden) { h.packets, h.payload = 0, 0 },
	} {
		if err := g.unless(ctx, leave); err != nil {
			return err
		}
	}
	return nil
}

// unless changes what is hidden, unless that makes it worse.
func (g *guess) unless(ctx context.Context, change func(*hidden)) error {
	h := g.m.hidden
	if change(&h); h.brief() == g.m.hidden.brief() {
		return nil
	}
	l, err := g.try(ctx, h)
	if err == nil && l.lead >= g.best.lead && l.same >= g.best.same {
		g.best, g.m.hidden = l, h
	}
	return err
}

// usualLate is how long a frame takes out of a small device.
const usualLate = 300 * time.Microsecond

// beats looks for the phase of the device's clock of 100 ms, which acknowledgements
// and repetitions keep to.
func (g *guess) beats(ctx context.Context) error {
	late := []time.Duration{0, usualLate, time.Millisecond}
	if err := each(ctx, g, late, func(h *hidden, d time.Duration) { h.late = d }); err != nil {
		return err
	}
	var waits []time.Duration
	const beat = 100 * time.Millisecond
	for d := tick; d < beat; d += tick {
		waits = append(waits, d)
	}
	return each(ctx, g, waits, func(h *hidden, d time.Duration) { h.wait = d })
}

// payloads are those of pools in use, by how many packets a full frame takes.
var payloads = []int{1536, 256, 512, 768, 384, 192, 128}

// A pool is one that may be the device's, and what a run with it is like.
type pool struct {
	packets, payload int
	likeness
}

// with is h with the pool and one more hold.
func (h hidden) with(p *pool, o hold) hidden {
	h.packets, h.payload = p.packets, p.payload
	h.holds = append(h.holds[:len(h.holds):len(h.holds)], o)
	return h
}

// The application looks for messages so often, where nothing says otherwise, and
// begins to in the beat of the clock before the device's next frame.
const (
	usualPeriod = 100 * time.Millisecond
	usualLead   = 5 * tick
)

// starved looks for the pool and the hold behind a drought.
func (g *guess) starved(ctx context.Context, v *drought) error {
	from := slices.IndexFunc(g.m.session.acts, func(a act) bool { return a.what == take && a.at > v.first })
	if from < 0 {
		return nil // no message came that the application could have left there
	}
	first, base := g.m.session.acts[from].at, g.m.hidden
	if n := len(base.holds); n > 0 {
		if first = base.holds[n-1].to; first >= v.begin {
			return nil // still the same
		}
	}
	pools := []pool{{packets: base.packets, payload: base.payload}} // a drought before has shown it
	if base.packets == 0 {
		least, err := g.least(ctx, v, first)
		if err != nil {
			return err
		}
		if pools, err = g.larger(ctx, v, least, first); err != nil {
			return err
		}
	}
	var ends []hidden
	for _, at := range v.signs[:min(len(v.signs), 2)] {
		for _, period := range []time.Duration{usualPeriod, time.Second, usualPeriod * 5} {
			for _, lead := range []time.Duration{usualLead, 9 * tick, tick, 15 * tick} {
				for i := range pools {
					ends = append(ends, base.with(&pools[i], hold{first, max(v.begin, at-int64(lead)), period}))
				}
			}
		}
	}
	for i := range pools {
		ends = append(ends, base.with(&pools[i], hold{first, never, 0}))
	}
	return each(ctx, g, ends, func(h *hidden, e hidden) { *h = e })
}

// least are the smallest pools, of each payload, with which the device goes on as long
// as it did if nothing is taken from first on.
func (g *guess) least(ctx context.Context, v *drought, first int64) (all []pool, err error) {
	seen := map[string]bool{} // looked up only
	far := 0
	for _, payload := range payloads {
		if s := v.splits(payload); seen[s] {
			continue // the next larger one holds the same
		} else {
			seen[s] = true
		}
		const most = 256 * 1536 // bytes of a large pool
		low, best := 0, pool{packets: most / payload, payload: payload}
		for p := best; ; p.packets = (low + best.packets) / 2 {
			if p.likeness, err = g.try(ctx, g.m.hidden.with(&p, hold{first, never, 0})); err != nil {
				return nil, err
			}
			if p.lead >= best.lead {
				best = p
			} else {
				low = p.packets
			}
			if best.packets-low <= 1 {
				break
			}
		}
		all, far = append(all, best), max(far, best.lead)
	}
	return slices.DeleteFunc(all, func(p pool) bool { return p.lead < far }), nil
}

// larger are the best of the least pools and some larger ones, one of each payload: what
// the device says first after the drought tells how much it had got.
func (g *guess) larger(ctx context.Context, v *drought, least []pool, first int64) (all []pool, err error) {
	o := hold{first, never, 0}
	if len(v.signs) > 0 {
		o = hold{first, max(v.begin, v.signs[0]-int64(usualLead)), usualPeriod}
	}
	const more, keep = 12, 5
	for _, p := range least {
		far, most := p.lead, 0
		for top := p.packets + more; p.packets <= top; p.packets++ {
			if p.likeness, err = g.try(ctx, g.m.hidden.with(&p, o)); err != nil {
				return nil, err
			}
			if p.whole() {
				return []pool{p}, nil
			}
			all = append(all, p)
			if p.lead < most && most > far {
				break // it goes too far now
			}
			most = max(most, p.lead)
		}
	}
	slices.SortStableFunc(all, func(a, b pool) int {
		switch {
		case a.better(b.likeness):
			return -1
		case b.better(a.likeness):
			return 1
		}
		return 0
	})
	seen := map[int]bool{} // looked up only
	all = slices.DeleteFunc(all, func(p pool) bool {
		again := seen[p.payload]
		seen[p.payload] = true
		return again
	})
	return all[:min(len(all), keep)], nil
}
