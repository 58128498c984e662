package services

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"hilnet/wire"
)

func query(t testing.TB, name string, typ uint16) []byte {
	t.Helper()
	b, ok := wire.AppendDNSQuestion(wire.AppendDNS(nil, 7, wire.DNSRecursionDesired, 1, 0, 0, 0), wire.DNSQuestion{Name: name, Type: typ, Class: wire.DNSClassIN})
	if !ok {
		t.Fatalf("no name: %q", name)
	}
	return udp(netip.AddrPortFrom(clientAddr, 4000), netip.AddrPortFrom(serverAddr, 53), b)
}

// resolve asks and returns the answer as gopacket reads it, in words.
func (w *world) resolve(frame []byte) string {
	w.t.Helper()
	sent := w.put(frame)
	if len(sent) == 0 {
		return "nothing"
	}
	l := w.answer(sent)
	if l.UDP == nil {
		return "ICMP"
	}
	if l.UDP.SrcPort() != 53 || l.UDP.DstPort() != 4000 {
		w.t.Errorf("%s", wire.Summary(sent[0]))
	}
	var m layers.DNS
	if err := m.DecodeFromBytes(l.Payload, gopacket.NilDecodeFeedback); err != nil {
		w.t.Fatal(err)
	}
	words := []string{strings.TrimSpace(m.ResponseCode.String())}
	if m.ID != 7 {
		words = append(words, "wrong id")
	}
	if m.TC {
		words = append(words, "truncated")
	}
	for _, a := range m.Answers {
		words = append(words, a.IP.String())
	}
	return strings.Join(words, " ")
}

func names() *DNSConfig {
	return &DNSConfig{Names: []Name{
		{Name: "broker.example", Addrs: []netip.Addr{at(1)}, TTL: time.Minute},
		{Name: "both.example", Addrs: []netip.Addr{at(1), at(3), netip.MustParseAddr("fd00::1")}},
	}}
}

func TestNamesHaveTheirAddresses(t *testing.T) {
	w := newWorld(t, Config{DNS: names()})
	for _, c := range []struct {
		name string
		typ  uint16
		want string
	}{
		{"broker.example", wire.DNSTypeA, "No Error 10.0.0.1"},
		{"BROKER.Example", wire.DNSTypeA, "No Error 10.0.0.1"},
		{"broker.example", wire.DNSTypeAAAA, "No Error"},
		{"both.example", wire.DNSTypeA, "No Error 10.0.0.1 10.0.0.3"},
		{"both.example", wire.DNSTypeAAAA, "No Error fd00::1"},
		{"both.example", wire.DNSTypeANY, "No Error 10.0.0.1 10.0.0.3 fd00::1"},
		{"example", wire.DNSTypeA, "Non-Existent Domain"},
		{"bro\u212aer.example", wire.DNSTypeA, "Non-Existent Domain"}, // the sign of the kelvin, whose small letter is k
		{"", wire.DNSTypeA, "Non-Existent Domain"},
		{strings.Repeat("long.", 50) + "er", wire.DNSTypeA, "Non-Existent Domain"},
	} {
		if got := w.resolve(query(t, c.name, c.typ)); got != c.want {
			t.Errorf("%q type %d: %s, want %s", c.name, c.typ, got, c.want)
		}
	}
	if got := w.last(); !strings.HasSuffix(got, "NXDOMAIN, to 10.0.0.2:4000") {
		t.Error(got)
	}
}

func TestTheDNSServerLies(t *testing.T) {
	for answer, want := range map[DNSAnswer]string{
		DNSRight: "No Error 10.0.0.1", DNSOff: "ICMP", DNSSilent: "nothing", DNSNXDomain: "Non-Existent Domain",
		DNSServFail: "Server Failure", DNSRefused: "Query Refused", DNSEmpty: "No Error", DNSWrong: "No Error 192.0.2.1",
		DNSTruncated: "No Error truncated", DNSWrongID: "No Error wrong id 10.0.0.1",
	} {
		w := newWorld(t, Config{DNS: names()})
		w.host.SetDNS(answer)
		if got := w.resolve(query(t, "broker.example", wire.DNSTypeA)); got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
	}
	if n := len(DNSAnswer("").Values()); n != 10 {
		t.Errorf("%d answers", n)
	}
}

func TestQueriesThatAreNoGoodAreRefused(t *testing.T) {
	header := func(flags uint16, questions int, rest ...byte) []byte {
		b := append(wire.AppendDNS(nil, 7, flags, questions, 0, 0, 0), rest...)
		return udp(netip.AddrPortFrom(clientAddr, 4000), netip.AddrPortFrom(serverAddr, 53), b)
	}
	w := newWorld(t, Config{DNS: names()})
	for want, frame := range map[string][]byte{
		"Format Error":    header(0, 2, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1),
		"Not Implemented": header(0x1000, 1, 0, 0, 1, 0, 1),
		"Query Refused":   header(0, 1, 0, 0, 1, 0, 3),
	} {
		if got := w.resolve(frame); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := w.resolve(header(0, 1, 0xc0, 12)); got != "Format Error" {
		t.Errorf("a name in circles: %s", got)
	}
}
