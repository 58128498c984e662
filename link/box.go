package link

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 5382 (NAT and TCP: REQ-5 for how long to remember), RFC 4787
// (NAT and UDP: REQ-5), RFC 1191 and RFC 8201 (path MTU), RFC 9293 section
// 3.10.7.1 (how to answer with a reset), RFC 1027 (proxy ARP).

// BoxConfig configures a middlebox at the peer's end of a link: a NAT, a
// firewall, a router with a small MTU. It sees what comes up after all
// impairments, and what goes down before them.
type BoxConfig struct {
	// State makes it remember connections and pass only those that the device
	// began; nil: it passes all.
	State *StateConfig
	// MTU of IP packets, either way; 0: no limit. The sender of a longer one is
	// told by ICMP "fragmentation needed" or "packet too big", unless SilentMTU. The
	// box never fragments, not even what may be.
	MTU       int
	SilentMTU bool
}

// StateConfig is what a NAT or firewall remembers.
type StateConfig struct {
	// How long a connection may be idle; 0: DefaultIdleTCP and DefaultIdleUDP. Many
	// in the field forget TCP after minutes.
	IdleTCP, IdleUDP time.Duration
	// Reset answers a TCP segment of a connection that is not known, or no longer,
	// with a reset to its sender. Without it the segment vanishes.
	Reset bool
	// MaxConnections bounds the table; 0: DefaultConnections.
	MaxConnections int
}

// Defaults and limits of a Box.
const (
	DefaultIdleTCP     = 2*time.Hour + 4*time.Minute // RFC 5382 REQ-5
	DefaultIdleUDP     = 5 * time.Minute             // RFC 4787 REQ-5
	DefaultConnections = 4096
	MaxConnections     = 1 << 20
	// MaxBoxBacklog bounds the packets of its own that a box sends at one moment.
	MaxBoxBacklog = 1024
)

func (c *BoxConfig) validate() error {
	err := validateMTU(c.MTU)
	if s := c.State; s != nil {
		if s.IdleTCP < 0 || s.IdleTCP > 64*MaxDelay || s.IdleUDP < 0 || s.IdleUDP > 64*MaxDelay {
			err = errors.Join(err, fmt.Errorf("link: box: idle times %v and %v are not between 0 and %v", s.IdleTCP, s.IdleUDP, 64*MaxDelay))
		}
		if s.MaxConnections < 0 || s.MaxConnections > MaxConnections {
			err = errors.Join(err, fmt.Errorf("link: box: %d connections are not between 0 and %d", s.MaxConnections, MaxConnections))
		}
	}
	return err
}

// A Box is a middlebox at the peer's end of a link.
type Box struct {
	cfg      BoxConfig
	mtuRule  string
	up, down *Env
	toPeer   Sink // behind the box on the way up
	toDevice Sink // behind the box on the way down

	flows     map[flowKey]sim.Time // when each was last used; looked up, and swept as a whole
	nextSweep sim.Time
	captive   bool

	inside  netip.Addr // the device's own IPv4 address
	outside netip.Addr // what the peer sees instead, once it has been changed
	mac     wire.MAC   // the device's

	backlog ring[*Frame] // its packets to the peer, which go as events of their own
	timer   *sim.Timer
	layers  wire.Layers
}

// A flowKey is a connection as the device sees it.
type flowKey struct {
	protocol      uint8
	local, remote netip.AddrPort
}

// AddBox puts a middlebox on the link. A link has at most one.
func (l *Link) AddBox(cfg BoxConfig) (*Box, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("link: %s: %w", l.Name, err)
	}
	b := &Box{flows: map[flowKey]sim.Time{}}
	b.set(cfg)
	err := l.Up.Add(atBoxExit, "box", func(e *Env) Stage {
		b.up, b.timer = e, e.Loop.NewTimer(b.flush)
		e.Holds(func() uint64 { return uint64(b.backlog.len()) })
		return func(next Sink) Sink { b.toPeer = next; return SinkFunc(b.putUp) }
	})
	if err != nil {
		return nil, err
	}
	err = l.Down.Add(atBoxEntrance, "box", func(e *Env) Stage {
		b.down = e
		return func(next Sink) Sink { b.toDevice = next; return SinkFunc(b.putDown) }
	})
	return b, err
}

// Set changes the configuration between two frames. Connections stay known.
func (b *Box) Set(cfg BoxConfig) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	b.set(cfg)
	return nil
}

func (b *Box) set(cfg BoxConfig) {
	if cfg.State != nil {
		s := *cfg.State
		if s.IdleTCP == 0 {
			s.IdleTCP = DefaultIdleTCP
		}
		if s.IdleUDP == 0 {
			s.IdleUDP = DefaultIdleUDP
		}
		if s.MaxConnections == 0 {
			s.MaxConnections = DefaultConnections
		}
		cfg.State = &s
	}
	b.cfg, b.mtuRule = cfg, fmt.Sprintf("MTU %d", cfg.MTU)
}

// Forget empties the table, as when the box is rebooted.
func (b *Box) Forget() { clear(b.flows) }

// SetCaptive switches the captive portal: while it is on, every TCP segment of
// the device is answered with a reset, and nothing else passes either but ARP
// and neighbour discovery.
func (b *Box) SetCaptive(on bool) { b.captive = on }

// ChangeAddress gives the device another IPv4 address on the peer's side, as a
// provider does. The box translates from now on and answers ARP for the new
// address; what the peer sends to an address that the device had before is
// dropped, and all connections are forgotten. Ports stay. Addresses inside ICMP
// errors are not translated.
func (b *Box) ChangeAddress(a netip.Addr) error {
	if !a.Is4() || a.IsUnspecified() || a.IsMulticast() {
		return fmt.Errorf("link: %v is no IPv4 address that a device can have", a)
	}
	b.outside = a
	b.Forget()
	return nil
}

// putUp takes what comes from the device.
func (b *Box) putUp(f *Frame) {
	l := &b.layers
	if l.Parse(f.Data) != nil || l.IPv4 == nil && l.IPv6 == nil {
		b.toPeer.Put(f)
		return
	}
	if l.IPv4 != nil && !l.IPv4.Src().IsUnspecified() {
		b.inside, b.mac = l.IPv4.Src(), l.Ethernet.Src()
	}
	if b.captive && !neighborDiscovery(l) {
		b.reset(l, b.toDeviceNow)
		b.up.Drop(f, trace.DropBoxCaptive, "")
		return
	}
	if b.tooLong(l) {
		b.refuse(f, l, b.up, b.toDeviceNow)
		return
	}
	if b.cfg.State != nil && (l.TCP != nil || l.UDP != nil) {
		key := keyOf(l, true)
		if reason := b.pass(key, l.TCP == nil || l.TCP.Flags()&(wire.TCPSyn|wire.TCPAck|wire.TCPRst) == wire.TCPSyn); reason != "" {
			if b.cfg.State.Reset {
				b.reset(l, b.toDeviceNow)
			}
			b.up.Drop(f, reason, "from the device")
			return
		}
		b.closed(key, l)
	}
	if b.outside.IsValid() && l.IPv4 != nil && l.IPv4.Src() == b.inside {
		translate(l, 12, b.outside)
	}
	b.toPeer.Put(f)
}

// putDown takes what comes from the peer.
func (b *Box) putDown(f *Frame) {
	l := &b.layers
	if l.Parse(f.Data) != nil || l.IPv4 == nil && l.IPv6 == nil {
		if b.proxyARP(l) {
			// The request goes on to the device too, which does not know the address.
			b.answerARP(l)
		}
		b.toDevice.Put(f)
		return
	}
	if b.captive && !neighborDiscovery(l) {
		b.down.Drop(f, trace.DropBoxCaptive, "")
		return
	}
	translated := b.outside.IsValid() && b.inside.IsValid() && l.IPv4 != nil
	if translated && l.Ethernet.Dst() == b.mac && l.IPv4.Dst() != b.outside {
		b.down.Drop(f, trace.DropBoxAddress, "")
		return
	}
	if b.tooLong(l) {
		b.refuse(f, l, b.down, b.toPeerLater)
		return
	}
	if translated && l.IPv4.Dst() == b.outside {
		translate(l, 16, b.inside)
	}
	if b.cfg.State != nil && (l.TCP != nil || l.UDP != nil) {
		key := keyOf(l, false)
		if reason := b.pass(key, false); reason != "" {
			if b.cfg.State.Reset {
				b.reset(l, b.toPeerLater)
			}
			b.down.Drop(f, reason, "from the peer")
			return
		}
		b.closed(key, l)
	}
	b.toDevice.Put(f)
}

func keyOf(l *wire.Layers, fromDevice bool) flowKey {
	k := flowKey{protocol: l.Protocol}
	var src, dst uint16
	if l.TCP != nil {
		src, dst = l.TCP.SrcPort(), l.TCP.DstPort()
	} else {
		src, dst = l.UDP.SrcPort(), l.UDP.DstPort()
	}
	k.local, k.remote = netip.AddrPortFrom(l.Src(), src), netip.AddrPortFrom(l.Dst(), dst)
	if !fromDevice {
		k.local, k.remote = k.remote, k.local
	}
	return k
}

// pass says why a packet may not pass, or nothing. begins tells that it may
// begin a connection.
func (b *Box) pass(k flowKey, begins bool) trace.DropReason {
	now := b.up.Loop.Now()
	last, known := b.flows[k]
	if known && now.Sub(last) <= b.idle(k) {
		b.flows[k] = now
		return ""
	}
	if !begins {
		return trace.DropBoxExpired
	}
	if !known && len(b.flows) >= b.cfg.State.MaxConnections {
		b.sweep(now)
		if len(b.flows) >= b.cfg.State.MaxConnections {
			return trace.DropBoxFull
		}
	}
	b.flows[k] = now
	return ""
}

func (b *Box) idle(k flowKey) time.Duration {
	if k.protocol == wire.ProtocolTCP {
		return b.cfg.State.IdleTCP
	}
	return b.cfg.State.IdleUDP
}

// sweep forgets the connections that were idle too long, at most once a second.
// All of them go, so the order of the map does not matter.
func (b *Box) sweep(now sim.Time) {
	if now < b.nextSweep {
		return
	}
	b.nextSweep = now.Add(time.Second)
	for k, last := range b.flows {
		if now.Sub(last) > b.idle(k) {
			delete(b.flows, k)
		}
	}
}

// closed forgets a connection that is reset.
func (b *Box) closed(k flowKey, l *wire.Layers) {
	if l.TCP != nil && l.TCP.Has(wire.TCPRst) {
		delete(b.flows, k)
	}
}

func (b *Box) tooLong(l *wire.Layers) bool {
	if b.cfg.MTU == 0 {
		return false
	}
	if l.IPv4 != nil {
		return l.IPv4.TotalLen() > b.cfg.MTU
	}
	return wire.IPv6HeaderLen+l.IPv6.PayloadLen() > b.cfg.MTU
}

// toDeviceNow sends a frame of the box down. The way down ends in an event.
func (b *Box) toDeviceNow(n int, text string, write func([]byte)) {
	f := b.down.Generate(n, text)
	write(f.Data)
	b.toDevice.Put(f)
}

// toPeerLater sends a frame of the box up, as an event of its own: the peer may
// be in the middle of sending.
func (b *Box) toPeerLater(n int, text string, write func([]byte)) {
	f := b.up.Generate(n, text)
	write(f.Data)
	if b.backlog.len() >= MaxBoxBacklog {
		b.up.Drop(f, trace.DropBoxBacklog, "")
		return
	}
	b.backlog.push(f)
	if b.backlog.len() == 1 {
		b.timer.Reset(b.up.Loop.Now())
	}
}

func (b *Box) flush() {
	f := b.backlog.pop()
	if b.backlog.len() > 0 {
		b.timer.Reset(b.up.Loop.Now())
	}
	b.toPeer.Put(f)
}
