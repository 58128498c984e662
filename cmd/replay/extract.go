package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/replay/extract"
)

// memoryGoal is where the garbage collector begins to work harder.
const memoryGoal = 600 << 20

type extractFlags struct {
	out    string
	device string
	ports  []uint
	broker string
	losses string
	keyLog string
	look   bool
}

func (c *cli) extractCommand() *cobra.Command {
	var f extractFlags
	cmd := &cobra.Command{
		Use:   "extract FILE [FILE2]",
		Short: "Find out what a link did, and make a scenario of it",
		Long: `extract finds out what the link of a device did to the frames in a capture: which
were lost, doubled or overtaken, how long they took, how fast the link was and when
it was gone.

With captures of both ends (two files, or one with two interfaces) each frame is
looked for at the other end, so losses, copies and order are exact; the clocks are
compared first. With one capture, losses follow from what TCP says about itself, and
what cannot be known has bounds. What the capturing itself spoiled is said first.

With -o NAME.jsonl conditions are written: JSON lines with what was seen ("event"),
and a trace that links can play. With -o NAME.yaml a scenario: a device that does what
the recorded one did, on a link that loses the same frames. It is run at once, and
what the run did is shown beside what the capture shows. With --broker recording, what
the capture does not show of a device with NetX Duo's stack (its pool, when messages are
taken, its clock) is looked for by trying. A session in TLS is read if the captures hold
its keys, or --keylog names them.
See docs/extract.md.`,
		Example: "  replay extract device.pcapng broker.pcapng -o conditions.jsonl\n  replay extract device.pcapng broker.pcapng -o field.yaml\n  replay extract field.pcap --device 10.0.0.7",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("replay extract needs one file, or those of both ends; see replay extract --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			err := c.extract(cmd.Context(), args, &f)
			switch {
			case errors.Is(err, extract.ErrNothingInCommon):
				return fmt.Errorf("%w (name captures of both ends of one link, made at the same time, or one alone)", err)
			case errors.Is(err, extract.ErrNoDevice):
				return fmt.Errorf("%w (--device ADDRESS)", err)
			case errors.Is(err, extract.ErrNoSession):
				return fmt.Errorf("%w (conditions need none: -o NAME.jsonl)", err)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "write conditions to this file, NAME.jsonl, or a scenario, NAME.yaml (default: a summary is printed)")
	cmd.Flags().StringVar(&f.broker, "broker", "model", "with a scenario: model (hilnet's broker) or recording (the capture answers, frame by frame)")
	cmd.Flags().StringVar(&f.losses, "losses", "seen", "with a scenario: seen (lose the frames that were lost) or fitted (lose frames by the model that fits)")
	cmd.Flags().BoolVar(&f.look, "look", true, "with --broker recording: look for what the capture does not show, in up to 300 runs of the scenario")
	cmd.Flags().StringVar(&f.device, "device", "", "IP address of the device (default: who opens the connections)")
	cmd.Flags().UintSliceVar(&f.ports, "port", []uint{1883}, "TCP port of MQTT; may be repeated")
	addKeyLog(cmd, &f.keyLog)
	return cmd
}

func (c *cli) extract(ctx context.Context, files []string, f *extractFlags) error {
	// What is kept of a capture is bounded; what the collector leaves lying about is not.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryGoal))
	cfg := extract.Config{}
	var err error
	if cfg.MQTTPorts, err = portsOf(f.ports); err != nil {
		return err
	}
	if f.device != "" {
		if cfg.Device, err = netip.ParseAddr(f.device); err != nil {
			return fmt.Errorf("--device %q is not an IP address", f.device)
		}
	}
	if err := f.check(len(files)); err != nil {
		return err
	}
	if len(files) == 2 && sameContent(files[0], files[1]) {
		return fmt.Errorf("%s and %s are the same capture: name those of both ends, or one alone", files[0], files[1])
	}
	var captures []*extract.Capture
	for _, name := range files {
		if cfg.Keys, err = readKeys(f.keyLog); err != nil {
			return err
		}
		one, err := readCapture(ctx, name, cfg)
		if errors.Is(err, extract.ErrTooLong) {
			return fmt.Errorf("%s: %w (replay cut does)", name, err)
		}
		if err != nil {
			return explainError(name, err)
		}
		if one.Problem != "" {
			fmt.Fprintf(c.stderr, "replay: %s: %s\n", name, one.Problem)
			c.code = exitFail
		}
		captures = append(captures, one)
	}
	found, err := extract.Extract(captures...)
	if err != nil {
		return err
	}
	if _, err = io.WriteString(c.stdout, found.Text()); err != nil {
		return err
	}
	switch filepath.Ext(f.out) {
	case ".jsonl":
		return save(f.out, found.Write)
	case ".yaml", ".yml":
		return c.scenario(ctx, found, files, f)
	}
	return nil
}

// sameContent reports whether two files are one, or copies. What cannot be read is
// another's to say.
func sameContent(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	switch {
	case errX != nil || errY != nil || !x.Mode().IsRegular() || !y.Mode().IsRegular() || x.Size() != y.Size():
		return false
	case os.SameFile(x, y):
		return true
	}
	var files [2]*os.File
	for i, name := range []string{a, b} {
		f, err := os.Open(name)
		if err != nil {
			return false
		}
		defer f.Close()
		files[i] = f
	}
	p, q := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(files[0], p)
		m, _ := io.ReadFull(files[1], q)
		if !bytes.Equal(p[:n], q[:m]) {
			return false
		}
		if err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}

// check looks at the flags.
func (f *extractFlags) check(files int) error {
	kind := filepath.Ext(f.out)
	scenario := kind == ".yaml" || kind == ".yml"
	switch {
	case f.out != "" && kind != ".jsonl" && !scenario:
		return fmt.Errorf("--out %s: the name says what to write: NAME.jsonl or NAME.yaml", f.out)
	case f.broker != "model" && f.broker != "recording":
		return fmt.Errorf("--broker %q: write model or recording", f.broker)
	case f.losses != "seen" && f.losses != "fitted":
		return fmt.Errorf("--losses %q: write seen or fitted", f.losses)
	case !scenario && (f.broker != "model" || f.losses != "seen"):
		return errors.New("--broker and --losses are for a scenario: write one with -o NAME.yaml")
	case f.broker != "recording" && !f.look:
		return errors.New("--look is for --broker recording: with hilnet's broker nothing is looked for")
	case f.broker == "recording" && files != 1:
		return errors.New("--broker recording needs one capture, made at the device: the link is in it")
	case f.broker == "recording" && f.losses != "seen":
		return errors.New("--broker recording and --losses fitted exclude each other: what the capture lost is lost")
	}
	return nil
}

func save(name string, write func(io.Writer) error) error {
	if err := writeFile(name, write); err != nil {
		return &emu.EnvironmentError{Op: "write " + name, Err: err, Hint: "check the folder and the disk"}
	}
	return nil
}

// scenario makes a scenario, writes it and runs it.
func (c *cli) scenario(ctx context.Context, found *extract.Conditions, files []string, f *extractFlags) error {
	plan := extract.Plan{Recorded: f.broker == "recording", Chance: f.losses == "fitted"}
	if plan.Recorded {
		path, err := filepath.Abs(files[0])
		if err == nil {
			var folder string
			if folder, err = filepath.Abs(filepath.Dir(f.out)); err == nil {
				plan.Recording, err = filepath.Rel(folder, path)
			}
			plan.Capture = path
		}
		if err != nil {
			return err
		}
	}
	m, err := found.Make(plan)
	if err != nil {
		return err
	}
	missed, err := m.Fit(ctx)
	if err != nil {
		return err
	}
	if f.look {
		if err := m.Guess(ctx, c.searching()); err != nil {
			return err
		}
	}
	if err := save(f.out, func(w io.Writer) error { _, err := io.WriteString(w, m.Text()); return err }); err != nil {
		return err
	}
	again, err := m.Again(ctx)
	if err != nil {
		return err
	}
	for _, what := range append(m.Changed(), m.Found()...) {
		fmt.Fprintf(c.stdout, "  %s\n", what)
	}
	for _, what := range missed {
		fmt.Fprintf(c.stdout, "  not in the run, so not lost there: %s\n", what)
	}
	fmt.Fprint(c.stdout, again.Text())
	if again.Differs() && len(files) == 1 && !plan.Recorded {
		fmt.Fprintln(c.stdout, "  what was lost is an estimate: with captures of both ends it is exact")
	}
	fmt.Fprintf(c.stdout, "  run it: emu run %s\n", f.out)
	return nil
}

// searching returns what tells on stderr how a long search goes.
func (c *cli) searching() func(runs, most, same, frames int) {
	const every = 2 * time.Second
	last := time.Now()
	return func(runs, most, same, frames int) {
		if now := time.Now(); now.Sub(last) >= every {
			last = now
			fmt.Fprintf(c.stderr, "replay: looking for what the capture does not show: run %d of at most %d; %d of %d frames of the device come again\n", runs, most, same, frames)
		}
	}
}

func readCapture(ctx context.Context, name string, cfg extract.Config) (*extract.Capture, error) {
	file, err := openCapture(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return extract.Read(ctx, name, file, cfg)
}

// writeFile writes a file as a whole or not at all.
func writeFile(name string, write func(io.Writer) error) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			path.Path = name // which the user knows
		}
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) // what is written in part is of no use
		}
	}()
	err = write(temp)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	const readable = 0o644
	if err = os.Chmod(temp.Name(), readable); err != nil {
		return err
	}
	return os.Rename(temp.Name(), name)
}
