package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
)

// MaxFrames bounds the frames of a capture.
const MaxFrames = 1 << 20

// maxMessages and maxPayload bound the MQTT messages of a capture that are kept.
const (
	maxMessages = 1 << 16
	maxPayload  = 64 << 20
)

// maxMessage bounds a message that is kept whole.
const maxMessage = 256 << 10

// ErrTooLong is a capture of more than MaxFrames frames.
var ErrTooLong = fmt.Errorf("extract: the capture has more than %d frames: cut it first", MaxFrames)

// A Config says what to look for. The zero value is a good one.
type Config struct {
	MQTTPorts []uint16   // nil: 1883
	Device    netip.Addr // whose link it is; not valid: who opened the connections to an MQTT port
	// Keys read TLS beside those that a capture holds, which are added to them. nil:
	// none are known beforehand.
	Keys *tlsdec.Keys

	// sabotage breaks one rule of a single capture on purpose, for the tests of the gates.
	sabotage sabotage
}

// A Capture is what is kept of one capture file.
type Capture struct {
	File string
	// Problem says why the file was not read to its end, or is empty.
	Problem string

	start    pcaps.Stamp // of the first frame
	end      pcaps.Stamp // until when it was captured
	endKnown bool        // by an interface statistics block, and not by its last frame
	packets  []packet
	messages []message
	conns    []*flow.Conversation
	unlisted int // messages that were too many
	lanes    int // interfaces that have frames
	cfg      Config

	identities map[uint64]identity // by frame, when asked for; looked up only
}

// A message is an MQTT control packet.
type message struct {
	flow.Message
	raw []byte
}

// Frames returns the number of frames.
func (c *Capture) Frames() int { return len(c.packets) }

// Read reads a capture to its end, or to where it is cut or damaged. Each error is
// that of pcaps.NewReader or of input, or ErrTooLong.
func Read(ctx context.Context, name string, input io.Reader, cfg Config) (*Capture, error) {
	reader, err := pcaps.NewReader(input, pcaps.ReaderConfig{MaxMetadata: 4 << 20})
	if err != nil {
		return nil, err
	}
	c := &Capture{File: name, cfg: cfg}
	k, keys := &keeper{c: c}, cfg.Keys
	if keys == nil {
		keys = new(tlsdec.Keys)
	}
	table, err := flow.New(flow.Config{MQTTPorts: cfg.MQTTPorts, MaxMessage: maxMessage, Secure: keys.Open}, k)
	if err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	base, interfaces := 0, 0
	if reader.Format() == pcaps.FormatPcap {
		interfaces = 1
	}
	lanes := map[uint32]bool{}
	for records := 0; ; records++ {
		if records%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r, err := reader.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			var cut *pcaps.TruncatedError
			var damaged *pcaps.FormatError
			if !errors.As(err, &cut) && (!errors.As(err, &damaged) || records == 0) {
				return nil, err
			}
			c.Problem = err.Error()
			break
		}
		switch {
		case r.Section != nil:
			base = interfaces
		case r.Interface != nil:
			interfaces++
		case r.Secrets != nil && r.Secrets.Kind == pcaps.SecretsTLS:
			keys.Add(r.Secrets.Data)
		case r.Statistics != nil:
			c.statistics(r.Statistics)
		case r.Packet != nil:
			if len(c.packets) == MaxFrames {
				return nil, ErrTooLong
			}
			lane := uint32(base + r.Packet.Interface)
			lanes[lane] = true
			c.add(r.Packet, lane, table)
		}
	}
	table.Close()
	c.lanes = len(lanes)
	if n := len(c.packets); n > 0 && !c.endKnown {
		c.end = c.start
		for i := range c.packets {
			c.end = max(c.end, c.start+pcaps.Stamp(c.packets[i].at))
		}
	}
	return c, nil
}

// statistics notes until when was captured.
func (c *Capture) statistics(s *pcaps.Statistics) {
	if s.Fields&pcaps.FieldEndTime != 0 {
		c.end, c.endKnown = max(c.end, s.EndTime), true
	}
}

// add keeps a frame.
func (c *Capture) add(f *pcaps.Packet, lane uint32, table *flow.Table) {
	if len(c.packets) == 0 {
		c.start = f.Time
	}
	p := packet{frame: uint64(len(c.packets)) + 1, lane: lane, at: int64(f.Time.Sub(c.start)), len: f.OriginalLen}
	if f.Block == pcaps.BlockSimplePacket && len(c.packets) > 0 {
		p.at = c.packets[len(c.packets)-1].at // it has no time of its own
	}
	p.id, p.hasID = f.PacketID, f.Fields&pcaps.FieldPacketID != 0
	r := table.Feed(flow.Frame{Data: f.Data, Link: flow.LinkType(f.LinkType), At: sim.Time(p.at), Number: p.frame, Lane: lane})
	p.read(f, &r)
	c.packets = append(c.packets, p)
}

// A keeper keeps the messages.
type keeper struct {
	c     *Capture
	bytes int
}

// Data does nothing: messages are enough.
func (*keeper) Data(*flow.Chunk) {}

// Message keeps a message.
func (k *keeper) Message(m *flow.Message) {
	if len(k.c.messages) == maxMessages || k.bytes+len(m.Raw) > maxPayload {
		k.c.unlisted++
		return
	}
	k.bytes += len(m.Raw)
	kept := message{*m, append([]byte(nil), m.Raw...)}
	kept.Raw = nil
	k.c.messages = append(k.c.messages, kept)
}

// Notice keeps the conversations.
func (k *keeper) Notice(n *flow.Notice) {
	if n.Kind == flow.NoticeOpened && len(k.c.conns) < maxMessages {
		k.c.conns = append(k.c.conns, n.Conversation)
	}
}
