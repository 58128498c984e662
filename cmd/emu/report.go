package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
			if err := writePage(out, b.Write); err != nil {
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
func writePage(name string, write func(io.Writer) error) error {
	file, err := create(name)
	if err != nil {
		return &emu.EnvironmentError{Op: "create the page", Err: err, Hint: "choose another file"}
	}
	w := bufio.NewWriterSize(file, 1<<16)
	err = write(w)
	for _, fn := range []func() error{w.Flush, file.Close} {
		if failed := fn(); err == nil {
			err = failed
		}
	}
	if err != nil {
		err = errors.Join(err, removeHalf(name))
		return &emu.EnvironmentError{Op: "write " + name, Err: err, Hint: "free some space or choose another file"}
	}
	return nil
}

// removeHalf removes a file that could not be written whole, which is worse than
// none.
func removeHalf(name string) error {
	if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
		return os.Remove(name)
	}
	return nil
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
	return writePage(name, b.Write)
}

// reports are the pages of what emu run runs.
type reports struct {
	name    string // "": none
	many    bool   // scenarios: name is a page that leads to theirs
	entries []page.Entry
}

// run writes the page of a run, also of one that did not begin.
func (p *reports) run(d *done, sc *scenarios.Scenario) error {
	if p.name == "" {
		return nil
	}
	name := p.name
	if p.many {
		name = strings.TrimSuffix(p.name, filepath.Ext(p.name)) + "." + nameBeside(&d.report) + ".html"
		if slices.ContainsFunc(p.entries, func(e page.Entry) bool { return e.Page == filepath.Base(name) }) {
			name = strings.TrimSuffix(name, ".html") + fmt.Sprintf("-%d.html", len(p.entries)+1)
		}
	}
	p.entries = append(p.entries, page.Entry{Run: &d.report})
	if slices.ContainsFunc(d.report.Files, func(file string) bool { return same(file, name) }) {
		return usagef("%s is a file of the run itself; choose another name for the page", name)
	}
	b, err := readRun(d, sc)
	if err != nil {
		return err
	}
	if err := writePage(name, b.Write); err != nil {
		return err
	}
	p.entries[len(p.entries)-1].Page = filepath.Base(name)
	return nil
}

// nameBeside is what a run's page is called beside that of all.
func nameBeside(r *report.Run) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(r.Scenario), ".yaml"), ".yml")
}

// index writes the page that leads to those of several runs.
func (p *reports) index() error {
	if p.name == "" || !p.many {
		return nil
	}
	return writePage(p.name, func(w io.Writer) error { return page.WriteIndex(w, p.entries) })
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
