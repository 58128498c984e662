package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/scenarios"
	"hilnet/trace"
)

// A meaning is what emu explain says about one name.
type meaning struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	Number *int64 `json:"number,omitempty"` // of a status
	Text   string `json:"text"`
	Source string `json:"source"`
}

// The groups, in the order in which they are listed.
const (
	groupDrop    = "drop reason"
	groupKind    = "kind of event"
	groupFinding = "finding"
	groupStatus  = "status of the client"
	groupConnack = "CONNACK return code"
)

var groups = []string{groupFinding, groupDrop, groupKind, groupStatus, groupConnack}

// meanings returns all that emu explain knows, by group.
func meanings() []meaning {
	var all []meaning
	for _, e := range trace.Explanations() {
		all = append(all, meaning{groupDrop, e.Name, nil, e.Text, e.Source})
	}
	for _, k := range kindTexts {
		all = append(all, meaning{groupKind, string(k.kind), nil, k.text, "trace"})
	}
	for _, f := range scenarios.FindingKinds() {
		source := "emu: the events that the finding names"
		if f.Quirk != "" {
			source += "; quirk " + f.Quirk
		}
		all = append(all, meaning{groupFinding, f.Name, nil, fmt.Sprintf("%s %s", f.Text, f.Remedy), source})
	}
	for _, s := range statusTexts {
		n := int64(s.status)
		source := "netxduo nx_api.h"
		switch {
		case s.status >= 0x10000:
			source = "netxduo nxd_mqtt_client.h"
		case strings.HasPrefix(s.status.String(), "NX_DNS_"):
			source = "netxduo nxd_dns.h"
		case strings.HasPrefix(s.status.String(), "NX_DHCP_"):
			source = "netxduo nxd_dhcp_client.h"
		}
		all = append(all, meaning{groupStatus, s.status.String(), &n, s.text, source})
	}
	for i, text := range connackTexts {
		n := int64(i)
		all = append(all, meaning{groupConnack, fmt.Sprintf("CONNACK %d", i), &n, text, "MQTT 3.1.1 table 3.1"})
	}
	return all
}

func (c *cli) explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [NAME|NUMBER]",
		Short: "Explain findings, drop reasons, status codes and kinds of events",
		Long: `explain says what a name in a result, a trace or a capture means: the reason why
something was dropped, a finding, the kind of an event, the status that a call of the client
returned, by name or number. Without a name it explains all.`,
		Example:           "  emu explain rx_pool_empty\n  emu explain 0x10006\n  emu explain NX_NO_PACKET\n  emu explain",
		Args:              arguments(0, 1, "one name"),
		ValidArgsFunction: completeMeanings,
		RunE: func(_ *cobra.Command, args []string) error {
			found := meanings()
			if len(args) == 1 {
				var err error
				if found, err = explain(args[0], found); err != nil {
					return err
				}
			}
			if asJSON {
				return c.writeJSON(found)
			}
			writeMeanings(c.stdout, found)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

// explain finds what a name or number means; a number may mean several things.
func explain(name string, all []meaning) ([]meaning, error) {
	number, err := strconv.ParseInt(name, 0, 64)
	isNumber := err == nil
	var found []meaning
	for _, m := range all {
		if isNumber && m.Number != nil && *m.Number == number || !isNumber && slices.Contains(spellings(&m), strings.ToLower(name)) {
			found = append(found, m)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	var names []string
	for i := range all {
		names = append(names, spellings(&all[i])...)
	}
	if isNumber {
		return nil, usagef("no status has the number %s; emu explain lists all", name)
	}
	return nil, usagef("nothing here is called %q%s; emu explain lists all", name, didYouMean(name, names))
}

// spellings are the ways to write a name: that of a status also without its
// prefix.
func spellings(m *meaning) []string {
	name := strings.ToLower(m.Name)
	all := []string{name}
	for _, prefix := range []string{"nxd_mqtt_", "nx_"} {
		if short, ok := strings.CutPrefix(name, prefix); ok {
			return append(all, short)
		}
	}
	return all
}

func writeMeanings(w io.Writer, all []meaning) {
	for _, group := range groups {
		first := true
		for i := range all {
			m := &all[i]
			if m.Group != group {
				continue
			}
			if first && len(all) > 2 {
				fmt.Fprintf(w, "%s:\n", strings.ToUpper(group[:1])+group[1:])
			}
			first = false
			fmt.Fprintf(w, "%s\n    %s\n    source: %s\n", heading(m, len(all)), m.Text, m.Source)
		}
	}
}

func heading(m *meaning, n int) string {
	name := m.Name
	if m.Number != nil && m.Group == groupStatus {
		name = fmt.Sprintf("%s (0x%X)", m.Name, *m.Number)
	}
	if n > 2 {
		return "  " + name
	}
	return name + ": " + m.Group
}

func completeMeanings(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, m := range meanings() {
		if len(args) == 0 && m.Group != groupConnack && strings.HasPrefix(m.Name, word) {
			names = append(names, m.Name+"\t"+m.Group)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
