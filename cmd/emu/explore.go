package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
)

// An exploreFlags is what explore is told.
type exploreFlags struct {
	sets     []string
	seed     uint64
	hasSeed  bool
	pairs    int
	most     int
	workers  int
	format   string
	json     bool
	out      string
	report   string
	quiet    bool
	progress string
}

func (c *cli) exploreCommand() *cobra.Command {
	var f exploreFlags
	cmd := &cobra.Command{
		Use:   "explore NAME|FILE",
		Short: "Lose each single frame of a run in turn, and tell which losses are fatal",
		Long: `explore runs a scenario, then again for each frame of that run with this one frame
lost, side by side on all cores. It prints the frames whose loss is fatal: an
expectation fails that held in the first run, or there is a finding that is an
error and that the first run has not. With each stands the command that repeats
the run.

Frames that the first run loses itself are left out. With --pairs N it then loses
pairs, in at most N runs: a frame whose loss alone is harmless together with the
first frame that followed it on its link when it was lost, for all frames; then
with the second, and so on. A retransmission is among those.

It ends with 0 when no loss is fatal and with 1 when one is. After Ctrl-C it
prints what it has found until then, and ends with 130.`,
		Example: `  emu explore link-drop
  emu explore idle-sensor --report fatal.html
  emu explore mine.yaml --pairs 500 --out fatal.json
  emu explore mine.yaml --set duration=30s --max 100 --format csv`,
		Args:              arguments(1, 1, "the name of a scenario or a file"),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.hasSeed = cmd.Flags().Changed("seed")
			return c.explore(cmd.Context(), args[0], &f)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random draw, instead of the scenario's")
	flags.IntVar(&f.pairs, "pairs", 0, "how many runs may lose two frames")
	flags.IntVar(&f.most, "max", 0, "lose only the first so many frames one by one; 0: all")
	flags.IntVar(&f.workers, "parallel", 0, "how many runs go side by side; 0: as many as there are cores")
	flags.StringVar(&f.format, "format", formatTable, "what to print: table, csv or json")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON, as --format json does")
	flags.StringVar(&f.out, "out", "", "`FILE` to write the result to as JSON, whatever is printed")
	flags.StringVar(&f.report, "report", "", "`FILE` to write a page to: the fatal frames on the ladder of the run without a loss")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing unless a loss is fatal")
	addSet(cmd, &f.sets)
	addProgress(cmd, &f.progress)
	complete(cmd, "format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (c *cli) explore(ctx context.Context, arg string, f *exploreFlags) error {
	meter, err := c.meter(f.progress, "runs", f.quiet)
	if err != nil {
		return err
	}
	if f.json {
		f.format = formatJSON
	}
	switch {
	case !contains(formats, f.format):
		return usagef("--format %s is not known%s; there are %s", f.format, didYouMean(f.format, formats), strings.Join(formats, ", "))
	case f.pairs < 0 || f.most < 0 || f.workers < 0:
		return usagef("--pairs, --max and --parallel are not negative")
	}
	settings, err := parseSets(f.sets)
	if err != nil {
		return err
	}
	sc, err := load(ctx, arg, settings)
	if err != nil {
		return err
	}
	config := emu.ExploreConfig{
		Scenario: sc, Source: arg, Settings: settings, Pairs: f.pairs, Max: f.most, Workers: f.workers, Apps: c.apps,
		Progress: func(done, total int64) { meter.update(float64(done), float64(total), "") },
	}
	if f.hasSeed {
		config.Seed = &f.seed
	}
	if f.report != "" {
		if err := touchPage(f.report); err != nil {
			return err
		}
	}
	began := clock()
	found, err := emu.Explore(ctx, config)
	meter.clear()
	interrupted := isInterrupt(ctx, err)
	if err != nil && (!interrupted || found == nil) {
		if interrupted {
			c.code = exitInterrupted
			return nil
		}
		return err
	}
	meter.end(float64(found.Singles+found.Pairs), float64(found.Singles+found.Pairs))
	if err := c.tellExploration(found, f, clock().Sub(began)); err != nil {
		return err
	}
	if f.report != "" {
		if err := c.reportExploration(context.WithoutCancel(ctx), sc, found, f.report); err != nil {
			return err
		}
	}
	switch {
	case interrupted:
		c.code = exitInterrupted
		fmt.Fprintf(c.stderr, "emu: interrupted after %d of %d runs; what was found until then is printed\n", found.Singles+found.Pairs, found.Planned)
	case found.Internal > 0:
		c.code = exitInternal
	case len(found.Fatal) > 0:
		c.code = exitFail
	}
	return nil
}

// tellExploration writes the result to where the flags say.
func (c *cli) tellExploration(e *emu.Exploration, f *exploreFlags, took time.Duration) error {
	if f.out != "" {
		out, err := createResult(f.out)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(out)
		err = writeExplorationJSON(w, e)
		for _, fn := range []func() error{w.Flush, out.Close} {
			if failed := fn(); err == nil {
				err = failed
			}
		}
		if err != nil {
			return &emu.EnvironmentError{Op: "write " + f.out, Err: err, Hint: "choose another file with --out"}
		}
	}
	if f.quiet && len(e.Fatal) == 0 {
		return nil
	}
	switch f.format {
	case formatJSON:
		return writeExplorationJSON(c.stdout, e)
	case formatCSV:
		return writeExplorationCSV(c.stdout, e)
	}
	writeExploration(c.stdout, e, took)
	return nil
}

// ExploreFormat names the document of explore --json.
const exploreFormat = "hilnet-explore/1"

func writeExplorationJSON(w io.Writer, e *emu.Exploration) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Format string `json:"format"`
		Hilnet string `json:"hilnet"`
		*emu.Exploration
	}{exploreFormat, emu.Version, e})
}

func writeExplorationCSV(w io.Writer, e *emu.Exploration) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"run", "link", "dir", "frame", "t", "what", "verdict", "failed", "command"}}
	for i := range e.Fatal {
		r := &e.Fatal[i]
		for k := range r.Drops {
			d := &r.Drops[k]
			rows = append(rows, []string{
				strconv.Itoa(i + 1), d.Link, d.Dir, strconv.FormatUint(d.Frame, 10), seconds(d.T.Seconds()), d.What,
				string(r.Verdict), strings.Join(reasons(r), "; "), r.Command,
			})
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// reasons are why a run is fatal.
func reasons(r *emu.ExploredRun) []string {
	all := append([]string{}, r.Failed...)
	for _, f := range r.Findings {
		all = append(all, f.Name)
	}
	if r.Error != "" {
		all = append(all, "internal error: "+r.Error)
	}
	return all
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// writeExploration prints the table of fatal frames.
func writeExploration(w io.Writer, e *emu.Exploration, took time.Duration) {
	if n := len(e.Base.Failed); n > 0 {
		fmt.Fprintf(w, "The run fails by itself (%s); what follows fails besides.\n\n", strings.Join(e.Base.Failed, "; "))
	}
	several := false
	for i := range e.Fatal {
		for k := range e.Fatal[i].Drops {
			several = several || e.Fatal[i].Drops[k].Link != e.Fatal[0].Drops[0].Link
		}
	}
	t := table{{"frame", "at", "what is lost", "what goes wrong"}}
	for i := range e.Fatal {
		r := &e.Fatal[i]
		for k := range r.Drops {
			d := &r.Drops[k]
			name := fmt.Sprintf("%s %d", d.Dir, d.Frame)
			if several {
				name = d.Link + " " + name
			}
			row := []string{name, seconds(d.T.Seconds()) + " s", d.What, strings.Join(reasons(r), "; ")}
			if k > 0 {
				row[0], row[3] = "+ "+row[0], ""
			}
			t = append(t, row)
		}
	}
	if len(e.Fatal) > 0 {
		t.write(w, func(_ int, _, padded string) string { return padded })
		fmt.Fprintln(w)
		for i := range e.Fatal {
			fmt.Fprintln(w, e.Fatal[i].Command)
		}
		fmt.Fprintln(w)
	}
	pairs := 0
	for i := range e.Fatal {
		if len(e.Fatal[i].Drops) > 1 {
			pairs++
		}
	}
	fmt.Fprintf(w, "%s, seed %d: %d frames, %d of them lost anyway; %d lost one by one, %d fatal", e.Scenario, e.Seed, e.Frames, e.Lost, e.Singles, len(e.Fatal)-pairs)
	if e.Pairs > 0 {
		fmt.Fprintf(w, "; %d pairs, %d fatal", e.Pairs, pairs)
	}
	fmt.Fprintf(w, "; in %s\n", shortTime(took))
}
