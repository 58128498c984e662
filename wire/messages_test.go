package wire

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The other reader of these formats is gopacket's.

func TestADHCPMessageReadsAsGopacketReadsIt(t *testing.T) {
	f := DHCPFields{
		Op: BOOTReply, XID: 0x01020304, Secs: 7, Broadcast: true, MAC: MAC{2, 0, 0, 0, 0, 9},
		Client: netip.MustParseAddr("10.0.0.9"), Your: netip.MustParseAddr("10.0.0.8"), Server: netip.MustParseAddr("10.0.0.7"),
	}
	b := AppendDHCP(nil, f)
	b = AppendDHCPOption(b, DHCPOptType, byte(DHCPOffer))
	b = AppendDHCPOption(b, DHCPOptPad)[:len(b)+1] // an option of one byte
	b = AppendDHCPAddrs(b, DHCPOptDNS, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	b = AppendDHCPUint32(b, DHCPOptLease, 3600)
	b = AppendDHCPEnd(b, 0)
	if len(b) != DHCPMinimumLen {
		t.Errorf("%d bytes", len(b))
	}
	var other layers.DHCPv4
	if err := other.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		t.Fatal(err)
	}
	m, err := ParseDHCP(b)
	if err != nil {
		t.Fatal(err)
	}
	addr := func(ip []byte) netip.Addr { a, _ := netip.AddrFromSlice(ip); return a.Unmap() }
	theirs := DHCPFields{
		Op: uint8(other.Operation), XID: other.Xid, Secs: other.Secs, Broadcast: other.Flags&0x8000 != 0, MAC: MAC(other.ClientHWAddr),
		Client: addr(other.ClientIP), Your: addr(other.YourClientIP), Server: addr(other.NextServerIP),
	}
	ours := DHCPFields{Op: m.Op(), XID: m.XID(), Secs: m.Secs(), Broadcast: m.Broadcast(), MAC: m.MAC(), Client: m.Client(), Your: m.Your(), Server: m.Server()}
	if theirs != f || ours != f {
		t.Errorf("gopacket reads\n%+v, we read\n%+v, want\n%+v", theirs, ours, f)
	}
	for _, o := range other.Options {
		if o.Type == layers.DHCPOptPad || o.Type == layers.DHCPOptEnd {
			continue
		}
		if data, ok := m.Option(uint8(o.Type)); !ok || !bytes.Equal(data, o.Data) {
			t.Errorf("option %v: %x %v, gopacket has %x", o.Type, data, ok, o.Data)
		}
	}
	lease, _ := m.Uint32Option(DHCPOptLease)
	if m.Type() != DHCPOffer || lease != 3600 || m.AddrOption(DHCPOptDNS) != netip.MustParseAddr("10.0.0.1") || m.Relay() != netip.IPv4Unspecified() {
		t.Errorf("type %v, lease %d, DNS %v, relay %v", m.Type(), lease, m.AddrOption(DHCPOptDNS), m.Relay())
	}
}

func TestADNSMessageReadsAsGopacketReadsIt(t *testing.T) {
	q := DNSQuestion{Name: "Broker.example", Type: DNSTypeA, Class: DNSClassIN}
	b := AppendDNS(nil, 77, DNSResponse|DNSAuthoritative|DNSRecursionDesired, 1, 2, 0, 0)
	b, ok := AppendDNSQuestion(b, q)
	b = AppendDNSRecord(b, DNSHeaderLen, DNSTypeA, 60, 10, 0, 0, 1)
	b = AppendDNSRecord(b, DNSHeaderLen, DNSTypeA, 60, 10, 0, 0, 2)
	var other layers.DNS
	if err := other.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil || !ok {
		t.Fatal(err, ok)
	}
	if other.ID != 77 || !other.QR || !other.AA || !other.RD || string(other.Questions[0].Name) != q.Name || len(other.Answers) != 2 {
		t.Errorf("gopacket reads %+v", other)
	}
	m, _ := ParseDNS(b)
	got, at, err := m.Question(DNSHeaderLen)
	if err != nil || got != q {
		t.Fatalf("question %+v, %v", got, err)
	}
	for _, theirs := range other.Answers {
		var r DNSRecord
		if r, at, err = m.Record(at); err != nil || r.Name != string(theirs.Name) || r.TTL != theirs.TTL || !bytes.Equal(r.Data, theirs.IP.To4()) {
			t.Errorf("record %+v %v, gopacket has %+v", r, err, theirs)
		}
	}
	if at != len(b) {
		t.Errorf("%d of %d bytes read", at, len(b))
	}
}

func TestNamesThatNoMessageCanCarryAreRefused(t *testing.T) {
	long := string(bytes.Repeat([]byte("a"), 64))
	for _, name := range []string{"a..b", ".a", "a." + long, string(bytes.Repeat([]byte("a."), 127)) + "aa"} {
		if b, ok := AppendDNSName([]byte{1}, name); ok || len(b) != 1 {
			t.Errorf("%q is written as %x", name, b)
		}
	}
	for _, m := range []DNS{
		{0xc0, 0},                           // points at itself
		{3, 'a'},                            // ends within a label
		{0x40, 0},                           // an unknown kind of label
		{1, 'a'},                            // lacks the root
		append(make(DNS, 12), 0xc0),         // half a pointer
		append(DNS{0xc0, 2, 0xc0, 0}, 0xc0), // in circles
	} {
		if name, _, err := m.Name(max(0, len(m)-2)); err == nil && name != "" {
			t.Errorf("%x is read as %q", []byte(m), name)
		}
	}
	if _, _, err := (DNS{0xc0, 0}).Name(0); err != ErrDNSName {
		t.Errorf("a circle: %v", err)
	}
	if _, _, err := (DNS{3, 'a'}).Name(0); err != ErrShort {
		t.Errorf("half a label: %v", err)
	}
}

func TestNTPTimestampsCountFrom1900(t *testing.T) {
	for text, want := range map[string]NTPTime{
		"1970-01-01T00:00:00Z":   2_208_988_800 << 32,
		"2000-01-01T00:00:00.5Z": 3_155_673_600<<32 | 1<<31,
		"2036-02-07T06:28:16Z":   0, // the next era
	} {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := NTPTimeOf(at); got != want {
			t.Errorf("%s is %x, want %x", text, got, want)
		}
		if back := want.Time(); !back.Equal(at) {
			t.Errorf("%x is %v, want %s", want, back, text)
		}
	}
	b := make([]byte, NTPLen)
	f := NTPFields{
		Leap: 3, Version: 4, Mode: NTPServer, Stratum: 2, Poll: 6, Precision: -20, RootDelay: 1, RootDispersion: 2,
		Reference: [4]byte{'R', 'A', 'T', 'E'}, ReferenceTime: 3, Originate: 4, Receive: 5, Transmit: 6,
	}
	PutNTP(b, f)
	var other layers.NTP
	if err := other.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		t.Fatal(err)
	}
	theirs := NTPFields{
		Leap: uint8(other.LeapIndicator), Version: uint8(other.Version), Mode: uint8(other.Mode), Stratum: uint8(other.Stratum),
		Poll: int8(other.Poll), Precision: int8(other.Precision), RootDelay: uint32(other.RootDelay), RootDispersion: uint32(other.RootDispersion),
		Reference:     [4]byte{byte(other.ReferenceID >> 24), byte(other.ReferenceID >> 16), byte(other.ReferenceID >> 8), byte(other.ReferenceID)},
		ReferenceTime: NTPTime(other.ReferenceTimestamp), Originate: NTPTime(other.OriginTimestamp),
		Receive: NTPTime(other.ReceiveTimestamp), Transmit: NTPTime(other.TransmitTimestamp),
	}
	m, rest, err := ParseNTP(b)
	ours := f
	ours.Leap, ours.Version, ours.Mode, ours.Stratum, ours.Poll = m.Leap(), m.Version(), m.Mode(), m.Stratum(), m.Poll()
	ours.Reference, ours.Originate, ours.Receive, ours.Transmit = m.Reference(), m.Originate(), m.Receive(), m.Transmit()
	if !reflect.DeepEqual(theirs, f) || ours != f || len(rest) != 0 || err != nil {
		t.Errorf("gopacket reads\n%+v, we read\n%+v, want\n%+v", theirs, ours, f)
	}
}

func FuzzDHCP(f *testing.F) {
	b := AppendDHCP(nil, DHCPFields{Op: BOOTRequest})
	f.Add(AppendDHCPEnd(AppendDHCPOption(b, DHCPOptType, 1), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseDHCP(b)
		if err != nil {
			return
		}
		for code := range 256 {
			if data, ok := m.Option(uint8(code)); ok && (code == int(DHCPOptPad) || code == int(DHCPOptEnd) || len(data) > 255) {
				t.Fatalf("option %d: %x", code, data)
			}
		}
		_, _, _, _ = m.Type(), m.AddrOption(DHCPOptServer), m.Relay(), m.Your()
	})
}

func FuzzDNS(f *testing.F) {
	b, _ := AppendDNSQuestion(AppendDNS(nil, 1, 0, 1, 1, 0, 0), DNSQuestion{Name: "a.example", Type: 1, Class: 1})
	f.Add(AppendDNSRecord(b, DNSHeaderLen, DNSTypeA, 1, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseDNS(b)
		if err != nil {
			return
		}
		at := DNSHeaderLen
		for range 20 {
			r, next, err := m.Record(at)
			if err != nil {
				break
			}
			if next <= at || next > len(b) || len(r.Name) > DNSMaxName {
				t.Fatalf("record at %d ends at %d, name of %d bytes", at, next, len(r.Name))
			}
			at = next
		}
		q, _, err := m.Question(DNSHeaderLen)
		if err != nil {
			return
		}
		// A name that a message can carry comes back as it was.
		if w, ok := AppendDNSQuestion(make([]byte, DNSHeaderLen), q); ok {
			if back, _, err := DNS(w).Question(DNSHeaderLen); err != nil || back != q && q.Name+"." != back.Name && back.Name+"." != q.Name {
				t.Fatalf("%+v became %+v, %v", q, back, err)
			}
		}
	})
}
