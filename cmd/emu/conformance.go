package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hilnet/link/conformance"
)

func (c *cli) conformanceCommand() *cobra.Command {
	o := conformance.Options{Seed: 1}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Measure every model of a link against its formula",
		Long: `conformance sends packets through every model of a link and compares what comes
of them with the model's formula: first vectors that must be exact (netem under
its seed, mahimahi), then statistics, with their distance z in standard errors.
A row is wrong at 4.5, which a right model exceeds 7 times in a million; with a
wrong row the command ends with 1. It is all virtual time: a row depends on the
seed and the number of packets only.`,
		Example: "  emu conformance --packets 100000\n  emu conformance --json",
		Args:    arguments(0, 0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			rows, err := conformance.Run(o)
			if err != nil {
				return &usageError{err}
			}
			wrong := 0
			for _, r := range rows {
				if !r.OK() {
					wrong++
				}
			}
			if wrong > 0 {
				c.code = exitFail
			}
			if asJSON {
				return c.writeJSON(conformanceJSON(rows))
			}
			fmt.Fprintln(c.stdout, conformance.Header())
			for _, r := range rows {
				fmt.Fprintln(c.stdout, r)
			}
			fmt.Fprintf(c.stdout, "\n%d rows, %d wrong, seed %d\n", len(rows), wrong, o.Seed)
			return nil
		},
	}
	cmd.Flags().IntVar(&o.Packets, "packets", conformance.DefaultPackets, fmt.Sprintf("packets for each model, %d at least; some send four times as many", conformance.MinPackets))
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of every draw")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

// A conformanceRow is a row for programs.
type conformanceRow struct {
	Model     string   `json:"model"`
	Statistic string   `json:"statistic"`
	Packets   int      `json:"packets"`
	Expected  float64  `json:"expected"`
	Observed  float64  `json:"observed"`
	Z         *float64 `json:"z"` // null: what must be exact is not
	OK        bool     `json:"ok"`
}

func conformanceJSON(rows []conformance.Row) []conformanceRow {
	out := make([]conformanceRow, len(rows))
	for i, r := range rows {
		out[i] = conformanceRow{r.Model, r.Statistic, r.Packets, r.Expected, r.Observed, &r.Z, r.OK()}
		if r.Z > 1e300 {
			out[i].Z = nil
		}
	}
	return out
}
