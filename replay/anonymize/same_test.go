package anonymize_test

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"

	"hilnet/pcaps"
	"hilnet/pcaps/analyze"
	"hilnet/pcaps/flow"
	"hilnet/replay/anonymize"
	"hilnet/sim"
)

// analysisOf is what happened in a capture, without times of frames.
func analysisOf(t testing.TB, packets []*pcaps.Packet) *analyze.Report {
	t.Helper()
	a, err := analyze.New(analyze.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		a.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time - packets[0].Time), Number: uint64(i + 1), Lane: uint32(p.Interface)})
	}
	return a.Report()
}

// mapped is an analysis with every name replaced.
func mapped(a *anonymize.Anonymizer, r *analyze.Report) *analyze.Report {
	address := func(s string) string {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return s
		}
		return netip.AddrPortFrom(a.Addr(ap.Addr()), ap.Port()).String()
	}
	quoted := func(s string) string {
		before, rest, found := strings.Cut(s, `"`)
		if !found {
			return s
		}
		text, after, _ := strings.Cut(rest, `"`)
		return before + `"` + a.Text(text) + `"` + after
	}
	for _, c := range r.Conversations {
		c.Client, c.Server, c.ClientID = address(c.Client), address(c.Server), a.Text(c.ClientID)
		for i := range c.Messages {
			c.Messages[i].Topic = a.Text(c.Messages[i].Topic)
		}
		for i := range c.Findings {
			c.Findings[i].Text = quoted(c.Findings[i].Text)
		}
	}
	return r
}

// The copy analyzes to the same: labels, times, messages, stalls and findings, with the
// names replaced. Only what is neither MQTT nor TLS is not told any more.
func TestTheCopyAnalyzesToTheSame(t *testing.T) {
	findings, messages := 0, 0
	for _, path := range corpus(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a := newAnonymizer(t)
		got, _ := anonymized(t, a, data)
		before, after := packetsOf(t, data), packetsOf(t, got)
		if len(before) == 0 {
			continue
		}
		for i := range before {
			x, y := before[i], after[i]
			if x.Time != y.Time || x.OriginalLen != y.OriginalLen || len(x.Data) != len(y.Data) || x.PacketID != y.PacketID || x.Flags != y.Flags || x.DropCount != y.DropCount {
				t.Fatalf("%s: frame %d: length, time or number is not that of the original", path, i+1)
			}
		}
		want, have := mapped(a, analysisOf(t, before)), analysisOf(t, after)
		for i, c := range want.Conversations {
			if i < len(have.Conversations) && (c.Protocol == "HTTP" || c.Protocol == "other" || c.Protocol == "undecided") {
				have.Conversations[i].Protocol = c.Protocol
			}
			findings, messages = findings+len(c.Findings), messages+len(c.Messages)
		}
		if reflect.DeepEqual(want, have) {
			continue
		}
		t.Errorf("%s: the analyses differ", path)
		for i, c := range want.Conversations {
			if i < len(have.Conversations) && !reflect.DeepEqual(c, have.Conversations[i]) {
				for n, m := range c.Messages {
					if n < len(have.Conversations[i].Messages) && m != have.Conversations[i].Messages[n] {
						t.Logf("want %+v\nhave %+v", m, have.Conversations[i].Messages[n])
					}
				}
				t.Logf("want %+v\nhave %+v", c.Findings, have.Conversations[i].Findings)
				t.Logf("#%d:\nwant %+v\nhave %+v", i+1, c, have.Conversations[i])
				break
			}
		}
		if !reflect.DeepEqual(want.Artefacts, have.Artefacts) {
			t.Logf("want %+v\nhave %+v", want.Artefacts, have.Artefacts)
		}
	}
	if findings < 50 || messages < 1500 {
		t.Errorf("only %d findings and %d messages", findings, messages)
	}
}

// The same original has the same replacement in every file, no two have the same, and
// another key makes others.
func TestReplacementsAreConsistent(t *testing.T) {
	a, b := newAnonymizer(t), newAnonymizer(t)
	other, err := anonymize.New(anonymize.Config{Key: []byte("another key, 16 bytes")})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for i := range 5000 {
		for _, s := range []string{fmt.Sprintf("sensor-%d/t", i), fmt.Sprint(i), fmt.Sprintf("a-much-longer-client-identifier-%d", i)} {
			r := a.Text(s)
			if r != b.Text(s) || len(r) != len(s) || strings.Count(r, "/") != strings.Count(s, "/") {
				t.Fatalf("%q became %q and %q", s, r, b.Text(s))
			}
			if before, twice := seen[r]; twice && before != s {
				t.Fatalf("%q and %q became %q", before, s, r)
			}
			seen[r] = s
			if len(s) > 5 && (other.Text(s) == r || r == s) {
				t.Fatalf("%q became %q", s, r)
			}
		}
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		r := a.Addr(addr).String()
		if before, twice := seen[r]; twice || r != b.Addr(addr).String() {
			t.Fatalf("%v and %v became %v", before, addr, r)
		}
		seen[r] = addr.String()
	}
	x, y := a.Addr(netip.MustParseAddr("192.0.2.1")), a.Addr(netip.MustParseAddr("192.0.2.77"))
	if p, _ := x.Prefix(24); !p.Contains(y) {
		t.Errorf("%v and %v are of one network no more", x, y)
	}
	for s, want := range map[string]string{"$SYS/": "$SYS/", "+/#": "+/#", "": ""} {
		if got := a.Text(s); got != want {
			t.Errorf("%q became %q", s, got)
		}
	}
	var keys []string
	for s := range seen {
		keys = append(keys, s)
	}
	sort.Strings(keys)
	if len(keys) < 15_000 {
		t.Errorf("%d replacements", len(keys))
	}
}
