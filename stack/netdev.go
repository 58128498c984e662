package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// netdev is the link endpoint that gVisor sees: it takes and gives IP packets.
// WritePackets may run on gVisor's goroutine; the packets wait in Host.sent for
// the loop's goroutine.
type netdev struct {
	host       *Host
	dispatcher gstack.NetworkDispatcher
	verified   bool // the packet being delivered has right checksums
}

// WritePackets implements stack.LinkWriter.
func (d *netdev) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	for _, p := range pkts.AsSlice() {
		d.host.sent = append(d.host.sent, p.IncRef())
		if d.host.profile.SACK { // without, gVisor does not use RACK
			d.host.clock.departed()
		}
	}
	return pkts.Len(), nil
}

// Attach implements stack.NetworkLinkEndpoint.
func (d *netdev) Attach(dispatcher gstack.NetworkDispatcher) { d.dispatcher = dispatcher }

// IsAttached implements stack.NetworkLinkEndpoint.
func (d *netdev) IsAttached() bool { return d.dispatcher != nil }

// MTU implements stack.NetworkLinkEndpoint.
func (d *netdev) MTU() uint32 { return uint32(d.host.cfg.MTU) }

// SetMTU implements stack.NetworkLinkEndpoint. The MTU is the Config's.
func (*netdev) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (*netdev) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (*netdev) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.NetworkLinkEndpoint. There is none.
func (*netdev) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint. gVisor asks for each packet
// delivered whether it must verify the checksums of TCP: of fragments it must.
func (d *netdev) Capabilities() gstack.LinkEndpointCapabilities {
	if d.verified {
		return gstack.CapabilityRXChecksumOffload
	}
	return 0
}

// Wait implements stack.NetworkLinkEndpoint. There is no goroutine to wait for.
func (*netdev) Wait() {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (*netdev) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.NetworkLinkEndpoint.
func (*netdev) AddHeader(*gstack.PacketBuffer) {}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (*netdev) ParseHeader(*gstack.PacketBuffer) bool { return true }

// Close implements stack.NetworkLinkEndpoint.
func (*netdev) Close() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (*netdev) SetOnCloseAction(func()) {}
