package distance

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hilnet/internal/golden"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/wire"
)

// recording returns the path of a recording of the real NetX Duo.
func recording(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", name+".pcap")
}

// open reads a capture.
func open(t testing.TB, path string, config Config) *Capture {
	t.Helper()
	in, done, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer done() //nolint:errcheck // only read from
	c, err := Read(context.Background(), in, config)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

// packets returns the frames of a capture.
func packets(t testing.TB, path string) (all []*pcaps.Packet) {
	t.Helper()
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Clone())
	}
	return all
}

// write writes frames to a new file and returns its path.
func write(t testing.TB, all []*pcaps.Packet) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "changed.pcapng")
	f, err := pcaps.Create(path, pcaps.Section{}, pcaps.WriterConfig{})
	if err == nil {
		_, err = f.AddInterface(pcaps.Interface{LinkType: all[0].LinkType, Resolution: pcaps.Nanoseconds})
	}
	for _, p := range all {
		if p.Interface = 0; err == nil {
			err = f.WritePacket(p)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// apart returns the measures that have a distance.
func apart(r *Report) (all []Measure) {
	for _, m := range r.Measures {
		if m.Distance > 0 {
			all = append(all, m)
		}
	}
	return all
}

// One frame of a recording is changed, and exactly that is found: in its behaviour, by
// its name and its size, and in no other one.
func TestExactlyWhatADeviceDoesOtherwiseIsFound(t *testing.T) {
	for _, c := range []struct {
		name, recording string
		behaviour       Behaviour
		change          func(*Capture, []*pcaps.Packet) []*pcaps.Packet
		check           func(Measure) bool
	}{
		{
			"the second try 300 ms later", "2a-dead-link-8s", Retries,
			func(c *Capture, p []*pcaps.Packet) []*pcaps.Packet {
				p[c.samples[Retries][1].frame-1].Time += pcaps.Stamp(300 * time.Millisecond)
				return p
			},
			func(m Measure) bool {
				return m.Late.N == 1 && m.Late.Max == 300*time.Millisecond && m.Early.N == 1 && m.Early.Max == 300*time.Millisecond && m.Changed+m.Missing+m.Extra == 0
			},
		},
		{
			"the second try 10 ms later, which is within the tolerance", "2a-dead-link-8s", NoBehaviour,
			func(c *Capture, p []*pcaps.Packet) []*pcaps.Packet {
				p[c.samples[Retries][1].frame-1].Time += pcaps.Stamp(10 * time.Millisecond)
				return p
			}, nil,
		},
		{
			"no last ARP request", "3b-arp-missing-host", ARPRequests,
			func(c *Capture, p []*pcaps.Packet) []*pcaps.Packet {
				last := c.samples[ARPRequests][len(c.samples[ARPRequests])-1].frame
				return slices.Delete(p, int(last)-1, int(last))
			},
			func(m Measure) bool { return m.Missing == 1 && m.Matches == m.A-1 && m.Lines[0].Kind == KindMissing },
		},
		{
			"an update of the window more", "1-basic", WindowUpdates,
			func(c *Capture, p []*pcaps.Packet) []*pcaps.Packet {
				const delayed, window, open = 20, 14, 4000 // the frame of an acknowledgement that stands alone
				more := p[delayed-1].Clone()
				binary.BigEndian.PutUint16(more.Data[wire.EthernetHeaderLen+wire.IPv4HeaderLen+window:], open)
				more.Time++
				return slices.Insert(p, delayed, more)
			},
			func(m Measure) bool { return m.Extra == 1 && m.Matches == m.A },
		},
		{
			"another TTL in the SYN", "1-basic", SYNs,
			func(c *Capture, p []*pcaps.Packet) []*pcaps.Packet {
				wire.IPv4(p[c.samples[SYNs][0].frame-1].Data[wire.EthernetHeaderLen:]).SetTTL(64)
				return p
			},
			func(m Measure) bool { return m.Changed == 1 && slices.Equal(m.Lines[0].Fields, []string{"TTL"}) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := recording(t, c.recording)
			a := open(t, path, Config{})
			b := open(t, write(t, c.change(a, packets(t, path))), Config{})
			r, err := Compare(a, b, Config{})
			if err != nil {
				t.Fatal(err)
			}
			found := apart(r)
			if c.behaviour == NoBehaviour {
				if r.Distance != 0 {
					t.Errorf("distance %v: %+v", r.Distance, found)
				}
				return
			}
			if c.behaviour == WindowUpdates { // and the window is another one
				found = slices.DeleteFunc(found, func(m Measure) bool { return m.Name == Windows.String() })
			}
			if r.Distance == 0 || len(found) != 1 || found[0].Name != c.behaviour.String() || !c.check(found[0]) {
				t.Errorf("distance %v: %+v", r.Distance, found)
			}
			back, err := Compare(b, a, Config{})
			if err != nil || back.Distance != r.Distance {
				t.Errorf("there %v, back %v (%v)", r.Distance, back.Distance, err)
			}
		})
	}
}

// Whichever frame of a recorded device is missing, that shows; and each behaviour shows
// somewhere.
func TestEveryFrameThatIsMissingShows(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "*.pcap"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	shown := map[string]bool{}
	for _, path := range names {
		a, all := open(t, path, Config{}), packets(t, path)
		for n, p := range all {
			var l wire.Layers
			if err := l.Parse(p.Data); err != nil || l.Ethernet.Src() != golden.DeviceMAC {
				continue
			}
			r, err := Compare(a, open(t, write(t, slices.Delete(slices.Clone(all), n, n+1)), Config{Device: a.Device}), Config{Tolerance: -1})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range apart(r) {
				shown[m.Name] = true
			}
			if r.Distance == 0 {
				t.Errorf("%s: frame %d is missing, and the distance is 0", filepath.Base(path), n+1)
			}
		}
	}
	elsewhere := []Behaviour{WindowUpdates, NDRequests, NDAnswers, DHCPMessages, DNSQueries} // not in these recordings
	for _, b := range Behaviours() {
		if !shown[b.String()] && b.Class() != classOutage && !slices.Contains(elsewhere, b) {
			t.Errorf("nothing that is missing shows as %v", b)
		}
	}
}

// Clocks, ports, addresses and first sequence numbers are arbitrary: a capture that
// starts at another time is the same.
func TestWhenARunWasDoesNotMatter(t *testing.T) {
	path := recording(t, "5c-disconnect-leak")
	all := packets(t, path)
	for _, p := range all {
		p.Time += pcaps.Stamp(1000 * time.Hour)
	}
	r, err := Compare(open(t, path, Config{}), open(t, write(t, all), Config{}), Config{Tolerance: -1})
	if err != nil || r.Distance != 0 {
		t.Errorf("distance %v, %v", r.Distance, err)
	}
}

// A time counts by how much longer one took than the other.
func TestALagCountsByItsShareOfTheTime(t *testing.T) {
	const tolerance = 20 * time.Millisecond
	for _, c := range []struct {
		x, y, late time.Duration
		cost       float64
	}{
		{time.Second, time.Second, 0, 0},
		{time.Second, time.Second + tolerance, tolerance, 0},
		{time.Second, 1500 * time.Millisecond, 500 * time.Millisecond, 0.5},
		{1500 * time.Millisecond, time.Second, -500 * time.Millisecond, 0.5},
		{time.Second, 3 * time.Second, 2 * time.Second, 1},
		{0, 50 * time.Millisecond, 50 * time.Millisecond, 0.5},
	} {
		late, cost := lag(&sample{after: c.x, timed: true}, &sample{after: c.y, timed: true}, tolerance)
		if late != c.late || cost != c.cost {
			t.Errorf("%v and %v: late %v, cost %v, want %v, %v", c.x, c.y, late, cost, c.late, c.cost)
		}
	}
	a := []sample{{what: "a", timed: true}}
	m := measure(Messages, a, []sample{{what: "a"}}, tolerance, new(int))
	if m.Changed != 1 || m.Distance != whole {
		t.Errorf("a cause that only one has: %+v", m)
	}
}

// A device is as far from another as that is from it, whatever they did.
func TestDistancesAreTheSameBothWays(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "*.pcap"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	var all []*Capture
	for _, path := range names {
		all = append(all, open(t, path, Config{}))
	}
	for i, a := range all {
		for j, b := range all[:i] {
			there, err := Compare(a, b, Config{})
			if err != nil {
				t.Fatal(err)
			}
			back, err := Compare(b, a, Config{})
			if err != nil || there.Distance != back.Distance {
				t.Errorf("%s and %s: there %v, back %v (%v)", filepath.Base(names[i]), filepath.Base(names[j]), there.Distance, back.Distance, err)
			}
		}
	}
}

// Which values differ does not depend on which device comes first; one that is empty,
// such as the name of DNS's root, differs once.
func TestValuesDifferBothWaysAlike(t *testing.T) {
	root := sample{what: "query NS, try 1", values: []value{{"name", ""}, {"server", "1"}, {"recursion", "yes"}}}
	other := sample{what: "query NS, try 1", values: []value{{"name", "example.org"}, {"server", "1"}, {"recursion", "yes"}}}
	none := sample{what: "query NS, try 1", values: []value{{"server", "1"}, {"recursion", "yes"}}}
	for _, c := range [][2]*sample{{&root, &other}, {&root, &none}, {&other, &none}} {
		for range 2 {
			if got := c[0].differing(c[1]); !slices.Equal(got, []string{"name"}) {
				t.Errorf("%q beside %q: %q", c[0].text(), c[1].text(), got)
			}
			c[0], c[1] = c[1], c[0]
		}
	}
}

// Every behaviour has a name of its own, a class beside its like, a weight and words.
func TestTheTableOfBehavioursIsWhole(t *testing.T) {
	names, ended, last := map[string]bool{}, map[string]bool{}, ""
	for _, b := range Behaviours() {
		if names[b.String()] || b.Class() == "" || b.Weight() <= 0 || b.Text() == "" {
			t.Errorf("%v: %+v", b, table[b])
		}
		names[b.String()] = true
		if b.Class() != last {
			if ended[b.Class()] {
				t.Errorf("%v: the class %s is in two places", b, b.Class())
			}
			ended[last], last = true, b.Class()
		}
	}
}

// A capture of more than fits is refused, and one without a device too.
func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   error
	}{
		{Config{MaxSamples: 5}, ErrTooLong},
		{Config{Device: "192.0.2.77"}, ErrNoDevice},
		{Config{Device: "02:00:00:00:77:77"}, ErrNoDevice},
	} {
		in, done, err := pcaps.Open(recording(t, "1-basic"), pcaps.ReaderConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(context.Background(), in, c.config); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.config, err)
		}
		_ = done()
	}
}
