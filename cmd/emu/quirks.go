package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/scenarios"
)

func (c *cli) quirksCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "quirks [NAME]",
		Short: "List the known bugs of NetX Duo that a device may have",
		Long: `quirks lists the known bugs of NetX Duo 6.4.2 that hilnet's model has, one switch
each: what it does, what is so without it, and where it comes from. A scenario
switches them with the key quirks of a device: default (all), none, or all but
some (default -unread_leak -copy_drop), or none but some (none +unread_leak).`,
		Example:           "  emu quirks\n  emu quirks pool_deadlock\n  emu run keepalive-lost --set link.delay=600ms --set 'quirks=default -short_ping_timeout'",
		Args:              arguments(0, 1, "one name"),
		ValidArgsFunction: completeQuirks,
		RunE: func(_ *cobra.Command, args []string) error {
			all := scenarios.QuirkList()
			if len(args) == 1 {
				q, err := findQuirk(args[0], all)
				if err != nil {
					return err
				}
				all = []scenarios.Quirk{q}
			}
			switch {
			case asJSON:
				return c.writeJSON(all)
			case len(args) == 1:
				writeQuirk(c.stdout, &all[0])
			default:
				writeQuirks(c.stdout, all)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func findQuirk(name string, all []scenarios.Quirk) (scenarios.Quirk, error) {
	var names []string
	for _, q := range all {
		if q.Name == strings.ToLower(name) {
			return q, nil
		}
		names = append(names, q.Name)
	}
	return scenarios.Quirk{}, usagef("no quirk is called %q%s; emu quirks lists all", name, didYouMean(name, names))
}

// quirkParts are headings for what quirks are in.
var quirkParts = []struct{ part, text string }{
	{scenarios.QuirkClient, "The MQTT client (devices of every profile):"},
	{scenarios.QuirkEngine, "The TCP/IP stack (devices with profile netx):"},
}

func writeQuirks(w io.Writer, all []scenarios.Quirk) {
	width := 0
	for _, q := range all {
		width = max(width, len(q.Name))
	}
	for i, p := range quirkParts {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, p.text)
		for _, q := range all {
			if q.Part == p.part {
				with, _, _ := strings.Cut(q.Text, "; else ")
				fmt.Fprintf(w, "  %-*s  %s.\n", width, q.Name, strings.TrimSuffix(with, "."))
			}
		}
	}
	fmt.Fprintln(w, "\nemu quirks NAME tells more of one.")
}

func writeQuirk(w io.Writer, q *scenarios.Quirk) {
	with, without, _ := strings.Cut(q.Text, "; else ")
	part := "the MQTT client"
	if q.Part == scenarios.QuirkEngine {
		part = "the TCP/IP stack"
	}
	fmt.Fprintf(w, "%s: a bug of %s\n", q.Name, part)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "    %-9s %s\n", name, text)
		}
	}
	row("with", strings.TrimSuffix(with, ".")+".")
	row("without", strings.TrimSuffix(without, ".")+".")
	row("source", "netxduo "+q.Source)
	row("issue", issueLinks(q.Issue))
	row("default", onOff(q.On)+", as in NetX Duo 6.4.2")
	row("off", "quirks: default -"+q.Name)
	row("see", "emu run "+q.Scenario)
	row("", "emu run "+q.Scenario+" --set 'quirks=default -"+q.Name+"'")
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// issueLinks turns "#306, #410" into addresses.
func issueLinks(issue string) string {
	if issue == "" {
		return ""
	}
	numbers := strings.Split(issue, ", ")
	for i, n := range numbers {
		numbers[i] = "https://github.com/eclipse-threadx/netxduo/issues/" + strings.TrimPrefix(n, "#")
	}
	return strings.Join(numbers, ", ")
}

func completeQuirks(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, q := range scenarios.QuirkList() {
		if len(args) == 0 && strings.HasPrefix(q.Name, word) {
			names = append(names, q.Name+"\t"+q.Part)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
