package embedded

import (
	"encoding/binary"
	"net/netip"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// dhcpParameters are what the client asks for (_nx_dhcp_request_parameters).
var dhcpParameters = []byte{wire.DHCPOptMask, wire.DHCPOptRouter, wire.DHCPOptDNS}

// send builds and sends a message: _nx_dhcp_send_request_internal. One that
// finds no packet is not sent, and nobody in the device is told.
func (c *DHCPClient) send(typ wire.DHCPType) {
	ip := c.ip
	p, status := c.pool.Allocate(dhcpMessageStart, rtos.NoWait)
	if !status.OK() {
		ip.count.ControlNotSent++
		ip.dropEvent(dhcpStage, trace.DropControl, wire.DHCPMinimumLen, typ.String())
		return
	}
	p.SetHolder("dhcp")
	message := c.message(typ)
	if status := p.Append(message, c.pool, rtos.NoWait); !status.OK() {
		ip.count.ControlNotSent++
		ip.dropEvent(dhcpStage, trace.DropControl, len(message), typ.String())
		p.Release()
		return
	}
	to := netip.AddrPortFrom(limitedBroadcast, wire.DHCPServerPort)
	if c.state == DHCPRenewing {
		to = netip.AddrPortFrom(c.server, wire.DHCPServerPort)
	}
	if status := c.socket.Send(p, to); !status.OK() {
		ip.drop(p, dhcpStage, trace.DropNoRoute)
	}
}

// message is the client's DHCPDISCOVER or DHCPREQUEST, with NetX's options in
// NetX's order.
func (c *DHCPClient) message(typ wire.DHCPType) []byte {
	extending := c.state == DHCPRenewing || c.state == DHCPRebinding
	f := wire.DHCPFields{Op: wire.BOOTRequest, XID: c.xid, Secs: c.seconds, Broadcast: true, MAC: c.ip.mac}
	if extending {
		f.Client = c.addr
	}
	b := wire.AppendDHCP(make([]byte, 0, dhcpPayload), f)
	b = wire.AppendDHCPOption(b, wire.DHCPOptType, byte(typ))
	hostName := func() {
		if c.name != "" {
			b = wire.AppendDHCPOption(b, wire.DHCPOptHostName, []byte(c.name)...)
		}
	}
	requested := func() {
		if c.addr.IsValid() && c.addr != limitedBroadcast && !extending {
			b = wire.AppendDHCPAddrs(b, wire.DHCPOptRequestedIP, c.addr)
		}
	}
	if typ == wire.DHCPDiscover {
		requested()
		b = wire.AppendDHCPUint32(b, wire.DHCPOptLease, dhcpForever)
		hostName()
	} else {
		hostName()
		requested()
		if c.rebinding == 0 || c.renewal == 0 {
			b = wire.AppendDHCPUint32(b, wire.DHCPOptLease, dhcpForever)
		}
		if !extending && c.server.IsValid() && c.server != limitedBroadcast {
			b = wire.AppendDHCPAddrs(b, wire.DHCPOptServer, c.server)
		}
	}
	b = wire.AppendDHCPOption(b, wire.DHCPOptParameters, dhcpParameters...)
	return wire.AppendDHCPEnd(b, 0)
}

// receive is _nx_dhcp_packet_process: it takes the message out of the device's
// pool, and looks at it.
func (c *DHCPClient) receive(p *nic.Packet) {
	ip := c.ip
	if p.Len() <= wire.DHCPHeaderLen {
		ip.drop(p, dhcpStage, trace.DropMalformed)
		return
	}
	own, status := c.pool.Allocate(dhcpMessageStart, rtos.NoWait)
	if !status.OK() {
		ip.drop(p, dhcpStage, trace.DropRxPool)
		return
	}
	if p.Len() > dhcpRoom {
		own.Release()
		ip.drop(p, dhcpStage, trace.DropTooLong)
		return
	}
	own.SetHolder("dhcp")
	b := own.Extend(p.Len())
	n, _ := p.ExtractOffset(0, b)
	p.Release()
	m := wire.DHCP(b[:n])
	reason := trace.DropReason("")
	switch {
	case m.MAC() != ip.mac || m.XID() != c.xid:
		reason = trace.DropNotForUs
	default:
		reason = c.process(m)
	}
	if reason != "" {
		ip.drop(own, dhcpStage, reason)
		return
	}
	own.Release()
}

// process acts on a message by the state, or says why it does not.
func (c *DHCPClient) process(m wire.DHCP) trace.DropReason {
	was := c.state
	n, ok := c.option(m, wire.DHCPOptType)
	typ := wire.DHCPType(n)
	switch c.state {
	case DHCPSelecting:
		if !ok || typ != wire.DHCPOffer {
			return DropState
		}
		if !c.extract(m) {
			return trace.DropMalformed
		}
		c.send(wire.DHCPRequest)
		c.interval = dhcpMinTimeout * c.second
		c.timeout = c.randomize(c.interval)
		c.state = DHCPRequesting
	case DHCPRequesting, DHCPRenewing, DHCPRebinding:
		switch {
		case ok && typ == wire.DHCPAck:
			if !c.extract(m) {
				return trace.DropMalformed
			}
			c.bind()
		case ok && typ == wire.DHCPNak:
			c.reinitialize("DHCPNAK from the server")
			c.restart()
		default:
			return DropState
		}
	default: // discarded (RFC 2131 4.4, figure 5)
		return DropState
	}
	if c.state != was {
		c.entered()
	}
	return ""
}

// bind gives the address to the instance. A mask that no prefix length stands
// for counts up to its first zero.
func (c *DHCPClient) bind() {
	c.ip.protect(func() {
		c.ip.SetAddress(netip.PrefixFrom(c.addr, leadingOnes(c.mask)))
		if c.gateway.IsValid() {
			c.ip.SetGateway(c.gateway)
		}
	})
	c.state, c.timeout = DHCPBound, c.renewal
}

func leadingOnes(mask uint32) (n int) {
	for ; mask&(1<<31) != 0; mask <<= 1 {
		n++
	}
	return n
}

// usable reports whether a host may have the address, as NetX sees it: of the
// classes A to C.
func usable(n uint32) bool { return n != 0 && n < 0xe0000000 }

func fromUint32(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// extract takes over what a message says, and reports false if it says nonsense;
// what stands in front of the nonsense is taken over all the same:
// _nx_dhcp_extract_information.
func (c *DHCPClient) extract(m wire.DHCP) bool {
	your := binary.BigEndian.Uint32(m[16:])
	if !usable(your) {
		return false
	}
	c.addr = fromUint32(your)
	if mask, ok := c.option(m, wire.DHCPOptMask); ok {
		if c.mask = mask; mask == 0 {
			c.mask = ^uint32(0) << (32 - c.ip.prefix.Bits())
		}
	}
	if server, ok := c.option(m, wire.DHCPOptServer); ok {
		if !usable(server) {
			return false
		}
		c.server = fromUint32(server)
	}
	c.times(m)
	if c.state != DHCPSelecting {
		if router, ok := c.option(m, wire.DHCPOptRouter); ok {
			if !usable(router) {
				return false
			}
			c.gateway = fromUint32(router)
		}
	}
	options := m[wire.DHCPHeaderLen:]
	c.options = append(c.options[:0], options[:min(len(options), dhcpOptionsKept)]...)
	return true
}

// times takes over lease, T1 and T2. Seconds become ticks in 32 bits, so that a
// lease of more than 497 days is a shorter one.
func (c *DHCPClient) times(m wire.DHCP) {
	if n, ok := c.option(m, wire.DHCPOptLease); ok {
		if n == dhcpForever {
			c.lease, c.renewal, c.rebinding = n, n, n
		} else {
			c.lease = n * c.second
			c.renewal, c.rebinding = c.lease/2, c.lease-c.lease/8
		}
	}
	if n, ok := c.option(m, wire.DHCPOptRenewal); ok && n <= c.lease { // sic: seconds and ticks
		if c.renewal = n; n != dhcpForever {
			c.renewal = n * c.second
		}
	}
	if n, ok := c.option(m, wire.DHCPOptRebinding); ok {
		if n == dhcpForever {
			c.rebinding = n
		} else if n *= c.second; n <= c.lease && n >= c.renewal {
			c.rebinding = n
		}
	}
}

// option returns a number of at most four bytes: _nx_dhcp_get_option_value. Of
// routers it is the first; other options that are longer are not there. NetX
// may read options behind the end of a message, which is not modelled.
func (c *DHCPClient) option(m wire.DHCP, code uint8) (n uint32, ok bool) {
	data, ok := optionIn(m[wire.DHCPHeaderLen:], code)
	if !ok || len(data) > 4 && code != wire.DHCPOptRouter {
		return 0, false
	}
	for _, x := range data[:min(len(data), 4)] {
		n = n<<8 | uint32(x)
	}
	return n, true
}

// optionIn finds an option: _nx_dhcp_search_buffer.
func optionIn(options []byte, code uint8) ([]byte, bool) {
	for b := options; len(b) > 1 && b[0] != wire.DHCPOptEnd; {
		if b[0] == wire.DHCPOptPad {
			b = b[1:]
			continue
		}
		n := 2 + int(b[1])
		if n > len(b) {
			return nil, false
		}
		if b[0] == code {
			return b[2:n:n], true
		}
		b = b[n:]
	}
	return nil, false
}
