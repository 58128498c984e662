package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/replay/frames"
	"hilnet/sim"
	"hilnet/tap"
)

// A framesSession is the outputs of one call and the loop that they run on: in
// real time when one of them leads out of the process.
type framesSession struct {
	real    bool
	start   pcaps.Stamp
	pacer   sim.Pacer
	loop    *sim.Loop
	clock   func() sim.Time
	outputs [2]frames.Output
	closers []io.Closer
}

func (s *framesSession) open(f *framesFlags, capture string) (err error) {
	if f.to == f.to2 {
		return fmt.Errorf("--to and --to2 are both %s", f.to)
	}
	names := []string{f.to, f.to2}
	if f.to2 == "" {
		names = names[:1]
	}
	real := false
	for _, name := range names {
		kind, rest, ok := strings.Cut(name, ":")
		if !ok || rest == "" || kind != "tap" && kind != "nic" && kind != "file" {
			return fmt.Errorf("%q is no output: write tap:NAME, nic:NAME or file:NAME", name)
		}
		if err := tap.CheckName(rest); kind == "tap" && err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		real = real || kind != "file"
		if kind == "file" && oneFile(rest, capture) {
			return fmt.Errorf("%s is the capture itself: write to another file", rest)
		}
	}
	s.real = real
	if f.step && !real {
		return errors.New("--step is for tap: and nic:, a file has no moments to wait for")
	}
	if real {
		if s.pacer, err = sim.NewRealPacer(1); err != nil {
			return &emu.EnvironmentError{Op: "start the clock", Err: err}
		}
		s.closers = append(s.closers, s.pacer)
		s.start = pcaps.StampOf(sim.WallClock())
	}
	s.loop = sim.NewLoop(sim.Config{Pacer: s.pacer})
	s.clock = s.loop.Now
	if real {
		s.clock = s.pacer.Now
	}
	for i, name := range names {
		if err := s.output(i, name, f); err != nil {
			return err
		}
	}
	return nil
}

// output opens one output.
func (s *framesSession) output(i int, name string, f *framesFlags) error {
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "file":
		out, err := frames.CreateFile(rest, s.start, s.clock)
		if err != nil {
			return &emu.EnvironmentError{Op: "create " + rest, Err: err, Hint: "check that its folder is there and that you may write to it"}
		}
		s.outputs[i] = out
		s.closers = append(s.closers, out)
	case "nic":
		out, err := frames.OpenNIC(rest, f.netns)
		if err != nil {
			return &emu.EnvironmentError{Op: "open the interface", Err: err, Hint: nicHint(err)}
		}
		s.outputs[i] = out
		s.closers = append(s.closers, out)
	case "tap":
		out, err := frames.OpenTAP(tap.Config{Name: rest, Namespace: f.netns, Loop: s.loop, Clock: s.clock, IPv6: true})
		if err != nil {
			return &emu.EnvironmentError{Op: "open the TAP", Err: err, Hint: nicHint(err)}
		}
		s.outputs[i] = out
		s.closers = append(s.closers, out)
	}
	return nil
}

// oneFile reports whether two names are those of one file.
func oneFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false // it is not there yet
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func nicHint(err error) string {
	if errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return "raw frames need root or CAP_NET_RAW, a TAP CAP_NET_ADMIN: run it with sudo"
	}
	return "ip link shows which interfaces there are"
}

// close closes everything, once.
func (s *framesSession) close() (err error) {
	for _, c := range s.closers {
		err = errors.Join(err, c.Close())
	}
	s.closers = nil
	if s.loop != nil {
		err = errors.Join(err, s.loop.Close())
		s.loop = nil
	}
	return err
}

// steps sends one frame for each line.
func steps(lines io.Reader, loop *sim.Loop, player *frames.Player) {
	in := bufio.NewScanner(lines)
	for in.Scan() {
		if !loop.Post(player.Step) {
			return
		}
	}
	loop.Cancel(errStepsEnded)
}

var errStepsEnded = errors.New("the standard input ended")

// framesDone shows what came of it and returns why it was not all.
func (c *cli) framesDone(name string, f *framesFlags, s *frames.Stats, err error) error {
	stepped := errors.Is(err, errStepsEnded)
	if !stepped && err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if problem := s.Source.Problem; problem != nil && s.Source.Read == 0 {
		return explainError(name, problem)
	}
	refused := uint64(0)
	for _, side := range s.Sides {
		for _, r := range side.Refused {
			refused += r.Frames
		}
	}
	src := &s.Source
	if src.Problem != nil || refused+src.NotEthernet+src.TooShort > 0 {
		c.code = exitFail
	}
	switch {
	case f.quiet:
	case f.asJSON:
		if err := c.writeJSON(newFramesDocument(name, s)); err != nil {
			return err
		}
	default:
		writeSent(c.stdout, name, s)
	}
	if src.Problem != nil {
		fmt.Fprintf(c.stderr, "replay: %s is damaged: %v\n", name, src.Problem)
	}
	if err != nil && !stepped {
		return err
	}
	return nil
}

const (
	framesFormat  = "hilnet-frames"
	framesVersion = 1 // grows when a key changes its meaning or goes away
)

// A framesDocument is what replay frames --json prints. Times are in nanoseconds.
type framesDocument struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	File    string `json:"file"`
	frames.Stats
	P50     time.Duration `json:"lateness_p50_ns"`
	P99     time.Duration `json:"lateness_p99_ns"`
	Problem string        `json:"problem,omitempty"`
}

func newFramesDocument(name string, s *frames.Stats) framesDocument {
	d := framesDocument{
		Format: framesFormat, Version: framesVersion, File: name, Stats: *s,
		P50: s.Lateness.Quantile(0.5), P99: s.Lateness.Quantile(0.99),
	}
	if s.Source.Problem != nil {
		d.Problem = s.Source.Problem.Error()
	}
	return d
}

// writeSent shows what came of it.
func writeSent(w io.Writer, name string, s *frames.Stats) {
	var sent, size uint64
	for _, side := range s.Sides {
		sent += side.Sent
		size += side.Bytes
	}
	fmt.Fprintf(w, "%s: %d frames, %d bytes in %v", name, sent, size, s.Elapsed.Round(time.Microsecond))
	if seconds := s.Elapsed.Seconds(); seconds > 0 && sent > 1 {
		fmt.Fprintf(w, " (%.0f frames/s, %.3f Mbit/s)", float64(sent-1)/seconds, float64(size)*8/seconds/1e6)
	}
	fmt.Fprintln(w)
	if s.Sides[1].Sent > 0 {
		fmt.Fprintf(w, "sides: %d and %d frames\n", s.Sides[0].Sent, s.Sides[1].Sent)
	}
	if h := &s.Lateness; h.Count > 0 {
		us := time.Microsecond
		fmt.Fprintf(w, "lateness: median %v, 99 %% %v, most %v, last frame %v\n",
			h.Quantile(0.5).Round(us), h.Quantile(0.99).Round(us), h.Max.Round(us), s.Drift.Round(us))
	}
	src := &s.Source
	for _, line := range []struct {
		n    uint64
		text string
	}{
		{src.Filtered, "not chosen by the filters"},
		{src.NotEthernet, "without an Ethernet header: give --src and --dst to send them"},
		{src.CutShort, "cut in the capture and skipped"},
		{src.TooShort, "shorter than an Ethernet header"},
		{src.Padded, "cut in the capture and filled up with zeros"},
		{src.Unread, "with headers that could not be read to change them"},
		{src.Uncut, "sent whole: their headers alone are longer than the MTU"},
		{src.Backward, "with an earlier time than one before, sent at once"},
		{src.Shortened, "waits shortened"},
		{s.Unsent, "not sent: the replay ended before they were due"},
	} {
		if line.n > 0 {
			fmt.Fprintf(w, "%d %s\n", line.n, line.text)
		}
	}
	for _, side := range s.Sides {
		for _, r := range side.Refused {
			fmt.Fprintf(w, "%d refused: %s\n", r.Frames, strings.ReplaceAll(r.Reason, "_", " "))
		}
	}
}
