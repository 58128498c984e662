package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"hilnet/wire"
)

// DefaultMTU is Ethernet's.
const DefaultMTU = 1500

// The limits of Config.MTU: the smallest that IPv4 (RFC 791) and IPv6 (RFC 8200
// section 5) allow, the largest that IPv4's total length allows.
const (
	minMTU  = 68
	minMTU6 = 1280
	maxMTU  = 65535
)

// Config configures a Host. It speaks IPv4 if Addr is set, and IPv6 if Addr6,
// SLAAC or Advertise is; at least one of the two.
type Config struct {
	Node    string       // name in the trace; random numbers depend on it
	MAC     wire.MAC     // a unicast address
	Addr    netip.Prefix // IPv4 address and the length of its network, such as 10.0.0.2/24
	Gateway netip.Addr   // for everything else; the zero Addr: no default route
	MTU     int          // largest IP packet; 0: DefaultMTU
	Profile Profile      // the zero value: Linux()
	// Boot tells the starts of one node apart: like a Linux that seeds itself
	// anew (net/core/secure_seq.c, net_secret), each has other sequence numbers,
	// timestamps and ports.
	Boot int

	// A host with IPv6 has a link-local address too, fe80::/64 with the EUI-64
	// identifier of its MAC, unless Addr6 is link-local itself.
	Addr6    netip.Prefix // IPv6 address and the length of its network, such as fd00::2/64
	Gateway6 netip.Addr   // for everything else; the zero Addr: what routers advertise, with SLAAC
	// SLAAC asks for and follows router advertisements (RFC 4862): addresses have
	// the EUI-64 identifier, as those of NetX Duo and of Linux with the kernel's
	// default addr_gen_mode.
	SLAAC bool
	// DAD is how many neighbour solicitations look for a duplicate of an address
	// before it is used (DupAddrDetectTransmits; Linux: 1, NetX Duo: 3). 0: none,
	// and an address can be used at once, as an IPv4 address can.
	DAD int
	// Advertise is a network of 64 bits that the host tells others of by router
	// advertisements. It does not become their default router.
	Advertise netip.Prefix
}

// hasIPv4 and hasIPv6 report what the host speaks.
func (cfg *Config) hasIPv4() bool { return cfg.Addr.IsValid() }
func (cfg *Config) hasIPv6() bool {
	return cfg.Addr6.IsValid() || cfg.SLAAC || cfg.Advertise.IsValid()
}

// newIPv4 makes one factory for all stacks: each has a table of 8 KiB, for IP
// identifications, that gVisor does not use any more (network/ipv4/ipv4.go,
// getID).
var newIPv4 = sync.OnceValue(func() gstack.NetworkProtocolFactory {
	return ipv4.NewProtocolWithOptions(ipv4.Options{})
})

func (cfg *Config) networkProtocols() []gstack.NetworkProtocolFactory {
	var list []gstack.NetworkProtocolFactory
	if cfg.hasIPv4() {
		list = append(list, newIPv4())
	}
	if cfg.hasIPv6() {
		// Without options it neither solicits routers nor looks for duplicates,
		// and MLD is off.
		list = append(list, ipv6.NewProtocol)
	}
	return list
}

func (cfg *Config) validate() error {
	switch {
	case cfg.Node == "":
		return errors.New("stack: a host needs a node name")
	case cfg.MAC == wire.MAC{} || cfg.MAC.IsMulticast():
		return fmt.Errorf("stack: host %q: %v is no unicast Ethernet address", cfg.Node, cfg.MAC)
	case !cfg.hasIPv4() && !cfg.hasIPv6():
		return fmt.Errorf("stack: host %q has no address", cfg.Node)
	case cfg.hasIPv4() && !cfg.Addr.Addr().Is4() || cfg.hasIPv4() && (cfg.Addr.Addr().IsUnspecified() || cfg.Addr.Addr().IsMulticast()):
		return fmt.Errorf("stack: host %q: %v is no IPv4 address with prefix length", cfg.Node, cfg.Addr)
	case cfg.Gateway.IsValid() && (!cfg.Gateway.Is4() || !cfg.Addr.Contains(cfg.Gateway) || cfg.Gateway == cfg.Addr.Addr()):
		return fmt.Errorf("stack: host %q: gateway %v is no neighbour in %v", cfg.Node, cfg.Gateway, cfg.Addr.Masked())
	case cfg.MTU < minMTU || cfg.MTU > maxMTU:
		return fmt.Errorf("stack: host %q: MTU %d, want %d to %d", cfg.Node, cfg.MTU, minMTU, maxMTU)
	}
	if cfg.hasIPv6() {
		if err := cfg.validate6(); err != nil {
			return fmt.Errorf("stack: host %q: %w", cfg.Node, err)
		}
	}
	return cfg.Profile.validate()
}
