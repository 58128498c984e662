package link_test

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// heavy is a direction with all that costs time for each frame.
func heavy() link.DirectionConfig {
	return link.DirectionConfig{
		Loss: .01, LossCorrelation: .2, Burst: link.BurstConfig{GilbertElliott: &link.GilbertElliott{P: .01, R: .3, LossBad: 1}},
		Conditions: &link.ConditionsConfig{States: []link.Condition{{Dwell: time.Second}, {Dwell: time.Second, Loss: .1, Delay: time.Millisecond, RateBitsPerSecond: 5e8}}},
		Duplicate:  link.Chance{Probability: .1}, Corrupt: link.CorruptConfig{Chance: link.Chance{Probability: .1}, RepairChecksums: true},
		MTU: 1500, Policer: link.PolicerConfig{RateBitsPerSecond: 1e9, BurstBytes: 1 << 20},
		Shaper: link.ShaperConfig{RateBitsPerSecond: 1e9, Discipline: link.CoDel, MarkECN: true},
		Delay:  2 * time.Millisecond, Jitter: link.JitterConfig{Spread: time.Millisecond, Distribution: link.Normal(), Correlation: .5, Reorder: true},
		Reorder: link.ReorderConfig{Chance: link.Chance{Probability: .1}},
		Slot:    link.SlotConfig{Min: time.Microsecond, Max: 2 * time.Microsecond, Packets: 4},
	}
}

func TestNoStageAllocatesInSteadyState(t *testing.T) {
	b := newBench(t, 1, heavy())
	b.link.Connect(nil, link.SinkFunc((*link.Frame).Release))
	work := func() {
		b.drops = b.drops[:0]
		for range 100 {
			b.send(0, 1000)
		}
		if err := b.loop.Run(b.loop.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		work()
	}
	// The pool of frames may be emptied by a garbage collection meanwhile.
	if n := testing.AllocsPerRun(50, work); n >= 10 {
		t.Errorf("%v allocations for 100 frames", n)
	}
	if err := b.link.Check(); err != nil {
		t.Error(err)
	}
}

// tenThousandLinks is a world of them.
func tenThousandLinks(t testing.TB, sink link.Sink) (*sim.Loop, []*link.Link) {
	t.Helper()
	loop := sim.NewLoop(sim.Config{Seed: 1})
	w := link.World{Loop: loop, IDs: new(link.IDs)}
	links := make([]*link.Link, 10_000)
	way := link.DirectionConfig{Loss: .01, Delay: 20 * time.Millisecond, Jitter: link.JitterConfig{Spread: time.Millisecond, Distribution: link.Pareto()},
		Shaper: link.ShaperConfig{RateBitsPerSecond: 1e6}}
	for i := range links {
		l, err := link.New(w, link.Config{Name: fmt.Sprint("link", i), Up: way, Down: way})
		if err != nil {
			t.Fatal(err)
		}
		l.Connect(sink, sink)
		links[i] = l
	}
	return loop, links
}

func TestTenThousandLinksFitInOneWorld(t *testing.T) {
	came := 0
	loop, links := tenThousandLinks(t, link.SinkFunc(func(f *link.Frame) { came++; f.Release() }))
	for range 2 {
		for _, l := range links {
			l.Up.Put(link.NewFrame(100))
			l.Down.Put(link.NewFrame(100))
		}
		if err := loop.Run(loop.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range links {
		if err := l.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if came < 39_000 || came > 40_000 {
		t.Errorf("%d of 40,000 came", came)
	}
}

// BenchmarkImpairments is loss, jitter, rate and queue: what the issue of speed
// is measured by.
func BenchmarkImpairments(b *testing.B) {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link", Up: link.DirectionConfig{
		Loss: .01, Delay: 2 * time.Millisecond, Jitter: link.JitterConfig{Spread: time.Millisecond, Distribution: link.Normal(), Reorder: true},
		Shaper: link.ShaperConfig{RateBitsPerSecond: 1e9},
	}})
	if err != nil {
		b.Fatal(err)
	}
	l.Connect(nil, link.SinkFunc((*link.Frame).Release))
	b.ReportAllocs()
	for b.Loop() {
		l.Up.Put(link.NewFrame(1000))
		if err := loop.Run(loop.Now().Add(10 * time.Microsecond)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

// BenchmarkTenThousandLinks is a packet on one of 10,000 links with loss, jitter,
// rate and queue, all of which have packets under way.
func BenchmarkTenThousandLinks(b *testing.B) {
	loop, links := tenThousandLinks(b, link.SinkFunc((*link.Frame).Release))
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		links[i%len(links)].Up.Put(link.NewFrame(100))
		i++
		if err := loop.Run(loop.Now().Add(time.Microsecond)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(after.HeapAlloc)/float64(len(links)), "B/link")
	runtime.KeepAlive(links)
}

// The tables come from floating-point functions; their integers must be the
// same on every machine, or runs would not be.
func TestBuiltinTablesAreTheSameEverywhere(t *testing.T) {
	h := fnv.New64a()
	for _, name := range []string{"uniform", "normal", "pareto", "paretonormal"} {
		d, ok := link.Builtin(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		b := newBench(t, 1, link.DirectionConfig{Delay: time.Second, Jitter: link.JitterConfig{Spread: 50 * time.Millisecond, Distribution: d, Correlation: .3, Reorder: true}})
		b.every(time.Millisecond, 5000, 60)
		for _, a := range b.up {
			fmt.Fprintln(h, a.ordinal, int64(a.at))
		}
	}
	if got := h.Sum64(); got != builtinHash {
		t.Errorf("hash %#x, want %#x", got, uint64(builtinHash))
	}
}

const builtinHash = 0xb97b720d819c1541

// ecnFrame is an IPv4/TCP frame with the codepoint.
func ecnFrame(codepoint uint8, payload int) *link.Frame {
	f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + wire.TCPHeaderLen + payload)
	wire.PutEthernet(f.Data, peerMAC, deviceMAC, wire.EtherTypeIPv4)
	wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{TOS: codepoint, TTL: 64, Protocol: wire.ProtocolTCP, Src: device4, Dst: peer4}, wire.TCPHeaderLen+payload)
	clear(f.Data[len(f.Data)-payload:])
	wire.PutTCP(f.Data[wire.EthernetHeaderLen+wire.IPv4HeaderLen:], wire.TCPFields{SrcPort: 1, DstPort: 2, Flags: wire.TCPAck}, device4, peer4, payload)
	return f
}

func TestCoDelKeepsAStandingQueueShortByDropsOrMarks(t *testing.T) {
	for _, c := range []struct {
		name      string
		cfg       link.ShaperConfig
		codepoint uint8
		drops     bool
	}{
		{"drop", link.ShaperConfig{Discipline: link.CoDel}, 0, true},
		{"mark", link.ShaperConfig{Discipline: link.CoDel, MarkECN: true}, 2, false},
		{"not capable", link.ShaperConfig{Discipline: link.CoDel, MarkECN: true}, 0, true},
	} {
		c.cfg.RateBitsPerSecond = 8e6 // 1 ms for 1,000 B
		b := newBench(t, 1, link.DirectionConfig{Shaper: c.cfg})
		marked, bad := 0, 0
		b.link.Connect(nil, link.SinkFunc(func(f *link.Frame) {
			var l wire.Layers
			if l.Parse(f.Data) != nil || !l.IPv4.ChecksumOK() {
				bad++
			}
			if l.IPv4.TOS()&3 == 3 {
				marked++
			}
			b.up = append(b.up, arrival{at: b.loop.Now(), ordinal: f.Ordinal})
			f.Release()
		}))
		for i := range 5000 { // 5 % more than the rate
			b.loop.At(sim.Time(i)*950_000, func() { b.link.Up.Put(ecnFrame(c.codepoint, 946)) })
		}
		b.run(time.Minute)
		worst := time.Duration(0)
		for _, a := range b.up {
			worst = max(worst, a.at.Sub(sim.Time(a.ordinal-1)*950_000))
		}
		if bad > 0 || c.drops != (len(b.drops) > 20) || c.drops != (marked == 0) || c.drops && worst > 60*time.Millisecond {
			t.Errorf("%s: %d dropped, %d marked, %d damaged, longest wait %v", c.name, len(b.drops), marked, bad, worst)
		}
		for _, d := range b.drops {
			if d.Reason != trace.DropCoDel {
				t.Errorf("%s: dropped for %s", c.name, d.Reason)
			}
		}
	}
}

func TestALossCanMarkInsteadOfDropping(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Loss: 1, LossMarksECN: true})
	b.link.Up.Put(ecnFrame(1, 10))
	b.link.Up.Put(ecnFrame(0, 10))
	b.run(time.Second)
	if len(b.up) != 1 || len(b.drops) != 1 || b.drops[0].Frame != 2 {
		t.Errorf("arrivals %+v, drops %+v", b.up, b.drops)
	}
}

func TestCorruptionOfThePayloadReachesTheApplicationWithRepairedChecksums(t *testing.T) {
	for _, repair := range []bool{true, false} {
		b := newBench(t, 1, link.DirectionConfig{Corrupt: link.CorruptConfig{
			Chance: link.Chance{Probability: 1}, Bits: 3, Payload: true, From: 4, To: 8, RepairChecksums: repair,
		}})
		right := 0
		b.link.Connect(nil, link.SinkFunc(func(f *link.Frame) {
			var l wire.Layers
			if err := l.Parse(f.Data); err != nil {
				t.Fatal(err)
			}
			if l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
				right++
			}
			ones := 0
			for i, v := range l.Payload {
				for ; v != 0; v &= v - 1 {
					ones++
					if i < 4 || i >= 8 {
						t.Errorf("byte %d changed", i)
					}
				}
			}
			if ones != 3 {
				t.Errorf("%d bits flipped, want 3", ones)
			}
			f.Release()
		}))
		for range 200 {
			b.link.Up.Put(ecnFrame(0, 16))
		}
		b.run(time.Second)
		if repair != (right == 200) {
			t.Errorf("repair %v: %d of 200 checksums are right", repair, right)
		}
	}
}
