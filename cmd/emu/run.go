package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hilnet/emu"
	"hilnet/scenarios"
	"hilnet/sim"
)

func (c *cli) runCommand() *cobra.Command {
	var (
		seed  uint64
		out   string
		quiet bool
	)
	cmd := &cobra.Command{
		Use:   "run NAME|FILE",
		Short: "Run a scenario, record it and judge it",
		Long: `run runs a built-in scenario or a file to its end and prints what came of it. It
writes NAME.device.pcapng and NAME.peer.pcapng, what passed the two ends of the
link, and NAME.trace.jsonl, what happened beside the wire.

It ends with 0 when every expectation holds, 1 when one fails, 2 when the
scenario or the command line is wrong, 3 when the machine lacks something, 4
after an internal error and 130 after Ctrl-C.`,
		Example: "  emu run link-drop\n  emu run mine.yaml --seed 8 --out out\n  sudo emu run tap-mosquitto",
		Args:    arguments(1, "the name of a scenario or a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sc, err := load(args[0])
			if err != nil {
				return err
			}
			opt := emu.Options{Out: out, Source: args[0]}
			if cmd.Flags().Changed("seed") {
				opt.Seed = &seed
			}
			clear := func() {}
			if !quiet {
				opt.Progress, clear = progress(c.stderr)
			}
			result, err := emu.Run(cmd.Context(), sc, opt)
			clear()
			if result != nil {
				c.code = exitCode(result.Verdict)
				if !quiet || result.Verdict != emu.Pass {
					writeResult(c.stdout, result)
				}
			}
			if result != nil && result.Verdict == emu.Interrupted {
				return nil
			}
			return err
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of every random draw, instead of the scenario's")
	cmd.Flags().StringVar(&out, "out", ".", "folder for captures and trace; it is made when it does not exist")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print nothing unless something is wrong")
	return cmd
}

func exitCode(v emu.Verdict) int {
	switch v {
	case emu.Pass:
		return exitPass
	case emu.Fail:
		return exitFail
	case emu.Interrupted:
		return exitInterrupted
	case emu.Broken:
		return exitEnvironment
	}
	panic(fmt.Sprintf("emu: verdict %q", v))
}

// progress shows how far a run is on a terminal, and nothing elsewhere. The
// second function takes the line away.
func progress(stderr io.Writer) (func(now, end sim.Time), func()) {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	shown := false
	show := func(now, end sim.Time) {
		shown = true
		fmt.Fprintf(f, "\r\x1b[K%3.0f %%  %v of %v", 100*now.Seconds()/end.Seconds(),
			time.Duration(now).Round(time.Second), time.Duration(end))
	}
	return show, func() {
		if shown {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}

// writeResult prints a result for a person.
func writeResult(w io.Writer, r *emu.Result) {
	o := r.Outcome
	length := time.Duration(r.Length)
	fmt.Fprintf(w, "%s: %s  (%v of device time in %v, seed %d)\n\n", r.Scenario, r.Verdict, length, r.Wall.Round(time.Millisecond), r.Seed)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("published", "%d%s", o.Published, failed(o.PublishErrors))
	row("acknowledged", "%d%s", o.Acknowledged, latency(o))
	if r.ModelBroker {
		row("delivered", "%d, lost %d, duplicated %d", o.Delivered, o.Lost, o.Duplicated)
	} else {
		row("delivered", "unknown: only the real broker knows")
	}
	row("received", "%d", o.Received)
	row("connections", "%d, reconnects %d%s", o.Connects, o.Reconnects, failed(o.ConnectErrors))
	for _, d := range o.Devices {
		row("pool", "low-water mark %d of %d packets free (%s), %d requests found none", d.Pool.MinFree, d.Pool.Total, d.Name, d.Pool.EmptyRequests)
	}
	row("drops", "%s", drops(&o.Drops))
	if r.Clock == scenarios.Real {
		row("lateness", "median %v, 99 %% %v, maximum %v", r.Lateness.Quantile(0.5), r.Lateness.Quantile(0.99), r.Lateness.Max)
	}
	for _, e := range o.ConservationErrors {
		row("UNACCOUNTED", "%s", e)
	}
	fmt.Fprintln(w)
	for _, c := range r.Checks {
		writeVerdict(w, &c)
	}
	if len(r.Checks) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range r.Notes {
		row("note", "%s", n)
	}
	for i, f := range r.Files {
		name := ""
		if i == 0 {
			name = "files"
		}
		row(name, "%s", f)
	}
	row("again", "%s", r.Command())
}

// writeVerdict prints an expectation and, when it failed, why.
func writeVerdict(w io.Writer, v *scenarios.Verdict) {
	word := "ok  "
	if !v.Passed {
		word = "FAIL"
	}
	if v.Text == v.That {
		fmt.Fprintf(w, "  %s  %s\n", word, v.That)
	} else {
		fmt.Fprintf(w, "  %s  %s: %s\n", word, v.Text, v.That)
	}
	for line := range strings.Lines(v.Why) {
		fmt.Fprintf(w, "        %s\n", strings.TrimRight(line, "\n"))
	}
}
