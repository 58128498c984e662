package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/report/page"
)

// A sweepFlags is what sweep and merge are told about their output.
type sweepFlags struct {
	outFile  string
	csv      string
	report   string
	format   string
	metrics  []string
	failures int
	find     string
	quiet    bool
}

// The formats of a summary.
const (
	formatTable = "table"
	formatCSV   = "csv"
	formatJSON  = "json"
)

var formats = []string{formatTable, formatCSV, formatJSON}

func addSummaryFlags(cmd *cobra.Command, f *sweepFlags) {
	flags := cmd.Flags()
	flags.StringVar(&f.outFile, "out-file", "", "`FILE` for the result of every run, one JSON object a line")
	flags.StringVar(&f.csv, "csv", "", "`FILE` for the result of every run as CSV")
	flags.StringVar(&f.report, "report", "", "`FILE` to write the page of the results to, an HTML file that needs nothing else")
	flags.StringVar(&f.format, "format", formatTable, "what to print: table, csv (every metric of every combination) or json")
	flags.StringSliceVar(&f.metrics, "metric", []string{"lost", "latency_p95", "pool_min_free"}, "metrics in the table")
	flags.StringVar(&f.find, "find", "", "look for the smallest value of the swept `KEY` from which on every run passes, and end with 0 if there is one")
	flags.IntVar(&f.failures, "failures", 3, "how many failing runs of each combination to name, with the command that repeats each")
	flags.BoolVar(&f.quiet, "quiet", false, "print no table unless a run fails; with --find, only what was found")
	complete(cmd, "format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	complete(cmd, "metric", cobra.FixedCompletions(metricNames(), cobra.ShellCompDirectiveNoFileComp))
}

func metricNames() []string {
	var all []string
	for _, m := range emu.AllMetrics() {
		all = append(all, m.Name)
	}
	return all
}

func (f *sweepFlags) check() error {
	switch f.format {
	case formatTable, formatCSV, formatJSON:
	default:
		return usagef("--format %s is not known%s; there are %s", f.format, didYouMean(f.format, formats), strings.Join(formats, ", "))
	}
	if f.failures < 0 {
		return usagef("--failures %d is negative", f.failures)
	}
	names := metricNames()
	for _, m := range f.metrics {
		if !contains(names, m) {
			return usagef("--metric %s is not known%s; there are %s", m, didYouMean(m, names), strings.Join(names, ", "))
		}
	}
	return nil
}

// A sink takes the results of a sweep, in the order of their runs, to where the
// flags say.
type sink struct {
	cli     *cli
	flags   *sweepFlags
	header  emu.SweepHeader
	jobs    *emu.SweepWriter // nil without --out-file
	csv     *csv.Writer      // nil without --csv
	summary *emu.SweepSummary
	printer summaryPrinter
	finder  *emu.SweepFinder // nil without --find
	page    *page.Builder    // nil without --report
	closers []func() error
}

// newSink opens the outputs. With file the results are appended to it.
func (c *cli) newSink(h emu.SweepHeader, f *sweepFlags, file *os.File) (*sink, error) {
	if err := f.distinct(); err != nil {
		return nil, err
	}
	s := &sink{cli: c, flags: f, header: h}
	if err := s.addFinder(); err != nil {
		return nil, err
	}
	switch {
	case file != nil:
		s.jobs = emu.ContinueSweep(file)
		s.closers = append(s.closers, s.jobs.Flush, file.Close)
	case f.outFile != "":
		out, err := createResult(f.outFile)
		if err != nil {
			return nil, err
		}
		if s.jobs, err = emu.NewSweepWriter(out, h); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, s.jobs.Flush, out.Close)
	}
	if f.csv != "" {
		out, err := createResult(f.csv)
		if err != nil {
			return nil, err
		}
		buffer := bufio.NewWriter(out)
		s.csv = csv.NewWriter(buffer)
		s.closers = append(s.closers, func() error { s.csv.Flush(); return s.csv.Error() }, buffer.Flush, out.Close)
		if err := s.csv.Write(csvHead(&h)); err != nil {
			return nil, err
		}
	}
	if f.report != "" {
		if err := touchPage(f.report); err != nil {
			return nil, err
		}
		s.page = page.NewSweep(h)
	}
	s.printer = newSummaryPrinter(c.stdout, &h, f, s.finder)
	s.summary = emu.NewSweepSummary(h, f.failures, func(r *emu.SweepRow) error {
		if s.finder != nil {
			s.finder.Add(r)
		}
		if s.page != nil {
			s.page.Row(r)
		}
		return s.printer.row(r)
	})
	return s, nil
}

func createResult(name string) (*os.File, error) {
	f, err := create(name)
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "create a file of results", Err: err, Hint: "choose another name"}
	}
	return f, nil
}

// add takes a result that is new.
func (s *sink) add(r *emu.SweepRun) error {
	if s.jobs != nil {
		if err := s.jobs.Write(r); err != nil {
			return diskError(err)
		}
	}
	return s.replay(r)
}

// replay takes a result that is in the file already.
func (s *sink) replay(r *emu.SweepRun) error {
	if s.csv != nil {
		if err := s.csv.Write(csvRow(r)); err != nil {
			return diskError(err)
		}
	}
	return s.summary.Add(r)
}

func diskError(err error) error {
	return &emu.EnvironmentError{Op: "write the results", Err: err, Hint: "free some space; emu sweep --resume goes on where it stopped"}
}

// close ends the files and prints the summary, of what there is.
func (s *sink) close() error {
	err := s.summary.Close()
	for _, fn := range s.closers {
		if failed := fn(); failed != nil && !errors.Is(failed, os.ErrClosed) {
			err = errors.Join(err, diskError(failed))
		}
	}
	if s.page != nil && err == nil {
		s.page.EndSweep(s.summary, s.finder)
		err = writePage(s.flags.report, s.page.Write)
	}
	quiet := s.flags.quiet && s.flags.format == formatTable && (s.finder != nil || s.summary.Passed == s.summary.Runs)
	switch {
	case err != nil || quiet && s.finder == nil:
		return err
	case quiet:
		printFound(s.cli.stdout, newPalette(s.cli.stdout), &s.header, s.finder)
		return nil
	}
	return s.printer.end(s.summary)
}

// code is the exit code of what was added.
func (s *sink) code() int {
	switch {
	case s.summary.Internal > 0:
		return exitInternal
	case s.finder != nil && foundAll(s.finder):
		return exitPass
	case s.finder != nil, s.summary.Passed < s.summary.Runs:
		return exitFail
	}
	return exitPass
}

func csvHead(h *emu.SweepHeader) []string {
	head := []string{"job"}
	for _, a := range h.Axes {
		head = append(head, a.Key)
	}
	return append(append(head, "seed", "verdict", "failed", "hash"), metricNames()...)
}

func csvRow(r *emu.SweepRun) []string {
	row := append([]string{strconv.FormatInt(r.Job, 10)}, r.Values...)
	row = append(row, strconv.FormatUint(r.Seed, 10), string(r.Verdict), strings.Join(r.Failed, "; "), r.Hash)
	for _, m := range emu.AllMetrics() {
		cell := ""
		if x, ok := m.Of(&r.Metrics); ok && r.Verdict != emu.VerdictInternal {
			cell = strconv.FormatFloat(x, 'f', -1, 64)
		}
		row = append(row, cell)
	}
	return row
}

func (c *cli) sweepCommand() *cobra.Command {
	var f sweepFlags
	var s sweepRunFlags
	cmd := &cobra.Command{
		Use:   "sweep NAME|FILE",
		Short: "Run a scenario with every combination of values and many seeds",
		Long: `sweep runs a scenario with every combination of the values behind --set, each
with every seed, side by side on all cores, and prints how many runs passed and
what the numbers are, with 95 % confidence intervals (Wilson for shares, Student's
t for means) and the commands that repeat the first failing runs.

Values are lists (0,1%,5%), ranges (4..64) and ranges with a step
(100ms..1000ms/100ms). The results do not depend on the number of workers.

--find KEY answers "how small may it be?": it names the smallest value of the key
from which on every run passed, beside each combination of the other keys' values,
with the pool's memory, the fewest packets that were free, the requests that found
none, and the share of failures that so many seeds cannot exclude. Runs may fail
then; sweep ends with 0 when there is such a value everywhere, and with 1 if not.

With --out-file every result is kept as soon as it is there; after Ctrl-C,
--resume goes on behind the last one. --shard 2/8 does the second eighth of the
work, for the machines of a batch system; emu merge brings the files together.`,
		Example: `  emu sweep link-drop --set pool.packets=4..32/4 --seeds 20
  emu sweep pool-outage --set pool.packets=4..64/4 --seeds 20 --find pool.packets
  emu sweep mine.yaml --set pool.packets=8,16 --set link.loss=0,1%,5% --seeds 200 --out-file r.jsonl
  emu sweep link-drop --set pool.packets=8..24/4 --set link.loss=0,2%,5% --seeds 10 --report sweep.html
  emu sweep mine.yaml --set pool.packets=8,16 --seeds 200 --out-file r.jsonl --resume
  emu sweep mine.yaml --seeds 1000 --shard 2/8 --out-file r2.jsonl --quiet`,
		Args:              arguments(1, 1, "the name of a scenario or a file"),
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.hasSeed = cmd.Flags().Changed("seed")
			return c.sweep(cmd.Context(), args[0], &f, &s)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&s.sets, "set", nil, "`KEY=VALUES` gives a key of the scenario each of the values, such as pool.packets=4..64; may be repeated")
	flags.IntVar(&s.seeds, "seeds", 1, "number of seeds of each combination")
	flags.Uint64Var(&s.seed, "seed", 0, "first seed, instead of the scenario's")
	flags.IntVar(&s.workers, "parallel", 0, "how many runs go side by side; 0: as many as there are cores")
	flags.StringVar(&s.shard, "shard", "", "`I/N` does every N-th run only, beginning with the I-th")
	flags.BoolVar(&s.resume, "resume", false, "go on behind what --out-file holds")
	flags.IntVar(&s.verify, "verify", 0, "do every N-th run twice and compare the traces")
	addSummaryFlags(cmd, &f)
	addProgress(cmd, &s.progress)
	complete(cmd, "set", completeSet)
	return cmd
}

type sweepRunFlags struct {
	sets     []string
	seeds    int
	seed     uint64
	hasSeed  bool
	workers  int
	shard    string
	resume   bool
	verify   int
	progress string
}

// config turns the flags into the configuration of a sweep.
func (s *sweepRunFlags) config(ctx context.Context, arg string) (emu.SweepConfig, error) {
	sc, err := load(ctx, arg, nil)
	if err != nil {
		return emu.SweepConfig{}, err
	}
	c := emu.SweepConfig{Scenario: sc, Source: arg, Seeds: s.seeds, Workers: s.workers, Verify: s.verify}
	if s.hasSeed {
		c.FirstSeed = &s.seed
	}
	if s.seeds < 1 || s.workers < 0 || s.verify < 0 {
		return c, usagef("--seeds is at least 1, --parallel and --verify are not negative")
	}
	for _, text := range s.sets {
		axis, err := emu.ParseAxis(text)
		if err != nil {
			return c, usagef("--set: %s", bare(err))
		}
		c.Axes = append(c.Axes, axis)
	}
	if s.shard != "" {
		shard, shards, ok := strings.Cut(s.shard, "/")
		i, err1 := strconv.Atoi(shard)
		n, err2 := strconv.Atoi(shards)
		if !ok || err1 != nil || err2 != nil || i < 1 || n < i {
			return c, usagef("--shard %s is not a part: write 1/4 to 4/4", s.shard)
		}
		c.Shard, c.Shards = i, n
	}
	return c, nil
}

func (c *cli) sweep(ctx context.Context, arg string, f *sweepFlags, s *sweepRunFlags) error {
	meter, err := c.meter(s.progress, "runs", f.quiet)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return err
	}
	config, err := s.config(ctx, arg)
	if err != nil {
		return err
	}
	config.Apps = c.apps
	config.Progress = func(done, total int64) { meter.update(float64(done), float64(total), "") }
	sweep, err := emu.NewSweep(config)
	if err != nil {
		return err
	}
	out, err := c.openSweep(sweep, f, s.resume, &config)
	if err != nil {
		return err
	}
	meter.skip(float64(config.Skip))
	if sweep, err = emu.NewSweep(config); err != nil {
		return err
	}
	err = sweep.Run(ctx, out.add)
	meter.clear()
	if err == nil {
		meter.end(float64(sweep.Total()), float64(sweep.Total()))
	}
	interrupted := isInterrupt(ctx, err)
	if interrupted {
		err = nil
	}
	if closed := out.close(); err == nil || closed != nil {
		err = errors.Join(err, closed)
	}
	c.code = out.code()
	if interrupted {
		c.code = exitInterrupted
		hint := "with --out-file and --resume nothing of it would be lost"
		if f.outFile != "" {
			hint = "the same command with --resume goes on"
		}
		fmt.Fprintf(c.stderr, "emu: interrupted after %d of %d runs; %s\n", out.summary.Runs, sweep.Total(), hint)
	}
	return err
}

// isInterrupt reports whether an error is the user's wish.
func isInterrupt(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}

// openSweep opens the outputs. To resume, it hands them what is there already,
// cuts an unfinished line off and tells the configuration how much to skip.
func (c *cli) openSweep(sweep *emu.Sweep, f *sweepFlags, resume bool, config *emu.SweepConfig) (*sink, error) {
	if resume && f.outFile == "" {
		return nil, usagef("--resume needs --out-file, the file to go on with")
	}
	if info, err := os.Stat(f.outFile); err == nil && f.outFile != "" && !resume && info.Mode().IsRegular() && info.Size() > 0 {
		return nil, usagef("%s exists: go on with --resume, or choose another --out-file", f.outFile)
	}
	if !resume {
		return c.newSink(sweep.Header(), f, nil)
	}
	if err := notPipe("read", f.outFile); err != nil {
		return nil, &emu.EnvironmentError{Op: "open the results", Err: err, Hint: "choose another --out-file"}
	}
	file, err := os.OpenFile(f.outFile, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return c.newSink(sweep.Header(), f, nil)
	}
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "open the results", Err: err, Hint: "choose another --out-file"}
	}
	reader, err := emu.NewSweepReader(file)
	if errors.Is(err, emu.ErrCut) {
		return c.newSink(sweep.Header(), f, nil) // interrupted before the first line was whole
	}
	if err != nil {
		return nil, usagef("%s: %s", f.outFile, bare(err))
	}
	// The whole file is looked at before an output of before is begun again.
	if _, err = reader.CheckResume(sweep.Header(), func(*emu.SweepRun) error { return nil }); err != nil {
		return nil, usagef("%s: %s", f.outFile, bare(err))
	}
	if _, err = file.Seek(0, io.SeekStart); err == nil {
		reader, err = emu.NewSweepReader(file)
	}
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "read the results", Err: err, Hint: "choose another --out-file"}
	}
	out, err := c.newSink(sweep.Header(), f, file)
	if err != nil {
		return nil, err
	}
	if config.Skip, err = reader.CheckResume(sweep.Header(), out.replay); err != nil {
		return nil, usagef("%s: %s", f.outFile, bare(err))
	}
	if err := file.Truncate(reader.Good()); err != nil {
		return nil, diskError(err)
	}
	if _, err := file.Seek(reader.Good(), io.SeekStart); err != nil {
		return nil, diskError(err)
	}
	return out, nil
}
