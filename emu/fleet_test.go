package emu

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"testing"
	"time"

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
      - every: {period: 1m, do: [publish: {topic: "sensors/{i}/telemetry", payload: '{"n":{n}}', qos: 1}]}
links:
  - {device: "sensor-{i}", delay: 40ms}
broker: {kind: model}
expect:
  - lost == 0
  - conservation_errors == 0
  - all(devices, .connects == 1 and .published > 0)
`, duration, n, profile)
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

func BenchmarkFleet(b *testing.B) {
	for _, c := range []struct {
		profile string
		n       int
		length  time.Duration
	}{{"netx", 10_000, time.Hour}, {"linux", 1_000, time.Hour}} {
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
