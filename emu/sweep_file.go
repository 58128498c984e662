package emu

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hilnet/scenarios"
)

// SweepFormat is the version of the file of results. It grows when a field
// changes its meaning or goes away; new ones do not change it.
const SweepFormat = "hilnet-sweep/1"

// maxSweepLine bounds a line of a file of results.
const maxSweepLine = 64 << 20

// sweepStart is how each file of results begins.
const sweepStart = `{"format":"hilnet-sweep/`

// A SweepHeader is the first line of a file of results: JSON, as every line.
type SweepHeader struct {
	Format    string `json:"format"`
	Hilnet    string `json:"hilnet"` // version of the program
	Go        string `json:"go"`
	Scenario  string `json:"scenario"` // its name
	Source    string `json:"source"`   // how the user named it
	SHA256    string `json:"sha256"`   // of the resolved scenario
	Axes      []Axis `json:"axes"`
	FirstSeed uint64 `json:"first_seed"`
	Seeds     int    `json:"seeds"`
	Jobs      int64  `json:"jobs"`            // runs of the whole sweep
	Shard     string `json:"shard,omitempty"` // such as 2/4
}

// Command returns the command that repeats a run of the sweep.
func (h *SweepHeader) Command(r *SweepRun) string {
	return RunCommand(h.Source, h.settings(r.Values), r.Seed)
}

func (h *SweepHeader) settings(values []string) []scenarios.Set {
	var all []scenarios.Set
	for i, a := range h.Axes {
		if i < len(values) {
			all = append(all, scenarios.Set{Key: a.Key, Value: values[i]})
		}
	}
	return all
}

// RunCommand returns the command that runs a scenario with some settings and a
// seed.
func RunCommand(source string, settings []scenarios.Set, seed uint64) string {
	var b strings.Builder
	b.WriteString("emu run " + Quote(source))
	for _, s := range settings {
		b.WriteString(" --set " + Quote(s.String()))
	}
	fmt.Fprintf(&b, " --seed %d", seed)
	return b.String()
}

// Quote quotes a word for a POSIX shell, if it needs that.
func Quote(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./=:,%+@", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// sameSweep returns what two headers differ in, or "".
func (h *SweepHeader) sameSweep(o *SweepHeader) string {
	differ := func(what, a, b string) string { return fmt.Sprintf("%s %s and %s", what, a, b) }
	switch {
	case h.Format != o.Format:
		return differ("the formats", h.Format, o.Format)
	case h.Hilnet != o.Hilnet:
		return differ("the versions", h.Hilnet, o.Hilnet)
	case h.Go != o.Go:
		return differ("the Go versions", h.Go, o.Go)
	case h.Scenario != o.Scenario:
		return differ("the scenarios", h.Scenario, o.Scenario)
	case h.SHA256 != o.SHA256:
		return "two versions of the scenario " + h.Scenario
	case !slices.EqualFunc(h.Axes, o.Axes, func(a, b Axis) bool { return a.Key == b.Key && slices.Equal(a.Values, b.Values) }):
		return "other keys or values behind --set"
	case h.FirstSeed != o.FirstSeed || h.Seeds != o.Seeds:
		return "other seeds"
	}
	return ""
}

// part returns the shard, from 0, and the number of shards.
func (h *SweepHeader) part() (shard, shards int64, err error) {
	if h.Shard == "" {
		return 0, 1, nil
	}
	if _, err := fmt.Sscanf(h.Shard, "%d/%d", &shard, &shards); err != nil || shard < 1 || shard > shards {
		return 0, 0, fmt.Errorf("emu: there is no part %q of a sweep", h.Shard)
	}
	return shard - 1, shards, nil
}

// shardTotal returns the number of runs of the shard.
func (h *SweepHeader) shardTotal() int64 {
	shard, shards, err := h.part()
	if err != nil {
		return 0
	}
	return (h.Jobs - shard + shards - 1) / shards
}

// A SweepWriter writes results, one JSON object a line behind a header.
type SweepWriter struct{ w *bufio.Writer }

// NewSweepWriter writes the header.
func NewSweepWriter(w io.Writer, h SweepHeader) (*SweepWriter, error) {
	out := ContinueSweep(w)
	return out, out.line(h)
}

// ContinueSweep returns a SweepWriter for the end of a file that has a header.
func ContinueSweep(w io.Writer) *SweepWriter { return &SweepWriter{bufio.NewWriter(w)} }

// Write appends a result.
func (w *SweepWriter) Write(r *SweepRun) error { return w.line(r) }

// Flush hands all lines to the underlying writer.
func (w *SweepWriter) Flush() error {
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("emu: results: %w", err)
	}
	return nil
}

func (w *SweepWriter) line(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = w.w.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("emu: results: %w", err)
	}
	return nil
}

// A SweepReader reads a file of results in memory for one line.
type SweepReader struct {
	Header SweepHeader

	r     *bufio.Reader
	good  int64 // bytes up to the end of the last whole line
	lines int
}

// ErrCut is returned by Next when the file ends within a line, as that of an
// interrupted sweep may: everything before was read.
var ErrCut = errors.New("emu: results: the file ends within a line")

// NewSweepReader reads the header.
func NewSweepReader(r io.Reader) (*SweepReader, error) {
	s := &SweepReader{r: bufio.NewReaderSize(r, 64<<10)}
	foreign := fmt.Errorf("emu: results: the first line is not that of a %s file (name a file that emu sweep --out-file wrote)", SweepFormat)
	start, _ := s.r.Peek(len(sweepStart)) // an error comes again below
	line, err := s.next()
	switch cut := errors.Is(err, io.EOF) || errors.Is(err, ErrCut); {
	case cut && strings.HasPrefix(sweepStart, string(start)):
		return nil, ErrCut
	case cut:
		return nil, foreign // who resumes writes over a header that was cut, but not over what is none
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(line, &s.Header); err != nil || s.Header.Format != SweepFormat || s.Header.Jobs < 0 || s.Header.Jobs > maxJobs || s.Header.Seeds < 1 {
		return nil, foreign
	}
	_, _, err = s.Header.part()
	return s, err
}

// next returns the next whole line.
func (s *SweepReader) next() ([]byte, error) {
	var long []byte
	for {
		line, err := s.r.ReadSlice('\n')
		if err == nil {
			s.lines++
			s.good += int64(len(long) + len(line))
			if long != nil {
				line = append(long, line...)
			}
			return line, nil
		}
		long = append(long, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(long) < maxSweepLine:
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("emu: results: line %d is longer than %d bytes", s.lines+1, maxSweepLine)
		case errors.Is(err, io.EOF) && len(long) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, ErrCut
		default:
			return nil, fmt.Errorf("emu: results: %w", err)
		}
	}
}

// Next returns the next result, io.EOF at the end and ErrCut when the file was
// cut.
func (s *SweepReader) Next() (*SweepRun, error) {
	line, err := s.next()
	if err != nil {
		return nil, err
	}
	r := &SweepRun{}
	if err := json.Unmarshal(line, r); err != nil || r.Job < 0 || r.Job >= s.Header.Jobs || len(r.Values) != len(s.Header.Axes) {
		return nil, fmt.Errorf("emu: results: line %d is damaged (delete it and what follows, and go on with --resume)", s.lines)
	}
	return r, nil
}

// Good returns the length of the file up to the end of its last whole line.
func (s *SweepReader) Good() int64 { return s.good }

// CheckResume says whether the results of a file can be continued as a sweep,
// and returns how many runs are done. It reads to the end of the file.
func (s *SweepReader) CheckResume(h SweepHeader, each func(*SweepRun) error) (done int64, err error) {
	if why := s.Header.sameSweep(&h); why != "" {
		return 0, fmt.Errorf("emu: the results are of another sweep: %s (name another --out-file, or leave out --resume to begin again)", why)
	}
	if s.Header.Shard != h.Shard {
		return 0, fmt.Errorf("emu: the results are of the shard %q, not %q (each shard has its own --out-file)", s.Header.Shard, h.Shard)
	}
	shard, shards, err := h.part()
	if err != nil {
		return 0, err
	}
	for {
		r, err := s.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, ErrCut):
			return done, nil
		case err != nil:
			return 0, err
		case r.Job != done*shards+shard:
			return 0, fmt.Errorf("emu: results: line %d has run %d where run %d belongs (delete the file and begin again)", s.lines, r.Job, done*shards+shard)
		}
		done++
		if err := each(r); err != nil {
			return 0, err
		}
	}
}
