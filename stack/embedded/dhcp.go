package embedded

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 2131, RFC 2132; nxd_dhcp_client.c and nxd_dhcp_client.h of
// NetX Duo 6.4.2 (addons/dhcp).

// DHCPState is a state of the client, with NetX's numbers (NX_DHCP_STATE_*).
type DHCPState uint8

// The states that a default build enters.
const (
	DHCPNotStarted DHCPState = 0
	DHCPInit       DHCPState = 2
	DHCPSelecting  DHCPState = 3
	DHCPRequesting DHCPState = 4
	DHCPBound      DHCPState = 5
	DHCPRenewing   DHCPState = 6
	DHCPRebinding  DHCPState = 7
)

var dhcpStateNames = map[DHCPState]string{
	DHCPNotStarted: "NOT_STARTED", DHCPInit: "INIT", DHCPSelecting: "SELECTING", DHCPRequesting: "REQUESTING",
	DHCPBound: "BOUND", DHCPRenewing: "RENEWING", DHCPRebinding: "REBINDING",
}

// String returns NetX's name of the state.
func (s DHCPState) String() string { return dhcpStateNames[s] }

// The client's constants (nxd_dhcp_client.h). Times are in ticks of a second/100
// there; here they are seconds, and become ticks of the kernel.
const (
	dhcpPriority     = 3 // NX_DHCP_THREAD_PRIORITY
	dhcpQueue        = 4 // NX_DHCP_QUEUE_DEPTH
	dhcpTTL          = 128
	dhcpMinTimeout   = 4                                   // NX_DHCP_MIN_RETRANS_TIMEOUT
	dhcpMaxTimeout   = 64                                  // NX_DHCP_MAX_RETRANS_TIMEOUT
	dhcpMinRenew     = 60                                  // NX_DHCP_MIN_RENEW_TIMEOUT
	dhcpPayload      = 576 + 16                            // NX_DHCP_PACKET_PAYLOAD
	dhcpPoolMemory   = 5 * dhcpPayload                     // NX_DHCP_PACKET_POOL_SIZE: 4 packets, for their headers take room too
	dhcpOptionsKept  = 312                                 // NX_DHCP_OPTIONS_BUFFER_SIZE
	dhcpForever      = 0xffffffff                          // NX_DHCP_INFINITE_LEASE
	dhcpMessageStart = nic.PhysicalHeader + 20 + 8         // NX_IPv4_UDP_PACKET
	dhcpRoom         = dhcpPayload - int(dhcpMessageStart) // longest message that the client reads
)

// Events of the client's thread.
const (
	dhcpReceived uint32 = 1
	dhcpTimer    uint32 = 2
)

// dhcpStage is the client's place in the trace.
const dhcpStage = "dhcp"

// MaxHostName bounds the name that a client tells its server.
const MaxHostName = 255

// A DHCPClient is an NX_DHCP: it gets the address of an IP instance from a
// server and renews it. Its thread, timer, socket and packets are its own; a
// packet that arrives is copied out of the device's pool and released at once.
//
// It is the default build: no ARP probe for the address that it is given
// (NX_DHCP_CLIENT_SEND_ARP_PROBE), answers are to be broadcast, nothing is kept
// over a restart. What follows from nxd_dhcp_client.c: nothing is sent for the
// first second; time-outs run on a grid of a second; when a lease ends, or the
// server refuses to renew it, the address is taken away and connections are left
// to find out by themselves; and a server that gives T1 and T2 at the same time
// and then does not answer is never asked again.
type DHCPClient struct {
	ip     *IP
	name   string
	pool   *nic.Pool
	socket *UDPSocket
	events *rtos.EventFlags
	timer  *rtos.Timer
	second uint32 // ticks

	state    DHCPState
	xid      uint32
	seconds  uint16
	timeout  uint32 // ticks until the next step; 0: none
	interval uint32 // of retransmission

	addr, server, gateway netip.Addr // the zero Addr: none
	mask                  uint32
	lease, renewal        uint32 // ticks
	rebinding             uint32
	remaining             uint32 // until the next state, while renewing and rebinding
	options               []byte // of the last message that was believed
}

// NewDHCPClient returns a client that is not started. name is what it calls
// itself to its server; "" is nothing. The instance must not have an address.
func (ip *IP) NewDHCPClient(name string) (*DHCPClient, error) {
	if !ip.addr.IsUnspecified() {
		return nil, fmt.Errorf("embedded: the instance has the address %v, and needs none by DHCP", ip.addr)
	}
	if len(name) > MaxHostName {
		return nil, fmt.Errorf("embedded: a host name of %d bytes, at most %d", len(name), MaxHostName)
	}
	pool, err := nic.NewPool(ip.kernel, ip.trace, nic.PoolConfig{Name: "dhcp pool", Node: ip.cfg.Node, Payload: dhcpPayload, Memory: dhcpPoolMemory})
	if err != nil {
		return nil, err
	}
	c := &DHCPClient{
		ip: ip, name: name, pool: pool, second: uint32(ip.kernel.TicksPerSecond()), lease: dhcpForever,
		socket: ip.NewUDPSocket(UDPConfig{Queue: dhcpQueue, TTL: dhcpTTL, DontFragment: true}),
		events: rtos.NewEventFlags(ip.kernel, "DHCP Client Events"),
	}
	mac := ip.mac
	c.xid = (uint32(mac[0])<<8 | uint32(mac[1])) ^
		(uint32(mac[2])<<24 | uint32(mac[3])<<16 | uint32(mac[4])<<8 | uint32(mac[5])) ^ ip.rand.next()
	c.socket.ReceiveNotify(func() { c.events.Set(dhcpReceived) })
	c.timer = rtos.NewTimer(ip.kernel, func() { c.events.Set(dhcpTimer) }, rtos.Ticks(c.second), rtos.Ticks(c.second))
	return c, nil
}

// State returns the client's state.
func (c *DHCPClient) State() DHCPState { return c.state }

// Pool returns the client's packets.
func (c *DHCPClient) Pool() *nic.Pool { return c.pool }

// Server returns the server that the address is from, the zero Addr without one.
func (c *DHCPClient) Server() netip.Addr { return c.server }

// Addrs returns the addresses in an option of the last answer, such as
// wire.DHCPOptDNS: nx_dhcp_user_option_retrieve.
func (c *DHCPClient) Addrs(option uint8) (addrs []netip.Addr) {
	data, _ := optionIn(c.options, option)
	for ; len(data) >= 4; data = data[4:] {
		addrs = append(addrs, netip.AddrFrom4([4]byte(data[:4])))
	}
	return addrs
}

// Start begins to look for a server: nx_dhcp_start.
func (c *DHCPClient) Start() nic.Status {
	if c.state != DHCPNotStarted {
		return nic.DHCPAlreadyStarted
	}
	if status := c.socket.Bind(wire.DHCPClientPort); !status.OK() {
		return status
	}
	c.ip.kernel.NewThread("NetX DHCP Client", dhcpPriority, func(*rtos.Thread) { c.run() })
	c.timer.Activate()
	c.restart()
	c.entered()
	return nic.Success
}

// restart goes to INIT: a DHCPDISCOVER follows in a second.
func (c *DHCPClient) restart() { c.state, c.timeout, c.interval = DHCPInit, c.second, 0 }

// run is _nx_dhcp_thread_entry.
func (c *DHCPClient) run() {
	for {
		events, ok := c.events.Get(dhcpReceived|dhcpTimer, true, true, rtos.WaitForever)
		if !ok {
			return
		}
		if events&dhcpReceived != 0 {
			for {
				p, _, status := c.socket.Receive(rtos.NoWait)
				if !status.OK() {
					break
				}
				c.receive(p)
			}
		}
		if events&dhcpTimer != 0 {
			c.tick()
		}
	}
}

// entered records the state that the client is in now.
func (c *DHCPClient) entered() {
	if c.ip.trace == nil {
		return
	}
	e := trace.Event{Kind: trace.KindDHCP, Node: c.ip.cfg.Node, Text: c.state.String()}
	if c.state == DHCPBound {
		e.Kind, e.Text = trace.KindDHCPBound, c.describe()
	}
	c.ip.trace.Emit(e)
}

// describe puts the lease in words.
func (c *DHCPClient) describe() string {
	text := c.ip.prefix.String()
	if c.ip.gateway.IsValid() {
		text += fmt.Sprintf(", gateway %v", c.ip.gateway)
	}
	if c.lease == dhcpForever {
		text += ", for ever"
	} else {
		text += fmt.Sprintf(", for %v", c.duration(c.lease))
	}
	return text + fmt.Sprintf(", from %v", c.server)
}

func (c *DHCPClient) duration(ticks uint32) time.Duration {
	return time.Duration(ticks) * time.Second / time.Duration(c.second)
}

// tick is _nx_dhcp_timeout_process, once a second.
func (c *DHCPClient) tick() {
	c.seconds++
	switch {
	case c.timeout == 0:
		return
	case c.timeout > c.second:
		c.timeout -= c.second
		return
	}
	c.timeout = 0
	was := c.state
	switch c.state {
	case DHCPInit:
		c.seconds = 0
		c.send(wire.DHCPDiscover)
		c.state = DHCPSelecting
		if c.interval == 0 {
			c.interval = dhcpMinTimeout * c.second
			c.timeout = c.randomize(c.interval)
		} else {
			c.again()
		}
	case DHCPSelecting:
		c.send(wire.DHCPDiscover)
		c.again()
	case DHCPRequesting:
		c.send(wire.DHCPRequest)
		c.again()
	case DHCPBound:
		c.seconds = 0
		c.state = DHCPRenewing
		c.send(wire.DHCPRequest)
		c.remaining = c.rebinding - c.renewal
		c.timeout = c.halve(c.remaining)
		c.interval = c.timeout
	case DHCPRenewing:
		if c.spend(); c.timeout == 0 {
			c.state = DHCPRebinding
			c.remaining = c.lease - c.rebinding
			c.timeout = c.halve(c.remaining)
		}
		c.send(wire.DHCPRequest)
		c.interval = c.timeout
	case DHCPRebinding:
		if c.spend(); c.timeout == 0 {
			c.reinitialize("the lease has ended")
			c.restart()
			break
		}
		c.send(wire.DHCPRequest)
		c.interval = c.timeout
	}
	if c.state != was {
		c.entered()
	}
}

// again doubles the time to the next retransmission: _nx_dhcp_update_timeout.
func (c *DHCPClient) again() {
	c.interval = min(2*c.interval, dhcpMaxTimeout*c.second)
	c.timeout = c.randomize(c.interval)
}

// randomize adds -1 to +1 second: _nx_dhcp_add_randomize.
func (c *DHCPClient) randomize(timeout uint32) uint32 {
	adjustment := c.ip.rand.next() % (2*c.second + 1)
	if timeout+adjustment <= c.second {
		return 1
	}
	return timeout + adjustment - c.second
}

// spend takes what has passed off the time that is left, and plans the next
// request, if there is time for one.
func (c *DHCPClient) spend() {
	c.remaining -= min(c.interval, c.remaining)
	c.timeout = c.halve(c.remaining)
}

// halve is _nx_dhcp_update_renewal_timeout.
func (c *DHCPClient) halve(remaining uint32) uint32 {
	least := dhcpMinRenew * c.second
	switch {
	case remaining > 2*least:
		return remaining / 2
	case remaining > least:
		return least
	}
	return remaining
}

// reinitialize gives the address up: _nx_dhcp_interface_reinitialize.
func (c *DHCPClient) reinitialize(why string) {
	if c.addr.IsValid() && c.ip.addr == c.addr {
		c.ip.protect(func() { c.ip.SetAddress(netip.Prefix{}) })
		c.ip.trace.Emit(trace.Event{Kind: trace.KindDHCPLost, Node: c.ip.cfg.Node, Text: fmt.Sprintf("%v: %s", c.addr, why)})
	}
	if c.gateway.IsValid() && c.ip.gateway == c.gateway {
		c.ip.SetGateway(netip.Addr{})
	}
	c.addr, c.server, c.gateway, c.mask = netip.Addr{}, netip.Addr{}, netip.Addr{}, 0
	c.lease, c.renewal, c.rebinding = dhcpForever, 0, 0
	c.seconds = 0
}
