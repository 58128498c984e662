package embedded

import (
	"fmt"
	"net/netip"
	"slices"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 1035; nxd_dns.c and nxd_dns.h of NetX Duo 6.4.2
// (addons/dns).

// The client's constants (nxd_dns.h).
const (
	dnsRetries    = 3                                  // NX_DNS_MAX_RETRIES
	dnsServers    = 5                                  // NX_DNS_MAX_SERVERS
	dnsMaxTimeout = 64                                 // NX_DNS_MAX_RETRANS_TIMEOUT, seconds
	dnsQueue      = 5                                  // NX_DNS_QUEUE_DEPTH
	dnsTTL        = 128                                // NX_DNS_TIME_TO_LIVE
	dnsPayload    = int(nic.UDP) + wire.DNSMaxMessage  // NX_DNS_PACKET_PAYLOAD
	dnsPackets    = 16                                 // NX_DNS_PACKET_POOL_SIZE
	dnsErrorMask  = 0x8002                             // NX_DNS_ERROR_MASK
	dnsAnswerOK   = wire.DNSResponse | wire.DNSNoError // what a good answer's flags have
	dnsStage      = "dns"
)

// A DNSClient is an NX_DNS: it asks name servers for the addresses of names, in
// the thread that calls it, from packets of its own; answers stand in the
// device's pool until they are read. It is the default build, which has no
// cache: every call asks (NX_DNS_CACHE_ENABLE).
//
// What follows from nxd_dns.c: a server that says that there is no such name is
// asked again at once, and again, and the caller is told no more than that the
// query failed; an answer whose question has other capitals than the query is
// none; the waits of the three rounds are 1, 2 and 4 times the caller's.
type DNSClient struct {
	ip      *IP
	pool    *nic.Pool
	socket  *UDPSocket
	mutex   *rtos.Mutex
	servers []netip.Addr
	id      uint16
}

// NewDNSClient returns a client that knows no server.
func (ip *IP) NewDNSClient() (*DNSClient, error) {
	pool, err := nic.NewPool(ip.kernel, ip.trace, nic.PoolConfig{Name: "dns pool", Node: ip.cfg.Node, Payload: dnsPayload, Packets: dnsPackets})
	if err != nil {
		return nil, err
	}
	return &DNSClient{
		ip: ip, pool: pool, mutex: rtos.NewMutex(ip.kernel, "DNS Mutex"),
		socket: ip.NewUDPSocket(UDPConfig{Queue: dnsQueue, TTL: dnsTTL, DontFragment: true}),
	}, nil
}

// Pool returns the client's packets.
func (c *DNSClient) Pool() *nic.Pool { return c.pool }

// Servers returns the servers, in the order in which they are asked.
func (c *DNSClient) Servers() []netip.Addr { return slices.Clone(c.servers) }

// AddServer adds a server behind the others: nx_dns_server_add.
func (c *DNSClient) AddServer(server netip.Addr) nic.Status {
	switch {
	case !server.Is4() || server.IsUnspecified():
		return nic.DNSParamError
	case slices.Contains(c.servers, server):
		return nic.DNSDuplicateEntry
	case len(c.servers) == dnsServers:
		return nic.NoMoreEntries
	}
	c.servers = append(c.servers, server)
	return nic.Success
}

// RemoveServers forgets all servers: nx_dns_server_remove_all.
func (c *DNSClient) RemoveServers() { c.servers = nil }

// HostByName returns the first address of a name: nx_dns_host_by_name_get. It
// waits for each answer of the first round at most wait ticks, which must not be
// NoWait, and for those of later rounds longer. Only threads of the kernel may
// call it.
func (c *DNSClient) HostByName(name string, wait rtos.Ticks) (addr netip.Addr, status nic.Status) {
	if wait == rtos.NoWait || c.ip.kernel.Current() == nil {
		return netip.Addr{}, nic.WaitError
	}
	began := c.ip.loop.Now()
	if c.mutex.Get(wait) {
		addr, status = c.ask(name, wait)
		c.mutex.Put()
	} else {
		status = nic.NotAvailable
	}
	c.ended(name, addr, status, began)
	return addr, status
}

func (c *DNSClient) ended(name string, addr netip.Addr, status nic.Status, began sim.Time) {
	text := name
	if status.OK() {
		text += fmt.Sprintf(" is %v", addr)
	}
	c.ip.trace.Emit(trace.Event{
		Kind: trace.KindDNS, Node: c.ip.cfg.Node, Status: uint32(status), Text: text, Count: int64(c.ip.loop.Now().Sub(began)),
	})
}

// ask is _nx_dns_host_resource_data_by_name_get.
func (c *DNSClient) ask(name string, wait rtos.Ticks) (netip.Addr, nic.Status) {
	if len(c.servers) == 0 {
		return netip.Addr{}, nic.DNSNoServer
	}
	if status := c.socket.Bind(0); !status.OK() {
		return netip.Addr{}, status
	}
	defer c.socket.Unbind()
	longest := rtos.Ticks(dnsMaxTimeout) * c.ip.kernel.TicksPerSecond()
	wait = min(wait, longest)
	tries := 0
	for range dnsRetries {
		for _, server := range c.servers {
			tries++
			if addr, status := c.query(server, name, wait, tries); status.OK() {
				return addr, status
			}
		}
		wait = min(2*wait, longest)
	}
	return netip.Addr{}, nic.DNSQueryFailed
}

// query asks one server once: _nx_dns_send_query_get_rdata_by_name.
func (c *DNSClient) query(server netip.Addr, name string, wait rtos.Ticks, try int) (netip.Addr, nic.Status) {
	ip := c.ip
	p, status := c.pool.Allocate(nic.UDP, ip.kernel.TicksPerSecond()) // NX_DNS_PACKET_ALLOCATE_TIMEOUT
	if !status.OK() {
		return netip.Addr{}, status
	}
	p.SetHolder(dnsStage)
	c.id = uint16(ip.rand.next())
	b := wire.AppendDNS(make([]byte, 0, wire.DNSMaxMessage), c.id, wire.DNSRecursionDesired, 1, 0, 0, 0)
	b, ok := wire.AppendDNSQuestion(b, wire.DNSQuestion{Name: name, Type: wire.DNSTypeA, Class: wire.DNSClassIN})
	if !ok {
		p.Release()
		return netip.Addr{}, nic.DNSPacketCreateError
	}
	if status := p.Append(b, c.pool, rtos.NoWait); !status.OK() {
		p.Release()
		return netip.Addr{}, status
	}
	ip.trace.Emit(trace.Event{Kind: trace.KindDNSQuery, Node: ip.cfg.Node, Text: fmt.Sprintf("A %s at %v", name, server), Count: int64(try)})
	if status := c.socket.Send(p, netip.AddrPortFrom(server, wire.DNSPort)); !status.OK() {
		p.Release()
		return netip.Addr{}, status
	}
	return c.response(name, wait)
}

// response waits for an answer to the query: _nx_dns_response_receive.
func (c *DNSClient) response(name string, wait rtos.Ticks) (netip.Addr, nic.Status) {
	start, left := c.ip.kernel.Now(), wait
	for {
		p, _, status := c.socket.Receive(left)
		switch {
		case status.OK() && p.Len() >= 2 && len(p.Bytes()) >= 2 && wire.DNS(p.Bytes()).ID() == c.id:
			addr, status, reason := c.process(p, name)
			if reason != "" {
				c.ip.drop(p, dnsStage, reason)
			} else {
				p.Release()
			}
			return addr, status
		case status.OK():
			c.ip.drop(p, dnsStage, trace.DropNotForUs)
			status = nic.DNSBadIDError
		}
		// NetX takes all that has passed since the first wait off again after
		// each one, so that foreign answers shorten it more than they should.
		elapsed := c.ip.kernel.Now() - start
		if left <= elapsed {
			return netip.Addr{}, status
		}
		left -= elapsed
	}
}

// process reads an answer: _nx_dns_response_process. reason says why it is of no
// use.
func (c *DNSClient) process(p *nic.Packet, name string) (netip.Addr, nic.Status, trace.DropReason) {
	if p.Next() != nil { // chained packets are not supported there
		return netip.Addr{}, nic.InvalidPacket, trace.DropTooLong
	}
	addr, status := parseAnswer(p.Bytes(), name)
	reason := trace.DropReason("")
	switch status {
	case nic.Success:
	case nic.DNSMalformedPacket:
		reason = trace.DropMalformed
	default:
		reason = DropNoAnswer
	}
	return addr, status, reason
}

// Sections of a message.
const (
	sectionAnswer = iota
	sectionAuthority
	sectionAdditional
)

// parseAnswer finds the first address of name in a message.
func parseAnswer(b []byte, name string) (netip.Addr, nic.Status) {
	m, err := wire.ParseDNS(b)
	if err != nil || len(b) == wire.DNSHeaderLen {
		return netip.Addr{}, nic.DNSMalformedPacket
	}
	flags := m.Flags()
	if flags&dnsErrorMask == dnsErrorMask { // SERVFAIL and NXDOMAIN among others
		return netip.Addr{}, nic.DNSServerAuthError
	}
	questions, answers, authority, additional := m.Counts()
	if flags&(wire.DNSResponse|wire.DNSRcode) != dnsAnswerOK || answers+authority+additional == 0 {
		return netip.Addr{}, nic.DNSQueryFailed
	}
	at := wire.DNSHeaderLen
	if questions == 1 {
		q, next, err := m.Question(at)
		switch {
		case err != nil || next >= len(m):
			return netip.Addr{}, nic.DNSMalformedPacket
		case q.Name != name || q.Type != wire.DNSTypeA || q.Class != wire.DNSClassIN:
			return netip.Addr{}, nic.DNSMismatchedResponse
		}
		at = next
	}
	for i := range answers + authority + additional {
		section := sectionAnswer
		if i >= answers+authority {
			section = sectionAdditional
		} else if i >= answers {
			section = sectionAuthority
		}
		r, next, err := m.Record(at)
		if err != nil || r.Type == wire.DNSTypeA && section != sectionAdditional && len(r.Data) != 4 {
			break
		}
		if r.Type == wire.DNSTypeA {
			if section == sectionAdditional {
				// NetX believes to have its answer and returns the address 0.
				return netip.IPv4Unspecified(), nic.Success
			}
			return netip.AddrFrom4([4]byte(r.Data)), nic.Success
		}
		at = next
	}
	return netip.Addr{}, nic.DNSQueryFailed
}
