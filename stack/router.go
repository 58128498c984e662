package stack

import (
	"net/netip"
	"time"

	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// routerSolicitor asks for routers until one has answered (RFC 4861 6.3.7).
type routerSolicitor struct {
	timer *sim.Timer
	sent  int
}

func (s *routerSolicitor) start(n *inet6) {
	cfg := &n.host.profile.ND
	s.timer = n.host.loop.NewTimer(func() {
		if s.sent == cfg.RouterRequests {
			n.event("no router answers")
			return
		}
		s.sent++
		s.timer.ResetAfter(cfg.RouterInterval)
		src, mac := netip.IPv6Unspecified(), wire.MAC{}
		if n.link.state == assigned {
			src, mac = n.link.prefix.Addr(), n.host.cfg.MAC
		}
		f, b := newMessage(wire.MaxRouterSolicitLen)
		n.sendMessage(f, wire.PutRouterSolicit(b, mac, src, wire.AllRouters), src, wire.AllRouters, wire.MAC{})
	})
	s.timer.ResetAfter(n.delay())
}

// close also ends the asking when a router has answered.
func (s *routerSolicitor) close() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// arriveRouter follows a router advertisement: RFC 4861 6.1.2 and 6.3.4. The
// MTU that it may advertise is not followed: the Config's stands.
func (n *inet6) arriveRouter(l *wire.Layers) (refused trace.DropReason, text string) {
	r, err := l.ICMPv6.RouterAdvert(l.Payload)
	src := l.IPv6.Src()
	switch {
	case err != nil:
		return trace.DropMalformed, err.Error()
	case !src.IsLinkLocalUnicast() || r.Options.SourceMAC.IsMulticast():
		return trace.DropMalformed, "router advertisement from " + src.String()
	case !n.host.cfg.SLAAC:
		return trace.DropNotForUs, "router advertisement without SLAAC"
	}
	n.solicit.close()
	n.setHopLimit(r.HopLimit)
	if r.Retrans > 0 {
		n.nd.interval = r.Retrans
	}
	if r.Reachable > 0 {
		n.nd.reachable = r.Reachable
	}
	if r.Options.SourceMAC != (wire.MAC{}) {
		n.nd.heard(src, r.Options.SourceMAC)
	}
	complete := n.setRouter(src, r.Lifetime) && r.Options.MorePrefixes == 0
	for _, p := range r.Options.Prefixes() {
		if p.Prefix.Addr().IsLinkLocalUnicast() || p.Prefix.Addr().IsMulticast() {
			continue // RFC 4861 6.3.4: ignored without a word
		}
		if p.OnLink && !n.setPrefix(p) {
			complete = false
		}
		if p.Autonomous && !n.setAddress(p) {
			complete = false
		}
	}
	if !complete {
		return trace.DropQueueFull, "a router, prefix or address more than the host keeps"
	}
	return "", ""
}

// setRouter keeps a default router for a time and reports whether there was room
// for it.
func (n *inet6) setRouter(addr netip.Addr, lifetime time.Duration) bool {
	now := n.host.loop.Now()
	for i, r := range n.routers {
		if r.addr != addr {
			continue
		}
		switch {
		case r.valid == sim.Never: // configured
		case lifetime == 0:
			n.routers = append(n.routers[:i], n.routers[i+1:]...)
		default:
			r.valid = now.Add(lifetime)
		}
		return true
	}
	if lifetime == 0 {
		return true
	}
	n.forgetExpired()
	if len(n.routers) >= maxRouters {
		return false
	}
	n.routers = append(n.routers, &router6{addr: addr, valid: now.Add(lifetime)})
	n.event("router " + addr.String())
	return true
}

// setPrefix keeps an on-link network for a time and reports whether there was
// room for it.
func (n *inet6) setPrefix(p wire.PrefixInfo) bool {
	valid := n.host.loop.Now().Add(p.Valid)
	for i := range n.prefixes {
		if q := &n.prefixes[i]; q.prefix == p.Prefix {
			if q.valid != sim.Never || p.Prefix != n.host.cfg.Addr6.Masked() {
				q.valid = valid
			}
			return true
		}
	}
	if p.Valid == 0 {
		return true
	}
	n.forgetExpired()
	if len(n.prefixes) >= maxPrefixes {
		return false
	}
	n.prefixes = append(n.prefixes, prefix6{p.Prefix, valid})
	return true
}

// forgetExpired makes room.
func (n *inet6) forgetExpired() {
	now := n.host.loop.Now()
	prefixes, routers := n.prefixes[:0], n.routers[:0]
	for _, p := range n.prefixes {
		if now < p.valid {
			prefixes = append(prefixes, p)
		}
	}
	for _, r := range n.routers {
		if now < r.valid {
			routers = append(routers, r)
		}
	}
	n.prefixes, n.routers = prefixes, routers
}

// twoHours is what a remaining lifetime can be shortened to (RFC 4862 5.5.3 e).
const twoHours = 2 * time.Hour

// setAddress makes an address of an advertised network or gives the one that
// was made a new lifetime: RFC 4862 5.5.3. It reports whether there was room.
func (n *inet6) setAddress(p wire.PrefixInfo) bool {
	if p.Prefix.Bits() != autoconfBits || p.Preferred > p.Valid {
		return true
	}
	now := n.host.loop.Now()
	addr := netip.PrefixFrom(wire.EUI64(p.Prefix, n.host.cfg.MAC), autoconfBits)
	a := n.find(addr.Addr())
	switch {
	case a != nil && !a.auto:
		return true // configured
	case a == nil && p.Valid == 0:
		return true
	case a == nil && len(n.addrs) >= maxAddrs6:
		return false
	case a == nil:
		a = n.add(addr)
		a.auto = true
		a.valid = now.Add(p.Valid)
	case p.Valid > twoHours || now.Add(p.Valid) > a.valid:
		a.valid = now.Add(p.Valid)
	case a.valid > now.Add(twoHours):
		a.valid = now.Add(twoHours)
	}
	a.preferred = now.Add(p.Preferred)
	if a.valid == sim.Never {
		a.expiry.Stop()
	} else {
		a.expiry.Reset(a.valid)
	}
	return true
}

// What the advertisements say: RFC 4861 6.2.1, and the intervals of 6.2.1 and
// 10.
const (
	advertValid       = 30 * 24 * time.Hour
	advertPreferred   = 7 * 24 * time.Hour
	advertMin         = 200 * time.Second
	advertMax         = 600 * time.Second
	advertInitial     = 16 * time.Second // between the first ones
	advertInitials    = 3
	advertAnswerDelay = 500 * time.Millisecond
)

// maxAnswers bounds the router solicitations that wait for their answer.
const maxAnswers = 16_384

// advertiser sends router advertisements (RFC 4861 6.2): one at once, two more
// after 16 s each, then at random intervals of 200 to 600 s; and to each who
// solicits one, after a random delay.
type advertiser struct {
	inet6   *inet6
	timer   *sim.Timer // nil: the host does not advertise
	sent    int
	answers []*sim.Timer
}

func (a *advertiser) start(n *inet6) {
	a.inet6 = n
	a.timer = n.host.loop.NewTimer(func() {
		a.sent++
		interval := advertInitial
		if a.sent >= advertInitials {
			interval = n.draw(advertMin, advertMax)
		}
		a.timer.ResetAfter(interval)
		a.send(wire.AllNodes)
	})
	a.timer.ResetAfter(0)
}

// send sends one advertisement, if the link-local address is in use.
func (a *advertiser) send(dst netip.Addr) {
	n := a.inet6
	if n.link.state != assigned {
		if a.sent > 0 && n.link.state == tentative {
			a.sent--
			a.timer.ResetAfter(n.nd.interval)
		}
		return
	}
	r := wire.RouterAdvert{Options: wire.NDOptions{SourceMAC: n.host.cfg.MAC}}
	r.AddPrefix(wire.PrefixInfo{
		Prefix: n.host.cfg.Advertise.Masked(), OnLink: true, Autonomous: true, Valid: advertValid, Preferred: advertPreferred,
	})
	f, b := newMessage(wire.MaxRouterAdvertLen)
	src := n.link.prefix.Addr()
	n.sendMessage(f, wire.PutRouterAdvert(b, &r, src, dst), src, dst, wire.MAC{})
}

// solicited answers a router solicitation: RFC 4861 6.1.1 and 6.2.6. Who has an
// address is answered alone, so that a fleet does not wake with each of its
// devices.
func (a *advertiser) solicited(l *wire.Layers) (refused trace.DropReason, text string) {
	o, err := wire.ParseNDOptions(l.Payload)
	src := l.IPv6.Src()
	switch {
	case a.timer == nil:
		return trace.DropNotForUs, "no router"
	case err != nil:
		return trace.DropMalformed, err.Error()
	case o.SourceMAC.IsMulticast() || src.IsUnspecified() && o.SourceMAC != (wire.MAC{}):
		return trace.DropMalformed, "router solicitation from " + src.String()
	case len(a.answers) >= maxAnswers:
		return trace.DropQueueFull, "too many router solicitations wait"
	}
	dst := src
	if src.IsUnspecified() {
		dst = wire.AllNodes
	} else if o.SourceMAC != (wire.MAC{}) {
		a.inet6.nd.heard(src, o.SourceMAC)
	}
	var timer *sim.Timer
	timer = a.inet6.host.loop.NewTimer(func() {
		for i, t := range a.answers {
			if t == timer {
				a.answers = append(a.answers[:i], a.answers[i+1:]...)
				break
			}
		}
		a.send(dst)
	})
	a.answers = append(a.answers, timer)
	timer.ResetAfter(a.inet6.draw(0, advertAnswerDelay))
	return "", ""
}

func (a *advertiser) close() {
	if a.timer == nil {
		return
	}
	a.timer.Stop()
	for _, t := range a.answers {
		t.Stop()
	}
}
