package wire

import (
	"encoding/binary"
	"net/netip"
)

// ARP operations (RFC 826).
const (
	ARPRequest uint16 = 1
	ARPReply   uint16 = 2
)

// ARPLen is the length of an ARP packet for Ethernet and IPv4.
const ARPLen = 28

// ARP is an ARP packet for Ethernet and IPv4.
type ARP []byte

// ParseARP returns the packet and what follows it (padding).
func ParseARP(b []byte) (ARP, []byte, error) {
	if len(b) < ARPLen {
		return nil, nil, ErrShort
	}
	if binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != EtherTypeIPv4 || b[4] != 6 || b[5] != 4 {
		return nil, nil, ErrFormat
	}
	return ARP(b[:ARPLen:ARPLen]), b[ARPLen:], nil
}

// PutARP writes a packet to the first ARPLen bytes of b. Both addresses must be IPv4.
func PutARP(b []byte, operation uint16, senderMAC MAC, sender netip.Addr, targetMAC MAC, target netip.Addr) {
	_ = b[ARPLen-1]
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint16(b[2:], EtherTypeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], operation)
	s, t := sender.As4(), target.As4()
	copy(b[8:], senderMAC[:])
	copy(b[14:], s[:])
	copy(b[18:], targetMAC[:])
	copy(b[24:], t[:])
}

// Operation is ARPRequest, ARPReply or another value of the wire.
func (a ARP) Operation() uint16 { return binary.BigEndian.Uint16(a[6:]) }

// SenderMAC is the sender's hardware address.
func (a ARP) SenderMAC() MAC { return MAC(a[8:14]) }

// Sender is the sender's protocol address.
func (a ARP) Sender() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }

// TargetMAC is the target's hardware address, zero in a request.
func (a ARP) TargetMAC() MAC { return MAC(a[18:24]) }

// Target is the target's protocol address.
func (a ARP) Target() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }
