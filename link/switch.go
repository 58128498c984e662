package link

import "slices"

// MaxLearned bounds the addresses that a Switch remembers, as a real one's
// table is bounded; frames to others are flooded.
const MaxLearned = 16384

// A Switch is a learning Ethernet switch without delay, queue or loss: those
// belong to the links at its ports.
type Switch struct {
	ports   []*Port
	learned map[[6]byte]*Port // looked up only, never ranged over
	count   SwitchCounters
}

// SwitchCounters count what a Switch did with frames. In = Forwarded + Flooded +
// Filtered + Malformed.
type SwitchCounters struct {
	In        uint64
	Forwarded uint64 // to the one port where the destination is
	Flooded   uint64 // to all other ports
	Filtered  uint64 // for the port they came from, or there is no other: not a loss
	Malformed uint64 // too short to have addresses
}

// Counters returns the switch's counters.
func (s *Switch) Counters() SwitchCounters { return s.count }

// A Port is a Sink for the frames that come into a Switch there.
type Port struct {
	sw  *Switch
	out Sink
}

// NewSwitch returns a switch without ports.
func NewSwitch() *Switch { return &Switch{learned: map[[6]byte]*Port{}} }

// Port adds a port; out takes the frames that leave through it.
func (s *Switch) Port(out Sink) *Port {
	p := &Port{sw: s, out: out}
	s.ports = append(s.ports, p)
	return p
}

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
		f.Release()
		return
	}
	src := [addressLen]byte(f.Data[addressLen:])
	if src[0]&groupBit == 0 {
		if _, known := s.learned[src]; known || len(s.learned) < MaxLearned {
			s.learned[src] = p
		}
	}
	dst := [addressLen]byte(f.Data)
	if to := s.learned[dst]; to != nil && dst[0]&groupBit == 0 {
		if to == p {
			s.count.Filtered++
			f.Release()
			return
		}
		s.count.Forwarded++
		to.out.Put(f)
		return
	}
	p.flood(f)
}

func (p *Port) flood(f *Frame) {
	s := p.sw
	if len(s.ports) < 2 {
		s.count.Filtered++
		f.Release()
		return
	}
	s.count.Flooded++
	last := len(s.ports) - 1
	if slices.Index(s.ports, p) == last {
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
