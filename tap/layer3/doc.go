// Package layer3 gives an interface that has packets and no frames, as a TUN is
// one, an Ethernet address of its own, so that it can stand at a link.
//
// It is not a host and not a router: nothing of a packet is read but where it goes,
// and nothing is changed. It speaks ARP (RFC 826) for the address that is behind
// it, and asks by ARP where a packet goes to; it speaks IPv4 only.
//
// All calls belong to the goroutine that runs the loop.
package layer3

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// Limits of what an Adapter keeps.
const (
	MaxNeighbours = 1024 // whose addresses it knows or asks for
	MaxWaiting    = 64   // packets for one neighbour
)

// When an Adapter asks and gives up, as Linux does (ip-sysctl: mcast_solicit,
// retrans_time_ms, base_reachable_time_ms).
const (
	Requests       = 3
	RequestEvery   = time.Second
	Lifetime       = 30 * time.Second
	stage          = "layer3"
	headerLen      = wire.EthernetHeaderLen
	arpFrame       = headerLen + wire.ARPLen
	destinationAt  = headerLen + 16 // RFC 791 3.1
	minIPv4        = 20
	versionsOfIPv4 = 4
)

// Config says what is at the interface.
type Config struct {
	Node    string       // whose events it emits
	MAC     wire.MAC     // made up: any unicast address that is nobody else's
	Address netip.Prefix // IPv4, behind the interface
	Gateway netip.Addr   // for what is outside of Address; zero: it is dropped

	Loop  *sim.Loop  // required
	Trace *trace.Log // may be nil
	// Up takes frames to the link, Interface takes them to the interface, which cuts
	// the Ethernet header off. Both are required.
	Up, Interface link.Sink
	// Sent is told of each frame just before Up takes it, Heard of each that came
	// from the link and goes no further than here. Both may be nil.
	Sent, Heard func(f *link.Frame)
}

// Validate returns an error for a Config that cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Loop == nil || c.Up == nil || c.Interface == nil:
		return errors.New("layer3: a config without Loop, Up or Interface")
	case !c.Address.IsValid() || !c.Address.Addr().Is4():
		return fmt.Errorf("layer3: address %v is not IPv4", c.Address)
	case c.Gateway.IsValid() && !c.Gateway.Is4():
		return fmt.Errorf("layer3: gateway %v is not IPv4", c.Gateway)
	case c.MAC.IsMulticast() || c.MAC == wire.MAC{}:
		return fmt.Errorf("layer3: %v is not a unicast Ethernet address", c.MAC)
	}
	return nil
}
