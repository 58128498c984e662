package scenarios

import (
	"slices"
	"strings"

	"hilnet/mqtt"
	"hilnet/stack/embedded"
)

// Quirks says which known bugs of the real NetX Duo a modelled device has: all
// of them (the zero value) or none, but for those that are switched one by one.
type Quirks struct {
	None     bool     // the base: no bug, instead of all
	Switched []string // the names of those that are otherwise, in the order of QuirkList
}

// A Quirk is one known bug of NetX Duo 6.4.2 that a device may have or not.
type Quirk struct {
	Name   string `json:"name"`          // as in a scenario file
	Part   string `json:"part"`          // QuirkClient or QuirkEngine
	Text   string `json:"text"`          // what it does; what is so without it
	Source string `json:"source"`        // function or file of netxduo
	Issue  string `json:"issue"`         // of eclipse-threadx/netxduo, "" if none is known
	On     bool   `json:"on_by_default"` // in NetX Duo 6.4.2
	// Scenario is one of the library that shows what the quirk does: what it expects
	// holds with the quirk, and not without.
	Scenario string `json:"scenario"`
}

// quirkScenarios are those whose name is not the quirk's.
var quirkScenarios = map[string]string{
	"unread_leak":                "delete-leak",
	"malformed_publish_leak":     "malformed-publish",
	"connack_alone":              "connack-with-data",
	"delete_without_disconnect":  "delete-leak",
	"short_ping_timeout":         "one-lost-ping",
	"disconnect_forever":         "broker-never-closes",
	"suback_refusal_ignored":     "suback-refused",
	"probe_bypasses_retry_limit": "publish-loop",
	"fin_wait2_forever":          "broker-never-closes",
}

func quirkScenario(quirk string) string {
	if name := quirkScenarios[quirk]; name != "" {
		return name
	}
	return strings.ReplaceAll(quirk, "_", "-")
}

// Where quirks are.
const (
	QuirkClient = "client" // the MQTT client: devices of every profile
	QuirkEngine = "engine" // the TCP/IP stack: devices with profile netx
)

// QuirkList returns all quirks: the client's, then the engine's.
func QuirkList() []Quirk {
	var all []Quirk
	on := mqtt.NetX642()
	for _, q := range mqtt.QuirkList() {
		all = append(all, Quirk{q.Name, QuirkClient, q.Text, q.Source, q.Issue, on.Has(q.Name), quirkScenario(q.Name)})
	}
	for _, q := range embedded.QuirkInfos() {
		all = append(all, Quirk{q.Name, QuirkEngine, q.Text, q.Source, q.Issue, true, quirkScenario(q.Name)})
	}
	return all
}

func quirkNames(part string) []string {
	var all []string
	for _, q := range QuirkList() {
		if part == "" || q.Part == part {
			all = append(all, q.Name)
		}
	}
	return all
}

// Client returns the quirks of the MQTT client.
func (q Quirks) Client() mqtt.Quirks {
	all := mqtt.NetX642()
	if q.None {
		all = mqtt.NoQuirks()
	}
	for _, name := range q.Switched {
		_ = all.Set(name, q.None) // an unknown name is the engine's: validation knows both
	}
	return all
}

// Fixed reports whether the device's MQTT client keeps to the standard: none of
// the client's bugs is on, and none was the word. See mqtt.ModeFixed.
func (q Quirks) Fixed() bool { return q.None && q.Client() == mqtt.NoQuirks() }

// Engine returns the quirks of the TCP/IP stack.
func (q Quirks) Engine() embedded.Quirks {
	all := embedded.DefaultQuirks()
	if q.None {
		all = embedded.NoQuirks()
	}
	for _, name := range q.Switched {
		_ = all.Set(name, q.None) // an unknown name is the client's
	}
	return all
}

// UnmarshalText reads default or none, and behind it what is otherwise: with -
// quirks that are switched off, with + such as are switched on.
func (q *Quirks) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) == 0 || words[0] != "default" && words[0] != "none" {
		first := ""
		if len(words) > 0 {
			first = words[0]
		}
		return hint(didYouMean(first, []string{"default", "none"})+"; single ones behind it, as in default -unread_leak, or none +unread_leak",
			"quirks %q begins with neither default nor none", text)
	}
	got := Quirks{None: words[0] == "none"}
	sign := "-"
	if got.None {
		sign = "+"
	}
	names := quirkNames("")
	for _, w := range words[1:] {
		name, ok := strings.CutPrefix(w, sign)
		switch {
		case !ok:
			return hint("write "+words[0]+" "+sign+strings.TrimLeft(w, "+-"), "behind %s, quirks are switched with %s, not as in %q", words[0], sign, w)
		case !slices.Contains(names, name):
			return hint(didYouMean(name, names)+" (emu quirks lists them)", "no quirk is called %q", name)
		case slices.Contains(got.Switched, name):
			return hint("remove one of them", "the quirk %s is switched twice", name)
		}
		got.Switched = append(got.Switched, name)
	}
	slices.SortFunc(got.Switched, func(a, b string) int { return slices.Index(names, a) - slices.Index(names, b) })
	*q = got
	return nil
}

// String writes q as UnmarshalText reads it.
func (q Quirks) String() string {
	word, sign := "default", " -"
	if q.None {
		word, sign = "none", " +"
	}
	for _, name := range q.Switched {
		word += sign + name
	}
	return word
}

// MarshalText writes q as String does.
func (q Quirks) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// pattern is what a JSON Schema says about the text.
func (Quirks) pattern() string {
	names := strings.Join(quirkNames(""), "|")
	return `^(default( +-(` + names + `))*|none( +\+(` + names + `))*)$`
}

// quirks refuses a switch that the device does nothing with.
func (c *checker) quirks(path string, d *Device) {
	names := quirkNames("")
	for _, name := range d.Quirks.Switched {
		switch {
		case !slices.Contains(names, name): // of a scenario made in Go
			c.failf(path, didYouMean(name, names), "no quirk is called %q", name)
		case d.Profile != ProfileNetX && slices.Contains(quirkNames(QuirkEngine), name):
			c.failf(path, "remove it, or write profile: netx", "%s is a quirk of NetX Duo's TCP/IP stack, which a device with profile %s has not", name, d.Profile)
		}
	}
}
