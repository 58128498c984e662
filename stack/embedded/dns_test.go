package embedded

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// A dnsDevice has name servers that the test speaks for.
type dnsDevice struct {
	*device
	client *DNSClient
	log    []string
	answer func(to netip.Addr, m wire.DNS) [][]byte
}

func newDNSDevice(t testing.TB, servers ...netip.Addr) *dnsDevice {
	d := &dnsDevice{device: newDevice(t, deviceConfig{})}
	d.trace.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop {
			d.note("drop %s %s", e.Stage, e.Reason)
		}
	})
	var err error
	if d.client, err = d.ip.NewDNSClient(); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		d.ip.AddStaticARP(s, hostMAC)
		if status := d.client.AddServer(s); !status.OK() {
			t.Fatal(status)
		}
	}
	d.onSend = func(l *wire.Layers) {
		if l.UDP == nil || l.UDP.DstPort() != wire.DNSPort {
			return
		}
		m, err := wire.ParseDNS(append([]byte(nil), l.Payload...))
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := m.Question(wire.DNSHeaderLen)
		d.note("query %d %s > %v flags %04x %v", q.Type, q.Name, l.Dst(), m.Flags(), err)
		if d.answer == nil {
			return
		}
		from, to := netip.AddrPortFrom(l.Dst(), 53), netip.AddrPortFrom(deviceAddr, l.UDP.SrcPort())
		for _, b := range d.answer(l.Dst(), m) {
			d.loop.After(0, func() { d.deliver(udpFrame(from, to, b)) })
		}
	}
	return d
}

func (d *dnsDevice) note(format string, args ...any) {
	d.log = append(d.log, fmt.Sprintf("%g ", float64(d.loop.Now()/1e7)/100)+fmt.Sprintf(format, args...))
}

// ask looks a name up with a wait of 2 s, from a thread, and returns what
// happened.
func (d *dnsDevice) ask(name string) []string {
	d.t.Helper()
	d.thread(func(*rtos.Thread) {
		addr, status := d.client.HostByName(name, 200)
		d.note("%v %v", addr, status)
	})
	d.run(float64(d.loop.Now()/1e6) + 200_000)
	if d.client.Pool().Free() != 16 || d.pool.Free() != 32 {
		d.t.Errorf("%d and %d packets free", d.client.Pool().Free(), d.pool.Free())
	}
	return d.log
}

// says makes a name server's answer: the query's question, then records.
func says(m wire.DNS, flags uint16, counts [3]int, records ...[]byte) []byte {
	b := wire.AppendDNS(nil, m.ID(), wire.DNSResponse|flags, 1, counts[0], counts[1], counts[2])
	return append(append(b, m[wire.DNSHeaderLen:]...), slices.Concat(records...)...)
}

func a(ip ...byte) []byte {
	return wire.AppendDNSRecord(nil, wire.DNSHeaderLen, wire.DNSTypeA, 60, ip...)
}

const asked = "query 1 broker.example > 10.50.0.1 flags 0100 <nil>"

func TestDNSAsksAgainAtNetXsTimes(t *testing.T) {
	other := netip.MustParseAddr("10.50.0.3")
	d := newDNSDevice(t, hostAddr, other)
	q2 := strings.Replace(asked, "10.50.0.1", "10.50.0.3", 1)
	// 2 s for each server, then 4, then 8.
	want := []string{"0 " + asked, "2 " + q2, "4 " + asked, "8 " + q2, "12 " + asked, "20 " + q2, "28 invalid IP NX_DNS_QUERY_FAILED"}
	if got := d.ask("broker.example"); !slices.Equal(got, want) {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// No wait is longer than 64 s.
	d = newDNSDevice(t, hostAddr)
	d.thread(func(*rtos.Thread) { d.client.HostByName("broker.example", 9000) })
	if d.run(250_000); !slices.Equal(d.log, []string{"0 " + asked, "64 " + asked, "128 " + asked}) {
		t.Errorf("%v", d.log)
	}
}

func TestDNSReadsAnswersAsNetXDoes(t *testing.T) {
	thrice := []string{"0 " + asked, "0 drop dns dns_no_answer", "0 " + asked, "0 drop dns dns_no_answer", "0 " + asked, "0 drop dns dns_no_answer", "0 invalid IP NX_DNS_QUERY_FAILED"}
	malformed := slices.Clone(thrice)
	for i := range malformed {
		malformed[i] = strings.Replace(malformed[i], "dns_no_answer", "malformed", 1)
	}
	found := []string{"0 " + asked, "0 10.0.0.9 NX_SUCCESS"}
	cname := wire.AppendDNSRecord(nil, wire.DNSHeaderLen, wire.DNSTypeCNAME, 60, 1, 'x', 0)
	for name, c := range map[string]struct {
		answer func(m wire.DNS) []byte
		want   []string
	}{
		"an address":    {func(m wire.DNS) []byte { return says(m, 0, [3]int{1}, a(10, 0, 0, 9)) }, found},
		"two addresses": {func(m wire.DNS) []byte { return says(m, 0, [3]int{2}, a(10, 0, 0, 9), a(10, 0, 0, 8)) }, found},
		"an alias":      {func(m wire.DNS) []byte { return says(m, 0, [3]int{2}, cname, a(10, 0, 0, 9)) }, found},
		"an authority":  {func(m wire.DNS) []byte { return says(m, 0, [3]int{0, 1}, a(10, 0, 0, 9)) }, found},
		"no question": {func(m wire.DNS) []byte {
			return append(wire.AppendDNS(nil, m.ID(), wire.DNSResponse, 0, 1, 0, 0), append([]byte{0}, a(10, 0, 0, 9)[2:]...)...)
		}, found},
		"an additional record": {func(m wire.DNS) []byte { return says(m, 0, [3]int{0, 0, 1}, a(10, 0, 0, 9)) }, []string{"0 " + asked, "0 0.0.0.0 NX_SUCCESS"}},
		"NXDOMAIN":             {func(m wire.DNS) []byte { return says(m, wire.DNSNXDomain, [3]int{}) }, thrice},
		"SERVFAIL":             {func(m wire.DNS) []byte { return says(m, wire.DNSServFail, [3]int{1}, a(10, 0, 0, 9)) }, thrice},
		"REFUSED":              {func(m wire.DNS) []byte { return says(m, wire.DNSRefused, [3]int{1}, a(10, 0, 0, 9)) }, thrice},
		"truncated":            {func(m wire.DNS) []byte { return says(m, wire.DNSTruncated, [3]int{}) }, thrice},
		"an alias only":        {func(m wire.DNS) []byte { return says(m, 0, [3]int{1}, cname) }, thrice},
		"a short address":      {func(m wire.DNS) []byte { return says(m, 0, [3]int{1}, a(10, 0, 0)) }, thrice},
		"a cut record":         {func(m wire.DNS) []byte { return says(m, 0, [3]int{1}, a(10, 0, 0, 9)[:9]) }, thrice},
		"other capitals": {func(m wire.DNS) []byte {
			b := says(m, 0, [3]int{1}, a(10, 0, 0, 9))
			b[wire.DNSHeaderLen+1] = 'B'
			return b
		}, thrice},
		"a query":     {func(m wire.DNS) []byte { b := says(m, 0, [3]int{1}, a(10, 0, 0, 9)); b[2] = 0; return b }, thrice},
		"header only": {func(m wire.DNS) []byte { return wire.AppendDNS(nil, m.ID(), wire.DNSResponse, 0, 1, 0, 0) }, malformed},
		"a circle": {func(m wire.DNS) []byte {
			return append(wire.AppendDNS(nil, m.ID(), wire.DNSResponse, 1, 1, 0, 0), 0xc0, 12, 0, 1, 0, 1, 0)
		}, malformed},
	} {
		d := newDNSDevice(t, hostAddr)
		d.answer = func(_ netip.Addr, m wire.DNS) [][]byte { return [][]byte{c.answer(m)} }
		if got := d.ask("broker.example"); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// The answer to another query is passed over, and the right one behind it taken.
func TestDNSPassesOverAnswersToOtherQueries(t *testing.T) {
	d := newDNSDevice(t, hostAddr)
	d.answer = func(_ netip.Addr, m wire.DNS) [][]byte {
		right := says(m, 0, [3]int{1}, a(10, 0, 0, 9))
		wrong := slices.Clone(right)
		wrong[0]++
		return [][]byte{wrong, {7}, right}
	}
	want := []string{"0 " + asked, "0 drop dns not_for_us", "0 drop dns not_for_us", "0 10.0.0.9 NX_SUCCESS"}
	if got := d.ask("broker.example"); !slices.Equal(got, want) {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDNSRefusesWhatItCannotDo(t *testing.T) {
	d := newDNSDevice(t)
	if got := d.ask("broker.example"); !slices.Equal(got, []string{"0 invalid IP NX_DNS_NO_SERVER"}) {
		t.Errorf("without a server: %v", got)
	}
	d = newDNSDevice(t, hostAddr)
	if got := d.ask("a..b"); !slices.Equal(got, []string{"0 invalid IP NX_DNS_QUERY_FAILED"}) {
		t.Errorf("a name that is none: %v", got)
	}
	if _, status := d.client.HostByName("a.b", 100); status != nic.WaitError {
		t.Errorf("from an interrupt: %v", status)
	}
	var got []string
	for _, s := range []string{"10.50.0.1", "0.0.0.0", "fd00::1", "10.50.0.2", "10.50.0.3", "10.50.0.4", "10.50.0.5", "10.50.0.6"} {
		got = append(got, d.client.AddServer(netip.MustParseAddr(s)).String())
	}
	want := "NX_DNS_DUPLICATE_ENTRY NX_DNS_PARAM_ERROR NX_DNS_PARAM_ERROR NX_SUCCESS NX_SUCCESS NX_SUCCESS NX_SUCCESS NX_NO_MORE_ENTRIES"
	if strings.Join(got, " ") != want || len(d.client.Servers()) != 5 {
		t.Errorf("%v", got)
	}
	d.client.RemoveServers()
	if len(d.client.Servers()) != 0 {
		t.Error("servers are left")
	}
}

func FuzzDNSAnswer(f *testing.F) {
	b, _ := wire.AppendDNSQuestion(wire.AppendDNS(nil, 1, wire.DNSResponse, 1, 1, 0, 0), wire.DNSQuestion{Name: "a.example", Type: 1, Class: 1})
	f.Add(append(b, a(10, 0, 0, 9)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if addr, status := parseAnswer(b, "a.example"); status.OK() != addr.IsValid() {
			t.Fatalf("%v %v", addr, status)
		}
	})
}
