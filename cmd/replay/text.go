package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// linkNames are the link types that one meets; the registry is at tcpdump.org.
var linkNames = map[uint16]string{
	0: "null", 1: "Ethernet", 101: "raw IP", 105: "802.11", 108: "loop", 113: "Linux cooked", 228: "IPv4", 229: "IPv6", 276: "Linux cooked 2",
}

// writeInfo prints an info for a person.
func writeInfo(w io.Writer, i *info) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-13s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(w, "%s: %s, %s\n\n", printable(i.File), i.Format, many(i.Packets, "frame"))
	writeSections(i, row)
	for n := range i.Interfaces {
		writePoint(&i.Interfaces[n], n, row)
	}
	if i.First != "" {
		row("time", "%s to %s (%v)", i.First, i.Last, i.Duration)
	}
	row("bytes", "%d captured, %d on the wire", i.Bytes, i.WireBytes)
	writeFrames(i, row)
	for n := range i.Conversations {
		writeConversation(w, &i.Conversations[n], len(i.Interfaces) > 1)
	}
	if len(i.Conversations) == 0 {
		row("conversations", "none")
	}
	if i.Unlisted > 0 {
		row("and", "%d conversations more, counted but not listed", i.Unlisted)
	}
	if len(i.Ignored)+len(i.Dropped)+len(i.Gaps) > 0 || i.Problem != nil {
		fmt.Fprintln(w)
	}
	writeCounts(i.Ignored, "ignored", "frame", row)
	writeCounts(i.Dropped, "not taken", "byte", row)
	writeCounts(i.Gaps, "missing", "byte", row)
	if p := i.Problem; p != nil {
		row(strings.ToUpper(p.Kind), "%s", p.Text)
		if p.Ignored > 0 {
			row("", "%s from offset %d on were not read", many(uint64(p.Ignored), "byte"), p.Offset)
		}
	}
}

func writeSections(i *info, row func(string, string, ...any)) {
	for n := range i.Sections {
		s := &i.Sections[n]
		if s.Application != "" {
			row("written by", "%s", s.Application)
		}
		if s.Hardware != "" || s.OS != "" {
			row("on", "%s", strings.Trim(s.OS+", "+s.Hardware, ", "))
		}
		if r := s.Run; r != nil {
			row("run", "scenario %s, seed %d, hilnet %s%s", strings.TrimSuffix(r.scenario, ".yaml"), r.Seed, r.Version, versions(r.Versions))
		}
		for _, c := range s.Comments {
			line, _, _ := strings.Cut(c, "\n")
			row("comment", "%s", line)
		}
	}
}

func versions(all map[string]string) string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	text := ""
	for _, name := range names {
		text += ", " + name + " " + all[name]
	}
	return text
}

func writePoint(p *point, n int, row func(string, string, ...any)) {
	name := p.Name
	if name == "" {
		name = fmt.Sprintf("%d", n)
	}
	if p.Text != "" {
		name += " (" + p.Text + ")"
	}
	link := linkNames[p.LinkType]
	if link == "" {
		link = fmt.Sprintf("link type %d", p.LinkType)
	}
	text := fmt.Sprintf("%s: %s, %s", name, link, many(p.Packets, "frame"))
	if p.Dropped != nil && *p.Dropped > 0 {
		text += fmt.Sprintf(", %d that the system lost", *p.Dropped)
	}
	row("interface", "%s", text)
}

// writeFrames prints what is special about frames and blocks, if anything is.
func writeFrames(i *info, row func(string, string, ...any)) {
	for _, c := range []struct {
		n    uint64
		name string
		text string
	}{
		{i.Lost, "lost", "%d frames were dropped on the link, says their verdict"},
		{i.Commented, "comments", "%d frames have comments"},
		{i.Cut, "cut", "%d frames were captured in part"},
		{i.Backward, "order", "%d frames have an earlier time than the one before"},
		{uint64(i.Secrets), "secrets", "%d blocks"},
		{uint64(i.NameBlocks), "names", "%d blocks"},
	} {
		if c.n > 0 {
			row(c.name, c.text, c.n)
		}
	}
	names := make([]string, 0, len(i.Other))
	for name := range i.Other {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		row("other blocks", "%s: %d", name, i.Other[name])
	}
}

func writeConversation(w io.Writer, c *conversation, showInterface bool) {
	protocol := c.Protocol
	switch c.MQTTVersion {
	case 0:
	case 3:
		protocol += " 3.1"
	case 4:
		protocol += " 3.1.1"
	default:
		protocol += fmt.Sprintf(" %d", c.MQTTVersion)
	}
	fmt.Fprintf(w, "\n  #%d %s -> %s  %s", c.ID, c.Client, c.Server, over(protocol, c.TLS))
	fmt.Fprintf(w, "\n     client known by %s, incarnation %d, handshake %s, end %s", c.RoleKnownBy, c.Incarnation, c.Handshake, c.End)
	if c.Refused {
		fmt.Fprint(w, ", refused")
	}
	if len(c.VLANs) > 0 {
		fmt.Fprintf(w, ", VLAN %v", c.VLANs)
	}
	if showInterface {
		fmt.Fprintf(w, ", interface %d", c.Interface)
	}
	fmt.Fprintf(w, "\n     from %v for %v, frames %d to %d\n", short(c.Start), short(c.Duration), c.FirstFrame, c.LastFrame)
	writeHalf(w, "->", &c.ToServer)
	writeHalf(w, "<-", &c.ToClient)
}

func writeHalf(w io.Writer, arrow string, h *half) {
	text := fmt.Sprintf("%s, %s", many(uint64(h.Frames), "frame"), many(uint64(h.Bytes), "byte"))
	for _, c := range []struct {
		n    int64
		text string
	}{
		{int64(h.Repeated), "%d repeated"},
		{int64(h.OutOfOrder), "%d out of order"},
		{int64(h.ZeroWindows), "%d zero windows"},
		{int64(h.BadChecksums), "%d wrong checksums"},
		{int64(h.Gaps), "%d gaps"},
		{h.GapBytes, "%d bytes missing"},
		{int64(h.BoundariesLost), "message boundaries lost %d times"},
	} {
		if c.n > 0 {
			text += ", " + fmt.Sprintf(c.text, c.n)
		}
	}
	fmt.Fprintf(w, "     %s  %s\n", arrow, text)
	if len(h.types) > 0 {
		var all []string
		for _, t := range h.types {
			all = append(all, fmt.Sprintf("%s %d", t.Reason, t.N))
		}
		fmt.Fprintf(w, "         %s\n", strings.Join(all, ", "))
	}
}

func writeCounts(list []count, name, unit string, row func(string, string, ...any)) {
	for _, c := range list {
		row(name, "%s: %s", many(c.N, unit), c.Reason)
		name = ""
	}
}

func many(n uint64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	if strings.HasSuffix(unit, "s") {
		unit += "e" // addresses
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func short(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// printable replaces what a terminal would obey: names and comments are whoever's
// who wrote the file.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
