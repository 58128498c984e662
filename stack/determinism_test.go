package stack

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
)

// lossyRun is twenty connections over a lossy wire, some closed and some
// aborted in the middle, some of them dialled anew; it returns one hash over
// every (time, frame) of both directions. A dual run is over IPv4, and over IPv6
// with addresses that come from a router advertisement.
func lossyRun(t testing.TB, seed uint64, dual bool) (sum string, frames int) {
	until := 4 * time.Second
	if dual {
		until = 8 * time.Second
	}
	w := newWorld(t, seed)
	w.delay = 7 * time.Millisecond
	up, down := sim.NewStream(seed, "up"), sim.NewStream(seed, "down")
	w.lose = func(fromA bool, n int, _ []byte) bool {
		if fromA {
			return up.Float64At(uint64(n), 0) < 0.05
		}
		return down.Float64At(uint64(n), 0) < 0.05
	}
	if dual {
		w.dual(func(a, b *Config) {
			a.Addr6, a.SLAAC, a.DAD = netip.Prefix{}, true, 1
			b.Addr6, b.Advertise, b.DAD = netip.MustParsePrefix("fd00:1::2/64"), network6, 1
		})
	} else {
		w.hosts(Linux(), Linux())
	}
	if _, err := w.b.Listen(80, 0, func(c *Conn) {
		s := new(stream).attach(c)
		s.send(pattern(30_000, 5))
		c.OnData(func(d []byte) { s.send(d[:len(d)/2+1]) })
		c.OnClosed(func(error) { c.Close() })
	}); err != nil {
		t.Fatal(err)
	}
	servers := []string{"10.0.0.2:80", "[fd00:1::2]:80", "[fe80::ff:fe00:2]:80"}
	if !dual {
		servers = servers[:1]
	}
	for i := range 20 {
		start := func() {
			c, err := w.a.Dial(netip.MustParseAddrPort(servers[i%len(servers)]))
			if err != nil {
				t.Fatal(err)
			}
			s := new(stream).attach(c)
			s.send(pattern(20_000+i*1000, byte(i)))
			c.OnClosed(func(error) { c.Close() })
			c.OnConnected(func() { s.push() })
			w.loop.After(time.Duration(300+i*37)*time.Millisecond, func() {
				switch i % 4 {
				case 0:
					c.Abort()
				case 1:
					c.Close()
				}
			})
		}
		// Pairs begin at one moment, where there is IPv6 when its addresses are in use.
		begin := sim.Time(0)
		if dual {
			begin = sim.Time(4 * time.Second)
		}
		w.loop.At(begin+sim.Time(i/2)*sim.Time(11*time.Millisecond), start)
		w.loop.At(begin+sim.Time(2*time.Second)+sim.Time(i), start)
	}
	w.run(until)
	w.close()
	return w.sum(), w.count[0] + w.count[1]
}

// atProcs runs fn at a GOMAXPROCS and checks that it is left alone.
func atProcs(t testing.TB, procs int, fn func()) {
	t.Helper()
	before := runtime.GOMAXPROCS(procs)
	defer runtime.GOMAXPROCS(before)
	fn()
	if got := runtime.GOMAXPROCS(0); got != procs {
		t.Errorf("GOMAXPROCS is %d after the run, was %d", got, procs)
	}
}

func TestSameSeedSameFrames(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for _, tt := range []struct {
		name string
		run  func(seed uint64) (string, int)
	}{
		{"IPv4", func(seed uint64) (string, int) { return lossyRun(t, seed, false) }},
		{"dual stack", func(seed uint64) (string, int) { return lossyRun(t, seed, true) }},
		{"a device with a pool", func(seed uint64) (string, int) { return pooledRun(t, seed) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, frames := tt.run(7)
			if frames < 2000 {
				t.Fatalf("only %d frames: the run is no test", frames)
			}
			for _, procs := range []int{1, 2, 4} {
				atProcs(t, procs, func() {
					for i := range rounds {
						if got, n := tt.run(7); got != want {
							t.Fatalf("GOMAXPROCS %d, run %d: %s over %d frames, want %s over %d", procs, i, got, n, want, frames)
						}
					}
				})
			}
			if other, _ := tt.run(8); other == want {
				t.Error("another seed gives the same frames")
			}
		})
	}
}

// pooledRun is a device whose two threads talk over IPv4 and IPv6 at once, out
// of one small pool, over a lossy wire, and connect anew when a connection has
// ended; every fourth is reset by the server in the middle. The hash covers the
// device's statuses too.
func pooledRun(t testing.TB, seed uint64) (sum string, frames int) {
	d := newDevice(t, seed, NetX(), 256, 24, func(a, b *Config) { a.Addr6, b.Addr6 = addr6A, addr6B })
	up, down := sim.NewStream(seed, "up"), sim.NewStream(seed, "down")
	d.lose = func(fromA bool, n int, _ []byte) bool {
		if fromA {
			return up.Float64At(uint64(n), 0) < 0.05
		}
		return down.Float64At(uint64(n), 0) < 0.05
	}
	accepted := 0
	if _, err := d.b.Listen(1883, 0, func(c *Conn) {
		s := new(stream).attach(c)
		c.OnData(func(b []byte) { s.send(b) })
		c.OnClosed(func(error) { c.Close() })
		if accepted++; accepted%4 == 0 {
			d.loop.After(3*time.Second, c.Abort)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for i, server := range []netip.AddrPort{serverAddr, serverAddr6} {
		d.thread(server.String(), 4+i, func() { d.talk(server, rtos.Ticks(i*200)) })
	}
	d.run(25 * time.Second)
	d.close()
	return d.sum(), d.count[0] + d.count[1]
}

// talk is a thread that sends and receives on one connection after the other,
// each ended by a Disconnect that waits so long.
func (d *device) talk(server netip.AddrPort, wait rtos.Ticks) {
	note := func(what string, s nic.Status) bool {
		fmt.Fprintf(d.hash, "%v %v %s %v\n", d.loop.Now(), server, what, s)
		return s == nic.Success
	}
	s := d.a.NewSocket(server.String())
	for {
		if !note("connect", s.Connect(server, 500)) {
			d.kernel.Current().Sleep(10)
			continue
		}
		for range 40 {
			p, status := d.pool.Allocate(nic.TCP, 100)
			if !note("allocate", status) {
				break
			}
			p.Append(pattern(100, byte(wait)), d.pool, 100)
			if !note("send", s.Send(p, 300)) {
				p.Release()
				break
			}
			if p, status := s.Receive(20); note("receive", status) {
				p.Release()
			}
		}
		note("disconnect", s.Disconnect(wait))
		note("unbind", s.Unbind())
	}
}

// The gate above must go red when the barrier is missing. Without it a frame's
// answers are sent whenever gVisor's goroutine happens to have written them.
func TestSabotageWithoutTheBarrierRunsDiffer(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector finds what is sabotaged before the gate does")
	}
	barrierOff = true
	defer func() { barrierOff = false }()
	seen := make(map[string]int)
	for i := range 40 {
		procs := 1 + i%4
		atProcs(t, procs, func() {
			sum, frames := lossyRun(t, 7, false)
			seen[fmt.Sprint(sum, frames)]++
		})
		if len(seen) > 1 {
			return
		}
	}
	t.Errorf("40 runs without the barrier are all alike: the determinism gate tests nothing")
}
