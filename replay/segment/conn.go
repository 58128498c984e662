package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"

	"hilnet/sim"
	"hilnet/wire"
)

type connState uint8

const (
	stateOpening connState = iota
	stateOpen
	stateClosed
)

// Constants of a Conn's TCP.
const (
	firstRTO     = time.Second // RFC 6298 section 2
	leastRTO     = 200 * time.Millisecond
	mostRTO      = 60 * time.Second
	maxTries     = 15
	initialCwnd  = 10 // segments; RFC 6928
	mostCwnd     = 64
	fastAfter    = 3 // duplicate ACKs
	maxPieces    = 256
	defaultMSS   = 536 // RFC 9293 section 3.7.1
	maxScale     = 14
	tcpAndIP     = wire.IPv4HeaderLen + wire.TCPHeaderLen
	timestampLen = 12
)

// An out is a segment that is to be sent or waits for its acknowledgement.
type out struct {
	seq      uint32
	data     []byte
	syn, fin bool
	tries    int
	at       sim.Time
}

func (o *out) len() uint32 {
	n := uint32(len(o.data))
	if o.syn || o.fin {
		n++
	}
	return n
}

// A piece is data behind a hole.
type piece struct {
	seq  uint32
	data []byte
	fin  bool
}

// A Conn is a TCP connection of a Host.
type Conn struct {
	host     *Host
	key      flowKey
	facts    Facts
	events   *Events
	listener *listener
	dialled  bool
	state    connState
	told     bool // Closed was called, or Close or Abort
	timer    *sim.Timer

	// Sending.
	queue  []*out
	una    uint32 // first byte without acknowledgement
	end    uint32 // behind the queue
	high   uint32 // behind what was ever sent
	window uint32 // of the peer
	scale  uint8  // of the peer's windows
	mss    int
	cwnd   int
	dups   int
	rto    time.Duration
	srtt   time.Duration
	rttvar time.Duration
	finned bool // FIN is in the queue or was sent

	// Receiving.
	heard   bool // the peer's SYN
	next    uint32
	pieces  []piece
	eof     bool
	acked   uint32 // last acknowledgement sent
	stamps  bool   // timestamps are in use
	recent  uint32 // the peer's timestamp
	scaling bool
}

func (h *Host) newConn(key flowKey, facts Facts) *Conn {
	if facts.Window == 0 {
		facts.Window = 65535
	}
	limit := uint16(min(h.cfg.MTU-tcpAndIP, 65495))
	if facts.MSS == 0 || facts.MSS > limit {
		facts.MSS = limit
	}
	facts.WindowScale = min(facts.WindowScale, maxScale)
	c := &Conn{host: h, key: key, facts: facts, mss: defaultMSS, cwnd: initialCwnd, rto: firstRTO, window: 1}
	iss := uint32(h.rand.Uint64())
	c.una, c.end, c.high = iss, iss, iss
	c.timer = h.cfg.Loop.NewTimer(c.expired)
	return c
}

// Remote names the peer.
func (c *Conn) Remote() string { return c.key.remote.String() }

// Write queues data, cut into segments of sizes, and those that the peer does not
// take whole into smaller ones. It keeps data.
func (c *Conn) Write(data []byte, sizes []int) {
	if c.finned || c.state == stateClosed {
		return
	}
	for len(data) > 0 {
		n := len(data)
		if len(sizes) > 0 {
			n, sizes = min(n, max(1, sizes[0])), sizes[1:]
		}
		c.push(&out{data: data[:n]})
		data = data[n:]
	}
}

// Close sends FIN behind what was written.
func (c *Conn) Close() {
	c.told = true
	if !c.finned && c.state != stateClosed {
		c.finned = true
		c.push(&out{fin: true})
	}
}

// Abort sends RST.
func (c *Conn) Abort() {
	c.told = true
	if c.state == stateClosed {
		return
	}
	if c.heard {
		c.emit(wire.TCPRst|wire.TCPAck, c.high, nil)
	}
	c.drop()
}

// drop forgets everything that was to be sent.
func (c *Conn) drop() {
	c.state, c.queue, c.pieces = stateClosed, nil, nil
	c.timer.Stop()
}

func (c *Conn) lost(err error) {
	c.drop()
	if !c.told {
		c.told = true
		if c.events != nil {
			c.events.Closed(err)
		}
	}
}

func before(a, b uint32) bool { return int32(a-b) < 0 }

// push queues a segment and sends what may be sent.
func (c *Conn) push(o *out) {
	o.seq = c.end
	c.end += o.len()
	c.queue = append(c.queue, o)
	c.flush()
}

// room is how much of a segment may be sent now.
func (c *Conn) room(o *out) int {
	edge := c.una + c.window
	if before(edge, o.seq) {
		return 0
	}
	return int(edge - o.seq)
}

// flush sends the segments that the peer can take, in order.
func (c *Conn) flush() {
	flight := 0
	for i := 0; i < len(c.queue) && flight < c.cwnd; i++ {
		o := c.queue[i]
		flight++
		switch {
		case o.tries > 0:
			continue
		case c.state == stateOpening && !o.syn:
			return
		}
		fits := len(o.data)
		if !o.syn {
			fits = min(c.mss, c.room(o))
		}
		if fits == 0 && len(o.data) > 0 {
			break // the window is closed: the timer looks into it
		}
		if fits < len(o.data) { // no ghost: only what fits
			rest := &out{seq: o.seq + uint32(fits), data: o.data[fits:]}
			o.data = o.data[:fits]
			c.queue = slices.Insert(c.queue, i+1, rest)
		}
		c.transmit(o)
	}
	if len(c.queue) > 0 && !c.timer.Armed() {
		c.timer.ResetAfter(c.rto)
	}
}

// transmit sends a segment, for the first time or again.
func (c *Conn) transmit(o *out) {
	o.tries++
	o.at = c.host.cfg.Loop.Now()
	if o.tries > 1 {
		c.host.stats.Retransmitted++
	}
	if e := o.seq + o.len(); before(c.high, e) {
		c.high = e
	}
	flags := wire.TCPFlags(0)
	if c.heard {
		flags |= wire.TCPAck
	}
	switch {
	case o.syn:
		flags |= wire.TCPSyn
	case o.fin:
		flags |= wire.TCPFin
	default:
		flags |= wire.TCPPsh
	}
	c.emit(flags, o.seq, o.data)
}

// emit puts a segment on the wire.
func (c *Conn) emit(flags wire.TCPFlags, seq uint32, data []byte) {
	f := wire.TCPFields{SrcPort: c.key.port, DstPort: c.key.remote.Port(), Seq: seq, Flags: flags, Window: c.facts.Window}
	if flags&wire.TCPAck != 0 {
		f.Ack, c.acked = c.next, c.next
	}
	if flags&wire.TCPSyn != 0 {
		f.Options = c.synOptions()
	} else {
		if c.scaling {
			f.Window = uint16(max(1, uint32(c.facts.Window)>>c.facts.WindowScale))
		}
		if c.stamps {
			f.Options = c.stamp(nil)
		}
	}
	c.host.send(c.key.remote.Addr(), f, data, c.facts.TTL)
}

// synOptions are those that the recorded side had, as far as the peer has them too.
func (c *Conn) synOptions() []byte {
	b := []byte{2, 4, byte(c.facts.MSS >> 8), byte(c.facts.MSS)}
	if c.facts.WindowScale >= 0 && (c.dialled || c.scaling) {
		b = append(b, 1, 3, 3, byte(c.facts.WindowScale))
	}
	if c.facts.Timestamps && (c.dialled || c.stamps) {
		b = c.stamp(b)
	}
	return b
}

// stamp appends the timestamps option: milliseconds of the loop.
func (c *Conn) stamp(b []byte) []byte {
	b = append(b, 1, 1, 8, 10)
	b = binary.BigEndian.AppendUint32(b, uint32(time.Duration(c.host.cfg.Loop.Now())/time.Millisecond)+1)
	return binary.BigEndian.AppendUint32(b, c.recent)
}

// expired sends again what waits too long, or looks into a closed window.
func (c *Conn) expired() {
	if c.state == stateClosed || len(c.queue) == 0 {
		return
	}
	o := c.queue[0]
	c.rto = min(2*c.rto, mostRTO)
	c.timer.ResetAfter(c.rto)
	if o.tries == 0 { // a closed window: one byte asks for it
		c.probe(o)
		return
	}
	if o.tries > maxTries {
		c.lost(errors.New("timed out: the peer acknowledges nothing"))
		return
	}
	c.cwnd = 1
	c.transmit(o)
}

func (c *Conn) probe(o *out) {
	if len(o.data) == 0 {
		c.transmit(o)
		return
	}
	if e := o.seq + 1; before(c.high, e) {
		c.high = e
	}
	c.emit(wire.TCPAck, o.seq, o.data[:1])
}

// hearSYN takes what the peer announces.
func (c *Conn) hearSYN(t wire.TCP) {
	c.heard, c.next = true, t.Seq()+1
	o, _ := t.Options() // those in front of a bad one count
	if o.MSS > 0 {
		c.mss = int(o.MSS)
	}
	c.mss = min(c.mss, c.host.cfg.MTU-tcpAndIP)
	c.scaling = o.HasWindowScale && c.facts.WindowScale >= 0
	if c.scaling {
		c.scale = min(o.WindowScale, maxScale)
	}
	c.stamps = o.HasTimestamps && c.facts.Timestamps
	if c.stamps {
		c.recent, c.mss = o.TSVal, c.mss-timestampLen
	}
	c.mss = max(c.mss, 1)
	c.window = uint32(t.Window())
}

// take takes a segment of the connection.
func (c *Conn) take(t wire.TCP, payload []byte) {
	flags := t.Flags()
	switch {
	case c.state == stateClosed && flags&wire.TCPFin != 0 && c.eof:
		c.emit(wire.TCPAck, c.high, nil) // our last acknowledgement was lost
		return
	case c.state == stateClosed:
		return
	case flags&wire.TCPRst != 0:
		if !c.heard && flags&wire.TCPAck != 0 && t.Ack() == c.high || c.heard && !before(t.Seq(), c.next) && t.Seq()-c.next <= uint32(c.facts.Window) {
			c.lost(errors.New("connection reset by the peer"))
		}
		return
	case flags&wire.TCPSyn != 0:
		c.syn(t)
		return
	case !c.heard || flags&wire.TCPAck == 0:
		return
	}
	if c.stamps {
		if o, err := t.Options(); err == nil && o.HasTimestamps && !before(o.TSVal, c.recent) {
			c.recent = o.TSVal
		}
	}
	c.acknowledged(t, len(payload))
	if c.state == stateClosed {
		return
	}
	if len(payload) > 0 || flags&wire.TCPFin != 0 {
		c.arrive(piece{t.Seq(), payload, flags&wire.TCPFin != 0})
	}
}

// syn takes a segment with SYN.
func (c *Conn) syn(t wire.TCP) {
	switch {
	case c.dialled && !c.heard && t.Has(wire.TCPAck) && t.Ack() == c.high:
		c.hearSYN(t)
		c.state = stateOpen
		c.acknowledged(t, 0)
		c.emit(wire.TCPAck, c.high, nil)
		if c.events.Connected != nil && !c.told {
			c.events.Connected()
		}
		c.flush()
	case c.heard: // again: the answer was lost
		if c.state == stateOpening {
			c.transmit(c.queue[0])
		} else {
			c.emit(wire.TCPAck, c.high, nil)
		}
	}
}

// acknowledged takes what a segment says about what was sent.
func (c *Conn) acknowledged(t wire.TCP, payload int) {
	ack, window := t.Ack(), uint32(t.Window())
	if !t.Has(wire.TCPSyn) {
		window <<= c.scale
	}
	if before(c.high, ack) || before(ack, c.una) {
		return
	}
	if ack == c.una {
		if payload == 0 && window == c.window && len(c.queue) > 0 && c.queue[0].tries > 0 && t.Flags()&(wire.TCPSyn|wire.TCPFin) == 0 {
			if c.dups++; c.dups == fastAfter {
				c.transmit(c.queue[0])
			}
		}
	} else {
		c.advance(ack)
	}
	c.window = window
	if c.state == stateOpening && c.heard && !before(c.una, c.high) { // our SYN,ACK was acknowledged
		c.state = stateOpen
		if c.listener != nil {
			if c.events = c.listener.accept(c); c.events == nil {
				c.Abort()
				return
			}
		}
	}
	if c.state == stateOpen {
		c.flush()
	}
}

// advance forgets what is acknowledged.
func (c *Conn) advance(ack uint32) {
	now := c.host.cfg.Loop.Now()
	for len(c.queue) > 0 {
		o := c.queue[0]
		if before(ack, o.seq+o.len()) {
			if n := ack - o.seq; !before(ack, o.seq) && n > 0 && int(n) <= len(o.data) {
				o.data, o.seq = o.data[n:], ack
			}
			break
		}
		if o.tries == 1 { // Karn
			c.sample(now.Sub(o.at))
		}
		c.queue = c.queue[1:]
	}
	c.una, c.dups = ack, 0
	c.cwnd = min(c.cwnd+1, mostCwnd)
	if c.srtt > 0 {
		c.rto = min(max(c.srtt+max(4*c.rttvar, time.Millisecond), leastRTO), mostRTO)
	}
	c.timer.Stop()
	if len(c.queue) > 0 {
		c.timer.ResetAfter(c.rto)
	} else if c.finned && c.eof {
		c.drop()
	}
}

// sample is RFC 6298 section 2.
func (c *Conn) sample(rtt time.Duration) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = max(rtt, 1), rtt/2
		return
	}
	c.rttvar += ((c.srtt - rtt).Abs() - c.rttvar) / 4
	c.srtt = max(1, c.srtt+(rtt-c.srtt)/8)
}

// arrive takes data, in order or not, and acknowledges what is there.
func (c *Conn) arrive(p piece) {
	end := p.seq + uint32(len(p.data))
	switch {
	case before(p.seq, c.next): // seen before, in part or whole
		if before(end, c.next) || end == c.next && !p.fin {
			c.emit(wire.TCPAck, c.high, nil)
			return
		}
		p.data, p.seq = p.data[c.next-p.seq:], c.next
	case p.seq-c.next > uint32(c.facts.Window):
		c.emit(wire.TCPAck, c.high, nil)
		return
	}
	if p.seq != c.next {
		c.host.stats.OutOfOrder++
		if len(c.pieces) < maxPieces && !slices.ContainsFunc(c.pieces, func(q piece) bool { return q.seq == p.seq && len(q.data) >= len(p.data) }) {
			p.data = slices.Clone(p.data)
			c.pieces = append(c.pieces, p)
		}
		c.emit(wire.TCPAck, c.high, nil)
		return
	}
	c.deliver(p)
	for again := true; again; {
		again = false
		for i, q := range c.pieces {
			if !before(c.next, q.seq) {
				c.pieces = slices.Delete(c.pieces, i, i+1)
				if n := c.next - q.seq; int(n) <= len(q.data) && (int(n) < len(q.data) || q.fin) {
					c.deliver(piece{c.next, q.data[n:], q.fin})
				}
				again = true
				break
			}
		}
	}
	if c.acked != c.next && c.state != stateClosed {
		c.emit(wire.TCPAck, c.high, nil)
	}
	if c.state != stateClosed && c.eof && c.finned && len(c.queue) == 0 {
		c.drop()
	}
}

// deliver hands out data that is next.
func (c *Conn) deliver(p piece) {
	if c.eof || c.state == stateClosed {
		return
	}
	c.next += uint32(len(p.data))
	if p.fin {
		c.next++
		c.eof = true
	}
	if len(p.data) > 0 && !c.told {
		c.events.Data(p.data)
	}
	if p.fin && !c.told {
		c.told = true
		c.events.Closed(io.EOF)
	}
}
