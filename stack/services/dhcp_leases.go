package services

import (
	"cmp"
	"net/netip"
	"slices"

	"hilnet/sim"
	"hilnet/wire"
)

// A lease is an address that a client has, or was offered.
type lease struct {
	addr    netip.Addr
	mac     wire.MAC // zero: declined by a client, so that nobody gets it
	until   sim.Time // the end of an offer too
	bound   bool
	forever bool // reserved
}

// leases are the addresses that a DHCP server gives away. A flood of clients that
// do not exist costs no more for each than one client does: the range is not looked
// through each time.
type leases struct {
	byMAC  map[wire.MAC]*lease // looked up only
	byAddr map[netip.Addr]*lease
	taken  map[netip.Addr]bool // excluded
	first  uint32              // of the range
	last   uint32
	some   bool // there is a range

	next  uint64   // of the range, before which every address was leased
	freed []uint32 // of these, forgotten since; in order, each once
	ended []*lease // whose time is over, or was when the range was looked through
	full  sim.Time // until when the range has nothing that is free
}

func newLeases(cfg DHCPConfig, host netip.Addr) leases {
	s := leases{byMAC: map[wire.MAC]*lease{}, byAddr: map[netip.Addr]*lease{}, taken: map[netip.Addr]bool{host: true}}
	for _, a := range cfg.Excluded {
		s.taken[a] = true
	}
	if s.some = cfg.First.IsValid(); s.some {
		s.first, s.last = number(cfg.First), number(cfg.Last)
		s.next = uint64(s.first)
	}
	return s
}

// find returns the client's lease: the one it has, else one for the address that
// it wants, else for the lowest that was never leased, else for the one that
// ended first.
func (s *leases) find(mac wire.MAC, wanted netip.Addr, now sim.Time) *lease {
	if l := s.byMAC[mac]; l != nil {
		return l
	}
	if !s.some {
		return nil
	}
	best := netip.Addr{}
	if wanted.IsValid() && wanted.Is4() && number(wanted) >= s.first && number(wanted) <= s.last && s.isFree(wanted, now) {
		best = wanted
	}
	if !best.IsValid() {
		best = s.unused(now)
	}
	if !best.IsValid() {
		best = s.oldest(now)
	}
	if !best.IsValid() {
		return nil
	}
	if old := s.byAddr[best]; old != nil {
		s.free(old)
	}
	l := &lease{addr: best, mac: mac}
	s.byMAC[mac], s.byAddr[best] = l, l
	return l
}

// unused returns the lowest address of the range that nobody has a lease of.
func (s *leases) unused(now sim.Time) netip.Addr {
	for len(s.freed) > 0 {
		a := address(s.freed[0])
		s.freed = s.freed[1:]
		if s.byAddr[a] == nil && s.isFree(a, now) {
			return a // nobody has asked for just this one meanwhile
		}
	}
	for s.next <= uint64(s.last) {
		a := address(uint32(s.next))
		s.next++
		if s.byAddr[a] == nil && s.isFree(a, now) {
			return a
		}
	}
	return netip.Addr{}
}

func (s *leases) isFree(a netip.Addr, now sim.Time) bool {
	l := s.byAddr[a]
	return !s.taken[a] && (l == nil || !l.forever && l.until <= now)
}

// oldest returns the address of the range whose lease ended first. What one look
// through the range has found serves until it is used up: what ends later is
// younger.
func (s *leases) oldest(now sim.Time) netip.Addr {
	for {
		for len(s.ended) > 0 {
			l := s.ended[0]
			s.ended[0] = nil
			s.ended = s.ended[1:]
			if s.byAddr[l.addr] == l && s.isFree(l.addr, now) {
				return l.addr // nobody has renewed it meanwhile
			}
		}
		if now < s.full {
			return netip.Addr{}
		}
		s.full = sim.Never
		for n := uint64(s.first); n <= uint64(s.last); n++ {
			a := address(uint32(n))
			switch l := s.byAddr[a]; {
			case l == nil || s.taken[a] || l.forever:
			case l.until <= now:
				s.ended = append(s.ended, l)
			default:
				s.full = min(s.full, l.until)
			}
		}
		if len(s.ended) == 0 {
			return netip.Addr{}
		}
		s.full = now // there may be more when these are used up
		slices.SortStableFunc(s.ended, func(a, b *lease) int { return cmp.Compare(a.until, b.until) })
	}
}

// free forgets a lease.
func (s *leases) free(l *lease) {
	if l.forever {
		l.bound = false
		return
	}
	if s.byMAC[l.mac] == l {
		delete(s.byMAC, l.mac)
	}
	delete(s.byAddr, l.addr)
	n := number(l.addr)
	if at, there := slices.BinarySearch(s.freed, n); !there && s.some && n >= s.first && uint64(n) < s.next {
		s.freed = slices.Insert(s.freed, at, n)
	}
}
