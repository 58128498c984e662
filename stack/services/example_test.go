package services_test

import (
	"fmt"
	"net/netip"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/stack/services"
	"hilnet/trace"
	"hilnet/wire"
)

// A client asks for the address of a name, and then asks a server that is off.
func Example() {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	log := trace.NewLog(loop.Now)
	log.Subscribe(func(e *trace.Event) { fmt.Println(e.Kind, e.Stage, e.Reason, e.Text) })
	host, err := services.New(loop, log, services.Config{
		Node: "services", MAC: wire.MAC{2, 0, 0, 0, 0, 0xfe}, Addr: netip.MustParsePrefix("10.0.0.254/24"),
		DNS: &services.DNSConfig{Names: []services.Name{{Name: "broker.example", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}},
	}, link.SinkFunc(func(f *link.Frame) {
		fmt.Println(wire.Summary(f.Data))
		f.Release()
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	client, server := netip.MustParseAddr("10.0.0.2"), host.Addr()
	query := wire.AppendDNS(make([]byte, 42), 7, wire.DNSRecursionDesired, 1, 0, 0, 0)
	query, _ = wire.AppendDNSQuestion(query, wire.DNSQuestion{Name: "broker.example", Type: wire.DNSTypeA, Class: wire.DNSClassIN})
	n := len(query) - 42
	wire.PutEthernet(query, wire.MAC{2, 0, 0, 0, 0, 0xfe}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.EtherTypeIPv4)
	wire.PutIPv4(query[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolUDP, Src: client, Dst: server}, wire.UDPHeaderLen+n)
	wire.PutUDP(query[34:], 4000, wire.DNSPort, client, server, n)
	host.Put(link.CopyFrame(query))
	host.SetDNS(services.DNSOff)
	host.Put(link.CopyFrame(query))
	// Output:
	// service dns  A "broker.example": 10.0.0.1, to 10.0.0.2:4000
	// UDP 10.0.0.254:53 > 10.0.0.2:4000 len=48
	// ICMP 10.0.0.254 > 10.0.0.2 type=3 code=3 id=0 seq=0 len=60
	// drop services/udp no_listener UDP port 53
}
