package netem

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A SyntaxError is what is wrong with a netem string, and where.
type SyntaxError struct {
	Text       string // the whole string
	Start, End int    // the bytes of Text that are wrong; equal at its end
	Message    string
	Hint       string // what to write instead; may be empty
}

// Column returns the place of the error, in characters from 1.
func (e *SyntaxError) Column() int { return utf8.RuneCountInString(e.Text[:e.Start]) + 1 }

// Error returns column, message and hint on one line.
func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("netem: column %d: %s", e.Column(), e.Message)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// excerptRunes bounds what an excerpt shows before and behind the error.
const excerptRunes = 48

// Excerpt returns the string around the error, and a line of carets under it.
func (e *SyntaxError) Excerpt() string {
	clean := func(s string) []rune {
		return []rune(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, s))
	}
	before, wrong, after := clean(e.Text[:e.Start]), clean(e.Text[e.Start:e.End]), clean(e.Text[e.End:])
	if len(before) > excerptRunes {
		before = append([]rune("…"), before[len(before)-excerptRunes:]...)
	}
	if len(wrong) > excerptRunes {
		wrong, after = append(wrong[:excerptRunes:excerptRunes], '…'), nil
	}
	if len(after) > excerptRunes {
		after = append(after[:excerptRunes:excerptRunes], '…')
	}
	return fmt.Sprintf("%s%s%s\n%s%s", string(before), string(wrong), string(after),
		strings.Repeat(" ", len(before)), strings.Repeat("^", max(1, len(wrong))))
}

// A Warning is something that netem does other than it seems to say.
type Warning struct {
	// Code names the kind of surprise; docs/netem.md has one section for each.
	Code string `json:"code"`
	// Column is the place in the string that it is about, from 1; 0: all of it.
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
}
