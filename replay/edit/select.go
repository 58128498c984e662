package edit

import (
	"errors"
	"math"
	"time"

	"hilnet/pcaps"
)

// A Moment is a point in time of a capture. The zero value is none.
type Moment struct {
	Set      bool
	Relative bool          // Since counts from the first packet of the capture
	Since    time.Duration // may be negative: a capture may not be in order
	At       pcaps.Stamp   // when not Relative
}

// A Selection chooses packets. The zero value chooses all. Packets without a time, those
// of simple blocks, have that of the packet before.
type Selection struct {
	First, Last uint64 // numbers in the file, from 1; 0 = no bound
	// From is the first moment that is chosen, To the first that is not any more.
	From, To Moment
	// Match, when set, chooses further. iface counts the interfaces of all sections.
	Match func(p *pcaps.Packet, number uint64, iface int) bool
}

// Validate returns an error for a selection that can choose nothing.
func (s *Selection) Validate() error {
	switch {
	case s.Last != 0 && s.Last < s.First:
		return errors.New("edit: the last frame is before the first")
	case s.From.Set && s.To.Set && s.From.Relative == s.To.Relative && s.From.Since >= s.To.Since && s.From.At >= s.To.At:
		return errors.New("edit: the time ends before it begins")
	}
	return nil
}

// A selector is a Selection at work.
type selector struct {
	Selection
	begun bool
}

func newSelector(s Selection) *selector { return &selector{Selection: s} }

// chosen reports whether a packet at a time is chosen. The first packet sets what
// moments count from.
func (s *selector) chosen(p *pcaps.Packet, at pcaps.Stamp, number uint64, iface int) bool {
	if !s.begun {
		s.begun = true
		s.From.anchor(at)
		s.To.anchor(at)
	}
	switch {
	case number < s.First, s.Last != 0 && number > s.Last:
		return false
	case s.From.Set && at < s.From.At, s.To.Set && at >= s.To.At:
		return false
	}
	return s.Match == nil || s.Match(p, number, iface)
}

// anchor makes a moment absolute.
func (m *Moment) anchor(origin pcaps.Stamp) {
	if m.Set && m.Relative {
		m.At, m.Relative = plus(origin, m.Since), false
	}
}

// plus adds without running over the range of a Stamp.
func plus(at pcaps.Stamp, d time.Duration) pcaps.Stamp {
	sum := at + pcaps.Stamp(d)
	switch {
	case d > 0 && sum < at:
		return math.MaxInt64
	case d < 0 && sum > at:
		return math.MinInt64
	}
	return sum
}
