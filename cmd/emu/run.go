package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/report"
	"hilnet/scenarios"
)

// A runFlags is what run is told.
type runFlags struct {
	seed        uint64
	hasSeed     bool
	from        fromFlags
	out         string
	sets        []string
	settings    []scenarios.Set
	json        bool
	junit       string
	report      string
	quiet       bool
	verbose     bool
	progress    string
	keyLog      string
	parallel    int
	maxLateness time.Duration
	decide      decisionFlags
	ui          uiFlags
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run NAME|FILE|DIR…",
		Short: "Run scenarios, record them and judge them",
		Long: `run runs built-in scenarios and files to their end and prints what came of them.
Of a folder it takes every file that ends in .yaml or .yml, those in folders below
it too. Each run writes NAME.device.pcapng and NAME.peer.pcapng, what passed the
two ends of the link, and NAME.trace.jsonl, what happened beside the wire.

Several scenarios run side by side on all cores, but those with clock: real,
which run alone, behind the others. Results come in the order of the command
line: in full for a scenario that does not pass, and a table of all at the end.

With --from, run repeats the run that a capture of hilnet's is of, by the scenario
and the seed in the capture, and sees whether the capture comes out again, byte for
byte. Without --out what it writes is thrown away.

With --decisions-out the links write what they drew and decided for each frame.
--decisions makes them follow such a log, with its seed, and the run stops where
it goes another way; or it names a list of frames to drop, a line for each:
{"link":"link","dir":"up","frame":17}.

With --ui a page shows the run while it goes on, and numbers for Prometheus at
/metrics. With clock real it cuts and changes links, leaks packets, crashes the
broker and pauses, by hand: each is in the trace and can be saved as a scenario.

In virtual time the captures hold the keys of TLS sessions, so that Wireshark
reads them. With clock real they do only with --keylog.

It ends with 0 when every expectation holds, 1 when one fails, 2 when the
scenario or the command line is wrong, 3 when the machine lacks something, 4
after an internal error, 5 when --max-lateness makes the run prove nothing and 130
after Ctrl-C; with several scenarios the worst counts.`,
		Example: `  emu run link-drop
  emu run mine.yaml --seed 8 --set pool.packets=8 --out out
  emu run link-drop --report link-drop.html
  emu run tests/scenarios --junit out.xml --report out.html --quiet
  emu run link-drop --ui 127.0.0.1:8088 --set clock=real
  emu run --from out/link-drop.device.pcapng
  emu run link-drop --json | jq '.runs[0].outcome.lost'
  sudo emu run tap-mosquitto`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.from.path != "" {
				return arguments(0, 0, "")(cmd, args)
			}
			return arguments(1, -1, "the name of a scenario or a file")(cmd, args)
		},
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.hasSeed = cmd.Flags().Changed("seed")
			if f.from.path == "" {
				return c.runAll(cmd, args, &f)
			}
			done, err := f.from.open(cmd, &f, c.apps)
			if err != nil {
				return err
			}
			return errors.Join(c.runAll(cmd, args, &f), done())
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random draw, instead of the scenario's")
	flags.StringVar(&f.out, "out", ".", "folder for captures and trace; it is made when it does not exist")
	flags.BoolVar(&f.json, "json", false, "print the results as JSON; emu schema --result describes it")
	flags.StringVar(&f.junit, "junit", "", "`FILE` to write the results to as JUnit XML")
	flags.StringVar(&f.report, "report", "", "`FILE` to write the page of the run to, an HTML file that needs nothing else; of several scenarios, a page that leads to one of each beside it")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing unless something is wrong")
	flags.BoolVar(&f.verbose, "verbose", false, "with several scenarios: print the results of those that pass in full, too")
	flags.IntVar(&f.parallel, "parallel", 0, "how many scenarios run side by side; 0: as many as there are cores")
	flags.StringVar(&f.keyLog, "keylog", "", "`FILE` to write the secrets of TLS sessions to; with clock real they stand in the captures only with this")
	flags.DurationVar(&f.maxLateness, "max-lateness", 0, "in real time: a run in which something happened later than its moment by more than this proves nothing and ends with 5; 0: it does not matter")
	f.ui.add(cmd)
	f.decide.add(cmd)
	f.from.add(cmd)
	addSet(cmd, &f.sets)
	addProgress(cmd, &f.progress)
	return cmd
}

// runAll runs what the arguments name and tells of it.
func (c *cli) runAll(cmd *cobra.Command, args []string, f *runFlags) error {
	meter, err := c.meter(f.progress, "scenarios", f.quiet)
	if err != nil {
		return err
	}
	if f.parallel < 0 {
		return usagef("--parallel %d is negative; 0 means as many as there are cores", f.parallel)
	}
	if f.maxLateness < 0 {
		return usagef("--max-lateness %v is negative; write a time such as 20ms", f.maxLateness)
	}
	all, err := c.prepare(cmd.Context(), args, f)
	if err != nil {
		return err
	}
	if err := f.decide.open(len(all)); err != nil {
		return err
	}
	if err := c.warnOfKeys(all, f.keyLog); err != nil {
		return err
	}
	if f.report != "" {
		if err := touchPage(f.report); err != nil {
			return err
		}
	}
	junit, err := createJUnit(f.junit)
	if err != nil {
		return err
	}
	if err := f.ui.open(cmd, all); err != nil {
		return err
	}
	b := &batch{cli: c, flags: f, meter: meter, entries: all}
	var runs []report.Run
	var failed error
	pages := reports{name: f.report, many: len(all) > 1}
	for done := range b.run(cmd.Context()) {
		meter.clear()
		c.tell(done, f, len(all) > 1)
		failed = errors.Join(failed, pages.run(done, all[len(runs)].sc), f.ui.ended(done, all[len(runs)].sc))
		runs = append(runs, done.report)
	}
	failed = errors.Join(failed, pages.index())
	meter.end(float64(len(runs)), float64(len(all)))
	d := report.New(runs...)
	c.code = d.ExitCode
	if len(all) > 1 && !f.json && (!f.quiet || d.ExitCode != exitPass) {
		writeTable(c.stdout, newPalette(c.stdout), d, f.quiet)
	}
	if f.json {
		err = d.WriteJSON(c.stdout)
	}
	err = errors.Join(err, failed)
	if junit != nil {
		if failed := errors.Join(d.WriteJUnit(junit), junit.Close()); failed != nil {
			err = errors.Join(err, &emu.EnvironmentError{Op: "write " + f.junit, Err: failed, Hint: "choose another file with --junit"})
		}
	}
	return errors.Join(err, f.ui.close(cmd.Context(), c))
}

// warnOfKeys says what a key log of real sessions reveals.
func (c *cli) warnOfKeys(all []*found, name string) error {
	switch {
	case name == "":
		return nil
	case len(all) > 1:
		return usagef("--keylog is for one scenario, not for %d", len(all))
	case all[0].err == nil && all[0].sc.Clock == scenarios.Real:
		fmt.Fprintf(c.stderr, keyWarning, name+" and the captures")
	}
	return nil
}

// where is what the command that repeats a run says of the place of its files.
func (f *runFlags) where() string {
	if f.from.path != "" || filepath.Clean(f.out) == "." {
		return ""
	}
	return " --out " + emu.Quote(f.out)
}

// keyWarning is what --keylog prints where sessions are real.
const keyWarning = "warning: %s will hold the keys of every TLS session: whoever gets them reads all messages, user names and passwords\n"

// createJUnit creates the file before the runs, so that a wrong name is found at
// once. Without a name there is none.
func createJUnit(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	file, err := create(name)
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "create the JUnit file", Err: err, Hint: "choose another file with --junit"}
	}
	return file, nil
}

// prepare finds the scenarios, gives them the settings and sees that their files
// do not collide.
func (c *cli) prepare(ctx context.Context, args []string, f *runFlags) ([]*found, error) {
	var err error
	if f.settings, err = parseSets(f.sets); err != nil {
		return nil, err
	}
	all, err := find(ctx, args, f.settings)
	if err != nil {
		return nil, err
	}
	if r := f.from.recorded; r != nil {
		all = []*found{{source: r.Path, sc: r.Scenario}}
	}
	taken := map[string]*found{}
	for _, e := range all {
		if e.err != nil {
			continue
		}
		if other := taken[e.sc.Name]; other != nil {
			return nil, usagef("%s and %s are both called %s, so that their files would collide; give one another name:, or run them one by one with --out",
				other.source, e.source, e.sc.Name)
		}
		taken[e.sc.Name] = e
	}
	return all, nil
}

// tell prints what came of one scenario.
func (c *cli) tell(d *done, f *runFlags, many bool) {
	passed := d.report.Verdict == emu.Pass
	if d.result != nil && !f.json && (!passed || !f.quiet && (!many || f.verbose)) {
		writeResult(c.stdout, newPalette(c.stdout), d.result, d.report.Command)
		if many {
			fmt.Fprintln(c.stdout)
		}
	}
	switch {
	case d.stack != nil:
		c.internalError(d.err, d.stack)
	case d.err != nil && d.report.Verdict != emu.Interrupted:
		c.report(d.err)
	}
}

// writeTable prints a line for each scenario.
func writeTable(w io.Writer, p palette, d *report.Document, failedOnly bool) {
	t := table{{"scenario", "verdict", "expectations", "published", "acknowledged", "lost", "latency 95 %", "seed", "took"}}
	count := map[report.Verdict]int{}
	for i := range d.Runs {
		r := &d.Runs[i]
		count[r.Verdict]++
		if failedOnly && r.Verdict == emu.Pass {
			continue
		}
		t = append(t, tableRow(r))
	}
	t.write(w, func(column int, cell, padded string) string {
		switch {
		case column != 1 || cell == "verdict":
			return padded
		case cell == string(emu.Pass):
			return p.good(padded)
		case cell == string(emu.Interrupted), cell == string(emu.Inconclusive):
			return p.odd(padded)
		}
		return p.bad(padded)
	})
	var words []string
	for _, v := range []report.Verdict{emu.Pass, emu.Inconclusive, emu.Fail, report.Invalid, emu.Broken, emu.VerdictInternal, emu.Interrupted} {
		if n := count[v]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, v))
		}
	}
	fmt.Fprintf(w, "\n%d scenarios: %s\n", len(d.Runs), strings.Join(words, ", "))
}

func tableRow(r *report.Run) []string {
	row := []string{r.Scenario, string(r.Verdict), "-", "-", "-", "-", "-", fmt.Sprint(r.Seed), shortTime(r.Wall)}
	if len(r.Checks) > 0 {
		passed := 0
		for _, c := range r.Checks {
			if c.Passed {
				passed++
			}
		}
		row[2] = fmt.Sprintf("%d of %d", passed, len(r.Checks))
	}
	if o := r.Outcome; o != nil {
		row[3], row[4] = fmt.Sprint(o.Published), fmt.Sprint(o.Acknowledged)
		if r.DeliveryKnown {
			row[5] = fmt.Sprint(o.Lost)
		}
		if o.Acknowledged > 0 {
			row[6] = shortTime(o.LatencyP95)
		}
	} else {
		row[7], row[8] = "-", "-"
	}
	return row
}
