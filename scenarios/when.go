package scenarios

import "slices"

// when checks the keys that say when an action happens.
func (c *checker) when(path string, a *Action) {
	switch {
	case a.Every == 0 && a.Count > 0:
		c.failf(path+".count", "add every: 10s, or remove it", "count does nothing without every")
	case a.Every == 0 && a.Until > 0:
		c.failf(path+".until", "add every: 10s, or remove it", "until does nothing without every")
	case a.Until > 0 && a.After == nil && a.Until <= a.At:
		c.failf(path+".until", "make it later, or let it happen earlier", "it would never happen: until %s is not after %s", a.Until, a.At)
	case a.Every > 0 && a.For >= a.Every && a.Count != 1:
		c.failf(path+".for", "make it shorter than every", "it lasts %s and begins again after %s", a.For, a.Every)
	case a.Every > 0 && a.Over >= a.Every && a.Count != 1:
		c.failf(path+".over", "make it shorter than every", "it takes %s and begins again after %s", a.Over, a.Every)
	}
	if a.Label != "" && !namePattern.MatchString(a.Label) {
		c.failf(path+".label", nameHint, "%q is not a label", a.Label)
	}
	if a.After != nil {
		c.after(path+".after", a)
	}
}

func (c *checker) after(path string, a *Action) {
	w := a.After
	switch {
	case a.At != 0:
		c.failf(path, "remove one of them", "an action has either at or after")
	case w.Event == "" && w.Label == "":
		c.failf(path, "add event: mqtt.connected, or label: and the label of another action", "after says nothing to wait for")
	case w.Event != "" && w.Label != "":
		c.failf(path, "remove one of them", "an action waits for an event or for a label")
	case w.Label != "" && w.Device != "":
		c.failf(path+".device", "remove it", "a label belongs to no device")
	case w.Device != "" && c.s.Device(w.Device) == nil:
		c.failf(path+".device", didYouMean(w.Device, deviceNames(c.s)), "no device is called %q", w.Device)
	}
}

// labels checks that labels are different, that those which actions wait for
// exist, and that no action waits for itself.
func (c *checker) labels() {
	t := c.s.Timeline
	byLabel := map[string]int{}
	var names []string
	for i, a := range t {
		if a.Label == "" {
			continue
		}
		if _, twice := byLabel[a.Label]; twice {
			c.failf(index("timeline", i)+".label", "give each its own label", "the label %q is taken", a.Label)
			continue
		}
		byLabel[a.Label] = i
		names = append(names, a.Label)
	}
	for i := range t {
		if t[i].After == nil || t[i].After.Label == "" {
			continue
		}
		path := index("timeline", i) + ".after.label"
		at, found := byLabel[t[i].After.Label]
		if !found {
			what := didYouMean(t[i].After.Label, names)
			if what == "" {
				what = "add label: " + t[i].After.Label + " to the action that it waits for"
			}
			c.failf(path, what, "no action has the label %q", t[i].After.Label)
			continue
		}
		for seen := []int{i}; ; {
			if slices.Contains(seen, at) {
				if at == i {
					c.failf(path, "let one of them happen at a time or after an event", "the action waits for itself")
				}
				break
			}
			seen = append(seen, at)
			next := t[at].After
			if next == nil || next.Label == "" {
				break
			}
			if at, found = byLabel[next.Label]; !found {
				break
			}
		}
	}
}

// overlaps refuses two actions on the same thing of which one is undone while
// the other should hold. When actions that wait or repeat happen is not known
// here; where those overlap, the latest one counts.
func (c *checker) overlaps() {
	t := c.s.Timeline
	for i := range t {
		for j := range i {
			if first, second, bad := c.overlap(&t[j], &t[i]); bad {
				c.failf(index("timeline", i), "let one end before the other begins",
					"%s at %s begins while %s from %s to %s is still on", second.Do, second.At, first.Do, first.At, first.At+first.For)
				break
			}
		}
	}
}

// overlap orders two actions and reports whether the first ends while the second
// should hold.
func (c *checker) overlap(a, b *Action) (first, second *Action, bad bool) {
	if a.After != nil || b.After != nil || a.Every > 0 || b.Every > 0 {
		return a, b, false
	}
	if b.At < a.At {
		a, b = b, a
	}
	return a, b, a.For > 0 && b.At < a.At+a.For && c.sameTarget(a, b)
}

// Overlap reports whether two actions, as CheckAction has completed them, cannot
// be in one timeline, as one ends while the other should hold.
func (s *Scenario) Overlap(a, b *Action) bool {
	_, _, bad := (&checker{s: s}).overlap(a, b)
	return bad
}

// SameThing reports whether two actions change one and the same, so that the
// later one takes the place of the earlier.
func (s *Scenario) SameThing(a, b *Action) bool { return (&checker{s: s}).sameTarget(a, b) }

func (c *checker) sameTarget(a, b *Action) bool {
	nic := func(k ActionKind) bool { return k == LinkDown || k == TxError }
	power := func(k ActionKind) bool { return k == ResetDevice || k == PowerCut }
	switch {
	case nic(a.Do) && nic(b.Do), power(a.Do) && power(b.Do):
		return c.meet(a, b)
	case a.Do.IsBrokerFault():
		return a.Do == b.Do && c.meet(a, b)
	case a.Do == ServiceAnswer && a.Service != b.Service:
		return false // each of the services answers for itself
	case a.Do == Leak || a.Do == ReleaseLeak || a.Do == BrokerPublish || a.Do == AddMatch || a.Do != b.Do:
		return false
	}
	aUp, aDown := a.Way.Takes()
	bUp, bDown := b.Way.Takes()
	return (aUp && bUp || aDown && bDown) && c.meet(a, b)
}

// meet reports whether two actions happen to one device, or to one link.
func (c *checker) meet(a, b *Action) bool {
	of, others := c.targets(a), c.targets(b)
	if len(of.names) == 0 || len(others.names) == 0 { // everything
		return true
	}
	if len(of.names) < len(others.names) {
		of, others = others, of
	}
	return slices.ContainsFunc(others.names, func(name string) bool { return of.set[name] })
}

// targets are the names of what an action happens to, none for everything.
type targets struct {
	names []string
	set   map[string]bool
}

// targets returns what an action happens to, and remembers it.
func (c *checker) targets(a *Action) targets {
	if t, known := c.remembered[a]; known {
		return t
	}
	t := targets{c.s.Targets(a), map[string]bool{}}
	for _, name := range t.names {
		t.set[name] = true
	}
	if c.remembered == nil {
		c.remembered = map[*Action]targets{}
	}
	c.remembered[a] = t
	return t
}
