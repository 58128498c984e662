package stack

import (
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
)

// BenchmarkBulk is a bulk transfer between two hosts on an ideal link of 1 ms;
// one iteration is one frame. The window is limited, for gVisor's loss detection
// (tcp/rack.go, detectLoss) looks at every segment in flight at each ACK.
func BenchmarkBulk(b *testing.B) {
	wide := Linux()
	wide.Name, wide.PlainSYN, wide.MaxWindow = "linux, 64 KiB", true, 65535
	for _, p := range []Profile{wide, NetX()} {
		b.Run(p.Name, func(b *testing.B) { benchmarkBulk(b, p) })
	}
}

func benchmarkBulk(b *testing.B, profile Profile) {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	defer loop.Close()
	var a, z *Host
	frames := 0
	target := int64(0)
	way := func(to **Host) link.Sink {
		var env delayLine
		env.init(loop, func(f *link.Frame) { (*to).Put(f) })
		return link.SinkFunc(func(f *link.Frame) {
			if frames++; int64(frames) == target {
				loop.Stop()
			}
			env.put(f)
		})
	}
	var err error
	if a, err = New(loop, nil, Config{Node: "a", MAC: macA, Addr: addrA, Profile: profile}, way(&z)); err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	if z, err = New(loop, nil, Config{Node: "b", MAC: macB, Addr: addrB, Profile: profile}, way(&a)); err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	if _, err := z.Listen(80, 0, func(c *Conn) { c.OnData(func([]byte) {}) }); err != nil {
		b.Fatal(err)
	}
	c, err := a.Dial(netip.MustParseAddrPort("10.0.0.2:80"))
	if err != nil {
		b.Fatal(err)
	}
	chunk := pattern(64<<10, 1)
	fill := func() {
		for c.Write(chunk) == len(chunk) {
		}
	}
	c.OnConnected(fill)
	c.OnWritable(fill)
	if err := loop.Run(sim.Time(time.Second)); err != nil {
		b.Fatal(err)
	}
	start := frames
	b.ReportAllocs()
	for b.Loop() {
		target = int64(frames) + 1
		if err := loop.Run(sim.Never); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(frames-start)/b.Elapsed().Seconds(), "frames/s")
}

// delayLine delays frames by 1 ms without allocating.
type delayLine struct {
	loop  *sim.Loop
	timer *sim.Timer
	queue []delayed
}

type delayed struct {
	at sim.Time
	f  *link.Frame
}

func (d *delayLine) init(loop *sim.Loop, out func(*link.Frame)) {
	d.loop = loop
	d.timer = loop.NewTimer(func() {
		f := d.queue[0].f
		d.queue = append(d.queue[:0], d.queue[1:]...)
		if len(d.queue) > 0 {
			d.timer.Reset(d.queue[0].at)
		}
		out(f)
	})
}

func (d *delayLine) put(f *link.Frame) {
	d.queue = append(d.queue, delayed{d.loop.Now().Add(time.Millisecond), f})
	if len(d.queue) == 1 {
		d.timer.Reset(d.queue[0].at)
	}
}
