package extract

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/netip"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/wire"
)

// A way is a direction of the device's link.
type way uint8

const (
	noWay way = iota // not a frame of the device
	up               // from the device
	down             // to the device
)

var wayNames = [...]string{"", "up", "down"}

func (w way) String() string { return wayNames[w] }

// peer is the other direction.
func (w way) peer() way { return [...]way{noWay, down, up}[w] }

var ways = [...]way{up, down}

// A packet is what is kept of a frame.
type packet struct {
	frame uint64 // its number in the file, from 1
	at    int64  // nanoseconds since the first frame of the file
	lane  uint32 // its interface
	len   int    // on the wire
	id    uint64 // of the capture format: the same at all points
	hasID bool
	way   way
	twin  bool // the tap saw it twice, and this is the second time

	src, dst       netip.Addr
	srcMAC, dstMAC wire.MAC
	hasMAC         bool
	arp            bool

	// key is the hash of what no hop changes; loose leaves out what a NAT does.
	// body is that of the whole payload of IP, 0 when the capture cut it.
	key, loose, body uint64

	conn         uint64        // of flow, 0: no TCP segment
	side         flow.Side     // of the sender in it
	flags        wire.TCPFlags // of ARP: the operation
	seq, ack     uint32
	window       uint16
	payload      int // bytes on the wire
	hasTS        bool
	tsval, tsecr uint32
	sack         []wire.SACKBlock
	permitsSACK  bool
	scale        uint8
	hasScale     bool
	mss          uint16
	v4           bool
	ipID         uint16
	ttl          uint8
	df           bool
}

// hashed is how many bytes of a payload tell frames apart: captures may be cut.
const hashed = 32

// read fills in what the frame says.
func (p *packet) read(f *pcaps.Packet, r *flow.Result) {
	ip := r.IP
	if f.LinkType == pcaps.LinkTypeEthernet && len(f.Data) >= wire.EthernetHeaderLen {
		p.dstMAC, p.srcMAC, p.hasMAC = wire.MAC(f.Data[0:6]), wire.MAC(f.Data[6:12]), true
		if ip == nil {
			ip = p.readLink(f.Data)
		}
	}
	if ip == nil {
		if p.key == 0 {
			p.key = sum(f.Data)
			p.loose = p.key
		}
		return
	}
	p.readIP(ip, f.OriginalLen > len(f.Data))
	if r.Conversation != nil {
		p.readTCP(r)
	}
}

// readLink reads what flow has no interest in, and returns the IP packet.
func (p *packet) readLink(frame []byte) []byte {
	var l wire.Layers
	_ = l.Parse(frame) // what is in front of an error counts
	switch {
	case l.ARP != nil:
		p.arp, p.src, p.dst = true, l.ARP.Sender(), l.ARP.Target()
		p.flags = wire.TCPFlags(l.ARP.Operation())
		p.key = sum(l.ARP)
		p.loose = p.key
	case l.IPv4 != nil || l.IPv6 != nil:
		return frame[len(l.Ethernet):]
	default:
		p.key = sum(frame[wire.EthernetHeaderLen:])
		p.loose = p.key
	}
	return nil
}

func sum(parts ...[]byte) uint64 {
	h := fnv.New64a()
	for _, b := range parts {
		_, _ = h.Write(b) // cannot fail
	}
	return h.Sum64() | 1 // 0 is none
}

// parseIPv4 reads a packet, of a capture that may have cut it.
func parseIPv4(b []byte, cut bool) (wire.IPv4, []byte, error) {
	h, body, err := wire.ParseIPv4(b)
	if errors.Is(err, wire.ErrShort) && cut && len(b) >= wire.IPv4HeaderLen {
		if n := int(b[0]&15) * 4; n >= wire.IPv4HeaderLen && n <= len(b) {
			return wire.IPv4(b[:n:n]), b[n:], nil
		}
	}
	return h, body, err
}

// parseIPv6 does the same for IPv6.
func parseIPv6(b []byte, cut bool) (wire.IPv6, []byte, error) {
	h, body, err := wire.ParseIPv6(b)
	if errors.Is(err, wire.ErrShort) && cut && len(b) >= wire.IPv6HeaderLen {
		return wire.IPv6(b[:wire.IPv6HeaderLen:wire.IPv6HeaderLen]), b[wire.IPv6HeaderLen:], nil
	}
	return h, body, err
}

// readIP reads the headers of IP and hashes what no hop changes.
func (p *packet) readIP(ip []byte, cut bool) {
	var fixed [8]byte
	var protocol uint8
	var rest []byte
	if h, body, err := parseIPv4(ip, cut); err == nil {
		p.src, p.dst, p.v4, p.ipID, p.ttl, p.df = h.Src(), h.Dst(), true, h.ID(), h.TTL(), h.DontFragment()
		binary.BigEndian.PutUint16(fixed[0:], h.ID())
		binary.BigEndian.PutUint16(fixed[2:], uint16(h.TotalLen()))
		binary.BigEndian.PutUint16(fixed[4:], uint16(h.FragmentOffset()))
		protocol, rest = h.Protocol(), body
	} else if h, body, err := parseIPv6(ip, cut); err == nil {
		p.src, p.dst, p.ttl = h.Src(), h.Dst(), h.HopLimit()
		binary.BigEndian.PutUint16(fixed[2:], uint16(h.PayloadLen()))
		protocol, rest = h.NextHeader(), body
		if upper, after, err := h.UpperLayer(body); err == nil {
			protocol, rest = upper, after
		}
	} else {
		p.key = sum(ip[:min(len(ip), hashed)])
		p.loose = p.key
		return
	}
	fixed[6] = protocol
	ports, numbers, body := 0, rest[:0], rest
	switch {
	case protocol == wire.ProtocolTCP && len(rest) >= wire.TCPHeaderLen:
		ports, numbers = 4, rest[4:16] // up to the window; behind it the checksum
		body = rest[min(len(rest), int(rest[12]>>4)*4):]
	case protocol == wire.ProtocolUDP && len(rest) >= 8:
		ports, numbers, body = 4, rest[4:6], rest[8:]
	}
	if !cut {
		p.body = sum(body)
	}
	part := body[:min(len(body), hashed)]
	src, dst := p.src.As16(), p.dst.As16()
	p.key = sum(fixed[:], src[:], dst[:], rest[:ports], numbers, part)
	p.loose = sum(fixed[:], numbers, part)
}

// readTCP reads a TCP segment.
func (p *packet) readTCP(r *flow.Result) {
	p.conn, p.side = r.Conversation.ID, r.Side
	p.flags, p.seq, p.ack, p.window, p.payload = r.TCP.Flags(), r.TCP.Seq(), r.TCP.Ack(), r.TCP.Window(), r.Len
	o, _ := r.TCP.Options() // those in front of a bad one count
	p.hasTS, p.tsval, p.tsecr = o.HasTimestamps, o.TSVal, o.TSEcr
	p.permitsSACK, p.scale, p.hasScale, p.mss = o.SACKPermitted, o.WindowScale, o.HasWindowScale, o.MSS
	if blocks := o.SACK(); len(blocks) > 0 {
		p.sack = append([]wire.SACKBlock(nil), blocks...)
	}
	if p.hasTS { // tells a segment from its repetition where IP identification does not
		var ts [8]byte
		binary.BigEndian.PutUint32(ts[0:], o.TSVal)
		binary.BigEndian.PutUint32(ts[4:], o.TSEcr)
		p.key, p.loose = p.key^sum(ts[:]), p.loose^sum(ts[:])
	}
}

const opening = wire.TCPSyn | wire.TCPFin

// carries is how many sequence numbers the segment takes.
func (p *packet) carries() uint32 {
	if p.conn == 0 {
		return 0 // the flags of ARP are something else
	}
	n := uint32(p.payload)
	if p.flags&wire.TCPSyn != 0 {
		n++
	}
	if p.flags&wire.TCPFin != 0 {
		n++
	}
	return n
}

// end is the sequence number behind the segment.
func (p *packet) end() uint32 { return p.seq + p.carries() }

func (p *packet) has(f wire.TCPFlags) bool { return p.flags&f == f }

func after(a, b uint32) bool  { return int32(a-b) > 0 }
func before(a, b uint32) bool { return int32(a-b) < 0 }

// what is the kind of frame, for a person and for programs.
func (p *packet) what() string {
	switch {
	case p.arp:
		return "arp"
	case p.conn == 0:
		return "other"
	case p.has(wire.TCPSyn):
		return "syn"
	case p.payload > 0:
		return "data"
	case p.has(wire.TCPFin):
		return "fin"
	case p.has(wire.TCPRst):
		return "rst"
	}
	return "ack"
}
