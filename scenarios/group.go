package scenarios

import (
	"slices"
	"strings"
)

// A Selection chooses devices for an action: all that an entry stands for, a range of
// them, or every second, third, and so on.
type Selection struct {
	// The entry of devices that they belong to, by its name in the file. Default: every device of the scenario.
	Of string `yaml:"of" min:"1" alt:"a" short:"true"`
	// The first one, counted from 1 within the entry, or else in the scenario. Default: 1.
	From int `yaml:"from" min:"1" max:"16000" alt:"2"`
	// The last one. Default: the last one there is.
	To int `yaml:"to" min:"1" max:"16000" alt:"1"`
	// Every so many devices one, beginning with the first. Default: 1, all of them.
	Every int `yaml:"every" min:"1" max:"16000" alt:"2"`
}

// maxGrouped bounds the devices that all actions together name.
const maxGrouped = 200_000

// members returns the names of the devices that a group chooses, and how many it
// chose among.
func (s *Scenario) members(g *Selection) (chosen []string, among int) {
	var all []string
	for i := range s.Devices {
		if g.Of == "" || plainName(g.Of) == s.entryName(i) || g.Of == s.Devices[i].Name {
			all = append(all, s.Devices[i].Name)
		}
	}
	from, every, to := max(g.From, 1), max(g.Every, 1), len(all)
	if g.To > 0 {
		to = min(to, g.To)
	}
	for n := from; n <= to; n += every {
		chosen = append(chosen, all[n-1])
	}
	return chosen, len(all)
}

// entryName returns the name of the entry that a device came from.
func (s *Scenario) entryName(i int) string {
	if i < len(s.origin.entries) {
		return s.origin.entries[i]
	}
	return s.Devices[i].Name
}

// plainName is what an entry is called without the mark of a number.
func plainName(name string) string {
	if !strings.Contains(name, numberMark) {
		return name
	}
	return strings.Trim(strings.ReplaceAll(name, numberMark, ""), "-")
}

// groups turns the group of each action into the list of its devices.
func (c *checker) groups() {
	total := 0
	for i := range c.s.Timeline {
		c.group(index("timeline", i), &c.s.Timeline[i])
		if total += len(c.s.Timeline[i].Devices); total > maxGrouped {
			c.failf(index("timeline", i), "choose fewer, or act on everything at once", "the actions name more than %d devices", maxGrouped)
			return
		}
	}
}

// group turns an action's group into the list of its devices, and checks the list.
func (c *checker) group(path string, a *Action) {
	if a.Group == nil && a.Devices == nil {
		return
	}
	switch {
	case !a.takesSeveral():
		c.failf(path, "remove it", "%s happens to no device of several", a.Do)
		return
	case a.Group != nil && a.Devices != nil:
		c.failf(path+".group", "remove one of them", "an action has either devices or a group")
		return
	case a.Device != "":
		c.failf(path+".device", "remove it, and put the device into the list", "an action has either a device or several")
		return
	case a.Link != "":
		c.failf(path+".link", "remove one of them", "an action has either a link or devices, whose links they are")
		return
	}
	if a.Group == nil {
		c.listed(path+".devices", a.Devices)
		return
	}
	chosen, among := c.s.members(a.Group)
	switch {
	case among == 0:
		c.failf(path+".group.of", didYouMean(a.Group.Of, c.entryNames()), "no entry of devices is called %q", a.Group.Of)
	case len(chosen) == 0:
		c.failf(path+".group", "choose others", "there is no such device among %d", among)
	}
	a.Devices, a.Group = chosen, nil
}

// listed checks that each device of a list exists, and stands there once.
func (c *checker) listed(path string, names []string) {
	known := c.s.deviceSet()
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		switch {
		case !known[name]:
			c.failf(index(path, i), didYouMean(name, deviceNames(c.s)), "no device is called %q", name)
		case seen[name]:
			c.failf(index(path, i), "remove one of them", "the device %s stands here twice", name)
		}
		seen[name] = true
	}
}

func (c *checker) entryNames() []string {
	var all []string
	for i := range c.s.Devices {
		if name := c.s.entryName(i); !slices.Contains(all[max(0, len(all)-1):], name) {
			all = append(all, name)
		}
	}
	return all
}

// several reports whether the action names its devices in a list or a group.
func (a *Action) several() bool { return a.Devices != nil || a.Group != nil }

// takesSeveral reports whether the action may happen to a list of devices.
func (a *Action) takesSeveral() bool {
	takes, _ := a.Do.takes("devices")
	return takes
}

// Targets returns what the action happens to, by name: the devices, or for one
// that happens to a link the links. None is everything. The scenario is complete.
func (s *Scenario) Targets(a *Action) []string {
	links, _ := a.Do.takes("link")
	switch {
	case len(a.Devices) == 0 && links:
		return []string{a.Link}
	case len(a.Devices) == 0 && a.Device == "":
		return nil
	case len(a.Devices) == 0:
		return []string{a.Device}
	case !links:
		return a.Devices
	}
	of := make(map[string]string, len(s.Links))
	for i := range s.Links {
		of[s.Links[i].Device] = s.Links[i].Name
	}
	all := make([]string, len(a.Devices))
	for i, name := range a.Devices {
		all[i] = of[name]
	}
	return all
}
