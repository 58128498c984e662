package pcaps

import (
	"fmt"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Describe returns what a frame is, a line for each layer, as gopacket decodes
// it: Ethernet, VLAN, ARP, IP, ICMP, UDP, TCP, DHCP, DNS and what else it knows.
// A layer that cannot be decoded is named, with the reason. The text is for
// people; its form may change.
func Describe(linkType LinkType, data []byte) string {
	// The link types of gopacket are those of the registry; raw IP is 101 there
	// as here. NoCopy: the packet does not outlive this call.
	options := gopacket.DecodeOptions{Lazy: false, NoCopy: true}
	packet := gopacket.NewPacket(data, layers.LinkType(linkType), options)
	var b strings.Builder
	for _, l := range packet.Layers() {
		if _, failed := l.(gopacket.ErrorLayer); failed {
			continue
		}
		fmt.Fprintf(&b, "%s\n", gopacket.LayerString(l))
	}
	if failed := packet.ErrorLayer(); failed != nil {
		fmt.Fprintf(&b, "cannot be decoded further: %v\n", failed.Error())
	}
	return b.String()
}
