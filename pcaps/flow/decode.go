package flow

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"hilnet/wire"
)

// LinkType says how a frame begins. The numbers are those of capture files (the
// LINKTYPE_ registry), without their upper bits for the frame check sequence.
type LinkType uint16

// The link types that are understood.
const (
	LinkNull     LinkType = 0 // BSD loopback, address family in either byte order
	LinkEthernet LinkType = 1
	LinkRaw      LinkType = 101 // IPv4 or IPv6
	LinkLoop     LinkType = 108 // OpenBSD loopback, as LinkNull
	LinkSLL      LinkType = 113 // Linux cooked capture
	LinkIPv4     LinkType = 228
	LinkIPv6     LinkType = 229
	LinkSLL2     LinkType = 276 // Linux cooked capture v2

	// Numbers that raw IP has on some systems (DLT_RAW).
	linkRawBSD     LinkType = 12
	linkRawOpenBSD LinkType = 14
)

const (
	maxTags       = 4
	maxExtensions = 8

	etherTypeOldQinQ = 0x9100
	protocolAH       = 51

	slLen, sll2Len = 16, 20
)

// address is an IPv4 or IPv6 address; conversations know which.
type address [16]byte

type endpoint struct {
	addr address
	port uint16
}

func (e endpoint) less(o endpoint) bool {
	if c := bytes.Compare(e.addr[:], o.addr[:]); c != 0 {
		return c < 0
	}
	return e.port < o.port
}

// key identifies a conversation in both directions.
type key struct {
	lo, hi endpoint
	vlan   [maxTags]uint16 // 0 = no tag; priority tags are no tags (IEEE 802.1Q 6.9)
	lane   uint32
	v6     bool
}

func (k *key) addrPort(e endpoint) netip.AddrPort {
	if k.v6 {
		return netip.AddrPortFrom(netip.AddrFrom16(e.addr), e.port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(e.addr[:4])), e.port)
}

type checksum uint8

const (
	checksumUnknown checksum = iota // not judged, or not computable
	checksumGood
	checksumOffloaded // left to the hardware
	checksumBad
)

// segment is a decoded frame.
type segment struct {
	Frame
	key      key
	fromLow  bool
	ip       []byte // from the IP header on
	tcp      wire.TCP
	flags    wire.TCPFlags
	seq      uint32
	payload  []byte // as captured
	cut      int    // bytes of payload that the capture cut off
	checksum checksum
}

func (s *segment) len() int { return len(s.payload) + s.cut }

// decode reads s.Frame; the Reason is that of a frame to ignore.
func (s *segment) decode(config *Config) Reason {
	s.key.vlan, s.key.lane = [maxTags]uint16{}, s.Lane
	b := s.Data
	switch s.Link {
	case LinkEthernet:
		if len(b) < wire.EthernetHeaderLen {
			return ReasonShort
		}
		return s.etherType(binary.BigEndian.Uint16(b[12:]), b[14:], config)
	case LinkSLL:
		if len(b) < slLen {
			return ReasonShort
		}
		return s.etherType(binary.BigEndian.Uint16(b[14:]), b[slLen:], config)
	case LinkSLL2:
		if len(b) < sll2Len {
			return ReasonShort
		}
		return s.etherType(binary.BigEndian.Uint16(b), b[sll2Len:], config)
	case LinkNull, LinkLoop:
		if len(b) < 4 {
			return ReasonShort
		}
		// 2 is AF_INET everywhere; AF_INET6 is 10, 24, 28 or 30.
		switch b[0] | b[3] {
		case 2, 10, 24, 28, 30:
			if b[1]|b[2] == 0 {
				return s.rawIP(b[4:], config)
			}
		}
		return ReasonNotIP
	case LinkRaw, LinkIPv4, LinkIPv6, linkRawBSD, linkRawOpenBSD:
		return s.rawIP(b, config)
	}
	return ReasonLinkType
}

// etherType walks VLAN tags and goes on with IP.
func (s *segment) etherType(t uint16, b []byte, config *Config) Reason {
	tags := 0
	for t == wire.EtherTypeVLAN || t == wire.EtherTypeQinQ || t == etherTypeOldQinQ {
		if tags == maxTags {
			return ReasonTags
		}
		if len(b) < 4 {
			return ReasonShort
		}
		if !config.IgnoreVLAN {
			s.key.vlan[tags] = binary.BigEndian.Uint16(b) & 0x0FFF
		}
		tags++
		t, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	switch t {
	case wire.EtherTypeIPv4, wire.EtherTypeIPv6:
		return s.rawIP(b, config)
	}
	return ReasonNotIP
}

func (s *segment) rawIP(b []byte, config *Config) Reason {
	if len(b) == 0 {
		return ReasonShort
	}
	s.ip = b
	switch b[0] >> 4 {
	case 4:
		return s.ipv4(b, config)
	case 6:
		return s.ipv6(b, config)
	}
	return ReasonIPHeader
}

// ipv4 does not use wire.ParseIPv4, which rightly refuses what captures hold:
// packets cut by the snap length, and segmentation offload with length 0.
func (s *segment) ipv4(b []byte, config *Config) Reason {
	if len(b) < wire.IPv4HeaderLen {
		return ReasonShort
	}
	h := wire.IPv4(b)
	header, total := int(b[0]&15)*4, h.TotalLen()
	if total == 0 {
		total = len(b)
	}
	switch {
	case header < wire.IPv4HeaderLen || total < header:
		return ReasonIPHeader
	case len(b) < header:
		return ReasonShort
	case h.MoreFragments() || h.FragmentOffset() != 0:
		return ReasonFragment
	case h.Protocol() != wire.ProtocolTCP:
		return ReasonNotTCP
	}
	var src, dst endpoint
	copy(src.addr[:], b[12:16])
	copy(dst.addr[:], b[16:20])
	s.key.v6 = false
	return s.transport(b[header:min(total, len(b))], total-header, b[12:20], src, dst, config)
}

func (s *segment) ipv6(b []byte, config *Config) Reason {
	if len(b) < wire.IPv6HeaderLen {
		return ReasonShort
	}
	h := wire.IPv6(b)
	length := h.PayloadLen()
	if length == 0 { // jumbogram or segmentation offload
		length = len(b) - wire.IPv6HeaderLen
	}
	protocol, rest, pseudo := h.NextHeader(), b[wire.IPv6HeaderLen:], b[8:40]
	rest = rest[:min(length, len(rest))]
	for range maxExtensions {
		switch protocol {
		case wire.ProtocolTCP:
			var src, dst endpoint
			copy(src.addr[:], b[8:24])
			copy(dst.addr[:], b[24:40])
			s.key.v6 = true
			return s.transport(rest, length, pseudo, src, dst, config)
		case wire.ProtocolHopByHop, wire.ProtocolRouting, wire.ProtocolDestOpts, wire.ProtocolFragment, protocolAH:
		default:
			return ReasonNotTCP
		}
		if len(rest) < 8 {
			return ReasonShort
		}
		n := (int(rest[1]) + 1) * 8
		switch protocol {
		case wire.ProtocolFragment:
			if binary.BigEndian.Uint16(rest[2:])&^0x6 != 0 {
				return ReasonFragment
			}
			n = 8
		case protocolAH: // length in words, minus two (RFC 4302 section 2.2)
			n = (int(rest[1]) + 2) * 4
		case wire.ProtocolRouting:
			pseudo = nil // the checksum covers the final destination
		}
		if n > length {
			return ReasonIPHeader
		}
		if n > len(rest) {
			return ReasonShort
		}
		protocol, rest, length = rest[0], rest[n:], length-n
	}
	return ReasonExtensions
}

// transport reads a TCP segment that is length bytes long, of which b was
// captured; pseudo is the pair of addresses for the checksum, or nil.
func (s *segment) transport(b []byte, length int, pseudo []byte, src, dst endpoint, config *Config) Reason {
	if len(b) < wire.TCPHeaderLen {
		return ReasonShort
	}
	header := int(b[12]>>4) * 4
	if header < wire.TCPHeaderLen || header > length {
		return ReasonTCPHeader
	}
	if header > len(b) {
		return ReasonShort
	}
	s.tcp, s.payload, s.cut = wire.TCP(b[:header:header]), b[header:], length-len(b)
	s.flags, s.seq = s.tcp.Flags(), s.tcp.Seq()
	src.port, dst.port = s.tcp.SrcPort(), s.tcp.DstPort()
	s.fromLow = src.less(dst)
	s.key.lo, s.key.hi = dst, src
	if s.fromLow {
		s.key.lo, s.key.hi = src, dst
	}
	s.checksum = checksumUnknown
	if !config.IgnoreChecksums && pseudo != nil && s.cut == 0 {
		s.judge(b, pseudo)
	}
	return NoReason
}

func (s *segment) judge(b, pseudo []byte) {
	sum := wire.Sum(0, pseudo) + uint32(wire.ProtocolTCP) + uint32(len(b))
	switch {
	case wire.Fold(wire.Sum(sum, b)) == 0:
		s.checksum = checksumGood
	case s.tcp.Checksum() == ^wire.Fold(sum) || s.tcp.Checksum() == 0:
		s.checksum = checksumOffloaded // partial checksum, or none yet
	default:
		s.checksum = checksumBad
	}
}
