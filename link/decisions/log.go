package decisions

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/sim"
)

// Version is the version of the format. It grows when a field changes its
// meaning or goes away.
const Version = 1

// Limits of a log that is read.
const (
	MaxBytes = 256 << 20
	MaxLine  = 4096
)

const format = "hilnet-decisions"

// A Header is the first line of a log. A list of drops has none.
type Header struct {
	Format   string `json:"format"` // "hilnet-decisions"
	Version  int    `json:"version"`
	Hilnet   string `json:"hilnet"` // version of the program
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Clock    string `json:"clock"` // "virtual" or "real"
	// List says that the run had a list of drops: its drops are in the log.
	List bool `json:"list,omitempty"`
}

// A Drop names a frame that is to be dropped where it enters a link.
type Drop struct {
	Link  string `json:"link"`
	Dir   string `json:"dir"`   // "up" or "down"
	Frame uint64 `json:"frame"` // its number among those that enter there, from 1
}

func (d Drop) String() string { return fmt.Sprintf("%s %s frame %d", d.Link, d.Dir, d.Frame) }

// A Log is what a Replay follows: a decision log or a list of drops.
type Log struct {
	// Name is that of the file, for messages.
	Name string
	// Header is nil for a list of drops.
	Header *Header

	lines int
	drops []Drop // sorted
	ways  map[wayKey]*wayLog
}

type wayKey struct{ link, dir string }

// A wayLog is the log of one direction.
type wayLog struct {
	frames []frameLog           // those that entered, by their number
	made   map[uint64]*frameLog // those that stages made, by their ordinal; looked up only
}

// A frameLog is what the log has of one frame and its copies.
type frameLog struct {
	line, length int
	at           sim.Time
	decisions    []decision
}

// A decision is one line of a log. A drop by a rule has no draw.
type decision struct {
	copy  uint32
	line  int
	stage string
	verb  string
	yes   bool
	ruled bool
	delay time.Duration
}

// Drops returns the list that drops these frames. It may be empty.
func Drops(drops ...Drop) *Log {
	l := &Log{Name: "list of drops", drops: slices.Clone(drops)}
	slices.SortFunc(l.drops, compareDrops)
	l.drops = slices.Compact(l.drops)
	return l
}

func compareDrops(a, b Drop) int {
	if c := strings.Compare(a.Link, b.Link); c != 0 {
		return c
	}
	if c := strings.Compare(b.Dir, a.Dir); c != 0 { // up before down
		return c
	}
	switch {
	case a.Frame < b.Frame:
		return -1
	case a.Frame > b.Frame:
		return 1
	}
	return 0
}

// List returns the drops of a list, sorted; of a decision log, none.
func (l *Log) List() []Drop { return slices.Clone(l.drops) }

// HasList reports whether runs that follow the log drop frames by a list. Log may
// be nil.
func (l *Log) HasList() bool { return l != nil && (l.Header == nil || l.Header.List) }

// Links returns the names of the links that the log is about, sorted.
func (l *Log) Links() []string {
	var all []string
	for _, d := range l.drops {
		all = append(all, d.Link)
	}
	for k := range l.ways {
		all = append(all, k.link)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// An Arrival is when a frame entered a direction, and its length in bytes.
type Arrival struct {
	At  sim.Time
	Len int
}

// Arrivals returns the frames that entered a direction, by their numbers.
func (l *Log) Arrivals(link, dir string) []Arrival {
	way := l.ways[wayKey{link, dir}]
	if way == nil {
		return nil
	}
	all := make([]Arrival, len(way.frames))
	for i, f := range way.frames {
		all[i] = Arrival{f.at, f.length}
	}
	return all
}

// A ReadError tells what is wrong with a log, and where.
type ReadError struct {
	Name         string
	Line, Column int
	Excerpt      string // the line, shortened
	Text, Hint   string
}

func (e *ReadError) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.Name, e.Line, e.Column, e.Text)
	if e.Excerpt != "" {
		s += "\n  | " + e.Excerpt
	}
	if e.Hint != "" {
		s += "\n  hint: " + e.Hint
	}
	return s
}

// Read reads a decision log or a list of drops, which has a JSON object on each
// line; empty lines, and in a list those that begin with #, do not count. name
// is the file's, for messages.
func Read(name string, r io.Reader) (*Log, error) {
	d := &reader{log: &Log{Name: name, ways: map[wayKey]*wayLog{}}}
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	scan := bufio.NewScanner(limited)
	scan.Buffer(make([]byte, 0, MaxLine), MaxLine)
	for scan.Scan() {
		d.line++
		d.text = scan.Bytes()
		text := bytes.TrimSpace(d.text)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		if err := d.take(text); err != nil {
			return nil, err
		}
	}
	if err := scan.Err(); err != nil {
		d.line++
		d.text = nil
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, d.fail(fmt.Sprintf("a line of more than %d bytes", MaxLine), "")
		}
		return nil, fmt.Errorf("decisions: %s: %w", name, err)
	}
	if limited.N == 0 {
		d.text = nil
		return nil, d.fail(fmt.Sprintf("a log of more than %d bytes", MaxBytes), "")
	}
	if d.line == 0 {
		d.line = 1
		return nil, d.fail("an empty file", hintList)
	}
	d.log.lines = d.line
	slices.SortFunc(d.log.drops, compareDrops)
	d.log.drops = slices.Compact(d.log.drops)
	return d.log, nil
}

const hintList = `write a decision log with --decisions-out, or a list with a line like {"link":"link","dir":"up","frame":17} for each frame to drop`

// A reader reads a log.
type reader struct {
	log  *Log
	line int
	text []byte
	any  bool // whether there was a line that counts
}

func (d *reader) fail(text, hint string) error { return d.failAt(0, text, hint) }

// failAt puts an error at a byte of the line.
func (d *reader) failAt(at int, text, hint string) error {
	const longest = 120
	excerpt := strings.ToValidUTF8(string(d.text[:min(len(d.text), longest)]), "\uFFFD")
	if len(d.text) > longest {
		excerpt += "…"
	}
	return &ReadError{Name: d.log.Name, Line: d.line, Column: at + 1, Excerpt: strings.TrimSpace(excerpt), Text: text, Hint: hint}
}

// A record is a line of a log.
type record struct {
	T       *int64  `json:"t"`
	Link    *string `json:"link"`
	Dir     *string `json:"dir"`
	Frame   *uint64 `json:"frame"`
	Made    bool    `json:"made"` // the frame was made by a stage
	Copy    uint32  `json:"copy"`
	Len     *int    `json:"len"`
	Stage   string  `json:"stage"`
	Verb    string  `json:"draws"`
	Verdict string  `json:"verdict"`
	Reason  string  `json:"reason"`
	NS      *int64  `json:"ns"`
	Draw    string  `json:"draw"`
}

// take takes a line that is not empty.
func (d *reader) take(text []byte) error {
	first := !d.any
	d.any = true
	if first && bytes.Contains(text, []byte(`"format"`)) {
		var h Header
		if err := d.decode(text, &h); err != nil {
			return err
		}
		if h.Format != format {
			return d.fail(fmt.Sprintf("the format is %q, not %q", h.Format, format), hintList)
		}
		if h.Version != Version {
			return d.fail(fmt.Sprintf("version %d, this program reads version %d", h.Version, Version), "write the log again")
		}
		d.log.Header = &h
		return nil
	}
	var r record
	if err := d.decode(text, &r); err != nil {
		return err
	}
	switch {
	case r.Dir == nil || r.Frame == nil || r.Link == nil || *r.Link == "":
		return d.fail("a frame needs link, dir and frame", hintList)
	case *r.Dir != "up" && *r.Dir != "down":
		return d.failAt(bytes.Index(d.text, []byte(*r.Dir)), fmt.Sprintf("dir is %q, not up or down", *r.Dir), "")
	case *r.Frame == 0 || *r.Frame >= link.GeneratedOrdinals:
		return d.fail(fmt.Sprintf("there is no frame %d: they are counted from 1", *r.Frame), "")
	}
	if d.log.Header == nil {
		return d.takeDrop(&r)
	}
	return d.takeDecision(&r)
}

func (d *reader) takeDrop(r *record) error {
	if r.T != nil || r.Made || r.Copy != 0 || r.Len != nil || r.Stage != "" || r.Verb != "" || r.NS != nil || r.Draw != "" ||
		r.Reason != "" || r.Verdict != "" && r.Verdict != link.VerbDrop {
		return d.fail("a line of a decision log in a list of drops", "a decision log begins with the line that --decisions-out writes first")
	}
	d.log.drops = append(d.log.drops, Drop{*r.Link, *r.Dir, *r.Frame})
	return nil
}

func (d *reader) takeDecision(r *record) error {
	if r.T == nil || *r.T < 0 {
		return d.fail("a line without a time t", "")
	}
	key := wayKey{*r.Link, *r.Dir}
	way := d.log.ways[key]
	if way == nil {
		way = &wayLog{made: map[uint64]*frameLog{}}
		d.log.ways[key] = way
	}
	if r.Verdict == verdictEnter {
		return d.takeEntry(way, r)
	}
	entry, err := d.entry(way, r)
	if err != nil {
		return err
	}
	c := decision{copy: r.Copy, line: d.line, stage: r.Stage, verb: r.Verb}
	switch {
	case r.Stage == "":
		return d.fail("a decision without its stage", "")
	case r.Verb == "" && r.Verdict == link.VerbDrop:
		c.ruled = true
	case r.Verb == link.VerbDelay && r.Verdict == link.VerbDelay:
		if r.NS == nil || *r.NS < 0 || *r.NS > int64(4*link.MaxDelay) {
			return d.fail(fmt.Sprintf("a delay needs ns, from 0 to %d", int64(4*link.MaxDelay)), "")
		}
		c.delay = time.Duration(*r.NS)
	case r.Verb != "" && r.Verb != link.VerbDelay && r.Verdict == r.Verb:
		c.yes = true
	case r.Verb != "" && r.Verb != link.VerbDelay && r.Verdict == verdictPass:
	default:
		return d.fail(fmt.Sprintf("the verdict of a stage that draws %q is not %q", r.Verb, r.Verdict), "it is pass or what the stage draws")
	}
	if r.Draw != "" {
		if _, err := strconv.ParseUint(r.Draw, 16, 64); err != nil {
			return d.fail(fmt.Sprintf("the draw %q is not a hexadecimal number", r.Draw), "")
		}
	}
	entry.decisions = append(entry.decisions, c)
	return nil
}

func (d *reader) takeEntry(way *wayLog, r *record) error {
	switch {
	case r.Len == nil || *r.Len < 0:
		return d.fail("a frame that enters needs its length len", "")
	case *r.Frame != uint64(len(way.frames)+1):
		return d.fail(fmt.Sprintf("frame %d enters %s %s where frame %d should", *r.Frame, *r.Link, *r.Dir, len(way.frames)+1), "lines are missing or in another order")
	}
	way.frames = append(way.frames, frameLog{line: d.line, length: *r.Len, at: sim.Time(*r.T)})
	return nil
}

func (d *reader) entry(way *wayLog, r *record) (*frameLog, error) {
	if r.Made {
		e := way.made[*r.Frame]
		if e == nil {
			e = &frameLog{line: d.line}
			way.made[*r.Frame] = e
		}
		return e, nil
	}
	if *r.Frame > uint64(len(way.frames)) {
		return nil, d.fail(fmt.Sprintf("a decision on frame %d of %s %s, which has not entered", *r.Frame, *r.Link, *r.Dir), "lines are missing or in another order")
	}
	return &way.frames[*r.Frame-1], nil
}

// decode decodes one JSON object.
func (d *reader) decode(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	start := bytes.Index(d.text, text)
	if err == nil {
		if dec.More() {
			return d.failAt(start+int(dec.InputOffset()), "more than one JSON value on a line", hintList)
		}
		return nil
	}
	at := int(dec.InputOffset())
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = int(syntax.Offset) - 1
	case errors.As(err, &kind):
		at = int(kind.Offset) - 1
	}
	return d.failAt(start+max(0, at), strings.TrimPrefix(err.Error(), "json: "), hintList)
}
