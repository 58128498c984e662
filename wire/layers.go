package wire

import (
	"fmt"
	"net/netip"
	"strings"
)

// Layers are the headers of one frame. Those that the frame does not have are
// nil. It is meant to be kept and reused: Parse sets every field.
type Layers struct {
	Ethernet Ethernet
	ARP      ARP
	IPv4     IPv4
	IPv6     IPv6
	Protocol uint8 // the upper-layer protocol, when there is an IP header
	ICMPv4   ICMPv4
	ICMPv6   ICMPv6
	UDP      UDP
	TCP      TCP
	Payload  []byte // what follows the last header that was read
}

// Parse reads an Ethernet frame. After an error the fields hold the layers in
// front of the bad one, and Payload the bytes that could not be read. An
// unknown EtherType or protocol is not an error, and neither is a fragment:
// it has no upper layer here, except the first one of IPv4, which has when it
// is long enough.
func (l *Layers) Parse(frame []byte) error {
	*l = Layers{Payload: frame}
	eth, rest, err := ParseEthernet(frame)
	if err != nil {
		return err
	}
	l.Ethernet, l.Payload = eth, rest
	switch eth.EtherType() {
	case EtherTypeARP:
		l.ARP, rest, err = ParseARP(rest)
		return l.advance(rest, err)
	case EtherTypeIPv4:
		l.IPv4, rest, err = ParseIPv4(rest)
		if l.advance(rest, err) != nil {
			return err
		}
		l.Protocol = l.IPv4.Protocol()
		if l.IPv4.FragmentOffset() != 0 {
			return nil
		}
	case EtherTypeIPv6:
		l.IPv6, rest, err = ParseIPv6(rest)
		if l.advance(rest, err) != nil {
			return err
		}
		l.Protocol, rest, err = l.IPv6.UpperLayer(rest)
		if l.advance(rest, err) != nil {
			return err
		}
	default:
		return nil
	}
	return l.parseUpper()
}

func (l *Layers) parseUpper() error {
	rest, err := l.Payload, error(nil)
	switch {
	case l.Protocol == ProtocolTCP:
		l.TCP, rest, err = ParseTCP(rest)
	case l.Protocol == ProtocolUDP:
		l.UDP, rest, err = ParseUDP(rest)
	case l.Protocol == ProtocolICMP && l.IPv4 != nil:
		l.ICMPv4, rest, err = ParseICMPv4(rest)
	case l.Protocol == ProtocolICMPv6 && l.IPv6 != nil:
		l.ICMPv6, rest, err = ParseICMPv6(rest)
	}
	return l.advance(rest, err)
}

func (l *Layers) advance(rest []byte, err error) error {
	if err == nil {
		l.Payload = rest
	}
	return err
}

// Src is the IP source address, or the zero Addr.
func (l *Layers) Src() netip.Addr {
	switch {
	case l.IPv4 != nil:
		return l.IPv4.Src()
	case l.IPv6 != nil:
		return l.IPv6.Src()
	}
	return netip.Addr{}
}

// Dst is the IP destination address, or the zero Addr.
func (l *Layers) Dst() netip.Addr {
	switch {
	case l.IPv4 != nil:
		return l.IPv4.Dst()
	case l.IPv6 != nil:
		return l.IPv6.Dst()
	}
	return netip.Addr{}
}

// Summary describes an Ethernet frame in one line for logs and test failures.
func Summary(frame []byte) string {
	var l Layers
	err := l.Parse(frame)
	if l.Ethernet == nil {
		return fmt.Sprintf("%d bytes: %v", len(frame), err)
	}
	s := l.summary()
	if err != nil {
		s += ": " + strings.TrimPrefix(err.Error(), "wire: ")
	}
	return s
}

func (l *Layers) summary() string {
	src, dst := l.Src(), l.Dst()
	switch {
	case l.TCP != nil:
		return fmt.Sprintf("TCP %v > %v [%v] seq=%d ack=%d win=%d len=%d",
			netip.AddrPortFrom(src, l.TCP.SrcPort()), netip.AddrPortFrom(dst, l.TCP.DstPort()),
			l.TCP.Flags(), l.TCP.Seq(), l.TCP.Ack(), l.TCP.Window(), len(l.Payload))
	case l.UDP != nil:
		return fmt.Sprintf("UDP %v > %v len=%d", netip.AddrPortFrom(src, l.UDP.SrcPort()),
			netip.AddrPortFrom(dst, l.UDP.DstPort()), len(l.Payload))
	case l.ICMPv4 != nil:
		return fmt.Sprintf("ICMP %v > %v type=%d code=%d id=%d seq=%d len=%d", src, dst, l.ICMPv4.Type(),
			l.ICMPv4.Code(), l.ICMPv4.EchoID(), l.ICMPv4.EchoSeq(), len(l.Payload))
	case l.ICMPv6 != nil:
		return l.ICMPv6.summary(src, dst, l.Payload)
	case l.IPv4 != nil || l.IPv6 != nil:
		return fmt.Sprintf("IP %v > %v protocol=%d len=%d", src, dst, l.Protocol, len(l.Payload))
	case l.ARP != nil && l.ARP.Operation() == ARPRequest:
		return fmt.Sprintf("ARP who has %v? tell %v at %v", l.ARP.Target(), l.ARP.Sender(), l.ARP.SenderMAC())
	case l.ARP != nil && l.ARP.Operation() == ARPReply:
		return fmt.Sprintf("ARP %v is at %v, to %v", l.ARP.Sender(), l.ARP.SenderMAC(), l.ARP.Target())
	case l.ARP != nil:
		return fmt.Sprintf("ARP operation %d", l.ARP.Operation())
	}
	return fmt.Sprintf("Ethernet %v > %v type=0x%04x len=%d", l.Ethernet.Src(), l.Ethernet.Dst(), l.Ethernet.EtherType(), len(l.Payload))
}
