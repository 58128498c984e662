package segment

import (
	"encoding/binary"
	"errors"
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
	fastAfter    = 3   // duplicate ACKs
	maxPieces    = 256 // segments behind a hole; what comes beyond them is dropped, and counted
	defaultMSS   = 536 // RFC 9293 section 3.7.1
	maxScale     = 14
	tcpAndIP     = wire.IPv4HeaderLen + wire.TCPHeaderLen
	timestampLen = 12
	maxSACK      = 4 // blocks; with timestamps there is room for one less
)

// An out is a segment that is to be sent or waits for its acknowledgement.
type out struct {
	seq      uint32
	data     []byte
	syn, fin bool
	tries    int
	at       sim.Time
	sacked   bool // the peer has it, behind a hole
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
	queue    []*out
	una      uint32 // first byte without acknowledgement
	end      uint32 // behind the queue
	high     uint32 // behind what was ever sent
	window   uint32 // of the peer
	scale    uint8  // of the peer's windows
	mss      int
	cwnd     int
	dups     int
	rto      time.Duration
	srtt     time.Duration
	rttvar   time.Duration
	finned   bool // FIN is in the queue or was sent
	recovery recovery

	// Receiving.
	heard   bool // the peer's SYN
	next    uint32
	pieces  []piece
	eof     bool
	acked   uint32 // last acknowledgement sent
	stamps  bool   // timestamps are in use
	recent  uint32 // the peer's timestamp
	scaling bool
	sacking bool
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
		if o.sacked {
			continue
		}
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
		most := maxSACK
		if c.stamps {
			f.Options = c.stamp(nil)
			most--
		}
		if c.sacking && len(data) == 0 {
			if b := c.blocks(most); len(b) > 0 {
				f.Options = wire.AppendSACK(f.Options, b...)
			}
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
	if c.facts.SACK && (c.dialled || c.sacking) {
		b = wire.AppendSACKPermitted(b)
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
	c.forgetSACK()
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
	c.sacking = o.SACKPermitted && c.facts.SACK
	c.mss = max(c.mss, 1)
	c.window = uint32(t.Window())
}
