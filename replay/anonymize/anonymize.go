package anonymize

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// A Config says how to anonymize.
type Config struct {
	// Key decides the replacements: 16 bytes or more that cannot be guessed, for who
	// has them can try originals. The same key makes the same replacements.
	Key       []byte
	MQTTPorts []uint16 // nil = 1883
	MaxPlan   int      // bytes of memory for the plan of the streams. 0 = 256 MiB
}

// MinKey is the shortest Config.Key.
const MinKey = 16

// maxMessage bounds the bytes of a message that are looked at; the rest is payload.
const maxMessage = 512 << 10

// An Anonymizer replaces what is in captures.
type Anonymizer struct {
	config Config
	secret *secret
	macs   map[wire.MAC]wire.MAC
	addrs  map[netip.Addr]netip.Addr
	words  map[string]string
	report Report

	plans   map[direction]*plan
	result  flow.Result // of the frame at hand
	overlap overlap
	quoting bool // within an ICMP error
}

// New returns an Anonymizer.
func New(config Config) (*Anonymizer, error) {
	if len(config.Key) < MinKey {
		return nil, fmt.Errorf("anonymize: a key of %d bytes is shorter than %d", len(config.Key), MinKey)
	}
	if config.MaxPlan < 0 {
		return nil, fmt.Errorf("anonymize: a plan of %d bytes", config.MaxPlan)
	}
	if config.MaxPlan == 0 {
		config.MaxPlan = 256 << 20
	}
	return &Anonymizer{
		config: config, secret: newSecret(config.Key), macs: map[wire.MAC]wire.MAC{},
		addrs: map[netip.Addr]netip.Addr{}, words: map[string]string{},
	}, nil
}

// Text returns the replacement of a text, such as a topic.
func (a *Anonymizer) Text(s string) string { return string(a.text([]byte(s))) }

// Capture writes the capture that open opens, twice, to out in the format that it has.
func (a *Anonymizer) Capture(ctx context.Context, out io.Writer, open func() (io.ReadCloser, error)) (*Report, error) {
	a.report = Report{}
	s := &survey{a: a, plans: map[direction]*plan{}, streams: map[direction]*stream{}}
	if err := a.pass(ctx, open, s, func(*pcaps.Reader, *pcaps.Record, flow.Result) error { return s.err }); err != nil {
		return nil, err
	}
	a.plans = s.plans
	defer func() { a.plans = nil }()
	var w output
	if err := a.pass(ctx, open, watcher{a}, func(in *pcaps.Reader, r *pcaps.Record, result flow.Result) error {
		if w == nil {
			w = a.newOutput(out, in)
		}
		a.result = result
		return w.record(r)
	}); err != nil {
		return nil, err
	}
	if w == nil {
		return nil, errors.New("anonymize: the capture has no block")
	}
	a.report.finish()
	return &a.report, w.flush()
}

// pass goes through the capture once.
func (a *Anonymizer) pass(ctx context.Context, open func() (io.ReadCloser, error), handler flow.Handler, take func(*pcaps.Reader, *pcaps.Record, flow.Result) error) error {
	input, err := open()
	if err != nil {
		return err
	}
	defer input.Close()
	in, err := pcaps.NewReader(input, pcaps.ReaderConfig{MaxMetadata: 4 << 20})
	if err != nil {
		return err
	}
	table, err := flow.New(flow.Config{MQTTPorts: a.config.MQTTPorts, MaxMessage: maxMessage}, handler)
	if err != nil {
		return err
	}
	clock := clock{}
	base, known, frames := 0, 0, uint64(0)
	if in.Format() == pcaps.FormatPcap {
		if err := take(in, &pcaps.Record{Interface: in.Interfaces()[0]}, flow.Result{}); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		record, err := in.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			var cut *pcaps.TruncatedError
			var damaged *pcaps.FormatError
			if !errors.As(err, &cut) && !errors.As(err, &damaged) || n == 0 && in.Format() == pcaps.FormatPcapng {
				return err
			}
			a.report.Problem = err
			break
		}
		if record.Section != nil {
			base, known = base+known, 0
		}
		known = len(in.Interfaces())
		var result flow.Result
		if p := record.Packet; p != nil {
			frames++
			a.overlap = overlap{}
			result = table.Feed(flow.Frame{
				Data: p.Data, Link: flow.LinkType(p.LinkType), At: clock.since(p), Number: frames,
				Direction: flow.Direction(p.Direction()), Lane: uint32(base + p.Interface),
			})
		}
		if err := take(in, record, result); err != nil {
			return err
		}
	}
	table.Close()
	return take(in, &pcaps.Record{}, flow.Result{})
}

// A clock counts from the first packet.
type clock struct {
	begun     bool
	first, at pcaps.Stamp
}

func (c *clock) since(p *pcaps.Packet) sim.Time {
	if p.Block != pcaps.BlockSimplePacket {
		c.at = p.Time
	}
	if !c.begun {
		c.begun, c.first = true, c.at
	}
	return sim.Time(c.at.Sub(c.first))
}

// Frame returns the replacement of a frame on an interface whose frames end with fcs bytes
// of frame check sequence.
func (a *Anonymizer) frame(p *pcaps.Packet, fcs int) []byte {
	out := make([]byte, len(p.Data))
	a.report.Frames++
	a.link(out, p.Data, flow.LinkType(p.LinkType))
	if n := len(out) - fcs; fcs == 4 && n > 0 && p.OriginalLen == len(p.Data) {
		binary.LittleEndian.PutUint32(out[n:], crc32.ChecksumIEEE(out[:n]))
	}
	return out
}

// payload replaces the payload of the TCP segment at hand.
func (a *Anonymizer) payload(out, in []byte) {
	r := &a.result
	switch {
	case r.Conversation == nil || r.Ignored != flow.NoReason || r.TCP.Has(wire.TCPRst) || len(in) < len(r.Payload):
		a.zeroed(reasonIgnored, in)
		return
	}
	in, out = in[:len(r.Payload)], out[:len(r.Payload)]
	plan := a.plans[direction{r.Conversation.ID, r.Side}]
	if plan == nil || plan.fill(a, out, r.Offset) < len(in) {
		for i, c := range in {
			if c != 0 && out[i] == 0 {
				a.report.zeros[reasonStream]++
			}
		}
	}
	if at := a.overlap.offset - r.Offset; a.overlap.found && at >= 0 && at < int64(len(out)) {
		out[at] = differs // from what the plan says, and so from the first copy
	}
}

// differs is no letter and no zero.
const differs = '!'

// An overlap is where the segment at hand repeats a stream with other bytes first.
type overlap struct {
	found  bool
	offset int64
}

// A watcher tells of overlaps.
type watcher struct{ a *Anonymizer }

// Data does nothing.
func (watcher) Data(*flow.Chunk) {}

// Message does nothing.
func (watcher) Message(*flow.Message) {}

// Notice notes an overlap.
func (w watcher) Notice(n *flow.Notice) {
	if n.Kind == flow.NoticeOverlap && !w.a.overlap.found {
		w.a.overlap = overlap{true, n.Offset}
	}
}
