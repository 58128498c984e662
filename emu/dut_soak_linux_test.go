package emu_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/trace"
)

// A real client that publishes all the time: memory and descriptors stay what
// they are, and nothing drifts: 15 s in a check, an hour in soak.
func TestARealDeviceRunsForLong(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto_pub")
	length := 15 * time.Second
	if os.Getenv(linktest.SoakEnv) != "" {
		length = time.Hour
	}
	world, err := emu.New(scenario(t, fmt.Sprintf(`
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
`, length)), emu.Options{})
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
	type use struct {
		heap uint64
		fds  int
	}
	measure := func() use {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Error(err)
		}
		return use{m.HeapAlloc, len(fds)}
	}
	var early, late use
	for e := range events {
		at := time.Duration(e.T)
		if early.fds == 0 && at > length/3 {
			early = measure()
		}
		if late.fds == 0 && at > length*9/10 && e.Kind != trace.KindEnd {
			late = measure()
		}
	}
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	o := result.Outcome
	if n := int(length / (60 * time.Millisecond)); o.Delivered < n || len(o.ConservationErrors) > 0 || strings.Contains(fmt.Sprint(o.Findings), "error") {
		t.Errorf("%d delivered, want %d or more; %v", o.Delivered, n, o.ConservationErrors)
	}
	if late.fds > early.fds+2 || late.heap > early.heap+8<<20 || early.fds == 0 || late.fds == 0 {
		t.Errorf("after a third of the time %+v, at the end %+v", early, late)
	}
	t.Logf("%d delivered, early %+v, late %+v, lateness 99 %% %v, most %v", o.Delivered, early, late, result.Lateness.Quantile(0.99), result.Lateness.Max)
}
