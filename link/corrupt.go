package link

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// CorruptConfig flips bits of some frames.
type CorruptConfig struct {
	Chance
	Bits int // different bits of a frame; 0: 1
	// From and To bound the bytes, To excluded; To 0 is the end of the frame. They
	// count from the frame's first byte, or with Payload from the first byte
	// behind the TCP, UDP or ICMP header. Frames without such bytes pass whole.
	From, To int
	Payload  bool
	// RepairChecksums makes the damage invisible to IPv4, TCP, UDP and ICMP, so
	// that it reaches the application. Without it a single flipped bit never gets
	// past their checksums.
	RepairChecksums bool
}

// MaxCorruptBits bounds the bits that are flipped in one frame.
const MaxCorruptBits = 64

func (c CorruptConfig) validate() error {
	if c.Bits < 0 || c.Bits > MaxCorruptBits {
		return fmt.Errorf("link: corrupt %d bits of a frame: not between 0 and %d", c.Bits, MaxCorruptBits)
	}
	if c.From < 0 || c.To < 0 || c.To != 0 && c.To <= c.From || c.To > 1<<20 || c.From > 1<<20 {
		return fmt.Errorf("link: corrupt bytes %d to %d: not a range", c.From, c.To)
	}
	return c.Chance.validate("corrupt")
}

// corrupter flips bits.
type corrupter struct {
	env    *Env
	cfg    CorruptConfig
	chance chance
	places sim.Stream
}

func (c *corrupter) set(cfg CorruptConfig) {
	if cfg.Bits == 0 {
		cfg.Bits = 1
	}
	c.cfg = cfg
	c.chance.set(cfg.Chance)
}

func (c *corrupter) stage(next Sink) Sink {
	c.places = c.env.Substream("place")
	return SinkFunc(func(f *Frame) {
		if c.chance.hit(c.env, "", VerbCorrupt, c.env.Stream, f) {
			c.damage(f)
		}
		next.Put(f)
	})
}

func (c *corrupter) damage(f *Frame) {
	var l wire.Layers
	if (c.cfg.Payload || c.cfg.RepairChecksums) && l.Parse(f.Data) != nil {
		l = wire.Layers{} // nothing behind the header that can be trusted
	}
	area := f.Data
	if c.cfg.Payload {
		if l.TCP == nil && l.UDP == nil && l.ICMPv4 == nil && l.ICMPv6 == nil {
			return
		}
		area = l.Payload
	}
	if c.cfg.To > 0 && c.cfg.To < len(area) {
		area = area[:c.cfg.To]
	}
	if c.cfg.From >= len(area) {
		return
	}
	area = area[c.cfg.From:]
	first := c.flip(area, f)
	if c.cfg.RepairChecksums {
		repairChecksums(&l)
	}
	// Payloads are slices of the frame that end where its memory does.
	start := cap(f.Data) - cap(area)
	c.env.Changed(f, trace.KindCorrupt, "", int64(start)*8+int64(first))
}

// flip flips different bits of area and returns the number of the first. Bit 0
// of a byte is the least significant one.
func (c *corrupter) flip(area []byte, f *Frame) uint64 {
	total := uint64(len(area)) * 8
	var flipped [MaxCorruptBits]uint64 // in rising order
	for n := range min(uint64(c.cfg.Bits), total) {
		// One of those that are left, then its place among all.
		at, _ := bits.Mul64(c.places.At2(f.Ordinal, lane(f, n)), total-n)
		i := uint64(0)
		for i < n && flipped[i] <= at {
			at++
			i++
		}
		copy(flipped[i+1:n+1], flipped[i:n])
		flipped[i] = at
		area[at/8] ^= 1 << (at % 8)
	}
	return flipped[0]
}

// repairChecksums makes the checksums of the headers fit what is in the frame.
// A fragment's transport checksum covers what is not here, so it stays.
func repairChecksums(l *wire.Layers) {
	if l.IPv4 != nil {
		l.IPv4.UpdateChecksum()
		if l.IPv4.MoreFragments() || l.IPv4.FragmentOffset() != 0 {
			return
		}
	}
	src, dst := l.Src(), l.Dst()
	switch {
	case l.TCP != nil:
		l.TCP.UpdateChecksum(src, dst, l.Payload)
	case l.UDP != nil && l.UDP.Checksum() != 0: // 0: the sender computed none (RFC 768)
		putChecksum(l.UDP, 6, wire.PseudoSum(src, dst, wire.ProtocolUDP, len(l.UDP)+len(l.Payload)), l.Payload)
		if l.UDP.Checksum() == 0 {
			binary.BigEndian.PutUint16(l.UDP[6:], 0xffff)
		}
	case l.ICMPv4 != nil:
		putChecksum(l.ICMPv4, 2, 0, l.Payload)
	case l.ICMPv6 != nil:
		putChecksum(l.ICMPv6, 2, wire.PseudoSum(src, dst, wire.ProtocolICMPv6, len(l.ICMPv6)+len(l.Payload)), l.Payload)
	}
}

// putChecksum writes the Internet checksum of a header and its payload.
func putChecksum(header []byte, at int, sum uint32, payload []byte) {
	header[at], header[at+1] = 0, 0
	binary.BigEndian.PutUint16(header[at:], wire.Fold(wire.Sum(wire.Sum(sum, header), payload)))
}
