package link

import (
	"encoding/binary"
	"net/netip"

	"hilnet/trace"
	"hilnet/wire"
)

// MaxLearned bounds the addresses that a Switch remembers, as a real one's
// table is bounded; frames to others are flooded.
const MaxLearned = 16384

// A Switch is a learning Ethernet switch without delay, queue or loss: those
// belong to the links at its ports. One port may be its uplink: see Uplink.
type Switch struct {
	ports   []*Port
	learned map[[6]byte]*Port    // looked up only, never ranged over
	owners  map[netip.Addr]*Port // likewise
	uplink  *Port
	dropped func(*Frame, Verdict)
	count   SwitchCounters
}

// SwitchCounters count what a Switch did with frames. In = Forwarded + Directed +
// Flooded + Filtered + Malformed.
type SwitchCounters struct {
	In        uint64
	Forwarded uint64 // to the one port where the destination is
	Directed  uint64 // with an uplink: group frames, and frames to the unknown, that went to one port
	Flooded   uint64 // to all other ports
	Filtered  uint64 // for the port they came from, or there is no other: not a loss
	Malformed uint64 // too short to have addresses
}

// Counters returns the switch's counters.
func (s *Switch) Counters() SwitchCounters { return s.count }

// Why a frame leaves a switch through no port.
const DropFiltered trace.DropReason = "switch_filtered"

// StageSwitch is a switch's place in the trace.
const StageSwitch = "switch"

// A Port is a Sink for the frames that come into a Switch there.
type Port struct {
	sw    *Switch
	out   Sink
	index int
}

// NewSwitch returns a switch without ports.
func NewSwitch() *Switch {
	return &Switch{learned: map[[6]byte]*Port{}, owners: map[netip.Addr]*Port{}}
}

// OnDrop has fn called with each frame that leaves through no port, before it is
// released. One that is filtered (DropFiltered) is no loss.
func (s *Switch) OnDrop(fn func(*Frame, Verdict)) { s.dropped = fn }

// Port adds a port; out takes the frames that leave through it.
func (s *Switch) Port(out Sink) *Port {
	p := &Port{sw: s, out: out, index: len(s.ports)}
	s.ports = append(s.ports, p)
	return p
}

// Uplink makes the switch an access network, whose other ports are isolated from
// each other as those of a private VLAN (RFC 5517): a frame for everybody, or
// for nobody known, goes from them to the uplink only, and none costs more than
// one delivery. An ARP request or a neighbour solicitation for an address that a
// port owns goes to that port only, as where the network suppresses ARP (RFC
// 9161); other such frames of the uplink go to all ports.
func (s *Switch) Uplink(p *Port) { s.uplink = p }

// Own says that the host with this address is at the port.
func (p *Port) Own(a netip.Addr) { p.sw.owners[a] = p }

const (
	addressLen = 6
	groupBit   = 1 // of an address's first byte: multicast or broadcast
)

// Put forwards the frame to the port where its destination was last seen, or to
// all others. A frame for the port that it came from is filtered.
func (p *Port) Put(f *Frame) {
	s := p.sw
	s.count.In++
	if len(f.Data) < 2*addressLen {
		s.count.Malformed++
		s.drop(f, trace.DropMalformed, "too short for two addresses")
		return
	}
	src := [addressLen]byte(f.Data[addressLen:])
	if src[0]&groupBit == 0 {
		if _, known := s.learned[src]; known || len(s.learned) < MaxLearned {
			s.learned[src] = p
		}
	}
	dst := [addressLen]byte(f.Data)
	group := dst[0]&groupBit != 0
	switch to := s.learned[dst]; {
	case to == nil || group:
	case to == p:
		s.filter(f, "its destination is at the port that it came from")
		return
	default:
		s.count.Forwarded++
		to.out.Put(f)
		return
	}
	if s.uplink != nil && p.direct(f, group) {
		return
	}
	p.flood(f)
}

func (s *Switch) drop(f *Frame, reason trace.DropReason, text string) {
	if s.dropped != nil {
		s.dropped(f, Verdict{Reason: reason, Stage: StageSwitch, Text: text})
	}
	f.Release()
}

func (s *Switch) filter(f *Frame, text string) {
	s.count.Filtered++
	s.drop(f, DropFiltered, text)
}

// direct sends a frame that a plain switch would flood to the one port that it
// concerns. It reports false for one of the uplink's that concerns all.
func (p *Port) direct(f *Frame, group bool) bool {
	s := p.sw
	to := s.uplink
	if group {
		switch owner := s.owners[sought(f.Data)]; {
		case owner != nil && owner != p:
			to = owner
		case p == s.uplink && owner == p:
			s.filter(f, "it asks for an address at the port that it came from")
			return true
		}
	}
	if to == p {
		return false
	}
	s.count.Directed++
	to.out.Put(f)
	return true
}

// Where a frame says whose hardware address is asked for.
const (
	arpLen       = wire.EthernetHeaderLen + 28 // RFC 826
	arpOperation = wire.EthernetHeaderLen + 6
	arpTarget    = wire.EthernetHeaderLen + 24
	arpRequest   = 1

	icmp6At     = wire.EthernetHeaderLen + wire.IPv6HeaderLen // without extension headers, as RFC 4861 has it
	nextHeader  = wire.EthernetHeaderLen + 6
	solicit     = 135 // RFC 4861 4.3
	solicitLen  = icmp6At + 24
	solicitWhom = icmp6At + 8
)

// sought returns the address that an ARP request or a neighbour solicitation
// asks for, the zero Addr for any other frame.
func sought(b []byte) netip.Addr {
	if len(b) < arpLen {
		return netip.Addr{}
	}
	switch binary.BigEndian.Uint16(b[2*addressLen:]) {
	case wire.EtherTypeARP:
		if binary.BigEndian.Uint16(b[arpOperation:]) == arpRequest {
			return netip.AddrFrom4([4]byte(b[arpTarget:]))
		}
	case wire.EtherTypeIPv6:
		if len(b) >= solicitLen && b[nextHeader] == wire.ProtocolICMPv6 && b[icmp6At] == solicit {
			return netip.AddrFrom16([16]byte(b[solicitWhom:]))
		}
	}
	return netip.Addr{}
}

func (p *Port) flood(f *Frame) {
	s := p.sw
	if len(s.ports) < 2 {
		s.filter(f, "there is no other port")
		return
	}
	s.count.Flooded++
	last := len(s.ports) - 1
	if p.index == last {
		last--
	}
	for i, to := range s.ports {
		switch {
		case to == p:
		case i == last:
			to.out.Put(f)
			return
		default:
			c := CopyFrame(f.Data)
			c.ID = f.ID
			to.out.Put(c)
		}
	}
}
