package decisions

import (
	"fmt"
	"slices"
	"strings"

	"hilnet/link"
	"hilnet/trace"
)

// StageName is the name of the stage that drops the frames on a list.
const StageName = "decisions"

// A Mismatch says where a run went another way than its log.
type Mismatch struct {
	Log  string // its file
	Line int    // of the log, 0 behind its end
	Text string
}

func (e *Mismatch) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Log, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.Log, e.Line, e.Text)
}

// A Replay makes the links of one run follow a Log. Each decision of the log is
// used once, for the frame, copy and stage that it names.
type Replay struct {
	log  *Log
	stop func(error)
	err  error
	ways []*wayReplay
	used []uint64 // a bit for each line of the log whose decision was used
	last settled
}

// A wayReplay is where a direction is in its log.
type wayReplay struct {
	key     wayKey
	log     *wayLog
	drops   map[uint64]bool // on the list, false once it was dropped; looked up only
	entered uint64
	left    int // decisions that were not used
}

// NewReplay returns the replay of a log. stop is called once, when the run goes
// another way.
func (l *Log) NewReplay(stop func(error)) *Replay {
	return &Replay{log: l, stop: stop, used: make([]uint64, l.lines/64+1)}
}

// Attach makes a direction follow the log. It comes before any frame does.
func (r *Replay) Attach(d *link.Direction) error {
	w := &wayReplay{key: wayKey{d.Link, d.Name}}
	r.ways = append(r.ways, w)
	if r.log.HasList() {
		w.drops = map[uint64]bool{}
		for _, x := range r.log.drops {
			if x.Link == d.Link && x.Dir == d.Name {
				w.drops[x.Frame] = true
			}
		}
		if err := d.Add(link.AtMatch, StageName, func(e *link.Env) link.Stage { return r.stage(w, e) }); err != nil {
			return err
		}
	}
	if r.log.Header == nil {
		return nil
	}
	if w.log = r.log.ways[w.key]; w.log == nil {
		w.log = &wayLog{}
	}
	for i := range w.log.frames {
		w.left += len(w.log.frames[i].decisions)
	}
	for _, f := range w.log.made {
		w.left += len(f.decisions)
	}
	d.AddDecider(&follower{r, w})
	return nil
}

// stage drops what is on the list, or, of a run that had one, in the log.
func (r *Replay) stage(w *wayReplay, e *link.Env) link.Stage {
	return func(next link.Sink) link.Sink {
		return link.SinkFunc(func(f *link.Frame) {
			if w.drops[f.Ordinal] || w.log != nil && w.lists(f) {
				w.drops[f.Ordinal] = false
				e.Drop(f, trace.DropListed, fmt.Sprintf("frame %d %s is on the list", f.Ordinal, w.key.dir))
				return
			}
			next.Put(f)
		})
	}
}

// lists reports whether the log drops the frame because of its run's list.
func (w *wayReplay) lists(f *link.Frame) bool {
	if f.Ordinal > uint64(len(w.log.frames)) {
		return false
	}
	path := w.key.dir + "/" + StageName
	return slices.ContainsFunc(w.log.frames[f.Ordinal-1].decisions, func(c decision) bool { return c.ruled && c.stage == path })
}

// Unused returns the frames on the list that never came.
func (r *Replay) Unused() []Drop {
	var all []Drop
	for _, x := range r.log.drops {
		i := slices.IndexFunc(r.ways, func(w *wayReplay) bool { return w.key == wayKey{x.Link, x.Dir} })
		if i < 0 || r.ways[i].drops[x.Frame] {
			all = append(all, x)
		}
	}
	return all
}

// Err returns the first mismatch.
func (r *Replay) Err() error { return r.err }

// Finish returns the first mismatch, also that the log goes on where the run has
// come to its end.
func (r *Replay) Finish() error {
	if r.err != nil || r.log.Header == nil {
		return r.err
	}
	for key, way := range r.log.sorted() {
		i := slices.IndexFunc(r.ways, func(w *wayReplay) bool { return w.key == key })
		if i < 0 {
			return r.mismatch(way.line(0), "the log has frames of %s %s, which the run has not", key.link, key.dir)
		}
		w := r.ways[i]
		if n := uint64(len(way.frames)); w.entered < n {
			return r.mismatch(way.frames[w.entered].line, "the run has ended, but the log has %d frames more of %s %s", n-w.entered, key.link, key.dir)
		}
		if w.left > 0 {
			line, c := r.unused(w)
			return r.mismatch(line, "the log has a decision of stage %s that the run did not come to (%d in all)", c.stage, w.left)
		}
	}
	return nil
}

// sorted yields the directions of the log in a fixed order.
func (l *Log) sorted() func(func(wayKey, *wayLog) bool) {
	var keys []wayKey
	for k := range l.ways {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b wayKey) int {
		if c := strings.Compare(a.link, b.link); c != 0 {
			return c
		}
		return strings.Compare(b.dir, a.dir)
	})
	return func(yield func(wayKey, *wayLog) bool) {
		for _, k := range keys {
			if !yield(k, l.ways[k]) {
				return
			}
		}
	}
}

func (w *wayLog) line(i int) int {
	if i < len(w.frames) {
		return w.frames[i].line
	}
	return 0
}

// unused returns the first decision that was not used.
func (r *Replay) unused(w *wayReplay) (int, decision) {
	var first decision
	look := func(f *frameLog) {
		for _, c := range f.decisions {
			if !r.isUsed(&c) && (first.line == 0 || c.line < first.line) {
				first = c
			}
		}
	}
	for i := range w.log.frames {
		look(&w.log.frames[i])
	}
	for _, f := range w.log.made { // the first line of all, whatever the order
		look(f)
	}
	return first.line, first
}
