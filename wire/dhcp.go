package wire

import (
	"encoding/binary"
	"net/netip"
)

// UDP ports of DHCP (RFC 2131 4.1).
const (
	DHCPServerPort uint16 = 67
	DHCPClientPort uint16 = 68
)

// DHCPHeaderLen is the length of a message up to its options, magic cookie
// included; DHCPMinimumLen is what BOOTP messages are padded to (RFC 1542 2.1).
const (
	DHCPHeaderLen  = 240
	DHCPMinimumLen = 300
)

const dhcpCookie = 0x63825363 // RFC 2131 3

// BOOTP operations.
const (
	BOOTRequest uint8 = 1
	BOOTReply   uint8 = 2
)

// A DHCPType is the value of the option "message type" (RFC 2132 9.6).
type DHCPType uint8

// The message types.
const (
	DHCPDiscover DHCPType = 1 + iota
	DHCPOffer
	DHCPRequest
	DHCPDecline
	DHCPAck
	DHCPNak
	DHCPRelease
	DHCPInform
)

var dhcpTypeNames = [...]string{
	"BOOTP", "DHCPDISCOVER", "DHCPOFFER", "DHCPREQUEST", "DHCPDECLINE", "DHCPACK", "DHCPNAK", "DHCPRELEASE", "DHCPINFORM",
}

// String returns the RFC's name of the type; 0 is a BOOTP message, which has none.
func (t DHCPType) String() string {
	if int(t) < len(dhcpTypeNames) {
		return dhcpTypeNames[t]
	}
	return "DHCP?"
}

// Options (RFC 2132).
const (
	DHCPOptPad         uint8 = 0
	DHCPOptMask        uint8 = 1
	DHCPOptRouter      uint8 = 3
	DHCPOptDNS         uint8 = 6
	DHCPOptHostName    uint8 = 12
	DHCPOptDomain      uint8 = 15
	DHCPOptNTP         uint8 = 42
	DHCPOptRequestedIP uint8 = 50
	DHCPOptLease       uint8 = 51
	DHCPOptType        uint8 = 53
	DHCPOptServer      uint8 = 54
	DHCPOptParameters  uint8 = 55
	DHCPOptMessage     uint8 = 56
	DHCPOptRenewal     uint8 = 58
	DHCPOptRebinding   uint8 = 59
	DHCPOptEnd         uint8 = 255
)

// DHCP is a message of DHCP or BOOTP with its options.
type DHCP []byte

// ParseDHCP checks the fixed part of a message: Ethernet addresses, and the
// magic cookie in front of the options.
func ParseDHCP(b []byte) (DHCP, error) {
	switch {
	case len(b) < DHCPHeaderLen:
		return nil, ErrShort
	case b[1] != 1 || b[2] != 6 || binary.BigEndian.Uint32(b[236:]) != dhcpCookie:
		return nil, ErrFormat
	}
	return DHCP(b), nil
}

// DHCPFields are the parts of the fixed part that a sender chooses. The zero
// address is 0.0.0.0.
type DHCPFields struct {
	Op        uint8
	XID       uint32
	Secs      uint16
	Broadcast bool       // answers are to be broadcast
	Client    netip.Addr // ciaddr
	Your      netip.Addr // yiaddr
	Server    netip.Addr // siaddr
	MAC       MAC        // chaddr
}

// AppendDHCP appends a message without options. They follow by
// AppendDHCPOption, and the last one is AppendDHCPEnd's.
func AppendDHCP(b []byte, f DHCPFields) []byte {
	at := len(b)
	b = append(b, make([]byte, DHCPHeaderLen)...)
	m := b[at:]
	m[0], m[1], m[2] = f.Op, 1, 6
	binary.BigEndian.PutUint32(m[4:], f.XID)
	binary.BigEndian.PutUint16(m[8:], f.Secs)
	if f.Broadcast {
		m[10] = 0x80
	}
	for i, a := range [...]netip.Addr{f.Client, f.Your, f.Server} {
		if a.Is4() {
			a4 := a.As4()
			copy(m[12+4*i:], a4[:])
		}
	}
	copy(m[28:], f.MAC[:])
	binary.BigEndian.PutUint32(m[236:], dhcpCookie)
	return b
}

// AppendDHCPOption appends an option of at most 255 bytes.
func AppendDHCPOption(b []byte, code uint8, data ...byte) []byte {
	b = append(b, code, byte(len(data)))
	return append(b, data...)
}

// AppendDHCPAddrs appends an option of IPv4 addresses.
func AppendDHCPAddrs(b []byte, code uint8, addrs ...netip.Addr) []byte {
	b = append(b, code, byte(4*len(addrs)))
	for _, a := range addrs {
		a4 := a.As4()
		b = append(b, a4[:]...)
	}
	return b
}

// AppendDHCPUint32 appends an option of a number.
func AppendDHCPUint32(b []byte, code uint8, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, code, 4), n)
}

// AppendDHCPEnd ends the options of the message that begins at b[start] and pads
// it to the least length of BOOTP.
func AppendDHCPEnd(b []byte, start int) []byte {
	b = append(b, DHCPOptEnd)
	for len(b)-start < DHCPMinimumLen {
		b = append(b, DHCPOptPad)
	}
	return b
}

func (m DHCP) addr(at int) netip.Addr { return netip.AddrFrom4([4]byte(m[at : at+4])) }

// Op is BOOTRequest or BOOTReply.
func (m DHCP) Op() uint8 { return m[0] }

// XID is the transaction's number.
func (m DHCP) XID() uint32 { return binary.BigEndian.Uint32(m[4:]) }

// Secs is the seconds since the client began.
func (m DHCP) Secs() uint16 { return binary.BigEndian.Uint16(m[8:]) }

// Broadcast reports whether the client wants its answer broadcast.
func (m DHCP) Broadcast() bool { return m[10]&0x80 != 0 }

// Client is ciaddr, the address that the client has and uses.
func (m DHCP) Client() netip.Addr { return m.addr(12) }

// Your is yiaddr, the address that the client gets.
func (m DHCP) Your() netip.Addr { return m.addr(16) }

// Server is siaddr, the server of the next step of a boot.
func (m DHCP) Server() netip.Addr { return m.addr(20) }

// Relay is giaddr, the relay agent that the message came through.
func (m DHCP) Relay() netip.Addr { return m.addr(24) }

// MAC is chaddr, the client's hardware address.
func (m DHCP) MAC() MAC { return MAC(m[28:34]) }

// Option returns the data of the first option with that code. Options that run
// over the end of the message are not there (RFC 2132 2); those in the fields
// for file and server name are not looked for.
func (m DHCP) Option(code uint8) (data []byte, ok bool) {
	for b := m[DHCPHeaderLen:]; len(b) > 0 && b[0] != DHCPOptEnd; {
		if b[0] == DHCPOptPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return nil, false
		}
		n := 2 + int(b[1])
		if b[0] == code {
			return b[2:n:n], true
		}
		b = b[n:]
	}
	return nil, false
}

// Type is the message type, 0 if there is none: BOOTP.
func (m DHCP) Type() DHCPType {
	if data, ok := m.Option(DHCPOptType); ok && len(data) == 1 {
		return DHCPType(data[0])
	}
	return 0
}

// AddrOption returns the first address of an option, the zero Addr without one.
func (m DHCP) AddrOption(code uint8) netip.Addr {
	if data, ok := m.Option(code); ok && len(data) >= 4 {
		return netip.AddrFrom4([4]byte(data[:4]))
	}
	return netip.Addr{}
}

// Uint32Option returns the number in an option.
func (m DHCP) Uint32Option(code uint8) (n uint32, ok bool) {
	if data, ok := m.Option(code); ok && len(data) == 4 {
		return binary.BigEndian.Uint32(data), true
	}
	return 0, false
}
