package distance

import (
	"slices"
	"time"

	"hilnet/replay/compare"
)

// Compare compares what two devices did; A is the one that B is measured by.
func Compare(a, b *Capture, config Config) (*Report, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	r := &Report{Tolerance: config.Tolerance, A: a, B: b, Classes: []Class{}, Measures: []Measure{}}
	r.OutagesCompared = a.Outages >= 0 && b.Outages >= 0 && slices.Equal(a.outages, b.outages)
	room := config.MaxLines
	sum, weights := 0.0, 0
	for _, behaviour := range Behaviours() {
		x, y := a.samples[behaviour], b.samples[behaviour]
		if behaviour.Class() == classOutage && !r.OutagesCompared {
			x, y = nil, nil
		}
		m := measure(behaviour, x, y, config.Tolerance, &room)
		r.Measures = append(r.Measures, m)
		if !m.Shown {
			continue
		}
		sum, weights = sum+float64(m.Distance*float64(m.Weight)), weights+m.Weight
		n := len(r.Classes)
		if n == 0 || r.Classes[n-1].Name != m.Class {
			r.Classes = append(r.Classes, Class{Name: m.Class})
			n++
		}
		c := &r.Classes[n-1]
		c.Weight += m.Weight
		c.Distance += float64(m.Distance * float64(m.Weight))
	}
	for i := range r.Classes {
		c := &r.Classes[i]
		c.Distance = round(c.Distance / float64(c.Weight))
	}
	if weights > 0 {
		r.Distance = round(sum / float64(weights))
	}
	return r, nil
}

// round leaves three decimals, and never makes nothing of something.
func round(x float64) float64 {
	const unit = 1000
	n := float64(int64(float64(x*unit) + 0.5))
	if n == 0 && x > 0 {
		n = 1
	}
	return n / unit
}

// whole is the distance of nothing in common.
const whole = 100

// A measuring is Measure at work.
type measuring struct {
	Measure
	tolerance time.Duration
	room      *int    // lines that may still be listed
	cost      float64 // in samples
}

// measure compares one behaviour. Of the ways to lay the samples beside each other with
// as few that are not the same as can be, one is found from A and one from B; the nearer
// one counts, so that A is as far from B as B is from A.
func measure(behaviour Behaviour, a, b []sample, tolerance time.Duration, room *int) Measure {
	wholes, shapes := interner{}, interner{}
	x, y := keys(a, wholes, shapes), keys(b, wholes, shapes)
	steps := compare.Align(x, y)
	if there := laid(behaviour, a, b, steps, tolerance, new(int)); there.Distance > 0 {
		back := compare.Align(y, x)
		for i, s := range back {
			back[i] = compare.Step{A: s.B, B: s.A}
		}
		if laid(behaviour, a, b, back, tolerance, new(int)).Distance < there.Distance {
			steps = back
		}
	}
	return laid(behaviour, a, b, steps, tolerance, room)
}

// laid compares samples that are laid beside each other.
func laid(behaviour Behaviour, a, b []sample, steps []compare.Step, tolerance time.Duration, room *int) Measure {
	m := &measuring{Measure: Measure{
		Name: behaviour.String(), Class: behaviour.Class(), Text: behaviour.Text(), Weight: behaviour.Weight(),
		A: len(a), B: len(b), Lines: []Line{},
	}, tolerance: tolerance, room: room}
	for _, s := range steps {
		switch {
		case s.A >= 0 && s.B >= 0:
			m.both(&a[s.A], &b[s.B])
		case table[behaviour].asked && !(s.B < 0 && a[s.A].unasked) && !(s.A < 0 && b[s.B].unasked):
			m.Unasked++
		case s.B < 0:
			m.Missing++
			m.cost++
			m.list(KindMissing, nil, &a[s.A], nil)
		default:
			m.Extra++
			m.cost++
			m.list(KindExtra, nil, nil, &b[s.B])
		}
	}
	m.Late.sum()
	m.Early.sum()
	if n := len(steps) - m.Unasked; n > 0 {
		m.Shown = true
		m.Distance = round(whole * m.cost / float64(n))
	}
	return m.Measure
}

// both takes what both did.
func (m *measuring) both(x, y *sample) {
	late, apart := lag(x, y, m.tolerance)
	fields := x.differing(y)
	if x.timed != y.timed {
		fields = append(fields, "cause")
	}
	switch {
	case len(fields) > 0:
		m.Changed++
		m.cost += max(apart, changedCost(x, y, fields))
		m.list(KindChanged, fields, x, y)
	case apart == 0:
		m.Matches++
	case late > 0:
		m.Late.add(late)
		m.cost += apart
		m.list(KindLate, nil, x, y)
	default:
		m.Early.add(-late)
		m.cost += apart
		m.list(KindEarly, nil, x, y)
	}
}

// list lists a sample that does not match; x or y is nil where there is none.
func (m *measuring) list(kind string, fields []string, x, y *sample) {
	if *m.room == 0 {
		m.Unlisted++
		return
	}
	*m.room--
	l := Line{Kind: kind, Fields: append([]string{}, fields...)}
	if x != nil {
		l.AFrame, l.A, l.AAfter = x.frame, x.text(), x.cause()
	}
	if y != nil {
		l.BFrame, l.B, l.BAfter = y.frame, y.text(), y.cause()
	}
	m.Lines = append(m.Lines, l)
}

// cause returns the time since the cause, nil without one.
func (s *sample) cause() *time.Duration {
	if !s.timed {
		return nil
	}
	d := s.after
	return &d
}

// changedCost is the share of the values that are not the same, a quarter at least: two
// that have most in common are still two. That only one has a cause is such a value.
func changedCost(x, y *sample, fields []string) float64 {
	const least = 0.25
	return max(least, float64(len(fields))/float64(max(len(x.values), len(y.values), len(fields))))
}

// lag returns by how much y is later than x, and how much that counts: nothing within
// the tolerance, and 1 when one took twice as long as the other.
func lag(x, y *sample, tolerance time.Duration) (late time.Duration, cost float64) {
	if !x.timed || !y.timed {
		return 0, 0
	}
	late = y.after - x.after
	apart := max(late, -late)
	if apart <= tolerance {
		return late, 0
	}
	// Below the shortest, no person or peer would tell the difference.
	const shortest = 100 * time.Millisecond
	least := max(min(x.after, y.after), shortest)
	return late, min(1, float64(apart)/float64(least))
}

// An interner gives equal texts equal numbers.
type interner map[string]int

func (in interner) number(key string) int {
	n, known := in[key]
	if !known {
		n = len(in)
		in[key] = n
	}
	return n
}

func keys(all []sample, wholes, shapes interner) []compare.Key {
	out := make([]compare.Key, len(all))
	for i := range all {
		out[i] = compare.Key{Whole: wholes.number(all[i].whole()), Shape: shapes.number(all[i].what)}
	}
	return out
}
