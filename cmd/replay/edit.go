package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/replay/edit"
	"hilnet/replay/frames"
)

const (
	editFormat  = "hilnet-capture-edit"
	editVersion = 1 // grows when a key changes its meaning or goes away
)

// An editDocument is what replay convert, cut and merge print with --json.
type editDocument struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	Files   []string `json:"files"`
	Output  string   `json:"output"`
	*edit.Report
	Problem *problem `json:"problem,omitempty"`
}

// An editFlags holds what the three commands have in common.
type editFlags struct {
	output     string
	asJSON     bool
	acceptLoss bool
}

func (f *editFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "file to write (required); one that is there is replaced")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.acceptLoss, "accept-loss", false, "end with 0 although something could not be kept")
}

func (c *cli) convertCommand() *cobra.Command {
	var f editFlags
	var format, precision, order string
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Write a capture in another format",
		Long: `convert writes a capture as pcapng or as classic pcap, with times in micro- or
nanoseconds, in either byte order. All that the format can hold is kept; what it cannot
(pcap has no comments, directions, interfaces, ...) is listed with the first frame that
it concerns, and the command ends with 1 unless --accept-loss is given.

A capture of any length is converted in little memory. One that is cut or damaged is
converted up to there.`,
		Example: "  replay convert device.pcapng -o device.pcap --accept-loss\n  replay convert old.pcap -o new.pcapng --precision ns --order big",
		Args:    onlyOneFile("convert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := targetOf(f.output, format, precision, order)
			if err != nil {
				return err
			}
			return c.edit(cmd.Context(), args[0], &f, target, edit.Selection{})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&format, "format", "", "pcapng or pcap (default: by the name of the output)")
	cmd.Flags().StringVar(&precision, "precision", "", "us or ns (default: as in the capture)")
	cmd.Flags().StringVar(&order, "order", "", "byte order, little or big (default: as in the capture)")
	return cmd
}

func (c *cli) cutCommand() *cobra.Command {
	var f editFlags
	var numbers, from, to, filter string
	cmd := &cobra.Command{
		Use:   "cut FILE",
		Short: "Write a part of a capture",
		Long: `cut writes the frames of a capture that all given conditions choose, in the format
of the capture. Whatever else it has (interfaces, names, secrets, statistics, comments)
is kept.

A time is counted from the first frame (10s, 1m30s) or is a moment
(2026-01-01T00:00:10Z); frames at --from are chosen, frames at --to are not. Filters are
those of replay frames: "host 10.0.0.2 and port 1883", "not arp", "interface 1".

It ends with 1 when no frame was chosen.`,
		Example: "  replay cut field.pcapng -o part.pcapng --from 10s --to 1m\n  replay cut field.pcapng -o part.pcapng --frames 100-200 --filter 'tcp and port 1883'",
		Args:    onlyOneFile("cut"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sel, err := selectionOf(numbers, from, to, filter)
			if err != nil {
				return err
			}
			return c.edit(cmd.Context(), args[0], &f, edit.Target{}, sel)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&numbers, "frames", "", "numbers of the first and the last frame, N-M, N- or N")
	cmd.Flags().StringVar(&from, "from", "", "first moment")
	cmd.Flags().StringVar(&to, "to", "", "moment of the end")
	cmd.Flags().StringVar(&filter, "filter", "", "filter: only these frames")
	return cmd
}

func onlyOneFile(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("replay %s needs one file; see replay %s --help", name, name)
		}
		return nil
	}
}

// targetOf reads the flags of convert.
func targetOf(output, format, precision, order string) (t edit.Target, err error) {
	t.Application = "hilnet replay convert"
	if output == "" {
		return t, errNoOutput
	}
	if format == "" {
		format = strings.TrimPrefix(filepath.Ext(output), ".")
	}
	switch format {
	case "pcapng", "ntar":
		t.Format = pcaps.FormatPcapng
	case "pcap", "cap":
		t.Format = pcaps.FormatPcap
	default:
		return t, fmt.Errorf("the name of the output %q does not say the format: give --format pcapng or --format pcap", output)
	}
	switch precision {
	case "":
	case "us":
		t.Precision = pcaps.Microseconds
	case "ns":
		t.Precision = pcaps.Nanoseconds
	default:
		return t, fmt.Errorf("--precision %q: write us or ns", precision)
	}
	switch order {
	case "":
	case "little":
		t.Order = edit.LittleEndian
	case "big":
		t.Order = edit.BigEndian
	default:
		return t, fmt.Errorf("--order %q: write little or big", order)
	}
	return t, nil
}

// selectionOf reads the flags of cut.
func selectionOf(numbers, from, to, filter string) (s edit.Selection, err error) {
	if numbers+from+to+filter == "" {
		return s, errors.New("replay cut needs --frames, --from, --to or --filter; see replay cut --help")
	}
	if numbers != "" {
		if s.First, s.Last, err = parseFrameRange(numbers); err != nil {
			return s, err
		}
	}
	for _, m := range []struct {
		flag, text string
		to         *edit.Moment
	}{{"--from", from, &s.From}, {"--to", to, &s.To}} {
		if m.text == "" {
			continue
		}
		if *m.to, err = parseMoment(m.flag, m.text); err != nil {
			return s, err
		}
	}
	if filter != "" {
		parsed, err := frames.ParseFilter(filter)
		if err != nil {
			return s, fmt.Errorf("--filter: %w", err)
		}
		s.Match = parsed.Match
	}
	return s, s.Validate()
}

func parseFrameRange(text string) (first, last uint64, err error) {
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	}
	first, err = strconv.ParseUint(from, 10, 62)
	if err == nil && to != "" {
		last, err = strconv.ParseUint(to, 10, 62)
	}
	if err != nil || first == 0 || to != "" && last < first {
		return 0, 0, fmt.Errorf("--frames %q: write N, N-M or N-, from 1", text)
	}
	return first, last, nil
}

func parseMoment(flag, text string) (edit.Moment, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return edit.Moment{Set: true, Relative: true, Since: d}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() < 1678 || at.Year() > 2261 {
		return edit.Moment{}, fmt.Errorf("%s %q is no time: write 10s, counted from the first frame, or 2026-01-01T00:00:10Z", flag, text)
	}
	return edit.Moment{Set: true, At: pcaps.StampOf(at)}, nil
}

// edit copies one capture to another.
func (c *cli) edit(ctx context.Context, name string, f *editFlags, target edit.Target, sel edit.Selection) error {
	input, err := openCapture(name)
	if err != nil {
		return explainError(name, err)
	}
	defer input.Close()
	in, err := pcaps.NewReader(input, pcaps.ReaderConfig{MaxMetadata: 4 << 20})
	if err != nil {
		return explainError(name, err)
	}
	out, err := createOutput(f.output, name)
	if err != nil {
		return err
	}
	defer out.discard()
	report, err := edit.Copy(ctx, out.file, in, target, sel)
	if err != nil {
		return explainEdit(name, f.output, err)
	}
	if err := out.keep(); err != nil {
		return err
	}
	return c.edited([]string{name}, f, report, sel.Match != nil || sel.First+sel.Last != 0 || sel.From.Set || sel.To.Set)
}

// explainEdit says what to do about an error of a capture or of the output.
func explainEdit(name, output string, err error) error {
	var write *pcaps.WriteError
	var unfit *edit.UnfitError
	switch {
	case errors.As(err, &write):
		return &emu.EnvironmentError{Op: "write " + output, Err: err, Hint: "the file was not kept; check the disk"}
	case errors.As(err, &unfit):
		return fmt.Errorf("%s: %w", name, err)
	}
	return explainError(name, err)
}

// edited prints what became of a capture.
func (c *cli) edited(names []string, f *editFlags, r *edit.Report, chose bool) error {
	if len(r.Losses) > 0 && !f.acceptLoss || r.Problem != nil || chose && r.Written == 0 {
		c.code = exitFail
	}
	if f.asJSON {
		doc := editDocument{Format: editFormat, Version: editVersion, Files: names, Output: f.output, Report: r}
		if r.Problem != nil {
			doc.Problem = problemOf(r.Problem)
		}
		return c.writeJSON(doc)
	}
	fmt.Fprintf(c.stdout, "%s: %s of %d\n", printable(f.output), many(r.Written, "frame"), r.Read)
	if chose && r.Written == 0 {
		fmt.Fprintf(c.stderr, "replay: no frame was chosen: replay info %s says how long the capture is and what is in it\n", printable(names[0]))
	}
	for _, l := range r.Losses {
		fmt.Fprintf(c.stdout, "  not kept: %d × %s (first: frame %d)\n", l.N, l.What, l.Frame)
	}
	if r.Problem != nil {
		fmt.Fprintf(c.stdout, "  %s: %v\n", strings.ToUpper(problemOf(r.Problem).Kind), r.Problem)
	}
	return nil
}

// An outputCapture is a file being written. It is written under another name and gets
// its own when it is whole, so a command that fails leaves what was there.
type outputCapture struct {
	file *os.File
	path string // "" when it is no regular file, such as a pipe
	done bool
}

var errNoOutput = errors.New("--output is missing: the file to write, -o FILE")

// createOutput creates the output of a command that reads the inputs.
func createOutput(path string, inputs ...string) (*outputCapture, error) {
	if path == "" {
		return nil, errNoOutput
	}
	info, err := os.Stat(path)
	if err == nil {
		for _, name := range inputs {
			if in, err := os.Stat(name); err == nil && os.SameFile(in, info) {
				return nil, fmt.Errorf("%s is both input and output: name another file with -o", path)
			}
		}
		switch {
		case info.IsDir():
			return nil, fmt.Errorf("%s is a folder: name a file with -o", path)
		case !info.Mode().IsRegular():
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return nil, &emu.EnvironmentError{Op: "write " + path, Err: err, Hint: "check that you may write it"}
			}
			return &outputCapture{file: file}, nil
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part*")
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "write " + path, Err: err, Hint: "check that the folder exists and that you may write to it"}
	}
	mode := fs.FileMode(0o644)
	if info != nil {
		mode = info.Mode().Perm()
	}
	_ = file.Chmod(mode) // as good as the file system has it
	return &outputCapture{file: file, path: path}, nil
}

// keep ends the file and gives it its name.
func (o *outputCapture) keep() error {
	o.done = true
	name := o.file.Name()
	err := o.file.Close()
	if err == nil && o.path != "" {
		err = os.Rename(name, o.path)
	}
	if err != nil {
		if o.path != "" {
			_ = os.Remove(name) // the first error is the one to report
		}
		return &emu.EnvironmentError{Op: "write " + o.path, Err: err, Hint: "the file was not kept; check the disk"}
	}
	return nil
}

// discard removes what is not whole.
func (o *outputCapture) discard() {
	if o.done {
		return
	}
	_ = o.file.Close() // nobody wants it
	if o.path != "" {
		_ = os.Remove(o.file.Name())
	}
}
