package distance

import (
	"strings"
	"time"

	"hilnet/sim"
)

// A sample is one time that a device did something.
type sample struct {
	frame uint64   // of the capture, 0 = none: something that was not done
	at    sim.Time // since the first frame of the capture
	// what says which deed it is: samples of another one are never the same.
	what   string
	values []value
	after  time.Duration // since its cause
	timed  bool          // it has a cause
	// unasked tells, of a behaviour that answers the peer, that nothing was asked.
	unasked bool
}

// A value is a property of a sample.
type value struct{ name, text string }

// text describes a sample.
func (s *sample) text() string {
	if len(s.values) == 0 {
		return s.what
	}
	var b strings.Builder
	b.WriteString(s.what)
	for i, v := range s.values {
		b.WriteString([...]string{": ", ", "}[min(i, 1)])
		b.WriteString(v.name + " " + v.text)
	}
	return b.String()
}

// whole is what is equal for samples that are the same but for their times.
func (s *sample) whole() string {
	var b strings.Builder
	b.WriteString(s.what)
	for _, v := range s.values {
		b.WriteString("\x00" + v.name + "\x00" + v.text)
	}
	return b.String()
}

// differing returns the names of the values that are not the same, those that only
// one has too.
func (s *sample) differing(o *sample) []string {
	names := []string{}
	find := func(all []value, name string) (string, bool) {
		for _, v := range all {
			if v.name == name {
				return v.text, true
			}
		}
		return "", false
	}
	for _, v := range s.values {
		if text, both := find(o.values, v.name); !both || text != v.text {
			names = append(names, v.name)
		}
	}
	for _, v := range o.values {
		if _, both := find(s.values, v.name); !both {
			names = append(names, v.name)
		}
	}
	return names
}
