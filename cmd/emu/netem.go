package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/link/netem"
)

func (c *cli) netemCommand() *cobra.Command {
	var load netem.Load
	var tables []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "netem STRING",
		Short: "Say what a netem string of tc really does",
		Long: `netem reads what follows "netem" in a call of tc, or the whole call, or a line of
"tc qdisc show", sends packets through an exact netem, and says what comes of
them: how many are lost, how the delays spread, who overtakes whom, and where
that is not what the string seems to say. No root, no kernel and no tc needed.

The load matters for what depends on it: packets of --size bytes, one --every so
often. Without --every that is 10ms, or twice a packet's time at the rate if that
is longer. Intervals are 95 %.`,
		Example: `  emu netem "delay 100ms 20ms distribution normal loss 0.3% 25%"
  emu netem "delay 50ms 10ms reorder 25% 50%" --every 2ms
  emu netem "rate 26kbit loss gemodel 1% 10%" --size 60 --json`,
		Args:              arguments(1, -1, "a netem string, such as \"delay 100ms loss 1%\""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := netem.Parse(strings.Join(args, " "))
			var wrong *netem.SyntaxError
			if errors.As(err, &wrong) {
				return usagef("%w\n%s", err, indent(wrong.Excerpt()))
			}
			if err != nil {
				return &usageError{err}
			}
			loaded, err := cfg.LoadTables(append(tables, netem.TableFolders()...)...)
			if err != nil {
				return &usageError{err}
			}
			e, err := netem.Explain(cfg, loaded, load)
			if err != nil {
				return &usageError{err}
			}
			if asJSON {
				return c.writeJSON(e)
			}
			writeExplanation(c.stdout, e)
			return nil
		},
	}
	cmd.Flags().IntVar(&load.Packets, "packets", netem.DefaultPackets, "packets to send")
	cmd.Flags().DurationVar(&load.Every, "every", 0, "time from a packet to the next")
	cmd.Flags().IntVar(&load.Size, "size", netem.DefaultSize, "bytes of a packet, Ethernet header included")
	cmd.Flags().Uint64Var(&load.Seed, "seed", 1, "seed, unless the string has one")
	cmd.Flags().StringArrayVar(&tables, "tables", nil, "folder with .dist files, looked into before tc's own")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object; shares are from 0 to 1, times nanoseconds")
	return cmd
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// writeExplanation prints an explanation for a person.
func writeExplanation(w io.Writer, e *netem.Explanation) {
	fmt.Fprintf(w, "netem %s\n", e.Canonical)
	fmt.Fprintf(w, "%d packets of %d B, one each %v, seed %d\n\n", e.Load.Packets, e.Load.Size, e.Load.Every, e.Load.Seed)
	rows := table{{"", "typed", "expected", "measured", "95 %"}}
	for _, r := range []struct {
		name   string
		effect netem.Effect
	}{
		{"lost", e.Lost}, {"queue full", e.QueueFull}, {"duplicated", e.Duplicate}, {"corrupted", e.Corrupt},
		{"sent at once", e.AtOnce}, {"overtaken", e.Overtaken},
	} {
		f := r.effect
		if f.Typed == nil && f.Measured.Value == 0 {
			continue
		}
		rows = append(rows, []string{r.name, portion(f.Typed), portion(f.Expected), portion(&f.Measured.Value), portion(&f.Measured.Low) + " to " + portion(&f.Measured.High)})
	}
	d := &e.Delay
	ms := func(ns float64) string { return shortTime(time.Duration(ns)) }
	rows = append(rows, []string{"time in netem", shortTime(d.Typed), "", ms(d.Mean.Value), ms(d.Mean.Low) + " to " + ms(d.Mean.High)})
	if d.JitterTyped > 0 {
		rows = append(rows, []string{"jitter", shortTime(d.JitterTyped), "", shortTime(d.Jitter), "standard deviation"})
	}
	rows.write(w, func(_ int, _, padded string) string { return padded })
	fmt.Fprintf(w, "\nleast %s, median %s, 99 %% %s, most %s\n", shortTime(d.Least), shortTime(d.Median), shortTime(d.P99), shortTime(d.Most))
	if e.LossRun > 0 {
		fmt.Fprintf(w, "losses come in runs of %.3g packets on average\n", e.LossRun)
	}
	for _, x := range e.Warnings {
		where := ""
		if x.Column > 0 {
			where = fmt.Sprintf(" (column %d)", x.Column)
		}
		fmt.Fprintf(w, "\n%s%s: %s\n", x.Code, where, x.Text)
	}
}

// portion writes a share as a percentage, nothing when there is none.
func portion(p *float64) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%.3g %%", 100**p)
}
