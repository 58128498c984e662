package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
)

// maxListed bounds the conversations that are listed; all are counted.
const maxListed = 10_000

// maxComments bounds the comments of a section that are kept.
const maxComments = 100

// A gatherer reads one capture.
type gatherer struct {
	*info
	reader *pcaps.Reader
	table  *flow.Table
	listed []*flow.Conversation
	base   int // interfaces of earlier sections
	keys   *tlsdec.Keys
	before pcaps.Stamp
}

// Data does nothing: the table counts.
func (g *gatherer) Data(*flow.Chunk) {}

// Message does nothing: the table counts.
func (g *gatherer) Message(*flow.Message) {}

// Notice keeps each conversation.
func (g *gatherer) Notice(n *flow.Notice) {
	switch {
	case n.Kind != flow.NoticeOpened:
	case len(g.listed) < maxListed:
		g.listed = append(g.listed, n.Conversation)
	default:
		g.Unlisted++
	}
}

// openCapture opens a file, but no named pipe: that would wait until somebody
// opens its other end. Those below /dev, such as a shell's <(command), have
// somebody there.
func openCapture(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Mode()&fs.ModeNamedPipe != 0 && !strings.HasPrefix(name, "/dev/") {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is a named pipe, and opening it would wait for somebody at its other end")}
	}
	return os.Open(name)
}

// gather reads the capture in a file.
func gather(ctx context.Context, name string, ports []uint16, keys *tlsdec.Keys) (*info, error) {
	file, err := openCapture(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(ctx, name, file, ports, keys)
}

// read reads a capture to its end, or to where it is cut or damaged. An error
// means that there is nothing to show.
func read(ctx context.Context, name string, input io.Reader, ports []uint16, keys *tlsdec.Keys) (*info, error) {
	reader, err := pcaps.NewReader(input, pcaps.ReaderConfig{})
	if err != nil {
		return nil, err
	}
	g := &gatherer{info: &info{File: name, Format: reader.Format().String(), Other: map[string]int{}}, reader: reader, keys: keys}
	if g.table, err = flow.New(flow.Config{MQTTPorts: ports, Secure: keys.Open}, g); err != nil {
		return nil, err
	}
	if reader.Format() == pcaps.FormatPcap {
		g.addInterface(reader.Interfaces()[0])
	}
	records := 0
	for {
		if records%4096 == 0 && ctx.Err() != nil {
			return nil, context.Canceled
		}
		record, err := reader.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			// A pcapng file that is cut in its first block, which may be a long one,
			// is a capture; one whose first block is damaged may be anything.
			g.Problem = problemOf(err)
			if g.Problem == nil || g.Problem.Kind != "cut" && records == 0 && reader.Format() == pcaps.FormatPcapng {
				return nil, err
			}
			break
		}
		records++
		g.record(record)
	}
	g.table.Close()
	g.finish()
	return g.info, nil
}

func problemOf(err error) *problem {
	var cut *pcaps.TruncatedError
	var damaged *pcaps.FormatError
	switch {
	case errors.As(err, &cut):
		return &problem{"cut", cut.Offset, cut.Ignored, err.Error()}
	case errors.As(err, &damaged):
		return &problem{"damaged", damaged.Offset, 0, err.Error()}
	}
	return nil
}

func (g *gatherer) record(r *pcaps.Record) {
	switch {
	case r.Section != nil:
		g.base = len(g.Interfaces)
		g.addSection(r.Section)
	case r.Interface != nil:
		g.addInterface(r.Interface)
	case r.Packet != nil:
		g.packet(r.Packet)
	case r.Statistics != nil:
		s := r.Statistics
		if i := g.base + s.Interface; s.Fields&pcaps.FieldIfDrop != 0 && i < len(g.Interfaces) {
			n := s.IfDrop
			g.Interfaces[i].Dropped = &n
		}
	case r.Names != nil:
		g.NameBlocks++
	case r.Secrets != nil:
		g.Secrets++
		addSecrets(g.keys, r.Secrets)
	default:
		g.Other[r.Type.String()]++
	}
}

func (g *gatherer) addSection(s *pcaps.Section) {
	out := section{Hardware: s.Hardware, OS: s.OS, Application: s.UserAppl}
	if run, ok := pcaps.ParseRunInfo(s); ok {
		out.Run = &recorded{Version: run.Version, Seed: run.Seed, Versions: map[string]string{}, Texts: []string{}}
		for _, v := range run.Versions {
			out.Run.Versions[v.Name] = v.Version
		}
		for _, t := range run.Texts {
			out.Run.Texts = append(out.Run.Texts, t.Name)
		}
		if len(run.Texts) > 0 {
			out.Run.scenario = run.Texts[0].Name
		}
	} else {
		out.Comments = s.Comments[:min(len(s.Comments), maxComments)]
	}
	out.Comments = filled(out.Comments)
	g.Sections = append(g.Sections, out)
}

func (g *gatherer) addInterface(i *pcaps.Interface) {
	g.Interfaces = append(g.Interfaces, point{
		Section: max(0, len(g.Sections)-1), Name: i.Name, Text: i.Description, LinkType: uint16(i.LinkType), SnapLen: i.SnapLen,
	})
}

func (g *gatherer) packet(p *pcaps.Packet) {
	g.Packets++
	g.Bytes += uint64(len(p.Data))
	g.WireBytes += uint64(max(p.OriginalLen, len(p.Data)))
	if p.OriginalLen > len(p.Data) {
		g.Cut++
	}
	if len(p.Comments) > 0 {
		g.Commented++
	}
	for _, v := range p.Verdicts {
		if v.Kind == pcaps.VerdictTC && v.Result == pcaps.TCActShot {
			g.Lost++
			break
		}
	}
	lane := g.base + p.Interface
	at := &g.Interfaces[lane]
	at.Packets++
	at.Bytes += uint64(len(p.Data))
	if p.Block != pcaps.BlockSimplePacket { // which has no time
		if g.timed && p.Time < g.before {
			g.Backward++
		}
		g.before = p.Time
		spread(&g.first, &g.last, &g.timed, p.Time)
		spread(&at.first, &at.last, &at.timed, p.Time)
	}
	g.table.Feed(flow.Frame{
		Data: p.Data, Link: flow.LinkType(p.LinkType), At: g.since(p.Time), Number: g.Packets, Direction: flow.Direction(p.Direction()), Lane: uint32(lane),
	})
}

// since returns the time since the first frame of the file.
func (g *gatherer) since(t pcaps.Stamp) sim.Time {
	if !g.timed {
		return 0
	}
	return sim.Time(t.Sub(g.first))
}

func spread(first, last *pcaps.Stamp, timed *bool, t pcaps.Stamp) {
	if !*timed {
		*first, *last, *timed = t, t, true
	}
	*first, *last = min(*first, t), max(*last, t)
}

// finish puts what was counted into the report.
func (g *gatherer) finish() {
	times := func(first, last pcaps.Stamp, timed bool) (string, string) {
		if !timed {
			return "", ""
		}
		return first.String(), last.String()
	}
	g.First, g.Last = times(g.first, g.last, g.timed)
	if g.Duration = time.Duration(g.last) - time.Duration(g.first); g.Duration < 0 {
		g.Duration = math.MaxInt64
	}
	for i := range g.Interfaces {
		p := &g.Interfaces[i]
		p.First, p.Last = times(p.first, p.last, p.timed)
	}
	for _, c := range g.listed {
		g.Conversations = append(g.Conversations, newConversation(c))
	}
	s := g.table.Stats()
	for i := range s.Ignored {
		name := flow.Reason(i).String()
		for _, to := range []struct {
			n    uint64
			list *[]count
		}{{s.Ignored[i], &g.Ignored}, {s.Dropped[i], &g.Dropped}, {s.Gaps[i], &g.Gaps}} {
			if to.n > 0 && flow.Reason(i) != flow.NoReason {
				*to.list = append(*to.list, count{name, to.n})
			}
		}
	}
	g.Sections, g.Interfaces, g.Conversations = filled(g.Sections), filled(g.Interfaces), filled(g.Conversations)
	g.Ignored, g.Dropped, g.Gaps = filled(g.Ignored), filled(g.Dropped), filled(g.Gaps)
}

func messageName(t int) string { return codec.Type(t).String() }
