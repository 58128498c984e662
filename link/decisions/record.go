package decisions

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"hilnet/link"
	"hilnet/sim"
)

// The verdicts that are not what a stage draws.
const (
	verdictEnter = "enter"
	verdictPass  = "pass"
)

// A Recorder writes the decision log of a run. It is a Decider of every
// direction that it is to record, behind those that overrule.
type Recorder struct {
	loop *sim.Loop
	w    io.Writer
	fail func(error)
	buf  []byte
	err  error
	last settled
}

// settled is what was decided last: when the stage then drops the frame, that
// is the decision, not one more.
type settled struct {
	d       *link.Direction
	ordinal uint64
	copy    uint32
	stage   string
}

func (s *settled) is(d *link.Direction, f *link.Frame, stage string) bool {
	return s.d == d && s.ordinal == f.Ordinal && s.copy == f.Copy && s.stage == stage
}

const flushAt = 32 << 10

// NewRecorder writes the header. Format and Version are filled in. fail is
// called with the first error of w.
func NewRecorder(loop *sim.Loop, w io.Writer, h Header, fail func(error)) *Recorder {
	h.Format, h.Version = format, Version
	line, err := json.Marshal(h)
	if err != nil {
		panic(fmt.Sprintf("decisions: a header of texts and numbers: %v", err))
	}
	return &Recorder{loop: loop, w: w, fail: fail, buf: append(line, '\n')}
}

// Flush hands all lines to the writer and returns its first error.
func (r *Recorder) Flush() error {
	if r.err == nil && len(r.buf) > 0 {
		if _, err := r.w.Write(r.buf); err != nil {
			r.err = fmt.Errorf("decisions: %w", err)
			r.fail(r.err)
		}
		r.buf = r.buf[:0]
	}
	return r.err
}

// begin begins a line with what every line has.
func (r *Recorder) begin(d *link.Direction, f *link.Frame) {
	b := append(r.buf, `{"t":`...)
	b = strconv.AppendInt(b, int64(r.loop.Now()), 10)
	b = append(b, `,"link":`...)
	b = appendString(b, d.Link)
	b = append(b, `,"dir":"`...)
	b = append(b, d.Name...)
	b = append(b, `","frame":`...)
	if f.Ordinal > link.GeneratedOrdinals {
		b = strconv.AppendUint(b, f.Ordinal-link.GeneratedOrdinals, 10)
		b = append(b, `,"made":true`...)
	} else {
		b = strconv.AppendUint(b, f.Ordinal, 10)
	}
	if f.Copy != 0 {
		b = append(b, `,"copy":`...)
		b = strconv.AppendUint(b, uint64(f.Copy), 10)
	}
	r.buf = b
}

func (r *Recorder) end() {
	r.buf = append(r.buf, '}', '\n')
	if len(r.buf) >= flushAt {
		_ = r.Flush() // kept in r.err, and r.fail knows
	}
}

func appendString(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("decisions: a string: %v", err))
	}
	return append(b, q...)
}

// Entered writes that the frame has entered.
func (r *Recorder) Entered(d *link.Direction, f *link.Frame) {
	r.begin(d, f)
	r.buf = append(r.buf, `,"len":`...)
	r.buf = strconv.AppendInt(r.buf, int64(len(f.Data)), 10)
	r.buf = append(r.buf, `,"verdict":"enter"`...)
	r.end()
}

// Decide writes the decision.
func (r *Recorder) Decide(d *link.Direction, f *link.Frame, c *link.Decision) {
	r.last = settled{d, f.Ordinal, f.Copy, c.Stage}
	r.begin(d, f)
	b := append(r.buf, `,"stage":`...)
	b = appendString(b, c.Stage)
	b = append(b, `,"draws":`...)
	b = appendString(b, c.Verb)
	b = append(b, `,"verdict":`...)
	switch {
	case c.Verb == link.VerbDelay:
		b = append(b, `"delay","ns":`...)
		b = strconv.AppendInt(b, int64(c.Delay), 10)
	case c.Yes:
		b = appendString(b, c.Verb)
	default:
		b = append(b, `"pass"`...)
	}
	b = append(b, `,"draw":"`...)
	b = strconv.AppendUint(b, c.Draw, 16)
	r.buf = append(b, '"')
	r.end()
}

// Left does nothing.
func (*Recorder) Left(*link.Direction, *link.Frame) {}

// Dropped writes a drop that no draw decided.
func (r *Recorder) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	if r.last.is(d, f, v.Stage) {
		return
	}
	r.begin(d, f)
	b := append(r.buf, `,"stage":`...)
	b = appendString(b, v.Stage)
	b = append(b, `,"verdict":"drop","reason":`...)
	r.buf = appendString(b, string(v.Reason))
	r.end()
}
