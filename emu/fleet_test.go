package emu

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/trace"
)

// fleetScenario is n sensors that publish once a minute, each at a moment of its
// own.
func fleetScenario(t testing.TB, n int, profile string, duration time.Duration) *scenarios.Scenario {
	t.Helper()
	text := fmt.Sprintf(`
version: 1
name: fleet
duration: %v
network: 10.64.0.0/16
devices:
  - name: sensor-{i}
    count: %d
    profile: %s
    start_spread: 1m
    mqtt: {keepalive: 300s, wait: 10s}
    pool: {packets: 8, payload: 512B}
    reconnect: 5s
    steps:
      - connect
      - every: {period: 1m, for: %v, do: [publish: {topic: "sensors/{i}/telemetry", payload: '{"n":{n}}', qos: 1}]}
links:
  - {device: "sensor-{i}", delay: 40ms}
broker: {kind: model}
expect:
  - lost == 0
  - conservation_errors == 0
  - all(devices, .connects == 1 and .published > 0)
`, duration, n, profile, duration-90*time.Second) // so that nothing is under way at the end
	sc, err := scenarios.Load("fleet.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// hashed runs a scenario without files and returns the hash of its trace.
func hashed(t testing.TB, sc *scenarios.Scenario) (*Result, string) {
	t.Helper()
	w, err := New(sc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	var b []byte
	w.onStart(func() error {
		w.trace.Subscribe(func(e *trace.Event) {
			b = binary.AppendVarint(b[:0], int64(e.T))
			for _, n := range []uint64{e.Seq, e.Frame, uint64(e.QoS), uint64(e.ID), uint64(e.Len), uint64(e.Status), e.Hash, uint64(e.Count)} {
				b = binary.AppendUvarint(b, n)
			}
			for _, s := range []string{string(e.Kind), e.Node, e.Stage, string(e.Reason), e.Client, e.Topic, e.Text} {
				b = append(append(b, s...), 0)
			}
			for _, v := range e.Values {
				b = binary.AppendVarint(append(b, v.Name...), v.N)
			}
			h.Write(b)
		})
		return nil
	})
	r, err := w.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Pass {
		t.Errorf("%s: %+v", r.Verdict, r.Checks)
	}
	return r, hex.EncodeToString(h.Sum(nil))
}

// small is a fleet that a test of every change can afford.
var small = []struct {
	profile string
	n       int
	length  time.Duration
}{{"netx", 500, 5 * time.Minute}, {"linux", 150, 3 * time.Minute}}

func TestAFleetRepeatsBitForBit(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	for _, c := range small {
		first, want := hashed(t, fleetScenario(t, c.n, c.profile, c.length))
		before := runtime.GOMAXPROCS(1)
		_, got := hashed(t, fleetScenario(t, c.n, c.profile, c.length))
		runtime.GOMAXPROCS(before)
		if got != want {
			t.Errorf("%d %s devices: %s, then %s", c.n, c.profile, want, got)
		}
		seeded := fleetScenario(t, c.n, c.profile, c.length)
		seeded.Seed++
		if _, other := hashed(t, seeded); other == want {
			t.Errorf("%d %s devices: another seed makes the same run", c.n, c.profile)
		}
		o := first.Outcome
		if o.Published < c.n*int(c.length/time.Minute-1) || o.Acknowledged < o.Published-c.n || len(o.Spread) == 0 {
			t.Errorf("%d %s devices published %d, %d acknowledged", c.n, c.profile, o.Published, o.Acknowledged)
		}
	}
}

func TestABroadcastOfAFleetCostsOneDelivery(t *testing.T) {
	const n = 120
	sc := fleetScenario(t, n, "netx", 3*time.Minute)
	if sc.Access != scenarios.AccessIsolated {
		t.Errorf("access of %d devices: %s", n, sc.Access)
	}
	run := func(access scenarios.Access) (down int, s scenarios.SwitchOutcome) {
		own := sc.Clone()
		own.Access = access
		r, _ := hashed(t, own)
		for _, l := range r.Outcome.Links {
			down += l.Down.Entered
		}
		return down, r.Outcome.Switch
	}
	down, s := run(scenarios.AccessIsolated)
	if s.Flooded != 0 || s.Directed != n || down > s.Forwarded {
		t.Errorf("isolated: %+v, want one ARP request of each device, to the broker alone", s)
	}
	// The other way shows what that spares: each request goes to all others. They
	// learn who asks, NetX's small ARP table forgets the broker, and more ask.
	shared, s := run(scenarios.AccessShared)
	if s.Directed != 0 || s.Flooded <= n || shared < s.Flooded*(n-1) || shared < 10*down {
		t.Errorf("shared: %+v, %d frames to devices; isolated %d", s, shared, down)
	}
}

func TestAFleetIsRecordedAtTheBroker(t *testing.T) {
	r := record(t, fleetScenario(t, 150, "netx", 2*time.Minute), Options{})
	if len(r.Files) != 2 {
		t.Errorf("files %v, want the trace and one capture", r.Files)
	}
	rec := r.Recording
	if rec.Captured == 0 || rec.Written != rec.Captured || rec.Undecided != 0 || rec.LateFates != 0 || rec.Captured < uint64(r.Outcome.Switch.FramesIn) {
		t.Errorf("recording %+v, switch %+v", rec, r.Outcome.Switch)
	}
	if err := pcaps.Verify(r.capture(scenarios.PointBroker)); err != nil {
		t.Error(err)
	}
}

// What tshark counts in the captures is what the counters say, through losses and
// a reboot.
func TestTheCountersAreThoseOfTheCaptures(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "tshark")
	r := record(t, load(t, `
version: 1
name: counted
duration: 30s
devices:
  - name: a
    profile: linux
    reconnect: 1s
    steps: &steps [connect, every: {period: 500ms, do: [publish: {topic: "{i}", size: 300B, qos: 1}]}]
  - {name: b, profile: netx, reconnect: 1s, steps: *steps}
links:
  - {device: a, delay: 10ms, loss: 5%}
  - {device: b, delay: 10ms, loss: 5%}
broker: {kind: model}
capture: [device, peer, broker]
timeline:
  - {at: 10s, do: power_cut, for: 3s, device: a}
  - {at: 15s, do: reboot, device: b}
`), Options{})
	count := func(point, filter string) (frames, bytes int) {
		args := []string{"-r", r.capture(scenarios.Point(point)), "-T", "fields", "-e", "frame.len", "-Y", filter}
		for line := range strings.Lines(linktest.Tshark(t, args...)) {
			frames++
			bytes += atoi(t, strings.TrimSpace(line))
		}
		return frames, bytes
	}
	const in, out, lost = "frame.packet_flags_direction == 1", "frame.packet_flags_direction == 2", `frame.comment contains "dropped"`
	atSwitch := 0
	for _, d := range r.Outcome.Devices {
		if d.Reboots != 1 {
			t.Errorf("%s: %d reboots", d.Name, d.Reboots)
		}
		frames, bytes := count(d.Name+".device", out)
		if frames != d.NIC.TxFrames || bytes != d.NIC.TxBytes {
			t.Errorf("%s sent %d frames of %d bytes, its NIC %+v", d.Name, frames, bytes, d.NIC)
		}
		off := 0
		for i := range r.events {
			if e := &r.events[i]; e.Kind == trace.KindDrop && e.Node == d.Name && strings.Contains(e.Text, "the device is off") {
				off++
			}
		}
		if frames, _ = count(d.Name+".device", in); frames != d.NIC.RxFrames+d.NIC.RxDropped+off {
			t.Errorf("%d frames reached %s, %d when it was off; its NIC %+v", frames, d.Name, off, d.NIC)
		}
		frames, _ = count(d.Name+".peer", in)
		atSwitch += frames
		if all, _ := count(d.Name+".device", out); frames >= all {
			t.Errorf("%s: no loss on the way up", d.Name)
		}
	}
	sent, _ := count("broker", out)
	if s := r.Outcome.Switch; s.FramesIn != atSwitch+sent || s.Forwarded == 0 {
		t.Errorf("switch %+v; tshark counts %d frames up, %d of the broker", s, atSwitch, sent)
	}
	marked, _ := count("broker", lost)
	down := 0
	for _, l := range r.Outcome.Links {
		down += l.Down.Dropped
	}
	if marked != down || down == 0 {
		t.Errorf("%d frames are marked as lost at the broker's port, the links have dropped %d", marked, down)
	}
}

// An hour of a large fleet, twice, for make soak.
func TestALargeFleetRepeatsBitForBit(t *testing.T) {
	linktest.Soak(t)
	for _, c := range large {
		first, want := hashed(t, fleetScenario(t, c.n, c.profile, c.length))
		second, got := hashed(t, fleetScenario(t, c.n, c.profile, c.length))
		t.Logf("%d %s devices, %v: %v and %v, %d events, %s", c.n, c.profile, c.length, first.Wall, second.Wall, first.Events, want)
		if got != want {
			t.Errorf("%d %s devices: %s, then %s", c.n, c.profile, want, got)
		}
	}
}

var large = []struct {
	profile string
	n       int
	length  time.Duration
}{{"netx", 10_000, time.Hour}, {"linux", 1_000, time.Hour}}

func BenchmarkFleet(b *testing.B) {
	for _, c := range large {
		b.Run(fmt.Sprintf("%s-%d-%v", c.profile, c.n, c.length), func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				sc := fleetScenario(b, c.n, c.profile, c.length)
				w, err := New(sc, Options{})
				if err != nil {
					b.Fatal(err)
				}
				w.onCount(func() {
					runtime.GC()
					runtime.ReadMemStats(&after)
				})
				r, err := w.Run(context.Background())
				if err != nil || r.Verdict != Pass {
					b.Fatal(err, r.Verdict)
				}
				b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/float64(c.n), "B/device")
				b.ReportMetric(float64(r.Events), "events")
			}
		})
	}
}
