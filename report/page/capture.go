package page

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"hilnet/pcaps"
	"hilnet/pcaps/analyze"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
	"hilnet/wire"
)

// A Point is where a capture was made.
type Point string

// The points. A capture of unknown origin is of PointOther: who opened the first
// connection is the device.
const (
	PointDevice Point = "device"
	PointPeer   Point = "peer"
	PointOther  Point = "other"
)

// A tap reads one capture.
type tap struct {
	b     *Builder
	lane  int
	point Point
	epoch pcaps.Stamp
	first bool // of its lane: conversations are numbered by it
	table *flow.Table
	whole *analyze.Analyzer
	keys  tlsdec.Keys
	sum   Capture
	rows  []*row // by the number of the record, less one and cut
	cut   int    // rows that are forgotten, as the page has them
	again map[segmentKey]*row
	mac   string // of the device, at PointOther
	out   bool   // the frame at hand was sent here

	flights                map[flightKey]*flight // looked up only
	flying                 map[bool]int64        // bytes, by whether the device sent them
	unfollowed, unnumbered int                   // frames beyond maxFlights and maxNumbered
}

// Limits of what is remembered of a capture, beside those of flow and analyze.
const (
	maxNumbered = 8 * MaxFrames // records, by number
	maxFlights  = 8192
)

type flightKey struct {
	conversation uint64
	up           bool
}

// A flight is what one side of a connection has sent.
type flight struct {
	begun       bool
	next, acked uint32
	bytes       int64 // of it that are in flight
}

type segmentKey struct {
	conversation *flow.Conversation
	side         flow.Side
	offset       int64
}

// Capture adds a capture of a lane. That of the device comes before that of the
// peer. Times count from epoch. A file that is cut or damaged is read as far as
// it can be; the error tells of it.
func (b *Builder) Capture(path string, lane int, point Point, epoch pcaps.Stamp) error {
	t, err := b.newTap(lane, point, epoch)
	if err != nil {
		return err
	}
	t.sum.File = filepath.Base(path)
	var seg *analyze.Segment
	t.whole.OnSegment = func(s *analyze.Segment) { seg = s }
	r, closeFile, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		return err
	}
	defer closeFile() // only read from
	for {
		record, failed := r.Next()
		if failed != nil {
			if !errors.Is(failed, io.EOF) {
				err = failed
			}
			break
		}
		if s := record.Secrets; s != nil && s.Kind == pcaps.SecretsTLS {
			t.keys.Add(s.Data)
		}
		if record.Packet != nil {
			seg = nil
			t.packet(record.Packet, &seg)
		}
	}
	t.table.Close()
	if t.unfollowed > 0 {
		b.missing("%s: the bytes in flight of %d frames, whose connections are beyond the first %d", t.sum.File, t.unfollowed, maxFlights/2)
	}
	if t.unnumbered > 0 {
		b.missing("%s: the MQTT messages of %d frames beyond the first %d", t.sum.File, t.unnumbered, maxNumbered)
	}
	report := t.whole.Report()
	if t.first {
		t.conversations(report)
	}
	b.head.Captures = append(b.head.Captures, t.sum)
	return err
}

// newTap returns a tap of a lane.
func (b *Builder) newTap(lane int, point Point, epoch pcaps.Stamp) (*tap, error) {
	t := &tap{b: b, lane: lane, point: point, epoch: epoch, again: map[segmentKey]*row{},
		flights: map[flightKey]*flight{}, flying: map[bool]int64{}, first: true,
	}
	t.sum = Capture{Lane: lane, Point: string(point)}
	for _, c := range b.head.Captures {
		t.first = t.first && c.Lane != lane
	}
	var err error
	if t.table, err = flow.New(flow.Config{Secure: t.keys.Open}, (*messages)(t)); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if t.whole, err = analyze.New(analyze.Config{Secure: t.keys.Open}); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return t, nil
}

// packet takes a record.
func (t *tap) packet(p *pcaps.Packet, seg **analyze.Segment) {
	t.sum.Frames++
	length := max(p.OriginalLen, len(p.Data))
	t.sum.Bytes += int64(length)
	at := sim.Time(p.Time.Sub(t.epoch))
	f := flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: at, Number: uint64(t.sum.Frames), Direction: flow.Direction(p.Direction())}
	t.whole.Feed(f)
	up := t.up(&f, *seg)
	t.out = t.point == PointOther || up == (t.point == PointDevice)
	r := t.row(p, at, up)
	if len(t.rows) < maxNumbered {
		t.rows = append(t.rows, r)
	} else {
		t.unnumbered++
	}
	t.forget()
	if r != nil {
		r.length = length
		r.num = f.Number
		t.headers(r, &f, *seg)
		t.fate(r, p)
	}
	t.name(r, &f)
}

// up tells whether the device sent a frame.
func (t *tap) up(f *flow.Frame, seg *analyze.Segment) bool {
	if t.point != PointOther && f.Direction != flow.NoDirection {
		return (f.Direction == flow.Outbound) == (t.point == PointDevice)
	}
	mac := ""
	if f.Link == flow.LinkEthernet && len(f.Data) >= wire.EthernetHeaderLen {
		mac = string(f.Data[6:12])
	}
	if seg != nil && seg.Result.Conversation.Client != flow.NoSide {
		up := seg.Result.Side == seg.Result.Conversation.Client
		if up && t.mac == "" {
			t.mac = mac
		}
		return up
	}
	return t.mac == "" || t.mac == mac
}

// row finds the row of a record, or makes one. It is nil for frames that the page
// has no room for.
func (t *tap) row(p *pcaps.Packet, at sim.Time, up bool) *row {
	b := t.b
	key := frameKey{t.lane, p.PacketID}
	known := b.byID[key]
	if p.Fields&pcaps.FieldPacketID == 0 || t.point == PointOther {
		known, key.id = nil, 0
	}
	flags := 0
	if up {
		flags = FlagUp
	}
	if len(known) > 0 {
		first := known[0]
		if t.out { // who received it was read before: now it is known when it was sent
			for _, r := range known {
				if r.d >= 0 && r.t > int64(at) {
					r.d = r.t - int64(at)
				}
				r.t = int64(at)
				r.mqtt = nil
			}
			return first
		}
		if first.d < 0 {
			first.d = int64(at) - first.t
			first.flags &^= FlagInFlight
			return first
		}
		flags |= FlagCopy
	}
	if len(b.rows) >= MaxFrames {
		b.cut++
		return nil
	}
	r := &row{t: int64(at), d: -1, id: key.id, lane: t.lane, flags: flags, tcp: -1}
	if len(known) > 0 {
		r.t, r.d = known[0].t, int64(at)-known[0].t
	} else if !t.out {
		r.d = 0
	}
	b.rows = append(b.rows, r)
	if key.id != 0 {
		b.byID[key] = append(known, r)
	}
	return r
}

// headers notes what the headers of a frame say.
func (t *tap) headers(r *row, f *flow.Frame, seg *analyze.Segment) {
	if seg != nil {
		t.flight(seg, r.flags&FlagUp != 0, f.At)
	} else {
		r.head = slice(f.Data)
		if f.Link != flow.LinkEthernet {
			r.flags |= FlagBareIP
		} else if r.info == "" {
			r.info = wire.Summary(f.Data)
		}
		return
	}
	if !t.out { // the RTT is that of what the receiver of this ACK sent
		if seg.ACKRTT > 0 && !seg.Ambiguous {
			r.rtt = int64(seg.ACKRTT)
		}
		if r.head != nil {
			return
		}
	}
	if t.point == PointOther && seg.ACKRTT > 0 && !seg.Ambiguous {
		r.rtt = int64(seg.ACKRTT)
	}
	r.head = slice(f.Data)
	if f.Link != flow.LinkEthernet {
		r.head = slice(seg.Result.IP)
		r.flags |= FlagBareIP
	}
	r.tcp, r.pay, r.labels = int(seg.Flags), seg.Len, int(seg.Labels)
	c := seg.Result.Conversation
	me, other := c.Half(seg.Result.Side), c.Half(seg.Result.Side.Peer())
	r.base, r.peer = 0, 0
	if me.SYNs > 0 {
		r.base = me.ISN
	}
	if other.SYNs > 0 {
		r.peer = other.ISN
	}
	if t.first {
		r.conv = c.ID
	}
	r.rto = int64(seg.RTO)
	if seg.Labels.Any(analyze.Retransmission | analyze.FastRetransmission | analyze.SpuriousRetransmission) {
		r.flags |= FlagSentAgain
	}
}

// flight follows the bytes that are sent and not acknowledged, as their sender
// knows it: at the capture of the sender, or else at the only one.
func (t *tap) flight(seg *analyze.Segment, up bool, at sim.Time) {
	id := seg.Result.Conversation.ID
	mine, other := t.flights[flightKey{id, up}], t.flights[flightKey{id, !up}]
	if mine == nil && len(t.flights) >= maxFlights {
		t.unfollowed++
		return
	}
	if mine == nil {
		mine, other = &flight{}, &flight{}
		t.flights[flightKey{id, up}], t.flights[flightKey{id, !up}] = mine, other
	}
	end := seg.Seq + uint32(seg.Len)
	if seg.Flags&wire.TCPSyn != 0 {
		if up && !mine.begun && t.point != PointOther {
			t.over() // a device that connects anew has given up what it had
		}
		*mine = flight{begun: true, next: seg.Seq + 1, acked: seg.Seq + 1, bytes: mine.bytes}
		end = seg.Seq + 1
	}
	if !mine.begun {
		*mine = flight{begun: true, next: seg.Seq, acked: seg.Seq}
	}
	if int32(end-mine.next) > 0 {
		mine.next = end
	}
	if seg.Flags&wire.TCPAck != 0 && other.begun && int32(seg.ACK-other.acked) > 0 && int32(seg.ACK-other.next) <= 1 { // 1: a FIN
		other.acked = seg.ACK
	}
	if seg.Flags&wire.TCPRst != 0 {
		mine.acked, other.acked = mine.next, other.next
	}
	for _, x := range []struct {
		f  *flight
		up bool
	}{{mine, up}, {other, !up}} {
		now := int64(max(int32(x.f.next-x.f.acked), 0))
		t.flying[x.up] += now - x.f.bytes
		x.f.bytes = now
		sender := PointDevice
		if !x.up {
			sender = PointPeer
		}
		if t.point == sender || t.point == PointOther {
			way := "down"
			if x.up {
				way = "up"
			}
			t.b.point(t.b.head.Lanes[t.lane].Device+"/flight/"+way, at, t.flying[x.up])
		}
	}
}

// over ends what earlier connections have in flight.
func (t *tap) over() {
	for _, f := range t.flights {
		f.acked, f.bytes = f.next, 0
	}
	t.flying[true], t.flying[false] = 0, 0
}

// name finds the MQTT messages of a frame, also of one that repeats another.
func (t *tap) name(r *row, f *flow.Frame) {
	res := t.table.Feed(*f)
	if r == nil || res.Conversation == nil || res.Len == 0 || res.Ignored != flow.NoReason {
		return
	}
	key := segmentKey{res.Conversation, res.Side, res.Offset}
	before := t.again[key]
	switch {
	case before == nil:
		t.again[key] = r
	case res.Labels&flow.LabelRepeated != 0 && len(r.mqtt) == 0 && before != r:
		for _, m := range before.mqtt {
			r.mqtt = append(r.mqtt, "again: "+strings.TrimPrefix(m, "again: "))
		}
	}
}

// conversations notes the numbers of the connections.
func (t *tap) conversations(report *analyze.Report) {
	for _, c := range report.Conversations {
		out := Conversation{
			Lane: t.lane, ID: c.ID, Client: c.Client, Server: c.Server, Protocol: c.Protocol, TLS: c.TLS, ClientID: c.ClientID,
			Start: int64(c.Start), Duration: int64(c.Duration), End: c.End, Up: way(&c.ToServer), Down: way(&c.ToClient),
			Stalls: []Note{}, Notes: []Note{}, Unlisted: c.UnlistedFindings + c.UnlistedStalls,
		}
		for _, s := range c.Stalls {
			out.Stalls = append(out.Stalls, Note{T: int64(s.Start), For: int64(s.Duration), Frame: s.After, Kind: s.Kind, Text: s.Text})
		}
		for _, n := range c.Findings {
			out.Notes = append(out.Notes, Note{T: int64(n.At), Frame: n.Frame, Kind: n.Kind, Text: n.Text})
		}
		t.b.head.Conversations = append(t.b.head.Conversations, out)
	}
	if report.Unlisted > 0 {
		t.b.missing("%d connections of %s beyond the first %d", report.Unlisted, t.sum.File, len(report.Conversations))
	}
	for _, a := range report.Artefacts {
		t.b.missing("%s: %s", t.sum.File, a.Text)
	}
}

func way(d *analyze.Direction) Way {
	w := Way{
		Frames: d.Frames, Bytes: d.Bytes, RTTs: d.RTT.Samples, RTTMin: int64(d.RTT.Min), RTTMean: int64(d.RTT.Mean),
		RTTMax: int64(d.RTT.Max), InFlight: d.MaxBytesInFlight,
	}
	for _, l := range d.Labels {
		switch l.Name {
		case analyze.Retransmission.String(): // the fast and the spurious ones are among these
			w.Again = l.N
		case analyze.DuplicateACK.String():
			w.DupACKs += l.N
		case analyze.OutOfOrder.String():
			w.Order += l.N
		case analyze.ZeroWindow.String():
			w.ZeroWin += l.N
		}
	}
	return w
}

// missing notes what the page does not show.
func (b *Builder) missing(format string, args ...any) {
	b.head.Missing = append(b.head.Missing, fmt.Sprintf(format, args...))
}
