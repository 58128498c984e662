package frames

import (
	"encoding/binary"

	"hilnet/wire"
)

// ethernetOf returns what a frame of another link type is as Ethernet: the
// EtherType and where its payload begins.
func ethernetOf(linkType uint16, data []byte) (etherType uint16, payload []byte, ok bool) {
	version := func(b []byte) (uint16, []byte, bool) {
		if len(b) == 0 {
			return 0, nil, false
		}
		switch b[0] >> 4 {
		case 4:
			return wire.EtherTypeIPv4, b, true
		case 6:
			return wire.EtherTypeIPv6, b, true
		}
		return 0, nil, false
	}
	switch linkType {
	case linkNull, linkLoop:
		if len(data) < 4 {
			return 0, nil, false
		}
		return version(data[4:])
	case linkRaw, linkIPv4, linkIPv6:
		return version(data)
	case linkSLL:
		if len(data) < 16 {
			return 0, nil, false
		}
		return binary.BigEndian.Uint16(data[14:]), data[16:], true
	case linkSLL2:
		if len(data) < 20 {
			return 0, nil, false
		}
		return binary.BigEndian.Uint16(data), data[20:], true
	}
	return 0, nil, false
}

// Link types that can be sent on Ethernet (the LINKTYPE_ registry).
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)
