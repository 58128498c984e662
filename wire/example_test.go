package wire_test

import (
	"fmt"
	"net/netip"

	"hilnet/wire"
)

// A link stage that wants to see SYNs parses each frame; a Layers value can be
// kept and used again, so nothing is allocated.
func ExampleLayers() {
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	frame := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+wire.TCPHeaderLen+4)
	wire.PutEthernet(frame, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv4)
	wire.PutIPv4(frame[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: src, Dst: dst}, 24)
	wire.PutTCP(frame[34:], wire.TCPFields{
		SrcPort: 49152, DstPort: 1883, Seq: 1000, Flags: wire.TCPSyn, Window: 8192,
		Options: wire.AppendMSS(nil, 1460),
	}, src, dst, 0)

	var l wire.Layers
	if err := l.Parse(frame); err != nil {
		fmt.Println(err)
		return
	}
	if l.TCP != nil && l.TCP.Has(wire.TCPSyn) {
		options, _ := l.TCP.Options()
		fmt.Println("mss", options.MSS)
	}
	fmt.Println(wire.Summary(frame))
	// Output:
	// mss 1460
	// TCP 10.0.0.1:49152 > 10.0.0.2:1883 [SYN] seq=1000 ack=0 win=8192 len=0
}
