package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/report"
	"hilnet/scenarios"
	"hilnet/trace"
)

func (c *cli) listCommand() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "list [GROUP]",
		Short: "List the built-in scenarios",
		Long: `list lists the built-in scenarios to begin with and names the groups that hold the
others; with the name of a group, those of the group.`,
		Example:           "  emu list\n  emu list recordings\n  emu list --all\n  emu list --json",
		Args:              arguments(0, 1, "one group"),
		ValidArgsFunction: completeGroups,
		RunE: func(_ *cobra.Command, args []string) error {
			entries := scenarios.Library()
			if len(args) == 1 {
				if err := knownGroup(args[0]); err != nil {
					return err
				}
				entries = slices.DeleteFunc(entries, func(e scenarios.Entry) bool { return e.Group != args[0] })
			}
			if asJSON {
				return c.writeJSON(entries)
			}
			writeLibrary(c.stdout, entries, all || len(args) == 1)
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list those of all groups")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of name, summary and group, of all groups")
	return cmd
}

func knownGroup(name string) error {
	var names []string
	for _, g := range scenarios.Groups() {
		if g.Name != "" {
			names = append(names, g.Name)
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	return usagef("no group is called %q%s; the groups are %s", name, didYouMean(name, names), strings.Join(names, ", "))
}

func completeGroups(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, g := range scenarios.Groups() {
		if len(args) == 0 && g.Name != "" && strings.HasPrefix(g.Name, word) {
			names = append(names, g.Name+"\t"+g.Text)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// writeLibrary prints the scenarios of each group, or of the main one and how
// many the others have.
func writeLibrary(w io.Writer, entries []scenarios.Entry, all bool) {
	width := 0
	for _, e := range entries {
		if all || e.Group == "" {
			width = max(width, len(e.Name))
		}
	}
	begun := false
	for _, g := range scenarios.Groups() {
		n := 0
		for _, e := range entries {
			if e.Group != g.Name {
				continue
			}
			if n++; n == 1 && begun && (all || g.Name == "") {
				fmt.Fprintln(w)
			}
			if n == 1 && all && g.Name != "" {
				fmt.Fprintf(w, "%s (emu list %s):\n", g.Text, g.Name)
			}
			if all || g.Name == "" {
				fmt.Fprintf(w, "%-*s  %s\n", width, e.Name, e.Summary)
			}
		}
		if n > 0 && !all && g.Name != "" {
			if !begun {
				continue
			}
			fmt.Fprintf(w, "\n%s: %d more, emu list %s", g.Text, n, g.Name)
		}
		begun = begun || n > 0
	}
	if !all {
		fmt.Fprintln(w)
	}
}

func (c *cli) writeJSON(v any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (c *cli) showCommand() *cobra.Command {
	var resolved bool
	var sets []string
	cmd := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Print a scenario",
		Long: `show prints a scenario as it was written, a good start for one of your own.
With --resolved or --set it prints every key with the value that a run uses.`,
		Example:           "  emu show link-drop > mine.yaml\n  emu show mine.yaml --resolved\n  emu show link-drop --set pool.packets=8",
		Args:              arguments(1, 1, "the name of a scenario or a file"),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			overrides, err := parseSets(sets)
			if err != nil {
				return err
			}
			sc, err := load(cmd.Context(), args[0], overrides)
			if err != nil {
				return err
			}
			text, err := source(args[0])
			if resolved || len(overrides) > 0 {
				text, err = sc.Resolved()
			}
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&resolved, "resolved", false, "fill in every default")
	addSet(cmd, &sets)
	return cmd
}

func (c *cli) validateCommand() *cobra.Command {
	var quiet bool
	var sets []string
	cmd := &cobra.Command{
		Use:   "validate NAME|FILE|DIR…",
		Short: "Check scenarios without running them",
		Long: `validate reads scenarios as run does and says what is wrong with each: place,
excerpt, hint. Of a folder it takes every file that ends in .yaml or .yml, those
in folders below it too.`,
		Example:           "  emu validate mine.yaml\n  emu validate tests/scenarios --quiet",
		Args:              arguments(1, -1, "at least one file, folder or name"),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			overrides, err := parseSets(sets)
			if err != nil {
				return err
			}
			all, err := find(cmd.Context(), args, overrides)
			if err != nil {
				return err
			}
			var failed []error
			for _, f := range all {
				if f.err != nil {
					failed = append(failed, f.err)
				} else if !quiet {
					fmt.Fprintf(c.stdout, "%s: valid: %s, %s, %s, %v\n", f.source, count(len(f.sc.Devices), "device", "devices"),
						count(len(f.sc.Timeline), "timeline entry", "timeline entries"), count(len(f.sc.Expect), "expectation", "expectations"), f.sc.Duration)
				}
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print nothing about scenarios that are valid")
	addSet(cmd, &sets)
	return cmd
}

func (c *cli) schemaCommand() *cobra.Command {
	var result bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files",
		Long: `schema prints the JSON Schema (draft 2020-12) of scenario files, for editors: save
it and put "# yaml-language-server: $schema=FILE" into the first line of a
scenario. With --result it prints the schema of what emu run --json prints.`,
		Example:           "  emu schema > scenario.schema.json\n  emu schema --result",
		Args:              arguments(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			text := scenarios.Schema
			if result {
				text = report.Schema
			}
			_, err := c.stdout.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&result, "result", false, "the schema of emu run --json instead")
	return cmd
}

func (c *cli) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the versions that a run depends on",
		Example:           "  emu version\n  emu version --json",
		Args:              arguments(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return c.writeJSON(struct {
					Hilnet   string `json:"hilnet"`
					Go       string `json:"go"`
					OS       string `json:"os"`
					Arch     string `json:"arch"`
					Scenario int    `json:"scenario_version"`
					Result   int    `json:"result_version"`
					Trace    int    `json:"trace_version"`
				}{emu.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, scenarios.Version, report.Version, trace.Version})
			}
			fmt.Fprintf(c.stdout, "hilnet %s\n%s %s/%s\nscenario language %d\n",
				emu.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, scenarios.Version)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object, with the versions of the file formats")
	return cmd
}
