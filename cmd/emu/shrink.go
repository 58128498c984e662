package main

import (
	"context"
	"errors"
	"fmt"

	"encoding/json"

	"github.com/spf13/cobra"

	"hilnet/emu"
)

// A shrinkFlags is what shrink is told.
type shrinkFlags struct {
	sets     []string
	seed     uint64
	hasSeed  bool
	out      string
	expect   string
	most     int
	workers  int
	json     bool
	progress string
}

func (c *cli) shrinkCommand() *cobra.Command {
	var f shrinkFlags
	cmd := &cobra.Command{
		Use:   "shrink NAME|FILE",
		Short: "Find the few lost frames that make a run fail",
		Long: `shrink repeats a run that fails, notes which frames its links lost to loss and
drop_frames, and looks for the smallest set of these with which the run still
fails when nothing else is lost: none, then each one alone, then by delta
debugging. It prints a scenario with these drops as a list, a comment for each,
which fails alike under emu run.

The same expectation has to fail: one of those that the run fails, or, if it fails
none, a finding that is an error. --expect chooses. Drops for other reasons, such
as a blackhole or a full queue, are consequences and stay.

It ends with 0 when it has written a scenario, with 2 when the run does not fail
or its losses cannot be taken apart (other impairments draw them), and with 130
after Ctrl-C. The result does not depend on the number of workers.`,
		Example: `  emu shrink link-drop --set pool.packets=16 --seed 3 -o small.yaml
  emu shrink mine.yaml --seed 8 --expect "lost == 0"`,
		Args:              arguments(1, 1, "the name of a scenario or a file"),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.hasSeed = cmd.Flags().Changed("seed")
			return c.shrink(cmd.Context(), args[0], &f)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "seed of the run that fails, instead of the scenario's")
	flags.StringVarP(&f.out, "out", "o", "", "`FILE` to write the scenario to, instead of standard output")
	flags.StringVar(&f.expect, "expect", "", "what has to fail: a part of an expectation's `TEXT` or expression, or the name of a finding")
	flags.IntVar(&f.most, "max-runs", emu.DefaultShrinkRuns, "how many runs to do at most")
	flags.IntVar(&f.workers, "parallel", 0, "how many runs go side by side; 0: as many as there are cores")
	flags.BoolVar(&f.json, "json", false, "print the frames and what fails as JSON")
	addSet(cmd, &f.sets)
	addProgress(cmd, &f.progress)
	return cmd
}

func (c *cli) shrink(ctx context.Context, arg string, f *shrinkFlags) error {
	meter, err := c.meter(f.progress, "runs", false)
	if err != nil {
		return err
	}
	if f.most < 1 || f.workers < 0 {
		return usagef("--max-runs is at least 1, --parallel is not negative")
	}
	settings, err := parseSets(f.sets)
	if err != nil {
		return err
	}
	sc, err := load(ctx, arg, settings)
	if err != nil {
		return err
	}
	config := emu.ShrinkConfig{
		Scenario: sc, Source: arg, Settings: settings, Expect: f.expect, MaxRuns: f.most, Workers: f.workers, Apps: c.apps,
		Progress: func(done, most int64, drops int) {
			meter.update(float64(done), float64(most), fmt.Sprintf("%d drops are enough", drops))
		},
	}
	if f.hasSeed {
		config.Seed = &f.seed
	}
	s, err := emu.Shrink(ctx, config)
	meter.clear()
	if isInterrupt(ctx, err) {
		c.code = exitInterrupted
		fmt.Fprintln(c.stderr, "emu: interrupted: nothing was written")
		return nil
	}
	if errors.Is(err, emu.ErrNothingFails) && f.expect != "" {
		return usagef("nothing that --expect %q means fails in this run", f.expect)
	}
	if err != nil {
		return err
	}
	meter.end(float64(s.Runs), float64(s.Runs))
	return c.tellShrunk(s, f)
}

// tellShrunk writes the scenario and says what it is.
func (c *cli) tellShrunk(s *emu.Shrunk, f *shrinkFlags) error {
	if f.out != "" {
		if err := replaceFile(f.out, s.Text, 0o644); err != nil {
			return &emu.EnvironmentError{Op: "write the scenario", Err: err, Hint: "choose another file with --out"}
		}
	}
	switch {
	case f.json:
		enc := json.NewEncoder(c.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(s)
	case f.out == "":
		fmt.Fprint(c.stdout, string(s.Text))
	default:
		for i := range s.Drops {
			d := &s.Drops[i]
			fmt.Fprintf(c.stdout, "%s %d, %s s: %s\n", d.Dir, d.Frame, seconds(d.T.Seconds()), d.What)
		}
	}
	why := "each of them is needed"
	switch {
	case len(s.Drops) == 0:
		why = "the run fails without any"
	case !s.Needed:
		why = "there may be fewer: --max-runs ended the search"
	case s.Smallest:
		why = "no smaller part fails"
	}
	fmt.Fprintf(c.stderr, "%d of %d lost frames are enough, %s; %d runs\n", len(s.Drops), s.Lost, why, s.Runs)
	if f.out != "" {
		fmt.Fprintf(c.stderr, "again: emu run %s\n", emu.Quote(f.out))
	}
	return nil
}
