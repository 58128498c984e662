package stack

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"hilnet/sim"
)

// lossyRun is twenty connections over a lossy wire, some closed and some
// aborted in the middle, some of them dialled anew; it returns one hash over
// every (time, frame) of both directions.
func lossyRun(t testing.TB, seed uint64, until time.Duration) (sum string, frames int) {
	w := newWorld(t, seed)
	w.delay = 7 * time.Millisecond
	up, down := sim.NewStream(seed, "up"), sim.NewStream(seed, "down")
	w.lose = func(fromA bool, n int, _ []byte) bool {
		if fromA {
			return up.Float64At(uint64(n), 0) < 0.05
		}
		return down.Float64At(uint64(n), 0) < 0.05
	}
	w.hosts(Linux(), Linux())
	if _, err := w.b.Listen(80, 0, func(c *Conn) {
		s := new(stream).attach(c)
		s.send(pattern(30_000, 5))
		c.OnData(func(d []byte) { s.send(d[:len(d)/2+1]) })
		c.OnClosed(func(error) { c.Close() })
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		start := func() {
			c, err := w.a.Dial(netip.MustParseAddrPort("10.0.0.2:80"))
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
		// Pairs begin at one moment.
		w.loop.At(sim.Time(i/2)*sim.Time(11*time.Millisecond), start)
		w.loop.At(sim.Time(2*time.Second)+sim.Time(i), start)
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
	const until = 4 * time.Second
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	want, frames := lossyRun(t, 7, until)
	if frames < 2000 {
		t.Fatalf("only %d frames: the run is no test", frames)
	}
	for _, procs := range []int{1, 2, 4} {
		atProcs(t, procs, func() {
			for i := range rounds {
				if got, n := lossyRun(t, 7, until); got != want {
					t.Fatalf("GOMAXPROCS %d, run %d: %s over %d frames, want %s over %d", procs, i, got, n, want, frames)
				}
			}
		})
	}
	if other, _ := lossyRun(t, 8, until); other == want {
		t.Error("another seed gives the same frames")
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
			sum, frames := lossyRun(t, 7, 4*time.Second)
			seen[fmt.Sprint(sum, frames)]++
		})
		if len(seen) > 1 {
			return
		}
	}
	t.Errorf("40 runs without the barrier are all alike: the determinism gate tests nothing")
}
