package mqtt_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"hilnet/mqtt"
	"hilnet/sim"
)

// pauses are those before n attempts in a row, as a device with this seed draws them.
func pauses(b mqtt.Backoff, n int, seed uint64) []time.Duration {
	draws := sim.NewRand(seed, "device/backoff")
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = b.Pause(i, draws)
	}
	return all
}

func ExampleBackoff() {
	b := mqtt.Backoff{After: time.Second, Max: 30 * time.Second, Factor: 2}
	if err := b.Check(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(pauses(b, 7, 1))
	b.Jitter = 0.2 // two devices that lose the broker together do not come back together
	fmt.Println(pauses(b, 3, 1))
	fmt.Println(pauses(b, 3, 2))
	// Output:
	// [1s 2s 4s 8s 16s 30s 30s]
	// [925.13974ms 1.988623316s 4.422725379s]
	// [1.196800068s 2.054628991s 3.627226596s]
}

func TestABackoffGrowsToItsLimit(t *testing.T) {
	for _, c := range []struct {
		why  string
		b    mqtt.Backoff
		want string
	}{
		{"without Max and Factor", mqtt.Backoff{After: 2 * time.Second}, "[2s 2s 2s 2s]"},
		{"without Max", mqtt.Backoff{After: 2 * time.Second, Factor: 3}, "[2s 2s 2s 2s]"},
		{"without Factor", mqtt.Backoff{After: 2 * time.Second, Max: time.Hour}, "[2s 2s 2s 2s]"},
		{"a factor that meets Max", mqtt.Backoff{After: time.Second, Max: 4 * time.Second, Factor: 2}, "[1s 2s 4s 4s]"},
		{"a factor that would pass Max", mqtt.Backoff{After: time.Second, Max: 5 * time.Second, Factor: 3}, "[1s 3s 5s 5s]"},
		{"a factor that is not whole", mqtt.Backoff{After: time.Second, Max: time.Hour, Factor: 1.5}, "[1s 1.5s 2.25s 3.375s]"},
	} {
		if err := c.b.Check(); err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		if got := fmt.Sprint(pauses(c.b, 4, 1)); got != c.want {
			t.Errorf("%s: %s, want %s", c.why, got, c.want)
		}
	}
	far := mqtt.Backoff{After: 1, Max: 8760 * time.Hour, Factor: 1e300}
	if got := far.Pause(math.MaxInt, nil); got != far.Max {
		t.Errorf("attempt %d after %v, want %v", math.MaxInt, got, far.Max)
	}
}

// Jitter spreads a pause evenly to both sides, and by a device's own draws.
func TestJitterSpreadsAPause(t *testing.T) {
	b := mqtt.Backoff{After: 10 * time.Second, Jitter: 0.2}
	draws := sim.NewRand(7, "x")
	const n, tenths = 10_000, 10
	var in [tenths]int
	for range n {
		p := b.Pause(0, draws)
		if p < 8*time.Second || p > 12*time.Second {
			t.Fatalf("a pause of %v", p)
		}
		in[min(tenths-1, int((p-8*time.Second)*tenths/(4*time.Second)))]++
	}
	for i, count := range in {
		if count < 850 || count > 1150 { // five standard deviations around 1,000
			t.Errorf("%d of %d pauses in the tenth %d", count, n, i+1)
		}
	}
	same, other := fmt.Sprint(pauses(b, 5, 1)), fmt.Sprint(pauses(b, 5, 2))
	if same != fmt.Sprint(pauses(b, 5, 1)) || same == other {
		t.Errorf("a seed draws %s, another %s", same, other)
	}
}

// Without jitter nothing is drawn, so that switching it on moves no other draw.
func TestABackoffWithoutJitterDrawsNothing(t *testing.T) {
	draws := sim.NewRand(7, "x")
	_ = mqtt.Backoff{After: time.Second}.Pause(3, draws)
	if got, want := draws.Uint64(), sim.NewRand(7, "x").Uint64(); got != want {
		t.Error("something was drawn")
	}
}

func TestABackoffThatMakesNoSenseIsRefused(t *testing.T) {
	for _, b := range []mqtt.Backoff{
		{}, {After: -1}, {After: 2, Max: 1}, {After: 1, Factor: 0.5}, {After: 1, Factor: math.NaN()},
		{After: 1, Jitter: -0.1}, {After: 1, Jitter: 1.1}, {After: 1, Jitter: math.NaN()},
	} {
		if b.Check() == nil {
			t.Errorf("%+v is allowed", b)
		}
	}
}
