package pcaps

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A RunInfo is what is needed to repeat a run. A Recorder writes it as comments
// of the section header; [ParseRunInfo] reads it back.
//
// The first comment holds one "name: value" a line, starting with
// "hilnet-run: 1". Each text follows in as many comments as it needs, each
// starting with the line "hilnet-text: PART/PARTS NAME".
type RunInfo struct {
	Version  string // of hilnet
	Seed     uint64
	Versions []RunVersion // of what else decides the outcome, such as go
	Texts    []RunText    // the resolved scenario and the files that it includes
}

// A RunVersion names the version of a component.
type RunVersion struct{ Name, Version string }

// A RunText is an embedded file.
type RunText struct{ Name, Text string }

const (
	runHeader    = "hilnet-run: 1\n"
	textHeader   = "hilnet-text: "
	commentLimit = 65_535
	textPiece    = 65_000 // leaves room for the heading
	longestName  = 256
)

// comments returns i as comments below the limit of an option.
func (i *RunInfo) comments() ([]string, error) {
	var b strings.Builder
	b.WriteString(runHeader)
	fmt.Fprintf(&b, "seed: %d\n", i.Seed)
	for _, v := range append([]RunVersion{{"version", i.Version}}, i.Versions...) {
		if strings.ContainsAny(v.Name+v.Version, "\n\x00") || strings.Contains(v.Name, ": ") || v.Name == "" || v.Name == "seed" {
			return nil, fmt.Errorf("pcaps: run information: version %q: %q is not a name and a value of one line", v.Name, v.Version)
		}
		fmt.Fprintf(&b, "%s: %s\n", v.Name, v.Version)
	}
	if b.Len() > commentLimit {
		return nil, fmt.Errorf("pcaps: run information: %d bytes of versions, more than %d", b.Len(), commentLimit)
	}
	all := []string{b.String()}
	for _, t := range i.Texts {
		if t.Name == "" || len(t.Name) > longestName || strings.ContainsAny(t.Name, "\n\x00") {
			return nil, fmt.Errorf("pcaps: run information: text name %q is empty, over %d bytes or not one line", t.Name, longestName)
		}
		if !utf8.ValidString(t.Text) || strings.Contains(t.Text, "\x00") {
			return nil, fmt.Errorf("pcaps: run information: text %q is not UTF-8 without NUL, as a comment must be", t.Name)
		}
		pieces := SplitText(t.Text, textPiece)
		for n, piece := range pieces {
			all = append(all, fmt.Sprintf("%s%d/%d %s\n%s", textHeader, n+1, len(pieces), t.Name, piece))
		}
	}
	return all, nil
}

// ParseRunInfo returns what a Recorder wrote into s; false when s is nil or was
// not written by one.
func ParseRunInfo(s *Section) (RunInfo, bool) {
	var info RunInfo
	if s == nil || len(s.Comments) == 0 || !strings.HasPrefix(s.Comments[0], runHeader) {
		return info, false
	}
	for line := range strings.Lines(s.Comments[0][len(runHeader):]) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "seed":
			seed, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return info, false
			}
			info.Seed = seed
		case "version":
			info.Version = value
		default:
			info.Versions = append(info.Versions, RunVersion{name, value})
		}
	}
	for _, c := range s.Comments[1:] {
		heading, text, ok := strings.Cut(c, "\n")
		rest, isText := strings.CutPrefix(heading, textHeader)
		part, name, named := strings.Cut(rest, " ")
		if !ok || !isText || !named {
			continue // somebody else's comment
		}
		if strings.HasPrefix(part, "1/") {
			info.Texts = append(info.Texts, RunText{Name: name})
		}
		if n := len(info.Texts); n > 0 && info.Texts[n-1].Name == name {
			info.Texts[n-1].Text += text
		}
	}
	return info, true
}
