package longrun_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/scenarios"
	"hilnet/trace"
)

// Limits of a run that goes on and on.
const (
	lengthShort = 15 * time.Second // with the race detector
	lengthCheck = 2 * time.Minute
	lengthSoak  = time.Hour
	periods     = 10 // in which the run is looked at

	maxMoreFDs        = 2       // from one look to another
	maxMoreGoroutines = 2       //
	maxMoreHeap       = 4 << 20 // bytes in use
	maxBytesPerFrame  = 1024    // allocated in all, the trace and the events for this test too
	maxDrift          = 20 * time.Millisecond
)

// A use is what a run takes of the machine at a moment.
type use struct {
	at              time.Duration
	heap, allocated uint64
	fds, goroutines int
	drift           time.Duration // of the run's time from real time: the least lag of an event in the period
}

// A real client that publishes all the time, over a link that loses and is pulled
// now and then: descriptors, goroutines, memory and what a frame allocates stay
// what they are, and the run's clock does not drift from the real one: two
// minutes in a check, an hour in soak.
func TestARealDeviceRunsForLong(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto_pub")
	length := lengthCheck
	switch {
	case os.Getenv(linktest.SoakEnv) != "":
		length = lengthSoak
	case testing.Short():
		length = lengthShort
	}
	sc, err := scenarios.Load("long.yaml", fmt.Appendf(nil, `
version: 1
name: long
clock: real
duration: %v
devices:
  - name: linux
    kind: tap
    tap: {netns: private}
    exec: while :; do echo same; sleep 0.02; done | mosquitto_pub -h $HILNET_BROKER -i $HILNET_CLIENT -t telemetry -q 1 -l
links: [{delay: 5ms, loss: 1%%}]
broker: {kind: model}
timeline:
  - {every: 7s, do: link_down, for: 500ms}
`, length))
	if err != nil {
		t.Fatal(err)
	}
	world, err := emu.New(sc, emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(1 << 16).Events()
	ended := make(chan struct{})
	var result *emu.Result
	go func() {
		defer close(ended)
		result, err = world.Run(t.Context())
	}()
	uses := watchUse(t, events, length)
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	o := result.Outcome
	if n := int(length / (60 * time.Millisecond)); o.Delivered < n || len(o.ConservationErrors) > 0 || result.Verdict != emu.Pass {
		t.Errorf("%d delivered, want %d or more; %s, %v", o.Delivered, n, result.Verdict, o.ConservationErrors)
	}
	nic := o.Devices[0].NIC
	frames := nic.RxFrames + nic.TxFrames
	if len(uses) < periods-1 {
		t.Fatalf("the run was looked at %d times", len(uses))
	}
	first, last := uses[len(uses)/3], uses[len(uses)-1]
	perFrame := float64(last.allocated-uses[0].allocated) / (float64(frames) * float64(last.at-uses[0].at) / float64(length))
	if bad := compareUse(first, last); bad != "" || perFrame > maxBytesPerFrame {
		t.Errorf("%s; %.0f bytes a frame: %+v", bad, perFrame, uses)
	}
	t.Logf("%d delivered, %d frames, %.0f bytes allocated a frame; lateness: 99 %% %v, most %v", o.Delivered, frames, perFrame,
		result.Lateness.Quantile(0.99), result.Lateness.Max)
	for _, u := range uses {
		t.Logf("%v: heap %d B, %d descriptors, %d goroutines, drift %v", u.at.Round(time.Second), u.heap, u.fds, u.goroutines, u.drift)
	}
}

// watchUse looks at the process at the end of each period.
func watchUse(t *testing.T, events <-chan trace.Event, length time.Duration) (uses []use) {
	began := time.Now()
	base := time.Duration(math.MaxInt64) // between the two clocks, as of the first period
	lag := base
	for e := range events {
		at := time.Duration(e.T)
		lag = min(lag, time.Since(began)-at)
		if at >= length || at < length*time.Duration(len(uses)+1)/periods {
			continue
		}
		if len(uses) == 0 {
			base = lag
		}
		u := measureUse(t)
		u.at, u.drift = at, lag-base
		uses = append(uses, u)
		lag = math.MaxInt64
	}
	return uses
}

func measureUse(t *testing.T) use {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	return use{heap: m.HeapAlloc, allocated: m.TotalAlloc, fds: len(fds), goroutines: runtime.NumGoroutine()}
}

// compareUse says what has grown, or drifted, from one look to another.
func compareUse(first, last use) string {
	switch {
	case last.fds > first.fds+maxMoreFDs:
		return fmt.Sprintf("%d descriptors became %d", first.fds, last.fds)
	case last.goroutines > first.goroutines+maxMoreGoroutines:
		return fmt.Sprintf("%d goroutines became %d", first.goroutines, last.goroutines)
	case last.heap > first.heap+maxMoreHeap:
		return fmt.Sprintf("a heap of %d bytes became %d", first.heap, last.heap)
	case last.drift.Abs() > maxDrift:
		return fmt.Sprintf("the run's clock is %v from the real one", last.drift)
	}
	return ""
}

// Sabotage: each thing that grows is seen.
func TestWhatGrowsInALongRunIsSeen(t *testing.T) {
	first := use{heap: 10 << 20, fds: 20, goroutines: 10}
	if bad := compareUse(first, first); bad != "" {
		t.Errorf("nothing grows: %s", bad)
	}
	for name, grow := range map[string]func(*use){
		"descriptors": func(u *use) { u.fds += 10 },
		"goroutines":  func(u *use) { u.goroutines += 10 },
		"heap":        func(u *use) { u.heap += 8 << 20 },
		"clock":       func(u *use) { u.drift = -time.Second },
	} {
		last := first
		if grow(&last); compareUse(first, last) == "" {
			t.Errorf("%s is not seen", name)
		}
	}
}
