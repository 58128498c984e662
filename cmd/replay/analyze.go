package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/pcaps"
	"hilnet/pcaps/analyze"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
)

// An analysis is that of one file.
type analysis struct {
	File string `json:"file"`
	*analyze.Report
	Problem *problem `json:"problem,omitempty"`
}

type analysisDocument struct {
	Format  string      `json:"format" jsonschema:"enum=hilnet-analysis"`
	Version int         `json:"version" jsonschema:"enum=1"`
	Files   []*analysis `json:"files"`
}

type analyzeFlags struct {
	asJSON   bool
	ports    []uint
	only     []uint
	messages bool
	stall    time.Duration
	keyLog   string
}

func (c *cli) analyzeCommand() *cobra.Command {
	var f analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze FILE…",
		Short: "Say what happened in captures, and why",
		Long: `analyze says what happened in captures: for each TCP connection the labels that
Wireshark gives its segments, round-trip times, where it stood still and what for,
its MQTT messages with the time until they were answered, and findings: why a session
was lost, what got no answer, what was sent again. It says first what the capturing
itself has spoiled: frames doubled or missing, offload, times that go back.

Retransmissions by Wireshark's rules are guesses from time. Where IP identification,
timestamps or DSACK tell, their own word stands beside them ("origins" and "dsacks").

TLS is read if the capture holds its keys, as hilnet's do, or --keylog names them.

See docs/analyze.md for what the words mean, and for the JSON.`,
		Example: "  replay analyze device.pcapng\n  replay analyze device.pcapng --conversation 2 --messages\n  replay analyze a.pcap b.pcap --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("replay analyze needs at least one file; see replay analyze --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.stall <= 0 && cmd.Flags().Changed("stall") {
				return fmt.Errorf("--stall %v is not a time span: write one above 0, as 200ms", f.stall)
			}
			return c.analyze(cmd.Context(), args, &f)
		},
	}
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.Flags().UintSliceVar(&f.ports, "port", []uint{1883}, "TCP port of MQTT; may be repeated")
	cmd.Flags().UintSliceVar(&f.only, "conversation", nil, "show this conversation only, by its number; may be repeated")
	cmd.Flags().BoolVar(&f.messages, "messages", false, "list every MQTT message in the text (JSON has them always)")
	addKeyLog(cmd, &f.keyLog)
	cmd.Flags().DurationVar(&f.stall, "stall", 0, "list every standstill of this length or longer (default 200ms, without those that\nthe path or the application explains: docs/analyze.md)")
	return cmd
}

func (c *cli) analyze(ctx context.Context, files []string, f *analyzeFlags) error {
	ports, err := portsOf(f.ports)
	if err != nil {
		return err
	}
	doc := analysisDocument{Format: analyze.Format, Version: analyze.Version, Files: []*analysis{}}
	for _, name := range files {
		keys, err := readKeys(f.keyLog)
		if err != nil {
			return err
		}
		one, err := analyzeFile(ctx, name, analyze.Config{MQTTPorts: ports, Stall: f.stall}, keys)
		if err != nil {
			return explainError(name, err)
		}
		if one.Problem != nil {
			c.code = exitFail
		}
		if err := one.choose(f.only); err != nil {
			return err
		}
		doc.Files = append(doc.Files, one)
	}
	if f.asJSON {
		return c.writeJSON(doc)
	}
	for i, one := range doc.Files {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		writeAnalysis(c.stdout, one, f.messages)
	}
	return nil
}

// choose leaves only the conversations with these numbers.
func (a *analysis) choose(only []uint) error {
	if len(only) == 0 {
		return nil
	}
	for _, id := range only {
		if !slices.ContainsFunc(a.Conversations, func(v *analyze.Conversation) bool { return v.ID == uint64(id) }) {
			return fmt.Errorf("%s has no conversation %d; replay info lists them", a.File, id)
		}
	}
	a.Conversations = slices.DeleteFunc(a.Conversations, func(v *analyze.Conversation) bool { return !slices.Contains(only, uint(v.ID)) })
	return nil
}

// analyzeFile analyzes a file to its end, or to where it is cut or damaged.
func analyzeFile(ctx context.Context, name string, config analyze.Config, keys *tlsdec.Keys) (*analysis, error) {
	file, err := openCapture(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return analyzeInput(ctx, name, file, config, keys)
}

func analyzeInput(ctx context.Context, name string, input io.Reader, config analyze.Config, keys *tlsdec.Keys) (*analysis, error) {
	reader, err := pcaps.NewReader(input, pcaps.ReaderConfig{MaxMetadata: 4 << 20})
	if err != nil {
		return nil, err
	}
	config.Secure = keys.Open
	analyzer, err := analyze.New(config)
	if err != nil {
		return nil, err
	}
	out := &analysis{File: name}
	g := gatherer{info: &info{}} // for its clock
	base, interfaces, records := 0, 0, 0
	if reader.Format() == pcaps.FormatPcap {
		interfaces = 1
	}
	for {
		if records%4096 == 0 && ctx.Err() != nil {
			return nil, context.Canceled
		}
		r, err := reader.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			if out.Problem = problemOf(err); out.Problem == nil || records == 0 && reader.Format() == pcaps.FormatPcapng {
				return nil, err
			}
			break
		}
		records++
		switch {
		case r.Section != nil:
			base = interfaces
		case r.Interface != nil:
			interfaces++
		case r.Secrets != nil:
			addSecrets(keys, r.Secrets)
		case r.Packet != nil:
			p := r.Packet
			if p.Block != pcaps.BlockSimplePacket && !g.timed {
				g.first, g.timed = p.Time, true
			}
			at := g.since(p.Time)
			if p.Block == pcaps.BlockSimplePacket {
				at = 0
			}
			g.Packets++
			analyzer.Feed(flow.Frame{
				Data: p.Data, Link: flow.LinkType(p.LinkType), At: at, Number: g.Packets, Direction: flow.Direction(p.Direction()), Lane: uint32(base + p.Interface),
			})
		}
	}
	out.Report = analyzer.Report()
	return out, nil
}

// writeAnalysis prints an analysis for a person.
func writeAnalysis(w io.Writer, a *analysis, messages bool) {
	line := func(format string, args ...any) { fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) }
	line("%s: %s, %s of TCP", a.File, many(a.Frames, "frame"), many(a.Segments, "segment"))
	for _, f := range a.Artefacts {
		line("  CAPTURE %s: %s (first: frame %d)", f.Kind, f.Text, f.Frame)
	}
	for _, c := range a.Conversations {
		fmt.Fprintln(w)
		writeAnalyzed(line, c, messages)
	}
	if len(a.Conversations) == 0 {
		line("  no TCP conversation")
	}
	if a.Unlisted > 0 {
		line("  %d conversations more, counted but not listed", a.Unlisted)
	}
	if p := a.Problem; p != nil {
		line("  %s: %s", strings.ToUpper(p.Kind), p.Text)
	}
}

func writeAnalyzed(line func(string, ...any), c *analyze.Conversation, messages bool) {
	line("  #%d %s -> %s  %s, from %v for %v, handshake %s, end %s%s", c.ID, c.Client, c.Server, over(c.Protocol, c.TLS), short(c.Start), short(c.Duration),
		c.Handshake, c.End, by(c.EndedBy))
	if c.ClientID != "" {
		line("     client %q, keep alive %d s", c.ClientID, c.KeepAlive)
	}
	writeDirection(line, "->", &c.ToServer)
	writeDirection(line, "<-", &c.ToClient)
	for _, f := range c.Findings {
		line("     FOUND %v frame %d %s: %s", short(f.At), f.Frame, f.Kind, f.Text)
	}
	for _, s := range c.Stalls {
		line("     STALL %v for %v, frames %d to %d, %s: %s", short(s.Start), short(s.Duration), s.Before, s.After, s.Kind, s.Text)
	}
	for _, u := range c.UsualStalls {
		line("     %s, as usual in this connection: %s, median %v, longest %v (--stall 200ms lists each)", u.Kind, many(uint64(u.Count), "time"), short(u.Median), short(u.Longest))
	}
	if messages {
		for i := range c.Messages {
			writeMessage(line, &c.Messages[i])
		}
	} else if len(c.Messages) > 0 {
		line("     %s (--messages lists them)", many(uint64(len(c.Messages)), "message"))
	}
	for _, u := range []struct {
		n    uint64
		what string
	}{{c.UnlistedFindings, "findings"}, {c.UnlistedStalls, "stalls"}, {c.UnlistedMessages, "messages"}} {
		if u.n > 0 {
			line("     %d %s more, counted but not listed", u.n, u.what)
		}
	}
}

func by(side string) string {
	if side == "" {
		return ""
	}
	return " by " + side
}

func writeDirection(line func(string, ...any), arrow string, d *analyze.Direction) {
	text := fmt.Sprintf("     %s  %s, %s", arrow, many(uint64(d.Frames), "frame"), many(uint64(d.Bytes), "byte"))
	for _, r := range []struct {
		name string
		rtt  analyze.RTT
	}{{"RTT", d.RTT}, {"RTT by timestamps", d.TimestampRTT}} {
		if r.rtt.Samples > 0 {
			text += fmt.Sprintf(", %s %v/%v/%v (min/mean/max of %d)", r.name, short(r.rtt.Min), short(r.rtt.Mean), short(r.rtt.Max), r.rtt.Samples)
		}
	}
	if d.MaxBytesInFlight > 0 {
		text += fmt.Sprintf(", at most %d bytes in flight", d.MaxBytesInFlight)
	}
	line("%s", text)
	var all []string
	for _, l := range d.Labels {
		all = append(all, fmt.Sprintf("%s %d", l.Name, l.N))
	}
	for _, o := range d.Origins {
		all = append(all, fmt.Sprintf("by its own marks %s %d", o.Name, o.N))
	}
	if d.DSACKs > 0 {
		all = append(all, fmt.Sprintf("DSACKs %d", d.DSACKs))
	}
	if len(all) > 0 {
		line("         %s", strings.Join(all, ", "))
	}
}

func writeMessage(line func(string, ...any), m *analyze.Message) {
	text := fmt.Sprintf("     %v frame %d %s %s", short(m.At), m.Frame, m.From, m.Type)
	if m.ID != 0 {
		text += fmt.Sprintf(" %d", m.ID)
	}
	if m.Topic != "" {
		text += fmt.Sprintf(" %q", m.Topic)
	}
	if m.QoS > 0 {
		text += fmt.Sprintf(" QoS %d", m.QoS)
	}
	for _, f := range []struct {
		on   bool
		text string
	}{{m.Dup, "DUP"}, {m.Retain, "retain"}, {m.Coalesced, "shares a frame"}, {m.Split, fmt.Sprintf("split, to frame %d", m.LastFrame)}} {
		if f.on {
			text += ", " + f.text
		}
	}
	text += ", " + many(uint64(m.Len), "byte")
	if m.Missing > 0 {
		text += fmt.Sprintf(", %d of them missing", m.Missing)
	}
	if m.Answer > 0 {
		text += fmt.Sprintf(", answered after %v in frame %d", short(m.Latency), m.Answer)
	}
	line("%s", text)
}
