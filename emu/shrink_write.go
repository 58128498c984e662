package emu

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hilnet/scenarios"
)

// A lists of drops as a scenario is written.
var writtenDrops = regexp.MustCompile(`(?m)^( *)(- )?drop_frames: \[([0-9, ]*)\]$`)

// write writes the small scenario, with a comment for each frame.
func (s *Shrunk) write() ([]byte, error) {
	s.Small.Seed = s.Seed
	body, err := s.Small.Brief()
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	text := s.head() + s.comment(string(body))
	again, err := scenarios.Load(s.Small.Name+".yaml", []byte(text))
	if err == nil && scenarios.Equal(again, s.Small) {
		return []byte(text), nil
	}
	// A text that looks like a list of drops: without the comments it is whole.
	return append([]byte(s.head()), body...), nil
}

// head tells where the scenario is from.
func (s *Shrunk) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# lost %d frames and failed. ", s.Command, s.Lost)
	switch len(s.Drops) {
	case 0:
		b.WriteString("It fails as well if it loses none of them.\n")
	case 1:
		b.WriteString("One is enough:\n")
	default:
		fmt.Fprintf(&b, "%d are enough:\n", len(s.Drops))
	}
	for i := range s.Drops {
		fmt.Fprintf(&b, "#   %s, %s\n", s.Drops[i].Name(), s.Drops[i].describe())
	}
	fmt.Fprintf(&b, "# What fails:\n")
	for _, that := range s.Failed {
		fmt.Fprintf(&b, "#   %s\n", oneLine(that))
	}
	for _, f := range s.Findings {
		fmt.Fprintf(&b, "#   %s: %s\n", f.Name, oneLine(f.Text))
	}
	return b.String()
}

// describe tells when a frame was sent and what it is.
func (f *FrameInfo) describe() string {
	return fmt.Sprintf("%s s: %s", strconv.FormatFloat(time.Duration(f.T).Seconds(), 'f', 3, 64), oneLine(f.What))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// comment writes each list of drops as one frame a line, and what it is.
func (s *Shrunk) comment(body string) string {
	type way struct {
		link, dir string
		frames    []uint64
	}
	var ways []way // in the order of the text
	for i := range s.Small.Links {
		l := &s.Small.Links[i]
		ways = append(ways, way{l.Name, "up", l.Up.DropFrames}, way{l.Name, "down", l.Down.DropFrames})
	}
	ways = slices.DeleteFunc(ways, func(w way) bool { return len(w.frames) == 0 })
	n := 0
	return writtenDrops.ReplaceAllStringFunc(body, func(line string) string {
		if n == len(ways) {
			return line
		}
		w := ways[n]
		n++
		m := writtenDrops.FindStringSubmatch(line)
		indent := m[1] + strings.Repeat(" ", len(m[2])+2)
		var b strings.Builder
		b.WriteString(m[1] + m[2] + "drop_frames:")
		for _, number := range w.frames {
			fmt.Fprintf(&b, "\n%s- %d", indent, number)
			i := slices.IndexFunc(s.Drops, func(f FrameInfo) bool {
				return f.Link == w.link && f.Dir == w.dir && f.Frame == uint64(number)
			})
			if i >= 0 {
				b.WriteString(" # " + s.Drops[i].describe())
			}
		}
		return b.String()
	})
}
