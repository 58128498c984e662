package netem

import (
	"math/bits"
	"time"

	"hilnet/link"
	"hilnet/wire"
)

// damage flips one bit anywhere in the frame, link header included. Which one is
// not the seed's decision in the kernel.
func (q *Qdisc) damage(f *link.Frame) {
	n := len(f.Data)
	if n == 0 {
		return
	}
	at, bit := below(q.entropy(), n), below(q.entropy(), 8)
	f.Data[at] ^= 1 << bit
	q.counters.Corrupted++
	q.ledger.Corrupted(f, at, bit)
}

// below maps a number to [0, n).
func below(v uint32, n int) int { return int(uint64(v) * uint64(n) >> 32) }

// mulShift returns a·b / 2^32.
func mulShift(a uint64, b uint32) int64 {
	hi, lo := bits.Mul64(a, uint64(b))
	return int64(hi<<32 | lo>>32)
}

// clamp keeps a time that a wild setting makes from running over.
func clamp(ns int64) time.Duration { return time.Duration(max(ns, -1<<60)) }

// The codepoints of RFC 3168 section 5.
const (
	ecnMask = 3
	ecnNot  = 0
	ecnCE   = 3
)

// markCE sets "congestion experienced" and reports whether the packet's
// transport is one that takes it.
func markCE(frame []byte) bool {
	eth, packet, err := wire.ParseEthernet(frame)
	if err != nil {
		return false
	}
	switch eth.EtherType() {
	case wire.EtherTypeIPv4:
		ip, _, err := wire.ParseIPv4(packet)
		if err != nil || ip.TOS()&ecnMask == ecnNot {
			return false
		}
		if ip.TOS()&ecnMask != ecnCE {
			ip.SetTOS(ip.TOS() | ecnCE)
		}
	case wire.EtherTypeIPv6:
		ip, _, err := wire.ParseIPv6(packet)
		if err != nil || ip[1]>>4&ecnMask == ecnNot { // the traffic class ends in bits 10 and 11
			return false
		}
		ip[1] |= ecnCE << 4
	default:
		return false
	}
	return true
}
