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
	// Delay is added to the time of each of the peer's frames.
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
	arps   map[netip.Addr]int // live requests by target: looked up only
	conns  []*conversation    // of the recording, in order
	live   int                // conversations the live device has begun
	tap    func(*link.Frame)
}

// A conversation is a TCP connection of the recording, and what the live device
// made of it.
type conversation struct {
	server   netip.AddrPort
	port     uint16 // the device's, recorded
	isn      uint32 // the device's, recorded
	begun    bool
	livePort uint16
	liveISN  uint32
	sent     uint32 // end of what the live device has sent, from its ISN
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
	sent      uint32 // from the device's ISN; 0 with a conversation: its SYN
	ackSet    bool
}

// New reads the recording and makes a peer of it that begins with Start.
func New(cfg Config) (*Player, error) {
	switch {
	case cfg.Loop == nil || cfg.Out == nil:
		return nil, errors.New("segment: no loop or no way out")
	case len(cfg.Frames) > MaxFrames:
		return nil, fmt.Errorf("segment: %d frames, at most %d can be played", len(cfg.Frames), MaxFrames)
	}
	p := &Player{cfg: cfg, arps: map[netip.Addr]int{}}
	recordedARPs := map[netip.Addr]int{}
	for i, f := range cfg.Frames {
		var l wire.Layers
		if err := l.Parse(f.Data); err != nil {
			return nil, fmt.Errorf("segment: frame %d: %w", i+1, err)
		}
		if l.Ethernet.Src() == cfg.Device {
			p.recordDevice(&l, recordedARPs)
			continue
		}
		p.recordPeer(f, &l, recordedARPs)
	}
	p.stats.Frames = len(p.script)
	p.timer = cfg.Loop.NewTimer(p.play)
	p.play()
	return p, nil
}

// recordDevice keeps what the recorded device sent: conversations and requests.
func (p *Player) recordDevice(l *wire.Layers, arps map[netip.Addr]int) {
	switch {
	case l.ARP != nil && l.ARP.Operation() == wire.ARPRequest:
		arps[l.ARP.Target()]++
	case l.TCP != nil && l.TCP.Has(wire.TCPSyn):
		c := p.recorded(l.TCP.SrcPort())
		if c == nil || c.isn != l.TCP.Seq() {
			p.conns = append(p.conns, &conversation{
				server: netip.AddrPortFrom(l.Dst(), l.TCP.DstPort()), port: l.TCP.SrcPort(), isn: l.TCP.Seq(),
			})
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
			e.ackSet, e.sent = true, l.TCP.Ack()-e.conn.isn
		}
	}
	p.script = append(p.script, e)
}

// play sends what is due and answered for, and comes back for the next.
func (p *Player) play() {
	for p.next < len(p.script) {
		e := p.script[p.next]
		now := p.cfg.Loop.Now()
		if e.at > now {
			p.timer.Reset(e.at)
			return
		}
		if !p.mayBeSent(e) {
			return // Put looks again
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

// mayBeSent reports whether the live device has sent what the frame answers.
func (p *Player) mayBeSent(e *entry) bool {
	switch {
	case e.arpTarget.IsValid():
		return p.arps[e.arpTarget] >= e.arpCount
	case e.conn == nil:
		return true
	}
	return e.conn.begun && (!e.ackSet || int32(e.conn.sent-e.sent) >= 0)
}

// fit returns the frame with port and acknowledgement of the live device.
func (p *Player) fit(e *entry) *link.Frame {
	f := link.CopyFrame(e.data)
	if e.conn == nil {
		return f
	}
	var l wire.Layers
	if err := l.Parse(f.Data); err != nil {
		panic(fmt.Sprintf("segment: a frame that was parsed before: %v", err))
	}
	binary.BigEndian.PutUint16(l.TCP[dstPortOffset:], e.conn.livePort)
	if e.ackSet {
		l.TCP.SetAck(e.conn.liveISN + e.sent)
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
		}
	case l.TCP != nil:
		c := p.heard(l)
		if c == nil {
			p.stats.Foreign++
			return
		}
		if end := l.TCP.Seq() + l.TCP.SegmentLen(l.Payload) - c.liveISN; int32(end-c.sent) > 0 {
			c.sent = end
		}
	}
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
	c.begun, c.livePort, c.liveISN = true, l.TCP.SrcPort(), l.TCP.Seq()
	return c
}

// Tap sets what is shown each frame before it leaves. It copies what it keeps.
func (p *Player) Tap(fn func(*link.Frame)) { p.tap = fn }

// Stats returns how the play went so far.
func (p *Player) Stats() Stats { return p.stats }

// Done reports whether every frame of the peer was sent.
func (p *Player) Done() bool { return p.next == len(p.script) }
