package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/wire"
)

// A Frame is a frame of a recording.
type Frame struct {
	At   time.Duration // since the beginning of the recording
	Data []byte        // from the Ethernet header on
}

// dstPortOffset is where a TCP header has its destination port.
const dstPortOffset = 2

// MaxFrames bounds a recording.
const MaxFrames = 1 << 20

// Config says what to play.
type Config struct {
	Loop   *sim.Loop
	Frames []Frame  // the recording, both sides, in order
	Device wire.MAC // the address that the device has in the recording
	Start  sim.Time // moment of the recording's beginning
	// Delay is added to the recorded time of each of the peer's frames; an
	// answer is then as late as if it had been recorded so late.
	Delay time.Duration
	// Out takes the peer's frames.
	Out link.Sink
}

// Stats tell how the play went.
type Stats struct {
	Frames  int           // of the peer, in the recording
	Sent    int           // so far
	Held    int           // sent later than recorded, for want of what they answer
	MaxHeld time.Duration // the longest
	Foreign int           // frames of the live device that belong to no recorded conversation
}

// A Player is the peer. As a Sink it takes the live device's frames.
type Player struct {
	cfg    Config
	script []*entry
	next   int
	timer  *sim.Timer
	stats  Stats
	arps   map[netip.Addr]int      // live requests by target: looked up only
	silent map[netip.Addr]wire.MAC // hosts that the device sends to and that the recording has no ARP of: looked up only
	conns  []*conversation         // of the recording, in order
	live   int                     // conversations the live device has begun
	tap    func(*link.Frame)
}

// A conversation is a TCP connection of the recording, and what the live device
// made of it.
type conversation struct {
	port     uint16 // the device's, recorded
	isn      uint32 // the device's, recorded
	begun    bool
	livePort uint16
	livePeer uint16 // the port that the live device connected to: it may be another
	liveISN  uint32
	recorded reach // by the recorded device
	live     reach // by the live one
}

// An entry is one frame of the peer and what it waits for.
type entry struct {
	at   sim.Time
	data []byte
	// What the device must have sent: so many requests for an address, or so
	// much of a conversation.
	arpTarget netip.Addr
	arpCount  int
	conn      *conversation
	sent      int64 // from the device's ISN; 0 with a conversation: its SYN
	ackSet    bool
	// A frame that came right after what it acknowledges is its answer, and keeps
	// that distance from the live device's frame.
	answer bool
	gap    time.Duration
}

// AnswerTime is how soon after a frame of the device the peer's acknowledgement
// counts as the answer to it.
const AnswerTime = 2 * time.Millisecond

// New reads the recording and makes a peer of it that begins with Start.
func New(cfg Config) (*Player, error) {
	switch {
	case cfg.Loop == nil || cfg.Out == nil:
		return nil, errors.New("segment: no loop or no way out")
	case len(cfg.Frames) > MaxFrames:
		return nil, fmt.Errorf("segment: %d frames, at most %d can be played", len(cfg.Frames), MaxFrames)
	}
	p := &Player{cfg: cfg, arps: map[netip.Addr]int{}, silent: map[netip.Addr]wire.MAC{}}
	recordedARPs := map[netip.Addr]int{}
	for i, f := range cfg.Frames {
		var l wire.Layers
		if err := l.Parse(f.Data); err != nil {
			return nil, fmt.Errorf("segment: frame %d: %w", i+1, err)
		}
		if l.Ethernet.Src() == cfg.Device {
			p.recordDevice(f, &l, recordedARPs)
			continue
		}
		p.recordPeer(f, &l, recordedARPs)
	}
	for a := range recordedARPs {
		delete(p.silent, a)
	}
	p.stats.Frames = len(p.script)
	p.timer = cfg.Loop.NewTimer(p.play)
	p.timer.ResetAfter(0) // what is beyond Out may not be there yet
	return p, nil
}

// recordDevice keeps what the recorded device sent: conversations and requests.
func (p *Player) recordDevice(f Frame, l *wire.Layers, arps map[netip.Addr]int) {
	if l.IPv4 != nil && !l.Ethernet.Dst().IsMulticast() {
		p.silent[l.Dst()] = l.Ethernet.Dst()
	}
	switch {
	case l.ARP != nil && l.ARP.Operation() == wire.ARPRequest:
		arps[l.ARP.Target()]++
	case l.TCP != nil:
		c := p.recorded(l.TCP.SrcPort())
		if l.TCP.Has(wire.TCPSyn) && (c == nil || c.isn != l.TCP.Seq()) {
			c = &conversation{port: l.TCP.SrcPort(), isn: l.TCP.Seq()}
			p.conns = append(p.conns, c)
		}
		if c != nil {
			c.recorded.add(l.TCP.Seq()+l.TCP.SegmentLen(l.Payload)-c.isn, sim.Time(f.At))
		}
	}
}

// recorded returns the newest conversation of a port of the recorded device.
func (p *Player) recorded(port uint16) *conversation {
	for i := len(p.conns) - 1; i >= 0; i-- {
		if p.conns[i].port == port {
			return p.conns[i]
		}
	}
	return nil
}

// recordPeer makes an entry of a frame of the recorded peer.
func (p *Player) recordPeer(f Frame, l *wire.Layers, arps map[netip.Addr]int) {
	e := &entry{at: p.cfg.Start.Add(f.At + p.cfg.Delay), data: f.Data}
	switch {
	case l.ARP != nil && l.ARP.Operation() == wire.ARPReply:
		e.arpTarget, e.arpCount = l.ARP.Sender(), arps[l.ARP.Sender()]
	case l.TCP != nil:
		if e.conn = p.recorded(l.TCP.DstPort()); e.conn != nil && l.TCP.Has(wire.TCPAck) {
			e.ackSet, e.sent = true, e.conn.recorded.unwrap(l.TCP.Ack()-e.conn.isn)
			e.conn.live.await(e.sent)
			if at, ok := e.conn.recorded.when(e.sent); ok {
				e.gap = sim.Time(f.At).Sub(at)
				e.answer = e.gap < AnswerTime
			}
		}
	}
	p.script = append(p.script, e)
}

// play sends what is due and answered for, and comes back for the next.
func (p *Player) play() {
	for p.next < len(p.script) {
		e := p.script[p.next]
		due, ok := p.due(e)
		if !ok {
			return // Put looks again
		}
		now := p.cfg.Loop.Now()
		if due > now {
			p.timer.Reset(due)
			return
		}
		if held := now.Sub(e.at); held > 0 {
			p.stats.Held++
			p.stats.MaxHeld = max(p.stats.MaxHeld, held)
		}
		p.next++
		p.stats.Sent++
		f := p.fit(e)
		if p.tap != nil {
			p.tap(f)
		}
		p.cfg.Out.Put(f)
	}
}

// due returns when the frame is to be sent, false while the live device has not
// sent what it answers.
func (p *Player) due(e *entry) (sim.Time, bool) {
	switch {
	case e.arpTarget.IsValid():
		return e.at, p.arps[e.arpTarget] >= e.arpCount
	case e.conn == nil:
		return e.at, true
	case !e.conn.begun || !e.ackSet:
		return e.at, e.conn.begun
	}
	reached, ok := e.conn.live.when(e.sent)
	switch {
	case !ok || !e.answer:
		return e.at, ok
	case p.cfg.Delay > 0:
		return max(e.at, reached.Add(e.gap)), true
	}
	return reached.Add(e.gap), true
}

// fit returns the frame with ports and acknowledgement of the live device.
func (p *Player) fit(e *entry) *link.Frame {
	f := link.CopyFrame(e.data)
	if e.conn == nil {
		return f
	}
	var l wire.Layers
	if err := l.Parse(f.Data); err != nil {
		panic(fmt.Sprintf("segment: a frame that was parsed before: %v", err))
	}
	binary.BigEndian.PutUint16(l.TCP, e.conn.livePeer)
	binary.BigEndian.PutUint16(l.TCP[dstPortOffset:], e.conn.livePort)
	if e.ackSet {
		l.TCP.SetAck(e.conn.liveISN + uint32(e.sent))
	}
	// The recording machine may have left checksums to its network card.
	l.TCP.UpdateChecksum(l.Src(), l.Dst(), l.Payload)
	return f
}

// Put takes a frame of the live device.
func (p *Player) Put(f *link.Frame) {
	var l wire.Layers
	if err := l.Parse(f.Data); err != nil {
		p.stats.Foreign++
	} else {
		p.hear(&l)
	}
	f.Release()
	// Not from within the device's own call.
	if p.next < len(p.script) && !p.timer.Armed() {
		p.timer.ResetAfter(0)
	}
}

func (p *Player) hear(l *wire.Layers) {
	switch {
	case l.ARP != nil:
		if l.ARP.Operation() == wire.ARPRequest {
			p.arps[l.ARP.Target()]++
			p.answer(l)
		}
	case l.TCP != nil:
		c := p.heard(l)
		if c == nil {
			p.stats.Foreign++
			return
		}
		c.live.arrive(l.TCP.Seq()+l.TCP.SegmentLen(l.Payload)-c.liveISN, p.cfg.Loop.Now())
	}
}

// answer answers an ARP request for a host that the recorded device knew without
// asking: it had a static entry, or only TCP was captured.
func (p *Player) answer(l *wire.Layers) {
	mac, ok := p.silent[l.ARP.Target()]
	if !ok {
		return
	}
	f := link.NewFrame(wire.EthernetHeaderLen + wire.ARPLen)
	wire.PutEthernet(f.Data, l.ARP.SenderMAC(), mac, wire.EtherTypeARP)
	wire.PutARP(f.Data[wire.EthernetHeaderLen:], wire.ARPReply, mac, l.ARP.Target(), l.ARP.SenderMAC(), l.ARP.Sender())
	// Not from within the device's own call.
	p.cfg.Loop.After(0, func() {
		if p.tap != nil {
			p.tap(f)
		}
		p.cfg.Out.Put(f)
	})
}

// heard returns the conversation that a live segment belongs to. A SYN of a new
// sequence number begins the next one of the recording.
func (p *Player) heard(l *wire.Layers) *conversation {
	for i := p.live - 1; i >= 0; i-- {
		if c := p.conns[i]; c.livePort == l.TCP.SrcPort() && (!l.TCP.Has(wire.TCPSyn) || c.liveISN == l.TCP.Seq()) {
			return c
		}
	}
	if !l.TCP.Has(wire.TCPSyn) || p.live == len(p.conns) {
		return nil
	}
	c := p.conns[p.live]
	p.live++
	c.begun, c.livePort, c.livePeer, c.liveISN = true, l.TCP.SrcPort(), l.TCP.DstPort(), l.TCP.Seq()
	return c
}

// Tap sets what is shown each frame before it leaves. It copies what it keeps.
func (p *Player) Tap(fn func(*link.Frame)) { p.tap = fn }

// Stats returns how the play went so far.
func (p *Player) Stats() Stats { return p.stats }

// Done reports whether every frame of the peer was sent.
func (p *Player) Done() bool { return p.next == len(p.script) }
