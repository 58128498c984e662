package emu

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// This file watches what passes a device's end of its link for what the key
// oracles forbids. It knows frames and the NIC's state only, so that it is the
// same for a model and for a real device. What it sees is a trace event, of which
// a finding is made.

// Names of the oracles: the stages of their events and the names of their findings.
const (
	oracleARP       = "arp_unanswered"
	oracleProgress  = "no_progress"
	oracleTooSoon   = "reconnects_too_soon"
	oracleTooLate   = "reconnects_too_late"
	oracleSendsDown = "sends_while_down"
	oracleISN       = "isn_repeated"
)

// Limits of what an oracle remembers.
const (
	maxOracleFlows = 256
	maxOracleISNs  = 65536
)

// settleDown is how long a device may still send after its link went down: what it
// had given to its driver before.
const settleDown = 100 * time.Millisecond

// An oracle watches one device.
type oracle struct {
	world *World
	cfg   *scenarios.Oracles
	name  string
	addr  netip.Addr

	asked struct { // ARP requests that wait for an answer
		n     int
		first sim.Time
		told  bool
	}
	progress *sim.Timer
	late     *sim.Timer
	flows    map[oneWay]*passed
	isns     map[uint32]uint16 // port of the connection that had it
	attempt  attempt
	down     struct {
		since sim.Time
		is    bool
		told  bool
	}
}

// A oneWay is one way of a TCP connection.
type oneWay struct{ from, to netip.AddrPort }

// passed is how far one way of a connection has come.
type passed struct{ seq, ack uint32 }

// An attempt is the device's last TCP connection, or its attempt to have one.
type attempt struct {
	port  uint16
	isn   uint32
	on    bool     // it has not ended
	last  sim.Time // when anything of it passed
	ended sim.Time
	had   bool // there was one
}

// watchOver has the oracles of the scenario watch a device's end of its link.
func (w *World) watchOver(device *scenarios.Device, l *link.Link) {
	if w.sc.Oracles == nil {
		return
	}
	o := &oracle{
		world: w, cfg: w.sc.Oracles, name: device.Name, addr: device.Address.Addr(),
		flows: map[oneWay]*passed{}, isns: map[uint32]uint16{},
	}
	o.progress, o.late = w.loop.NewTimer(o.standsStill), w.loop.NewTimer(o.staysAway)
	l.Up.Observe(&oracleEnd{o, true})
	l.Down.Observe(&oracleEnd{o, false})
	if o.cfg.SendsWhileDown {
		w.trace.Subscribe(o.state)
	}
	if d := o.cfg.NoProgress.Std(); d > 0 {
		o.progress.ResetAfter(d)
	}
}

// An oracleEnd is the device's end of one way of its link.
type oracleEnd struct {
	*oracle
	up bool
}

// Entered sees what the device sends.
func (e *oracleEnd) Entered(_ *link.Direction, f *link.Frame) {
	if e.up {
		e.frame(f, true)
	}
}

// Left sees what arrives at the device.
func (e *oracleEnd) Left(_ *link.Direction, f *link.Frame) {
	if !e.up {
		e.frame(f, false)
	}
}

// Dropped does nothing: what the device never gets is none of its doing.
func (e *oracleEnd) Dropped(*link.Direction, *link.Frame, link.Verdict) {}

func (o *oracle) tell(name string, frame uint64, d time.Duration, format string, args ...any) {
	o.world.trace.Emit(trace.Event{
		Kind: trace.KindOracle, Node: o.name, Stage: name, Frame: frame, Count: int64(d), Text: fmt.Sprintf(format, args...),
	})
}

func (o *oracle) frame(f *link.Frame, fromDevice bool) {
	if fromDevice {
		o.sends(f)
	}
	var l wire.Layers
	if l.Parse(f.Data) != nil {
		return // the hosts say what is wrong with it
	}
	switch {
	case l.ARP != nil:
		o.arp(f, &l, fromDevice)
	case l.TCP != nil:
		o.tcp(f, &l, fromDevice)
	}
}

// arp watches whether requests are answered. What the device sends tells its
// address too, whatever it is (RFC 826).
func (o *oracle) arp(f *link.Frame, l *wire.Layers, fromDevice bool) {
	limit := o.cfg.ARPUnanswered.Std()
	switch now := o.world.loop.Now(); {
	case limit == 0:
	case fromDevice:
		if l.ARP.Sender() == o.addr {
			o.asked.n, o.asked.told = 0, false
		}
	case l.ARP.Operation() != wire.ARPRequest || l.ARP.Target() != o.addr || l.ARP.Sender() == o.addr:
	default:
		if o.asked.n++; o.asked.n == 1 {
			o.asked.first = now
		}
		if waits := now.Sub(o.asked.first); o.asked.n > 1 && waits >= limit && !o.asked.told {
			o.asked.told = true
			o.tell(oracleARP, f.ID, waits, "%d ARP requests for %v have arrived in %s, and none was answered", o.asked.n, o.addr, span(waits))
		}
	}
}

// before reports whether a is before b in the sequence space.
func before(a, b uint32) bool { return int32(a-b) < 0 }

func (o *oracle) tcp(f *link.Frame, l *wire.Layers, fromDevice bool) {
	t := l.TCP
	key := oneWay{netip.AddrPortFrom(l.Src(), t.SrcPort()), netip.AddrPortFrom(l.Dst(), t.DstPort())}
	end := t.Seq() + t.SegmentLen(l.Payload)
	p := o.flows[key]
	if p == nil || t.Has(wire.TCPSyn) && !t.Has(wire.TCPAck) && p.seq != end {
		if len(o.flows) >= maxOracleFlows {
			clear(o.flows) // at worst a segment too many counts as progress
		}
		p = &passed{seq: end, ack: t.Ack()}
		o.flows[key] = p
		if t.Has(wire.TCPAck) {
			o.moves()
		}
	} else {
		moves := false
		if before(p.seq, end) {
			p.seq, moves = end, true
		}
		if t.Has(wire.TCPAck) && before(p.ack, t.Ack()) {
			p.ack, moves = t.Ack(), true
		}
		if moves {
			o.moves()
		}
	}
	if fromDevice && t.Has(wire.TCPSyn) && !t.Has(wire.TCPAck) {
		o.opens(f, t)
	}
	port := t.SrcPort()
	if !fromDevice {
		port = t.DstPort()
	}
	if a := &o.attempt; a.on && port == a.port {
		a.last = o.world.loop.Now()
		if t.Has(wire.TCPFin) || t.Has(wire.TCPRst) {
			a.on, a.ended = false, a.last
			if d := o.cfg.ReconnectMax.Std(); d > 0 {
				o.late.ResetAfter(d)
			}
		}
	}
}

// opens sees a SYN of the device.
func (o *oracle) opens(f *link.Frame, t wire.TCP) {
	a, now := &o.attempt, o.world.loop.Now()
	if a.on && a.port == t.SrcPort() && a.isn == t.Seq() {
		return // sent again
	}
	o.late.Stop()
	if a.had {
		ended := a.ended
		if a.on {
			ended = a.last // it was given up without a word
		}
		if pause, limit := now.Sub(ended), o.cfg.ReconnectMin.Std(); pause < limit {
			o.tell(oracleTooSoon, f.ID, pause, "the next connection was opened %s after the end of the last one", span(pause))
		}
	}
	if port, repeated := o.isns[t.Seq()]; o.cfg.ISNRepeated && repeated {
		o.tell(oracleISN, f.ID, 0, "the connection from port %d begins with sequence number %d, as the one from port %d did", t.SrcPort(), t.Seq(), port)
	}
	if len(o.isns) < maxOracleISNs {
		o.isns[t.Seq()] = t.SrcPort()
	}
	*a = attempt{port: t.SrcPort(), isn: t.Seq(), on: true, last: now, had: true}
}

// moves sees a segment that brings something new.
func (o *oracle) moves() {
	if d := o.cfg.NoProgress.Std(); d > 0 {
		o.progress.ResetAfter(d)
	}
}

func (o *oracle) standsStill() {
	d := o.cfg.NoProgress.Std()
	o.tell(oracleProgress, 0, d, "for %s no TCP segment brought new data or a new acknowledgement", span(d))
}

func (o *oracle) staysAway() {
	d := o.cfg.ReconnectMax.Std()
	o.tell(oracleTooLate, 0, d, "for %s after the end of a connection none was opened", span(d))
}

// state follows the device's NIC, and what its driver refuses.
func (o *oracle) state(e *trace.Event) {
	if e.Node != o.name {
		return
	}
	switch {
	case e.Kind == trace.KindNIC:
		o.down.is, o.down.told, o.down.since = e.Text == nic.LinkDown.String(), false, e.T
	case e.Kind == trace.KindDrop && e.Reason == trace.DropLinkDown && e.Stage == "nic/tx":
		o.sendsDown(e.Frame)
	}
}

func (o *oracle) sends(f *link.Frame) {
	if o.cfg.SendsWhileDown {
		o.sendsDown(f.ID)
	}
}

func (o *oracle) sendsDown(frame uint64) {
	since := o.world.loop.Now().Sub(o.down.since)
	if o.down.is && !o.down.told && since > settleDown {
		o.down.told = true
		// Told when this event is over: others may still have to hear of it.
		o.world.loop.At(o.world.loop.Now(), func() {
			o.tell(oracleSendsDown, frame, since, "a frame was sent %s after the link had gone down", span(since))
		})
	}
}
