package services

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// DHCPConfig configures the DHCP server. Addresses are of the host's network.
type DHCPConfig struct {
	// Reserved are the addresses of clients that are known beforehand.
	Reserved []Reservation
	// First and Last are the range that other clients get addresses from. Without
	// it nobody else is answered. Those in Excluded are left out.
	First, Last netip.Addr
	Excluded    []netip.Addr
	Lease       time.Duration // whole seconds; 0: DefaultLease
	Router      netip.Addr    // the zero Addr: none
	DNS         []netip.Addr
	NTP         []netip.Addr
	Domain      string
	Taken       netip.Addr // what DHCPTaken gives away
	Delay       time.Duration
	Answer      DHCPAnswer
}

// A Reservation is the address of one client.
type Reservation struct {
	MAC  wire.MAC
	Addr netip.Addr
}

// Limits and defaults of the DHCP server.
const (
	DefaultLease = time.Hour
	MinLease     = time.Second
	MaxLease     = 1 << 31 * time.Second
	ShortLease   = 10 * time.Second // with DHCPShort
	MaxRange     = 1 << 16          // addresses
	offerTime    = time.Minute      // how long an offer that nobody takes is kept
)

// WrongNetwork is where the addresses of DHCPWrong are: TEST-NET-2 (RFC 5737).
var WrongNetwork = netip.MustParsePrefix("198.51.100.0/24")

type dhcpServer struct {
	host   *Host
	cfg    DHCPConfig
	answer DHCPAnswer
	leases
}

func newDHCP(h *Host, cfg DHCPConfig) (*dhcpServer, error) {
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Answer == "" {
		cfg.Answer = DHCPRight
	}
	network := h.cfg.Addr.Masked()
	switch {
	case cfg.Lease < MinLease || cfg.Lease > MaxLease || cfg.Lease%time.Second != 0:
		return nil, fmt.Errorf("services: dhcp: lease of %v, want whole seconds, at least %v", cfg.Lease, MinLease)
	case cfg.First.IsValid() != cfg.Last.IsValid():
		return nil, errors.New("services: dhcp: a range has a first and a last address")
	case cfg.First.IsValid() && (!network.Contains(cfg.First) || !network.Contains(cfg.Last) || cfg.Last.Less(cfg.First)):
		return nil, fmt.Errorf("services: dhcp: %v to %v is no range in %v", cfg.First, cfg.Last, network)
	case cfg.First.IsValid() && number(cfg.Last)-number(cfg.First) >= MaxRange:
		return nil, fmt.Errorf("services: dhcp: a range of more than %d addresses", MaxRange)
	case !slices.Contains(cfg.Answer.Values(), string(cfg.Answer)):
		return nil, fmt.Errorf("services: dhcp: unknown answer %q", cfg.Answer)
	case cfg.Answer == DHCPTaken && !cfg.Taken.IsValid():
		return nil, errors.New("services: dhcp: nobody's address to give away")
	}
	if err := checkDelay(StageDHCP, cfg.Delay); err != nil {
		return nil, err
	}
	s := &dhcpServer{
		host: h, cfg: cfg, answer: cfg.Answer,
		leases: newLeases(cfg, h.Addr()),
	}
	for _, r := range cfg.Reserved {
		if s.byMAC[r.MAC] != nil || s.byAddr[r.Addr] != nil {
			return nil, fmt.Errorf("services: dhcp: %v or %v is reserved twice", r.MAC, r.Addr)
		}
		if !network.Contains(r.Addr) {
			return nil, fmt.Errorf("services: dhcp: %v is reserved and not in %v", r.Addr, network)
		}
		l := &lease{addr: r.Addr, mac: r.MAC, forever: true}
		s.byMAC[r.MAC], s.byAddr[r.Addr] = l, l
	}
	return s, nil
}

// SetDHCP changes what the DHCP server does. It panics without one, and for
// DHCPTaken without an address to give away.
func (h *Host) SetDHCP(a DHCPAnswer) {
	if a == DHCPTaken && !h.dhcp.cfg.Taken.IsValid() {
		panic("services: dhcp: nobody's address to give away")
	}
	h.dhcp.answer = a
}

func number(a netip.Addr) uint32 {
	a4 := a.As4()
	return binary.BigEndian.Uint32(a4[:])
}

func address(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// serve answers a message, or says why it does not.
func (s *dhcpServer) serve(r *request) (trace.DropReason, string) {
	m, err := wire.ParseDHCP(r.payload)
	switch {
	case err != nil:
		return trace.DropMalformed, err.Error()
	case m.Op() != wire.BOOTRequest:
		return trace.DropUnknown, "an answer of another DHCP server"
	case !m.Relay().IsUnspecified():
		return trace.DropUnknown, "DHCP through a relay agent"
	case m.Type() == 0:
		return trace.DropUnknown, "BOOTP"
	}
	switch server := m.AddrOption(wire.DHCPOptServer); m.Type() {
	case wire.DHCPDiscover:
		s.discover(r, m)
	case wire.DHCPRequest:
		s.request(r, m)
	case wire.DHCPDecline, wire.DHCPRelease:
		switch {
		case server.IsValid() && server != s.host.Addr():
			s.log(r, m, fmt.Sprintf("it is for the server %v", server))
		case m.Type() == wire.DHCPDecline:
			s.decline(r, m)
		default:
			s.release(r, m)
		}
	case wire.DHCPInform:
		if s.answer == DHCPSilent {
			s.log(r, m, "no answer")
			break
		}
		s.reply(r, m, wire.DHCPAck, netip.Addr{}, "")
	default:
		return trace.DropUnknown, fmt.Sprintf("DHCP message of type %d", m.Type())
	}
	return "", ""
}

// log records a message that arrived and what is done about it.
func (s *dhcpServer) log(r *request, m wire.DHCP, text string) {
	s.host.served(StageDHCP, r, fmt.Sprintf("%v from %v: %s", m.Type(), m.MAC(), text))
}

// discover answers DHCPDISCOVER by an offer (RFC 2131 4.3.1).
func (s *dhcpServer) discover(r *request, m wire.DHCP) {
	if s.answer == DHCPSilent {
		s.log(r, m, "no answer")
		return
	}
	addr := s.told(m)
	if !addr.IsValid() {
		l := s.find(m.MAC(), m.AddrOption(wire.DHCPOptRequestedIP), s.now())
		if l == nil {
			s.log(r, m, "no address is left for it, no answer")
			return
		}
		if !l.bound {
			l.until = s.now().Add(offerTime)
		}
		addr = l.addr
	}
	s.reply(r, m, wire.DHCPOffer, addr, "")
}

// told is the address that a lie gives to a client, the zero Addr without one.
func (s *dhcpServer) told(m wire.DHCP) netip.Addr {
	switch s.answer {
	case DHCPTaken:
		return s.cfg.Taken
	case DHCPWrong:
		// One for each client, so that they do not find each other.
		mac := m.MAC()
		return address(number(WrongNetwork.Addr()) + 2 + uint32(mac[5])%250)
	}
	return netip.Addr{}
}

// request answers DHCPREQUEST (RFC 2131 4.3.2): it takes an offer, or wants to
// know whether an address may be used still.
func (s *dhcpServer) request(r *request, m wire.DHCP) {
	wanted, server := m.AddrOption(wire.DHCPOptRequestedIP), m.AddrOption(wire.DHCPOptServer)
	if !wanted.IsValid() {
		wanted = m.Client()
	}
	switch {
	case s.answer == DHCPSilent:
		s.log(r, m, "no answer")
	case server.IsValid() && server != s.host.Addr():
		if l := s.byMAC[m.MAC()]; l != nil && !l.bound {
			s.free(l)
		}
		s.log(r, m, fmt.Sprintf("it chose the server %v, no answer", server))
	case s.answer == DHCPNak:
		s.reply(r, m, wire.DHCPNak, netip.Addr{}, "not available")
	case s.told(m).IsValid():
		if wanted != s.told(m) {
			s.reply(r, m, wire.DHCPNak, netip.Addr{}, "wrong address")
			return
		}
		s.reply(r, m, wire.DHCPAck, wanted, "")
	default:
		l := s.find(m.MAC(), wanted, s.now())
		if l == nil || l.addr != wanted {
			s.reply(r, m, wire.DHCPNak, netip.Addr{}, "wrong address")
			return
		}
		l.bound, l.until = true, s.now().Add(s.lease())
		s.reply(r, m, wire.DHCPAck, l.addr, "")
	}
}

func (s *dhcpServer) lease() time.Duration {
	if s.answer == DHCPShort {
		return ShortLease
	}
	return s.cfg.Lease
}

func (s *dhcpServer) now() sim.Time { return s.host.loop.Now() }

// decline keeps an address that a client found in use from everybody, for the
// time of a lease (RFC 2131 4.3.3). A reserved one stays: there is no other.
func (s *dhcpServer) decline(r *request, m wire.DHCP) {
	wanted := m.AddrOption(wire.DHCPOptRequestedIP)
	if l := s.byMAC[m.MAC()]; l != nil && l.addr == wanted {
		s.free(l)
		if !l.forever {
			s.byAddr[wanted] = &lease{addr: wanted, until: s.now().Add(s.cfg.Lease)}
		}
	}
	s.log(r, m, fmt.Sprintf("%v is in use, it says", wanted))
}

// release frees what a client gives back (RFC 2131 4.3.4).
func (s *dhcpServer) release(r *request, m wire.DHCP) {
	if l := s.byMAC[m.MAC()]; l != nil && l.addr == m.Client() {
		s.free(l)
	}
	s.log(r, m, fmt.Sprintf("%v is free", m.Client()))
}

// reply sends an answer: to addr, or to nobody's, as RFC 2131 4.1 has it.
func (s *dhcpServer) reply(r *request, m wire.DHCP, typ wire.DHCPType, addr netip.Addr, why string) {
	fields := wire.DHCPFields{Op: wire.BOOTReply, XID: m.XID(), Broadcast: m.Broadcast(), Your: addr, MAC: m.MAC()}
	if typ == wire.DHCPAck {
		fields.Client = m.Client()
	}
	b := wire.AppendDHCP(make([]byte, 0, wire.DHCPMinimumLen), fields)
	b = wire.AppendDHCPOption(b, wire.DHCPOptType, byte(typ))
	b = wire.AppendDHCPAddrs(b, wire.DHCPOptServer, s.host.Addr())
	text := typ.String()
	if typ == wire.DHCPNak {
		b = wire.AppendDHCPOption(b, wire.DHCPOptMessage, []byte(why)...)
		text += ", " + why
	} else {
		b = s.options(b, m, addr.IsValid())
		if addr.IsValid() {
			text += fmt.Sprintf(" %v for %v", addr, s.lease())
		}
	}
	b = wire.AppendDHCPEnd(b, 0)
	s.log(r, m, text)
	mac, to := m.MAC(), addr
	switch {
	case typ != wire.DHCPNak && !m.Client().IsUnspecified():
		mac, to = r.mac, m.Client()
	case typ == wire.DHCPNak || m.Broadcast() || !addr.IsValid():
		to = limitedBroadcast
		if !s.host.cfg.Unicast {
			mac = wire.BroadcastMAC
		}
	}
	s.host.answer(StageDHCP, s.cfg.Delay, mac, wire.DHCPServerPort, netip.AddrPortFrom(to, wire.DHCPClientPort), b)
}

// options appends what the client asked for, or everything if it does not say.
func (s *dhcpServer) options(b []byte, m wire.DHCP, leased bool) []byte {
	if leased {
		seconds := uint32(s.lease() / time.Second)
		b = wire.AppendDHCPUint32(b, wire.DHCPOptLease, seconds)
		b = wire.AppendDHCPUint32(b, wire.DHCPOptRenewal, seconds/2)
		b = wire.AppendDHCPUint32(b, wire.DHCPOptRebinding, uint32(uint64(seconds)*7/8))
	}
	if s.answer == DHCPBare {
		return b
	}
	asked, some := m.Option(wire.DHCPOptParameters)
	wants := func(code uint8) bool { return !some || slices.Contains(asked, code) }
	network, router, names := s.host.cfg.Addr, s.cfg.Router, s.cfg.DNS
	if s.answer == DHCPWrong {
		network, router = WrongNetwork, address(number(WrongNetwork.Addr())+1)
		names = []netip.Addr{router}
	}
	if wants(wire.DHCPOptMask) {
		b = wire.AppendDHCPUint32(b, wire.DHCPOptMask, ^uint32(0)<<(32-network.Bits()))
	}
	if router.IsValid() && wants(wire.DHCPOptRouter) {
		b = wire.AppendDHCPAddrs(b, wire.DHCPOptRouter, router)
	}
	if len(names) > 0 && wants(wire.DHCPOptDNS) {
		b = wire.AppendDHCPAddrs(b, wire.DHCPOptDNS, names...)
	}
	if s.cfg.Domain != "" && wants(wire.DHCPOptDomain) {
		b = wire.AppendDHCPOption(b, wire.DHCPOptDomain, []byte(s.cfg.Domain)...)
	}
	if len(s.cfg.NTP) > 0 && wants(wire.DHCPOptNTP) {
		b = wire.AppendDHCPAddrs(b, wire.DHCPOptNTP, s.cfg.NTP...)
	}
	return b
}
