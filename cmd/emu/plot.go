package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/report/page"
	"hilnet/report/page/plot"
)

// A plotFlags is what plot is told.
type plotFlags struct {
	out      string
	show     []string
	device   string
	from, to time.Duration
	width    int
	metrics  []string
	along    string
}

func (c *cli) plotCommand() *cobra.Command {
	var f plotFlags
	cmd := &cobra.Command{
		Use:   "plot CAPTURE|TRACE|TABLE",
		Short: "Draw a run or a sweep as SVG, for papers and tickets",
		Long: `plot draws one SVG file of a run: what was down, the packet pool, bytes in flight,
round trips and retransmission timeouts, queues, messages in flight, and the ladder
diagram of its frames. The same recording gives the same bytes.

It is given a capture, NAME.device.pcapng, or a trace, NAME.trace.jsonl, and finds
the other files of the run beside it. The level of the pool between its minima is in
NAME.samples.jsonl, which emu run --report FILE records. Any other pcapng or pcap
file will do as well: then there are bytes in flight, round trips and the ladder.

Of a table that emu sweep --format csv has printed it draws a curve with 95 %
intervals for each metric.

What was asked for and is not in the figure is named on standard error.`,
		Example: `  emu run link-drop --report link-drop.html && emu plot link-drop.device.pcapng -o pool.svg
  emu plot link-drop.device.pcapng --show state,ladder --from 19s --to 30s
  emu sweep link-drop --set pool.packets=8..32/4 --format csv > sweep.csv
  emu plot sweep.csv --metric pass_rate,latency_p95`,
		Args: arguments(1, 1, "a capture, a trace or the table of a sweep"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.plot(cmd, args[0], &f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "`FILE` for the figure, - for standard output; NAME.svg beside what it is of without it")
	flags.StringSliceVar(&f.show, "show", nil, "what to draw: state, pool, flight, rtt, queue, mqtt, ladder (default state,pool,flight,rtt)")
	flags.StringVar(&f.device, "device", "", "device of a run with several; the first without it")
	flags.DurationVar(&f.from, "from", 0, "moment of the run at which the figure begins")
	flags.DurationVar(&f.to, "to", 0, "moment at which it ends; 0: the end of the run")
	flags.IntVar(&f.width, "width", plot.DefaultWidth, "width in pixels")
	flags.StringSliceVar(&f.metrics, "metric", nil, "of a sweep: a number of the runs, such as latency_p95 (default pass_rate); may be repeated")
	flags.StringVar(&f.along, "along", "", "of a sweep: the `KEY` along which the curves go; the first without it")
	return cmd
}

func (c *cli) plot(cmd *cobra.Command, name string, f *plotFlags) error {
	if err := notPipe("read", name); err != nil {
		return &emu.EnvironmentError{Op: "read what is to be drawn", Err: err, Hint: "name a file"}
	}
	if _, err := os.Stat(name); err != nil {
		return usagef("%w (name a capture that emu run wrote, such as link-drop.device.pcapng)", err)
	}
	if base, ok := strings.CutSuffix(name, ".samples.jsonl"); ok {
		return usagef("%s is read beside the capture of its run: name %s.device.pcapng, or %s.trace.jsonl", name, base, base)
	}
	isTable := strings.HasSuffix(name, ".csv")
	for _, flag := range []string{"show", "device", "from", "to"} {
		if isTable && cmd.Flags().Changed(flag) {
			return usagef("--%s is for runs, and %s is the table of a sweep", flag, name)
		}
	}
	for _, flag := range []string{"metric", "along"} {
		if !isTable && cmd.Flags().Changed(flag) {
			return usagef("--%s is for the table of a sweep, a file that ends in .csv, and %s is of a run", flag, name)
		}
	}
	if f.out == "" {
		f.out = figureName(name)
	}
	if same(name, f.out) {
		return usagef("%s is read, so it cannot be written; choose another name", f.out)
	}
	var figure bytes.Buffer
	var left []string
	var err error
	if isTable {
		err = plotTable(&figure, name, f)
	} else {
		left, err = c.plotRun(&figure, name, f)
	}
	for _, l := range left {
		fmt.Fprintf(c.stderr, "emu: not in the figure: %s\n", l)
	}
	if err != nil {
		return err
	}
	return c.writeFigure(f.out, figure.Bytes())
}

// plotRun draws the run that a capture or a trace is of.
func (c *cli) plotRun(w io.Writer, name string, f *plotFlags) (left []string, err error) {
	captures := []string{name}
	if base, ok := strings.CutSuffix(name, ".trace.jsonl"); ok {
		if captures, err = capturesOf(base); err != nil {
			return nil, err
		}
	}
	source := page.Beside(captures...)
	if slices.ContainsFunc(append(source.Captures, source.Trace, source.Samples), func(name string) bool { return same(name, f.out) }) {
		return nil, usagef("%s is read, so it cannot be written; choose another name", f.out)
	}
	b, err := source.Read()
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return nil, &emu.EnvironmentError{Op: "read the recording", Err: err, Hint: "name files that you may read"}
	case err != nil:
		return nil, usagef("%w", err)
	}
	cfg := plot.Config{Device: f.device, From: f.from, To: f.to, Width: f.width}
	for _, p := range f.show {
		cfg.Panels = append(cfg.Panels, plot.Panel(p))
	}
	left, err = plot.Run(w, b, cfg)
	if err != nil {
		err = usagef("%s", strings.TrimPrefix(err.Error(), "plot: "))
	}
	return left, err
}

// capturesOf finds the captures of the run whose trace it is.
func capturesOf(base string) ([]string, error) {
	if _, err := os.Stat(base + ".device.pcapng"); err == nil {
		return []string{base + ".device.pcapng"}, nil
	}
	dir := filepath.Dir(base)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "look for the captures", Err: err, Hint: "name a capture"}
	}
	var all []string
	for _, e := range entries { // a device each, or the broker's port
		if strings.HasPrefix(e.Name(), filepath.Base(base)+".") && (strings.HasSuffix(e.Name(), ".device.pcapng") || strings.HasSuffix(e.Name(), ".broker.pcapng")) {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	if len(all) == 0 {
		return nil, usagef("no capture of the run is beside %s.trace.jsonl: the scenario and the frames are in the captures", base)
	}
	return all, nil
}

func plotTable(w io.Writer, name string, f *plotFlags) error {
	file, err := os.Open(name)
	if err != nil {
		return &emu.EnvironmentError{Op: "read the table", Err: err, Hint: "name a file that you may read"}
	}
	defer file.Close() // only read from
	t, err := plot.ReadTable(strings.TrimSuffix(filepath.Base(name), ".csv"), file)
	if err == nil {
		err = t.Plot(w, plot.TableConfig{Metrics: f.metrics, Along: f.along, Width: f.width})
	}
	if err != nil {
		return usagef("%s", strings.TrimPrefix(err.Error(), "plot: "))
	}
	return nil
}

// figureName is the name of a figure beside what it is of.
func figureName(name string) string {
	for _, end := range []string{".device.pcapng", ".peer.pcapng", ".trace.jsonl"} {
		if base, ok := strings.CutSuffix(name, end); ok {
			return base + ".svg"
		}
	}
	return strings.TrimSuffix(name, filepath.Ext(name)) + ".svg"
}

// writeFigure writes a figure whole or not at all.
func (c *cli) writeFigure(name string, figure []byte) error {
	if name == "-" {
		_, err := c.stdout.Write(figure)
		return err
	}
	file, err := create(name)
	if err != nil {
		return &emu.EnvironmentError{Op: "create the figure", Err: err, Hint: "choose another file with --out"}
	}
	_, err = file.Write(figure)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		err = errors.Join(err, removeHalf(name))
		return &emu.EnvironmentError{Op: "write " + name, Err: err, Hint: "free some space or choose another file"}
	}
	fmt.Fprintln(c.stdout, name)
	return nil
}
