package scenarios

import "slices"

// action checks one entry of the timeline.
func (c *checker) action(path string, a *Action) {
	c.when(path, a)
	if a.At >= c.s.Duration {
		c.failf(path+".at", "make the run longer, or let it happen earlier", "%s is not before the end of the run at %s", a.At, c.s.Duration)
	}
	if takes, _ := a.Do.takes("link"); takes {
		if names := linkNames(c.s); a.Devices != nil {
			// Their links.
		} else if a.Link == "" {
			c.failf(path, "add link: and one of: "+some(names), "with several links %s must say which", a.Do)
		} else if !slices.Contains(names, a.Link) {
			c.failf(path+".link", didYouMean(a.Link, names), "no link is called %q", a.Link)
		}
	}
	if takes, _ := a.Do.takes("device"); takes {
		if names := deviceNames(c.s); a.Devices != nil {
			c.packets(path, a)
			c.allDowns(path, a)
		} else if a.Device == "" && a.Do.IsBrokerFault() {
			// Every device.
		} else if a.Device == "" {
			c.failf(path, "add device: and one of: "+some(names), "with several devices %s must say which", a.Do)
		} else if d := c.s.Device(a.Device); d == nil {
			c.failf(path+".device", didYouMean(a.Device, names), "no device is called %q", a.Device)
		} else if d.Pool.Packets > 0 && a.Packets > d.Pool.Packets {
			c.failf(path+".packets", "take fewer", "the pool of %s has only %d packets", a.Device, d.Pool.Packets)
		} else {
			c.downs(path, a, d)
		}
	}
	c.onLinks(path, a)
	if a.Over > 0 && a.For > 0 && a.Over > a.For {
		c.failf(path+".over", "make it shorter than for", "it is undone after %s, before it is done", a.For)
	}
	if _, must := a.Do.takes("packets"); must && a.Packets == 0 {
		c.failf(path+".packets", "set at least 1", "%s of no packets", a.Do)
	}
	if takes, _ := a.Do.takes("for"); !takes && a.For > 0 {
		c.failf(path+".for", "remove it", "%s has no end", a.Do)
	}
	c.serviceAction(path, a)
	if a.Do.IsBrokerFault() {
		c.brokerFault(path, a)
	}
	if a.Do == BrokerPublish {
		switch {
		case c.s.Broker.Kind == BrokerCapture:
			c.failf(path+".do", "remove it, or add it to the recording", "a recorded broker sends what it sent, and nothing else")
		case c.s.Broker.Kind.Real():
			c.failf(path+".do", "publish with a client of your own, such as mosquitto_pub", "hilnet cannot make a real broker publish")
		}
		c.topicName(path+".topic", a.Topic)
		c.message(path, &a.Message)
		c.qos(path, int(a.QoS), 2)
	}
}

// onLinks checks what an action does to each of its links, up to the first that
// cannot take it.
func (c *checker) onLinks(path string, a *Action) {
	check := c.change
	switch a.Do {
	case SetLoss, SetDelay, SetRate, Impair:
	case AddMatch, MatchRelease:
		check = c.matchAction
	case BoxForget, BoxAddress, Captive:
		check = c.box
	default:
		return
	}
	for before, targets := c.found, c.s.Targets(a); len(targets) > 0 && c.found == before; targets = targets[1:] {
		one := *a
		one.Link = targets[0]
		check(path, &one)
	}
}

// packets checks that each of several pools has what an action takes.
func (c *checker) packets(path string, a *Action) {
	if a.Packets == 0 {
		return
	}
	named := make(map[string]bool, len(a.Devices))
	for _, name := range a.Devices {
		named[name] = true
	}
	for i := range c.s.Devices {
		if d := &c.s.Devices[i]; named[d.Name] && d.Pool.Packets > 0 && a.Packets > d.Pool.Packets {
			c.failf(path+".packets", "take fewer", "the pool of %s has only %d packets", d.Name, d.Pool.Packets)
			return
		}
	}
}
