package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/report"
	"hilnet/report/page"
	"hilnet/scenarios"
)

func (c *cli) reportCommand() *cobra.Command {
	var out string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "report CAPTURE…",
		Short: "Make a page of a run's captures and trace",
		Long: `report makes one HTML file of what a run has recorded: verdict, expectations and
findings, the ladder diagram of every frame, curves over time, numbers. The page
needs no network and no other file.

It is given a capture, NAME.device.pcapng, and finds NAME.peer.pcapng,
NAME.trace.jsonl and NAME.samples.jsonl beside it; the scenario is in the capture.
What is missing is named on the page and on standard error: without the trace
there is no verdict. Any other pcapng or pcap file will do as well: then the page
shows what is on the wire. Several captures are those of one run.

emu run --report FILE does the same at the end of a run, and records the levels of
pools and queues for it.`,
		Example: `  emu report link-drop.device.pcapng
  emu report out/fleet-small.*.device.pcapng --out fleet.html
  emu report field.pcap`,
		Args: arguments(1, -1, "a capture"),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if err := notPipe("read", name); err != nil {
					return &emu.EnvironmentError{Op: "read the capture", Err: err, Hint: "name a file"}
				}
				if _, err := os.Stat(name); err != nil {
					return usagef("%w (name a capture that emu run wrote, such as link-drop.device.pcapng)", err)
				}
			}
			source := page.Beside(args...)
			if out == "" {
				out = pageName(args[0])
			}
			if slices.ContainsFunc(source.Captures, func(name string) bool { return same(name, out) }) {
				return usagef("%s is read, so it cannot be written; choose another name", out)
			}
			b, err := source.Read()
			var path *fs.PathError
			switch {
			case errors.As(err, &path):
				return &emu.EnvironmentError{Op: "read the recording", Err: err, Hint: "name files that you may read"}
			case err != nil:
				return usagef("%w", err)
			}
			if err := writePage(out, b); err != nil {
				return err
			}
			for _, m := range b.Missing() {
				fmt.Fprintf(c.stderr, "emu: not on the page: %s\n", m)
			}
			if !quiet {
				fmt.Fprintln(c.stdout, out)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the page; NAME.html beside the capture without it")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "do not print the name of the page")
	return cmd
}

// pageName is the name of a page beside a capture.
func pageName(capture string) string {
	name := strings.TrimSuffix(capture, filepath.Ext(capture))
	return strings.TrimSuffix(strings.TrimSuffix(name, ".device"), ".peer") + ".html"
}

// writePage writes a page whole or not at all.
func writePage(name string, b *page.Builder) error {
	file, err := create(name)
	if err != nil {
		return &emu.EnvironmentError{Op: "create the page", Err: err, Hint: "choose another file"}
	}
	w := bufio.NewWriterSize(file, 1<<16)
	err = b.Write(w)
	for _, fn := range []func() error{w.Flush, file.Close} {
		if failed := fn(); err == nil {
			err = failed
		}
	}
	if err != nil {
		if info, statErr := os.Lstat(name); statErr == nil && info.Mode().IsRegular() {
			err = errors.Join(err, os.Remove(name)) // half a page is worse than none
		}
		return &emu.EnvironmentError{Op: "write " + name, Err: err, Hint: "free some space or choose another file"}
	}
	return nil
}

// checkReport sees before the run that its page can be written.
func checkReport(name string, all []*found) error {
	switch {
	case name == "":
		return nil
	case len(all) > 1:
		return usagef("--report makes the page of one scenario, and there are %d; emu report makes those of recordings, one by one", len(all))
	}
	return touchPage(name)
}

// touchPage sees that a page can be written, before the work that it is about.
func touchPage(name string) error {
	file, err := create(name)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return &emu.EnvironmentError{Op: "create the page", Err: err, Hint: "choose another file with --report"}
	}
	return nil
}

// reportExploration writes the page of an exploration: the run without a loss,
// done once more with its recording, and what was fatal to it.
func (c *cli) reportExploration(ctx context.Context, sc *scenarios.Scenario, e *emu.Exploration, name string) error {
	dir, err := os.MkdirTemp("", "emu-explore")
	if err != nil {
		return &emu.EnvironmentError{Op: "record the run for the page", Err: err}
	}
	defer os.RemoveAll(dir)
	own := sc.Clone()
	own.Capture = []scenarios.Point{scenarios.PointDevice, scenarios.PointPeer}
	result, err := emu.Run(ctx, own, emu.Options{Apps: c.apps, Out: dir, Samples: true, Seed: &e.Seed, Source: e.Source})
	if err != nil {
		return err
	}
	d := done{report: report.NewRun(result, e.Source), result: result}
	d.report.Command = e.Base.Command
	b, err := readRun(&d, own)
	if err != nil {
		return err
	}
	b.Explored(e)
	return writePage(name, b)
}

// reportRun writes the page of a run, also of one that did not begin.
func (f *runFlags) reportRun(d *done, sc *scenarios.Scenario) error {
	if f.report == "" {
		return nil
	}
	if slices.ContainsFunc(d.report.Files, func(name string) bool { return same(name, f.report) }) {
		return usagef("%s is a file of the run itself; choose another name for the page", f.report)
	}
	b, err := readRun(d, sc)
	if err != nil {
		return err
	}
	return writePage(f.report, b)
}

// readRun reads the files of a run, as many as it has.
func readRun(d *done, sc *scenarios.Scenario) (*page.Builder, error) {
	source := page.Source{Run: &d.report}
	for _, name := range d.report.Files {
		switch {
		case strings.HasSuffix(name, ".pcapng"):
			source.Captures = append(source.Captures, name)
		case strings.HasSuffix(name, ".samples.jsonl"):
			source.Samples = name
		case strings.HasSuffix(name, ".trace.jsonl"):
			source.Trace = name
		}
	}
	if len(source.Captures) == 0 {
		source.Scenario = sc
	}
	b, err := source.Read()
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "read the recording for the page", Err: err}
	}
	return b, nil
}
