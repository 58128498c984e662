package scenarios

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// MaxErrors bounds the errors that one Load reports.
const MaxErrors = 10

// An Error is one thing that is wrong with a scenario.
type Error struct {
	File         string // as given to Load
	Line, Column int    // from 1; 0 for a scenario that was made in Go
	Path         string // such as links[0].delay
	Msg          string
	Hint         string // what to do about it, or ""
	Excerpt      string // the lines around it with a caret, or ""

	text  int  // number of the file, for the order
	bySet bool // the file is right without the overrides
}

// Error returns position, message, hint and excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case strings.HasPrefix(e.File, setFile):
		b.WriteString(e.File + ": ")
	case e.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	case e.File != "":
		b.WriteString(e.File + ": ")
	case e.Path != "":
		fmt.Fprintf(&b, "scenarios: %s: ", e.Path)
	default:
		b.WriteString("scenarios: ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("\n  hint: " + e.Hint)
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// Errors is what is wrong with a scenario, in the order of the file, at most
// MaxErrors.
type Errors []*Error

// Error returns all of them, each from a new line.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, err := range e {
		all[i] = err.Error()
	}
	return strings.Join(all, "\n")
}

// Unwrap makes errors.As find an *Error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, err := range e {
		all[i] = err
	}
	return all
}

// A source is where the values of a scenario were read.
type source struct {
	places map[string]place // by path
	params []Param
	reload func([]Set) (*Scenario, error) // reads the same texts, with more overrides
}

// A textFile is the text of one file.
type textFile struct {
	file   string
	number int // in the order of reading
	lines  []string
}

type place struct {
	text         *textFile
	line, column int
}

// String returns the file's name without its folder, line and column.
func (p place) String() string {
	return fmt.Sprintf("%s:%d:%d", path.Base(p.text.file), p.line, p.column)
}

// Excerpt sizes.
const (
	linesBefore = 3
	maxWidth    = 100
)

// excerpt returns the lines up to the place, with a caret below it.
func (p place) excerpt() string {
	s := p.text
	if s == nil || p.line < 1 || p.line > len(s.lines) {
		return ""
	}
	var b strings.Builder
	for n := max(1, p.line-linesBefore); n <= p.line; n++ {
		mark := "  "
		if n == p.line {
			mark = "> "
		}
		fmt.Fprintf(&b, "%s%4d | %s\n", mark, n, clip(s.lines[n-1]))
	}
	// The caret stands below the column even where the line has wide tabs.
	b.WriteString("       | ")
	for i, r := range []rune(s.lines[p.line-1]) {
		if i >= p.column-1 || i >= maxWidth {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteByte('^')
	return b.String()
}

func clip(line string) string {
	r := []rune(strings.TrimRight(line, "\r"))
	for i, c := range r {
		if c < ' ' && c != '\t' || c == 0x7f {
			r[i] = '\uFFFD'
		}
	}
	if len(r) > maxWidth {
		return string(r[:maxWidth]) + "…"
	}
	return string(r)
}

// maxMessage bounds a message, which may quote what the file holds.
const maxMessage = 240

func shorten(s string) string {
	r := []rune(s)
	if len(r) <= maxMessage {
		return s
	}
	return string(r[:maxMessage/2]) + "…" + string(r[len(r)-maxMessage/2:])
}

// nearest returns the candidate that differs from s by few letters, or "".
func nearest(s string, candidates []string) string {
	best, bestDistance := "", 1+max(1, len(s)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// near names the nearest candidate, or those few that s is a part of, or nothing.
func near(s string, candidates []string) string {
	if best := nearest(s, candidates); best != "" {
		return strconv.Quote(best)
	}
	const most, least = 5, 3 // candidates, and letters of s
	var parts []string
	for _, c := range candidates {
		if len(s) >= least && strings.Contains(strings.ToLower(c), strings.ToLower(s)) {
			parts = append(parts, strconv.Quote(c))
		}
	}
	switch n := len(parts); {
	case n == 0 || n > most:
		return ""
	case n == 1:
		return parts[0]
	default:
		return strings.Join(parts[:n-1], ", ") + " or " + parts[n-1]
	}
}

// didYouMean returns a hint that names the nearest candidate, or all of them.
func didYouMean(s string, candidates []string) string {
	if near := near(s, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	switch len(candidates) {
	case 0:
		return ""
	case 1:
		return "the only one is " + candidates[0]
	}
	return "one of: " + strings.Join(candidates, ", ")
}

// maxCompared bounds the words that distance compares.
const maxCompared = 40

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
