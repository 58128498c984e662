package scenarios

import (
	"reflect"
	"slices"
	"strings"
)

// A Change is what an action impair does to a link: the keys of a direction that
// become other ones. What is not named stays.
type Change struct {
	Direction `yaml:",inline"`

	keys []string // in the file
}

// NewChange returns a change of the keys of a direction.
func NewChange(d Direction, keys ...string) *Change { return &Change{d, keys} }

// String returns the change as a file has it, on one line.
func (c *Change) String() string {
	var all []string
	for _, e := range mapping(reflect.ValueOf(c).Elem()) {
		all = append(all, e.key+": "+flow(e.value))
	}
	return strings.Join(all, ", ")
}

// flow writes a value in one line.
func flow(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer:
		return flow(v.Elem())
	case isScalar(v.Type()):
		return scalar(v)
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = flow(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	if short, ok := shortValue(v); ok {
		return flow(short)
	}
	var all []string
	for _, e := range mapping(v) {
		all = append(all, e.key+": "+flow(e.value))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// Alter changes one way of a link, and returns the result. The scenario has been
// validated.
func (c *Change) Alter(d Direction, way Way) Direction {
	to, from := reflect.ValueOf(&d).Elem(), reflect.ValueOf(&c.Direction).Elem()
	all := fieldsOf(to.Type())
	if slices.Contains(c.keys, "preset") {
		if p := preset(c.Preset); p != nil {
			whole, _ := p.way(way)
			d = *whole
		}
	}
	for _, f := range all {
		if slices.Contains(c.keys, f.key) {
			to.FieldByIndex(f.index).Set(from.FieldByIndex(f.index))
		}
	}
	return d
}

// level returns the change that an action is, given what the way is without it;
// nil for actions that change no level.
func (a *Action) level(d *Direction) *Change {
	switch a.Do {
	case Impair:
		return a.Change
	case SetLoss:
		return NewChange(Direction{Loss: Loss{Share: a.Loss, Model: LossIndependent}}, "loss")
	case SetDelay:
		return NewChange(Direction{Delay: a.Delay}, "delay")
	case SetRate:
		rate := a.Rate
		if a.Share > 0 {
			rate = max(1, Rate(float64(d.Rate)*float64(a.Share)))
			if d.Rate == 0 { // of a trace, at the moment
				rate = 0
			}
		}
		return NewChange(Direction{Rate: rate}, "rate")
	}
	return nil
}

// Alter returns what one way of a link is while the action holds. own is that of
// the scenario, now what it is otherwise; with Over, part, up to 1, is how much
// of that time has gone.
func (a *Action) Alter(own, now Direction, way Way, part float64) Direction {
	c := a.level(&own)
	if c == nil {
		return now
	}
	next := c.Alter(now, way)
	if part >= 1 {
		return next
	}
	between := func(from, to float64) float64 { return from + float64((to-from)*part) }
	switch a.Do {
	case SetLoss:
		if now.Loss.Model == LossIndependent {
			next.Loss.Share = Percent(between(float64(now.Loss.Share), float64(next.Loss.Share)))
		}
	case SetDelay:
		next.Delay = Duration(between(float64(now.Delay), float64(next.Delay)))
	case SetRate:
		if now.Rate > 0 && next.Rate > 0 {
			next.Rate = max(1, Rate(between(float64(now.Rate), float64(next.Rate))))
		}
	}
	return next
}

// change checks what an action makes of its link.
func (c *checker) change(path string, a *Action) {
	l := c.link(a.Link)
	if l == nil {
		return // reported
	}
	if a.Do == Impair && (a.Change == nil || len(a.Change.keys) == 0) {
		c.failf(path, "add change: {delay: 100ms}", "impair lacks what it changes")
		return
	}
	where := path + ".value"
	if a.Do == Impair {
		where = path + ".change"
		for _, key := range []string{"trace", "drop_frames"} {
			if slices.Contains(a.Change.keys, key) {
				c.failf(join(where, key), "write it in the link", "%s holds from the beginning of the run, and does not change", key)
				return
			}
		}
	}
	up, down := a.Way.Takes()
	for _, w := range []struct {
		way   Way
		takes bool
		d     *Direction
	}{{Up, up, &l.Up}, {Down, down, &l.Down}} {
		before := c.found
		if t := w.d.Trace; t != nil && t.read.Conditions != nil {
			traced := w.d.Traced(t.read.Conditions.Steps[0].Way(w.way == Up))
			w.d = &traced
		}
		if !w.takes || !c.relative(where, a, w.d) {
			continue
		}
		next := a.Alter(*w.d, *w.d, w.way, 1)
		_, _, had := w.d.Netem.Exact()
		if exact := next.Netem != nil && next.Netem.Mode != NetemCorrect; exact != had {
			c.failf(where, `give the link netem: "delay 0ms" from the start, or write mode: correct`, "netem itself cannot come and go during a run")
		} else if c.direction(where, &next); c.found == before && a.Do == Impair {
			if slices.Contains(a.Change.keys, "jitter") {
				a.Change.Jitter.table = next.Jitter.table
			}
			if slices.Contains(a.Change.keys, "netem") {
				a.Change.Netem = next.Netem
			}
		}
		if c.found > before {
			return
		}
	}
}

// relative checks a value that depends on what the link has.
func (c *checker) relative(path string, a *Action, d *Direction) bool {
	switch {
	case a.Do == SetRate && (a.Share > 0 || a.Over > 0) && d.Rate == 0:
		c.failf(path, "give the link a rate", "the link has no rate that it could be a part of, or begin at")
	case a.Do == SetRate && a.Over > 0 && a.Share == 0 && a.Rate == 0:
		c.failf(path, "write a rate", "a rate does not become unlimited little by little")
	case a.Do == SetLoss && a.Over > 0 && d.Loss.Model != LossIndependent:
		c.failf(path, "remove over", "losses of the model %s have no share to begin at", d.Loss.Model)
	default:
		return true
	}
	return false
}

// box checks what an action does to the middlebox of its link.
func (c *checker) box(path string, a *Action) {
	l := c.link(a.Link)
	switch {
	case l == nil: // reported
	case l.Middlebox == nil:
		c.failf(path, "add middlebox: nat to the link", "the link %s has no middlebox", a.Link)
	case a.Do == BoxAddress && l.Middlebox.Kind != BoxNAT:
		c.failf(path, "make it middlebox: nat", "only a nat gives the device another address")
	case a.Do == BoxForget && !l.Middlebox.Kind.remembers():
		c.failf(path, "make it middlebox: nat", "a %s has nothing to forget", l.Middlebox.Kind)
	case a.Do == BoxAddress:
		c.boxAddress(path+".address", a)
	}
}

func (c *checker) boxAddress(path string, a *Action) {
	near := c.s.Broker.Address
	if c.s.Broker.Tap != nil {
		near = c.s.Broker.Tap.Address
	}
	if !near.Contains(a.Address) || a.Address == near.Addr() || a.Address == c.s.Broker.Address.Addr() {
		c.failf(path, "choose a free address in "+near.Masked().String(), "%s is not an address that the nat could have there", a.Address)
	}
	for _, d := range c.s.Devices {
		if d.Address.Addr() == a.Address {
			c.failf(path, "choose a free address in "+near.Masked().String(), "the address %s is taken by %s", a.Address, d.Name)
		}
	}
}
