package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/scenarios"
)

func (c *cli) presetsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "presets [NAME]",
		Short: "List the links that a scenario can name",
		Long: `presets lists the links that a scenario can name with the key preset: how many of
their facts are measured, published or assumed, and what they are. With a name it
prints what each of its numbers rests on, and the preset as a scenario would have
it. A key beside preset replaces that of the preset.`,
		Example: "  emu presets\n  emu presets nbiot-ce1\n  emu run clean-link --set link.preset=gprs --set link.delay=650ms",
		Args:    arguments(0, 1, "one name"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return scenarios.PresetName("").Values(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			all := scenarios.Presets()
			if len(args) == 1 {
				p, err := findPreset(args[0], all)
				if err != nil {
					return err
				}
				all = []scenarios.Preset{p}
			}
			switch {
			case asJSON:
				return c.writeJSON(presetsJSON(all))
			case len(args) == 1:
				writePreset(c.stdout, &all[0])
			default:
				rows := table{{"name", "what its numbers rest on", "what it is"}}
				for _, p := range all {
					rows = append(rows, []string{p.Name, p.Bases(), p.About})
				}
				rows.write(c.stdout, func(_ int, _, padded string) string { return padded })
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func findPreset(name string, all []scenarios.Preset) (scenarios.Preset, error) {
	var names []string
	for _, p := range all {
		if p.Name == strings.ToLower(name) {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return scenarios.Preset{}, usagef("no preset is called %q%s (emu presets lists all)", name, didYouMean(name, names))
}

func writePreset(w io.Writer, p *scenarios.Preset) {
	fmt.Fprintf(w, "%s: %s\n\n", p.Name, p.About)
	for _, f := range p.Facts {
		fmt.Fprintf(w, "%-9s  %s", f.Basis, f.Of)
		if f.Source != "" {
			fmt.Fprintf(w, " (%s)", f.Source)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%s", p.Text())
}

// A presetJSON is a preset for programs.
type presetJSON struct {
	Name  string     `json:"name"`
	About string     `json:"about"`
	Facts []factJSON `json:"facts"`
	Keys  string     `json:"keys"` // of a link, in YAML
}

type factJSON struct {
	Of     string `json:"of"`
	Basis  string `json:"basis"`
	Source string `json:"source,omitempty"`
}

func presetsJSON(all []scenarios.Preset) []presetJSON {
	out := make([]presetJSON, len(all))
	for i, p := range all {
		facts := make([]factJSON, len(p.Facts))
		for j, f := range p.Facts {
			facts[j] = factJSON{f.Of, string(f.Basis), f.Source}
		}
		out[i] = presetJSON{p.Name, p.About, facts, p.Text()}
	}
	return out
}
