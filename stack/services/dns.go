package services

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hilnet/trace"
	"hilnet/wire"
)

// DNSConfig configures the DNS server, which has the last word on every name.
type DNSConfig struct {
	Names  []Name
	Delay  time.Duration
	Answer DNSAnswer
}

// A Name is a domain name with its addresses.
type Name struct {
	Name  string // compared without regard to case
	Addrs []netip.Addr
	TTL   time.Duration // whole seconds are told; 0: not to be kept
}

// WrongAddress is what DNSWrong says, in TEST-NET-1 (RFC 5737); it has no IPv6
// address to offer.
var WrongAddress = netip.MustParseAddr("192.0.2.1")

// MaxTTL is the longest time that a record may be kept (RFC 2181 8).
const MaxTTL = (1<<31 - 1) * time.Second

// maxAddrs keeps an answer within DNSMaxMessage: header, the longest question,
// and records of IPv6 addresses.
const maxAddrs = (wire.DNSMaxMessage - wire.DNSHeaderLen - wire.DNSMaxName - 5) / 28

type dnsServer struct {
	host   *Host
	cfg    DNSConfig
	answer DNSAnswer
	names  map[string]*Name // by lower case; looked up only
}

func newDNS(h *Host, cfg DNSConfig) (*dnsServer, error) {
	if cfg.Answer == "" {
		cfg.Answer = DNSRight
	}
	if !slices.Contains(cfg.Answer.Values(), string(cfg.Answer)) {
		return nil, fmt.Errorf("services: dns: unknown answer %q", cfg.Answer)
	}
	if err := checkDelay(StageDNS, cfg.Delay); err != nil {
		return nil, err
	}
	s := &dnsServer{host: h, cfg: cfg, answer: cfg.Answer, names: map[string]*Name{}}
	for i := range cfg.Names {
		n := &cfg.Names[i]
		key := lowerASCII(n.Name)
		switch {
		case !ValidName(n.Name):
			return nil, fmt.Errorf("services: dns: %q is no domain name", n.Name)
		case s.names[key] != nil:
			return nil, fmt.Errorf("services: dns: %q is there twice", n.Name)
		case len(n.Addrs) > maxAddrs:
			return nil, fmt.Errorf("services: dns: %q has %d addresses, more than %d", n.Name, len(n.Addrs), maxAddrs)
		case n.TTL < 0 || n.TTL > MaxTTL:
			return nil, fmt.Errorf("services: dns: %q: time to live of %v", n.Name, n.TTL)
		}
		s.names[key] = n
	}
	return s, nil
}

// lowerASCII is how names are compared: other letters than those of ASCII have no
// case (RFC 4343 3).
func lowerASCII(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// ValidName reports whether a message can carry the name. The root is not one.
func ValidName(name string) bool {
	_, ok := wire.AppendDNSName(nil, name)
	return ok && strings.Trim(name, ".") != "" && !strings.HasSuffix(name, ".")
}

// SetDNS changes what the DNS server does. It panics without one.
func (h *Host) SetDNS(a DNSAnswer) { h.dns.answer = a }

// serve answers a query, or says why it does not.
func (s *dnsServer) serve(r *request) (trace.DropReason, string) {
	m, err := wire.ParseDNS(r.payload)
	switch {
	case err != nil:
		return trace.DropMalformed, err.Error()
	case m.Flags()&wire.DNSResponse != 0:
		return trace.DropUnknown, "a DNS response"
	}
	flags := wire.DNSResponse | wire.DNSAuthoritative | wire.DNSRecursionAvailable | m.Flags()&(wire.DNSOpcode|wire.DNSRecursionDesired)
	questions, _, _, _ := m.Counts()
	q, end, err := m.Question(wire.DNSHeaderLen)
	switch {
	case s.answer == DNSSilent:
		s.host.served(StageDNS, r, s.name(q)+": no answer")
		return "", ""
	case m.Flags()&wire.DNSOpcode != 0:
		s.refuse(r, m, flags, wire.DNSNotImp, "opcode not implemented")
		return "", ""
	case err != nil || questions != 1:
		s.refuse(r, m, flags, wire.DNSFormErr, "not one question")
		return "", ""
	case q.Class != wire.DNSClassIN:
		s.refuse(r, m, flags, wire.DNSRefused, "not of the class IN")
		return "", ""
	}
	s.resolve(r, m, flags, q, m[wire.DNSHeaderLen:end])
	return "", ""
}

// refuse answers a message that is no good query by its header only.
func (s *dnsServer) refuse(r *request, m wire.DNS, flags, code uint16, text string) {
	s.send(r, wire.AppendDNS(nil, m.ID(), flags|code, 0, 0, 0, 0), text)
}

// resolve answers a good query. question is its entry as it arrived.
func (s *dnsServer) resolve(r *request, m wire.DNS, flags uint16, q wire.DNSQuestion, question []byte) {
	id := m.ID()
	code, addrs, ttl := wire.DNSNoError, []netip.Addr(nil), time.Duration(0)
	if n := s.names[lowerASCII(q.Name)]; n == nil {
		code = wire.DNSNXDomain
	} else {
		addrs, ttl = n.Addrs, n.TTL
	}
	text := ""
	switch s.answer {
	case DNSNXDomain:
		code = wire.DNSNXDomain
	case DNSServFail:
		code, flags = wire.DNSServFail, flags&^wire.DNSAuthoritative
	case DNSRefused:
		code, flags = wire.DNSRefused, flags&^wire.DNSAuthoritative
	case DNSEmpty:
		code, addrs = wire.DNSNoError, nil
	case DNSWrong:
		code, addrs = wire.DNSNoError, []netip.Addr{WrongAddress}
	case DNSTruncated:
		code, addrs, flags, text = wire.DNSNoError, nil, flags|wire.DNSTruncated, "truncated"
	case DNSWrongID:
		id++
		text = "with a wrong number: "
	}
	if code != wire.DNSNoError {
		addrs = nil
	}
	var records []byte
	count := 0
	for _, a := range addrs {
		switch {
		case a.Is4() && (q.Type == wire.DNSTypeA || q.Type == wire.DNSTypeANY):
			a4 := a.As4()
			records = wire.AppendDNSRecord(records, wire.DNSHeaderLen, wire.DNSTypeA, uint32(ttl/time.Second), a4[:]...)
		case !a.Is4() && (q.Type == wire.DNSTypeAAAA || q.Type == wire.DNSTypeANY):
			a16 := a.As16()
			records = wire.AppendDNSRecord(records, wire.DNSHeaderLen, wire.DNSTypeAAAA, uint32(ttl/time.Second), a16[:]...)
		default:
			continue
		}
		text += a.String() + " "
		count++
	}
	switch {
	case code != wire.DNSNoError:
		text += rcodeNames[code]
	case count == 0 && s.answer != DNSTruncated:
		text += "no such record"
	}
	b := wire.AppendDNS(make([]byte, 0, wire.DNSMaxMessage), id, flags|code, 1, count, 0, 0)
	b = append(append(b, question...), records...)
	s.send(r, b, s.name(q)+": "+strings.TrimSuffix(text, " "))
}

var rcodeNames = map[uint16]string{
	wire.DNSFormErr: "FORMERR", wire.DNSServFail: "SERVFAIL", wire.DNSNXDomain: "NXDOMAIN", wire.DNSNotImp: "NOTIMP", wire.DNSRefused: "REFUSED",
}

// name puts a question into words.
func (s *dnsServer) name(q wire.DNSQuestion) string {
	if typ := wire.DNSTypeName(q.Type); typ != "" {
		return fmt.Sprintf("%s %q", typ, q.Name)
	}
	return fmt.Sprintf("TYPE%d %q", q.Type, q.Name)
}

func (s *dnsServer) send(r *request, b []byte, text string) {
	s.host.served(StageDNS, r, text+fmt.Sprintf(", to %v", r.src))
	s.host.answer(StageDNS, s.cfg.Delay, r.mac, wire.DNSPort, r.src, b)
}
