package stack

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// Reasons for drops that only IPv6 has.
const (
	// DropNDQueue: too many packets waited for one neighbour advertisement; the
	// oldest went (RFC 4861 7.2.2).
	DropNDQueue trace.DropReason = "nd_queue_full"
	// DropNDTimeout: nobody answered the neighbour solicitations, so the packets
	// that waited were given up.
	DropNDTimeout trace.DropReason = "nd_timeout"
)

// maxNeighbors bounds the cache; beyond it nothing is learned from others'
// solicitations, and packets to new addresses are dropped.
const maxNeighbors = 16_384

// ndCache resolves next hops and notices when they are gone: RFC 4861 section 7.
// Nothing but a solicited advertisement confirms an entry, TCP's progress does
// not, so a neighbour in steady use is probed every Reachable + Delay.
type ndCache struct {
	inet6     *inet6
	host      *Host
	cfg       NDConfig
	interval  time.Duration
	reachable time.Duration
	entries   map[netip.Addr]*neighbor // looked up, never ranged over
	order     []*neighbor              // by creation
}

// ndState is the state of a neighbour, RFC 4861 7.3.2.
type ndState uint8

const (
	ndIncomplete ndState = iota + 1
	ndReachable
	ndStale
	ndDelay
	ndProbe
)

type neighbor struct {
	addr    netip.Addr
	mac     wire.MAC
	state   ndState
	expires sim.Time // of a reachable entry
	sent    int      // solicitations, incomplete or probe
	queue   []waiting
	timer   *sim.Timer
}

func (c *ndCache) init(n *inet6) {
	c.inet6, c.host, c.cfg = n, n.host, n.host.profile.ND
	c.interval, c.reachable = c.cfg.Interval, c.cfg.Reachable
	c.entries = make(map[netip.Addr]*neighbor)
}

// send sends an IPv6 packet to a neighbour, now or when it has answered.
func (c *ndCache) send(f *link.Frame, to netip.Addr, charge *nic.Packet) {
	e := c.entries[to]
	if e == nil {
		if e = c.add(to); e == nil {
			c.drop(waiting{f, charge}, DropNDQueue, "the neighbour cache is full")
			return
		}
		e.state = ndIncomplete
		e.queue = append(e.queue, waiting{f, charge})
		c.ask(e)
		return
	}
	switch {
	case e.state == ndIncomplete:
		if len(e.queue) == c.cfg.QueueSize {
			oldest := e.queue[0]
			e.queue = append(e.queue[:0], e.queue[1:]...)
			c.drop(oldest, DropNDQueue, "for "+to.String())
		}
		e.queue = append(e.queue, waiting{f, charge})
		return
	case e.state == ndReachable && c.host.loop.Now() >= e.expires, e.state == ndStale:
		e.state = ndDelay
		e.timer.ResetAfter(c.cfg.Delay)
	}
	c.host.transmit(f, e.mac, wire.EtherTypeIPv6, charge)
}

func (c *ndCache) add(addr netip.Addr) *neighbor {
	if len(c.order) >= maxNeighbors {
		return nil
	}
	e := &neighbor{addr: addr}
	e.timer = c.host.loop.NewTimer(func() { c.expire(e) })
	c.entries[addr] = e
	c.order = append(c.order, e)
	return e
}

// ask sends a solicitation, to all or to a neighbour that is being probed, and
// arms the next try. Without a packet it is not sent, but the schedule goes on.
func (c *ndCache) ask(e *neighbor) {
	e.sent++
	e.timer.ResetAfter(c.interval)
	src := c.inet6.source(e.addr)
	if len(e.queue) > 0 {
		// RFC 4861 7.2.2: the address of the packet that waits, if it is ours.
		ip := wire.IPv6(e.queue[0].frame.Data[wire.EthernetHeaderLen:])
		if own := ip.Src(); c.inet6.owns(own) {
			src = own
		}
	}
	if !src.IsValid() {
		src = c.inet6.link.prefix.Addr()
	}
	dst, mac := wire.SolicitedNode(e.addr), wire.MAC{}
	if e.state == ndProbe {
		dst, mac = e.addr, e.mac
	}
	c.inet6.sendSolicit(src, e.addr, dst, mac)
}

// expire is the end of an entry's timer.
func (c *ndCache) expire(e *neighbor) {
	switch {
	case e.state == ndDelay:
		e.state, e.sent = ndProbe, 0
		c.ask(e)
	case e.sent < c.cfg.Requests:
		c.ask(e)
	default:
		c.fail(e)
	}
}

// fail forgets a neighbour that has not answered. The next packet begins anew.
func (c *ndCache) fail(e *neighbor) {
	queue := e.queue
	e.queue = nil
	c.forget(e)
	text := "no answer from " + e.addr.String()
	if e.state == ndProbe {
		text = fmt.Sprintf("%v does not answer at %v any more", e.addr, e.mac)
	}
	c.inet6.event(text)
	for _, r := range c.inet6.routers {
		if r.addr == e.addr {
			r.suspect = true
		}
	}
	for _, w := range queue {
		if c.cfg.TellTCP {
			c.host.tellUnreachable6(w.frame)
		}
		c.drop(w, DropNDTimeout, "for "+e.addr.String())
	}
}

func (c *ndCache) forget(e *neighbor) {
	e.timer.Stop()
	delete(c.entries, e.addr)
	for i, other := range c.order {
		if other == e {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

func (c *ndCache) drop(w waiting, reason trace.DropReason, text string) {
	c.host.drop("nd", reason, 0, len(w.frame.Data), text)
	w.frame.Release()
	releasePacket(w.charge)
}

// heard learns the address of the sender of a solicitation or of a router: RFC
// 4861 7.2.3, 6.3.4. It says nothing about the way to that sender.
func (c *ndCache) heard(addr netip.Addr, mac wire.MAC) {
	e := c.entries[addr]
	switch {
	case e == nil:
		if e = c.add(addr); e == nil {
			return
		}
	case e.state != ndIncomplete && e.mac == mac:
		return
	}
	c.set(e, mac, ndStale)
}

// advertised learns from an advertisement, RFC 4861 7.2.5, and reports whether
// anybody wanted to know.
func (c *ndCache) advertised(n *wire.Neighbor) bool {
	e := c.entries[n.Target]
	if e == nil {
		return false
	}
	mac := n.Options.TargetMAC
	known := e.state != ndIncomplete
	if mac == (wire.MAC{}) {
		if !known {
			return false
		}
		mac = e.mac
	}
	changed := known && mac != e.mac
	switch {
	case changed && !n.Override:
		if e.state == ndReachable {
			e.state = ndStale
		}
	case n.Solicited:
		c.confirm(n.Target)
		c.set(e, mac, ndReachable)
	case changed || !known:
		c.set(e, mac, ndStale)
	}
	return true
}

// confirm trusts a router again.
func (c *ndCache) confirm(addr netip.Addr) {
	for _, r := range c.inet6.routers {
		if r.addr == addr {
			r.suspect = false
		}
	}
}

// set sets an entry's address and sends what waited for it.
func (c *ndCache) set(e *neighbor, mac wire.MAC, state ndState) {
	e.mac, e.state = mac, state
	e.timer.Stop()
	if state == ndReachable {
		e.expires = c.host.loop.Now().Add(c.reachable)
	}
	queue := e.queue
	e.queue = nil
	for _, w := range queue {
		c.send(w.frame, e.addr, w.charge)
	}
}

// close releases what waits.
func (c *ndCache) close() {
	for _, e := range c.order {
		e.timer.Stop()
		for _, w := range e.queue {
			w.frame.Release()
			releasePacket(w.charge)
		}
		e.queue = nil
	}
}

// newMessage returns a frame with room for an ICMPv6 message of n bytes, and
// that room.
func newMessage(n int) (f *link.Frame, message []byte) {
	f = link.NewFrame(wire.EthernetHeaderLen + wire.IPv6HeaderLen + n)
	return f, f.Data[wire.EthernetHeaderLen+wire.IPv6HeaderLen:]
}

// sendMessage sends a message of neighbour discovery, of n bytes, to a MAC
// address, or to that of the multicast group dst if it is zero.
func (n *inet6) sendMessage(f *link.Frame, length int, src, dst netip.Addr, mac wire.MAC) {
	f.Data = f.Data[:wire.EthernetHeaderLen+wire.IPv6HeaderLen+length]
	wire.PutIPv6(f.Data[wire.EthernetHeaderLen:], wire.ProtocolICMPv6, wire.NDHopLimit, src, dst, length)
	if mac == (wire.MAC{}) && dst.IsMulticast() {
		mac = wire.MulticastMAC(dst)
	}
	charge, ok := n.host.charge(true, f)
	switch {
	case !ok:
	case mac == wire.MAC{}:
		n.nd.send(f, dst, charge)
	default:
		n.host.transmit(f, mac, wire.EtherTypeIPv6, charge)
	}
}

// sendSolicit asks for the hardware address of target. A search for a duplicate
// has no source.
func (n *inet6) sendSolicit(src, target, dst netip.Addr, mac wire.MAC) {
	m := wire.Neighbor{Target: target}
	if !src.IsUnspecified() {
		m.Options.SourceMAC = n.host.cfg.MAC
	}
	f, b := newMessage(wire.MaxNeighborLen)
	n.sendMessage(f, wire.PutNeighbor(b, wire.ICMPv6NeighborSolicit, &m, src, dst), src, dst, mac)
}

// sendAdvert answers a solicitation for target.
func (n *inet6) sendAdvert(target, dst netip.Addr, mac wire.MAC) {
	m := wire.Neighbor{Target: target, Solicited: !dst.IsMulticast(), Override: true}
	m.Options.TargetMAC = n.host.cfg.MAC
	f, b := newMessage(wire.MaxNeighborLen)
	n.sendMessage(f, wire.PutNeighbor(b, wire.ICMPv6NeighborAdvert, &m, target, dst), target, dst, mac)
}
