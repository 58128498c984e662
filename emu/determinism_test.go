package emu

import (
	"bytes"
	"runtime"
	"testing"

	"hilnet/sim"
)

// The gate over processes, GOMAXPROCS and -race is in cmd/emu; here is what one
// process can show.

func TestEveryOneOf200SeedsRepeatsItself(t *testing.T) {
	sc := open(t, "link-drop")
	seeds := uint64(200)
	if testing.Short() {
		seeds = 10
	}
	different := map[string]uint64{}
	for seed := uint64(1); seed <= seeds; seed++ {
		first := events(t, sc, Options{Seed: &seed})
		if second := events(t, sc, Options{Seed: &seed}); !bytes.Equal(first, second) {
			t.Fatalf("seed %d: two runs differ in %s", seed, firstDifference(first, second))
		}
		different[string(first)] = seed
	}
	// Only the link draws from the seed, as NetX's random numbers have none of
	// their own: of many seeds a few lose the same frames.
	if uint64(len(different)) < seeds*9/10 {
		t.Errorf("%d seeds gave only %d different runs", seeds, len(different))
	}
}

func TestGOMAXPROCSIsWhatTheUserSetAndDecidesNothing(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	want := record(t, open(t, "link-drop"), Options{Seed: seedOf(7)})
	want6 := record(t, open(t, "connect-v6"), Options{Seed: seedOf(7)})
	for _, procs := range []int{1, 2, 3, 4, 8} {
		runtime.GOMAXPROCS(procs)
		got := record(t, open(t, "link-drop"), Options{Seed: seedOf(7)})
		if now := runtime.GOMAXPROCS(0); now != procs {
			t.Errorf("GOMAXPROCS was %d, is %d after the run", procs, now)
		}
		if !same(t, want.dir, got.dir) {
			t.Errorf("GOMAXPROCS %d: other files than with %d", procs, before)
		}
		if got := record(t, open(t, "connect-v6"), Options{Seed: seedOf(7)}); !same(t, want6.dir, got.dir) {
			t.Errorf("IPv6, GOMAXPROCS %d: other files than with %d", procs, before)
		}
	}
	if other := record(t, open(t, "connect-v6"), Options{Seed: seedOf(8)}); same(t, want6.dir, other.dir) {
		t.Error("IPv6: seed 8 gives the files of seed 7")
	}
	if other := record(t, open(t, "link-drop"), Options{Seed: seedOf(8)}); same(t, want.dir, other.dir) {
		t.Error("seed 8 gives the files of seed 7")
	}
}

func TestSpectatorsChangeNothing(t *testing.T) {
	want := record(t, open(t, "link-drop"), Options{})

	opt := Options{Out: t.TempDir(), Progress: func(sim.Time, sim.Time) {}}
	w, err := New(open(t, "link-drop"), opt)
	if err != nil {
		t.Fatal(err)
	}
	slow := w.Observe(1) // nobody reads
	if _, err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slow.Dropped() == 0 {
		t.Error("the buffer of one event never was full")
	}
	if !same(t, want.dir, opt.Out) {
		t.Error("progress and an observation change the files")
	}
}

func TestWorldsSideBySideDoNotMix(t *testing.T) {
	want := events(t, open(t, "link-drop"), Options{})
	t.Run("side by side", func(t *testing.T) {
		for _, seed := range []uint64{1, 2, 1, 3} {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				got := events(t, open(t, "link-drop"), Options{Seed: &seed})
				if (seed == 1) != bytes.Equal(got, want) {
					t.Errorf("seed %d: %s", seed, firstDifference(got, want))
				}
			})
		}
	})
}
