package main

import (
	"context"
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
	"hilnet/pcaps"
	"hilnet/replay/compare"
	"hilnet/scenarios"
)

const (
	compareFormat  = "hilnet-comparison"
	compareVersion = 1 // grows when a key changes its meaning or goes away
)

// A compareDocument is what replay compare --json prints.
type compareDocument struct {
	Format   string   `json:"format" jsonschema:"enum=hilnet-comparison"`
	Version  int      `json:"version" jsonschema:"enum=1"`
	AFile    string   `json:"a_file"`
	BFile    string   `json:"b_file"`
	AProblem *problem `json:"a_problem,omitempty"`
	BProblem *problem `json:"b_problem,omitempty"`
	*compare.Report
}

type compareFlags struct {
	by            string
	ignore, also  []string
	time          time.Duration
	ports         []uint
	context, max  int
	point, device string
	seed          uint64
	asJSON        bool
	keyLog        string
}

func (c *cli) compareCommand() *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Say in what two captures differ",
		Long: `compare says in what two captures differ, conversation by conversation: which MQTT
messages and which TCP segments only one of them has, and in what those that both
have differ. It is printed as a diff, with the numbers of the frames in both files.

A and B are captures (pcapng, pcap) or scenarios (NAME.yaml): a scenario is run, in
virtual time, and its capture at --point is compared. So "does the run do what the
field did" is one command.

Compared are of messages id, dup, topic, client, length, payload, and of segments seq,
ack (both from the first number of their side), window, options, push, length, payload.
--ignore takes fields out, --also puts more in: isn, port, address, ipid, ttl, tsval.
Times are compared with --time, which says how far apart they may be.

Messages in TLS are compared if the captures hold the keys, as hilnet's do, or --keylog
names them; the bytes of its segments are others in every session (--by message).

It ends with 0 when nothing differs, with 1 when something does or a capture is cut,
with 2 when the comparison cannot be made.`,
		Example: `  replay compare before.pcapng after.pcapng
  replay compare field.pcapng scenario.yaml --by message --time 50ms
  replay compare a.pcap b.pcap --ignore payload,length --also ttl,ipid`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("replay compare needs two captures, or a capture and a scenario; see replay compare --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := f.config(cmd.Flags().Changed("time"))
			if err != nil {
				return err
			}
			var seed *uint64
			if cmd.Flags().Changed("seed") {
				seed = &f.seed
			}
			return c.compare(cmd.Context(), args, &f, config, seed)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.by, "by", "both", "message, segment or both")
	fl.StringSliceVar(&f.ignore, "ignore", nil, "fields that do not count")
	fl.StringSliceVar(&f.also, "also", nil, "fields that count too")
	fl.DurationVar(&f.time, "time", 0, "compare times too, since the beginning of the conversation: how far they may be apart")
	fl.UintSliceVar(&f.ports, "port", []uint{1883}, "TCP port of MQTT; may be repeated")
	fl.IntVar(&f.context, "context", 2, "lines that are the same to show around each difference")
	fl.IntVar(&f.max, "max", 200, "differences of messages, and of segments, to list; all are counted")
	fl.StringVar(&f.point, "point", "device", "of a scenario: where to capture, device or peer")
	fl.StringVar(&f.device, "device", "", "of a scenario with several devices: which one")
	fl.Uint64Var(&f.seed, "seed", 0, "of a scenario: the seed (default: that of the file)")
	addKeyLog(cmd, &f.keyLog)
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f *compareFlags) config(timed bool) (cfg compare.Config, err error) {
	switch f.by {
	case "both":
	case "message":
		cfg.By = compare.MessagesOnly
	case "segment":
		cfg.By = compare.SegmentsOnly
	default:
		return cfg, fmt.Errorf("--by %q: write message, segment or both", f.by)
	}
	ignore, err := compare.ParseFields(f.ignore)
	if err != nil {
		return cfg, fmt.Errorf("--ignore: %w", err)
	}
	also, err := compare.ParseFields(f.also)
	if err != nil {
		return cfg, fmt.Errorf("--also: %w", err)
	}
	if both := ignore & also; both != 0 {
		return cfg, fmt.Errorf("--ignore and --also both name %s", strings.Join(both.Names(), ", "))
	}
	cfg.Fields = compare.DefaultFields&^ignore | also
	if cfg.Fields == 0 {
		return cfg, errors.New("--ignore leaves no field to compare")
	}
	cfg.Time = -1
	if timed {
		if cfg.Time = f.time; f.time < 0 {
			return cfg, fmt.Errorf("--time %v: write 0s or more", f.time)
		}
	}
	if f.context < 0 || f.max < 1 {
		return cfg, fmt.Errorf("--context %d and --max %d: write 0 or more, and 1 or more", f.context, f.max)
	}
	cfg.Context, cfg.MaxLines = f.context, f.max
	cfg.MQTTPorts, err = portsOf(f.ports)
	return cfg, err
}

func (c *cli) compare(ctx context.Context, names []string, f *compareFlags, config compare.Config, seed *uint64) error {
	doc := compareDocument{Format: compareFormat, Version: compareVersion, AFile: names[0], BFile: names[1]}
	var captures [2]*compare.Capture
	scenario := false
	for i, name := range names {
		path, done, err := c.comparable(ctx, name, f, seed)
		if err != nil {
			return err
		}
		defer done()
		scenario = scenario || path != name
		if config.Keys, err = readKeys(f.keyLog); err != nil {
			return err
		}
		if captures[i], err = readComparable(ctx, path, config); err != nil {
			if errors.Is(err, compare.ErrTooLong) {
				return fmt.Errorf("%s: %w", name, err)
			}
			return explainError(name, err)
		}
		if captures[i].Problem != nil {
			*[]**problem{&doc.AProblem, &doc.BProblem}[i] = problemOf(captures[i].Problem)
		}
	}
	if !scenario && (seed != nil || f.device != "") {
		return errors.New("--seed and --device are for scenarios, and neither A nor B is one")
	}
	report, err := compare.Compare(captures[0], captures[1], config)
	if err != nil {
		return err
	}
	doc.Report = report
	switch {
	case nothingIn(report) && doc.AProblem == nil && doc.BProblem == nil:
		report.Same, c.code = false, exitUsage
	case !report.Same:
		c.code = exitFail
	}
	if f.asJSON {
		return c.writeJSON(doc)
	}
	writeComparison(c.stdout, &doc)
	return nil
}

func readComparable(ctx context.Context, path string, config compare.Config) (*compare.Capture, error) {
	file, err := openCapture(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, err := pcaps.NewReader(file, pcaps.ReaderConfig{MaxMetadata: 4 << 20})
	if err != nil {
		return nil, err
	}
	return compare.Read(ctx, reader, config)
}

// nothingIn reports whether neither side had anything: no difference would be no
// answer.
func nothingIn(r *compare.Report) bool {
	if r.Differences > 0 {
		return false // such as a conversation that only one has
	}
	for _, p := range r.Conversations {
		for _, a := range []*compare.Alignment{p.Messages, p.Segments} {
			if a != nil && a.A+a.B > 0 {
				return false
			}
		}
	}
	return true
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// comparable returns the capture that a name stands for; done removes what was made
// for it.
func (c *cli) comparable(ctx context.Context, name string, f *compareFlags, seed *uint64) (path string, done func(), err error) {
	done = func() {}
	if ext := filepath.Ext(name); ext != ".yaml" && ext != ".yml" {
		return name, done, nil
	}
	sc, err := scenarios.LoadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !exists(name) {
		return "", done, fmt.Errorf("%s: no such file (emu show NAME prints a built-in scenario)", name)
	}
	if err != nil {
		return "", done, err
	}
	point := scenarios.Point(f.point)
	switch {
	case sc.Clock != scenarios.Virtual:
		return "", done, fmt.Errorf("%s runs in real time: run it with emu run, and compare its captures", name)
	case point != scenarios.PointDevice && point != scenarios.PointPeer:
		return "", done, fmt.Errorf("--point %q: write device or peer", f.point)
	}
	suffix := "." + f.point + ".pcapng"
	if len(sc.Devices) > 1 {
		var all []string
		for _, d := range sc.Devices {
			all = append(all, d.Name)
		}
		if !slices.Contains(all, f.device) {
			return "", done, fmt.Errorf("%s has several devices: give --device, one of %s", name, strings.Join(all[:min(len(all), 10)], ", "))
		}
		suffix = "." + f.device + suffix
	} else if f.device != "" && f.device != sc.Devices[0].Name {
		return "", done, fmt.Errorf("%s has no device %q, its device is %q", name, f.device, sc.Devices[0].Name)
	}
	sc.Capture = []scenarios.Point{point}
	dir, err := os.MkdirTemp("", "replay-compare-")
	if err != nil {
		return "", done, &emu.EnvironmentError{Op: "make a folder for the run", Err: err, Hint: "check TMPDIR"}
	}
	done = func() { _ = os.RemoveAll(dir) } // it is nobody's
	result, err := emu.Run(ctx, sc, emu.Options{Out: dir, Seed: seed, Source: name})
	if err != nil {
		done()
		return "", func() {}, err
	}
	if result.Verdict == emu.Interrupted {
		done()
		return "", func() {}, context.Canceled
	}
	path = filepath.Join(dir, sc.Name+suffix)
	if _, err := os.Stat(path); err != nil {
		done()
		return "", func() {}, fmt.Errorf("%s makes no capture at the %s", name, f.point)
	}
	return path, done, nil
}

// writeComparison prints a comparison as a diff.
func writeComparison(w io.Writer, d *compareDocument) {
	line := func(format string, args ...any) { fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) }
	for _, p := range d.Conversations {
		writePair(line, d, p)
	}
	for _, s := range []struct {
		file string
		of   *compare.Capture
		p    *problem
	}{{d.AFile, d.A, d.AProblem}, {d.BFile, d.B, d.BProblem}} {
		for _, n := range s.of.Unread {
			line("messages not compared, in TLS: %s of %s: %s", many(n.N, "conversation"), s.file, n.Reason)
		}
		for _, n := range s.of.Ignored {
			line("not compared: %s of %s: %s", many(n.N, "frame"), s.file, n.Reason)
		}
		if s.of.LongMessages+s.of.Incomplete > 0 {
			line("compared in part: %s of %s, which are longer than 1 MiB or not whole in the capture", many(uint64(s.of.LongMessages+s.of.Incomplete), "message"), s.file)
		}
		if s.p != nil {
			line("%s: %s: %s", strings.ToUpper(s.p.Kind), s.file, s.p.Text)
		}
	}
	switch {
	case d.Differences > 0:
		line("%s in %s", many(uint64(d.Differences), "difference"), many(uint64(len(d.Conversations)), "conversation"))
	case nothingIn(d.Report):
		line("nothing was compared: neither side has anything of it (replay info says what is in a capture)")
	case !d.Same:
		line("no difference up to where a capture ends early")
	default:
		line("no difference in %s", many(uint64(len(d.Conversations)), "conversation"))
	}
}

func writePair(line func(string, ...any), d *compareDocument, p *compare.Pair) {
	n := 0
	for _, a := range []*compare.Alignment{p.Messages, p.Segments} {
		if a != nil {
			n += a.Differences
		}
	}
	if n == 0 && p.A != nil && p.B != nil {
		return
	}
	for _, s := range []struct {
		mark, file string
		of         *compare.Conversation
	}{{"---", d.AFile, p.A}, {"+++", d.BFile, p.B}} {
		if s.of == nil {
			line("%s %s has no such conversation", s.mark, s.file)
		} else {
			tls := s.of.TLS
			if tls != "" {
				tls = ", " + tls
			}
			line("%s %s #%d %s -> %s %q, from frame %d%s", s.mark, s.file, s.of.ID, s.of.Client, s.of.Server, s.of.ClientID, s.of.Frame, tls)
		}
	}
	for _, a := range []struct {
		what string
		of   *compare.Alignment
	}{{"message", p.Messages}, {"segment", p.Segments}} {
		if a.of == nil || a.of.Differences == 0 {
			continue
		}
		line("@@ %s and %s, %d the same, %s @@", many(uint64(a.of.A), a.what), many(uint64(a.of.B), a.what), a.of.Same, many(uint64(a.of.Differences), "difference"))
		for i := range a.of.Lines {
			writeDiffLine(line, &a.of.Lines[i])
		}
		if a.of.Unlisted > 0 {
			line("  … %s more, counted but not listed (--max)", many(uint64(a.of.Unlisted), "difference"))
		}
	}
}

// writeDiffLine prints a line with its frames in A and B.
func writeDiffLine(line func(string, ...any), l *compare.Line) {
	if l.Gap {
		line("  …")
	}
	number := func(n uint64) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	put := func(mark string, a, b uint64, at time.Duration, text, more string) {
		line("%s %5s %5s  %12v  %s%s", mark, number(a), number(b), short(at), text, more)
	}
	switch l.Kind {
	case compare.KindSame:
		put(" ", l.AFrame, l.BFrame, l.AAt, l.A, "")
	case compare.KindOnlyA:
		put("-", l.AFrame, 0, l.AAt, l.A, "")
	case compare.KindOnlyB:
		put("+", 0, l.BFrame, l.BAt, l.B, "")
	case compare.KindChanged:
		put("-", l.AFrame, 0, l.AAt, l.A, "")
		put("+", 0, l.BFrame, l.BAt, l.B, "   ("+strings.Join(l.Fields, ", ")+")")
	}
}
