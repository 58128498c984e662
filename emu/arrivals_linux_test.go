//go:build linux

package emu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/link/decisions"
	"hilnet/scenarios"
	"hilnet/sim"
)

// The kernel pings the device for some seconds of real time, over a bad link.
const pingedScenario = `
version: 1
name: pinged
seed: 9
clock: real
duration: 5s
devices: [{profile: linux, address: 10.0.0.2/24, reconnect: 500ms, steps: [connect]}]
links:
  - delay: 5ms
    jitter: {spread: 3ms, distribution: normal, order: reorder}
    loss: {share: 10%, model: gilbert-elliott, run: 2}
    duplicate: 10%
    corrupt: 5%
    rate: 10Mbit
broker: {kind: tap, tap: {name: hil0, address: 10.0.0.1/24, netns: NETNS}}
`

// A logLine is a line of a decision log.
type logLine struct {
	T                          sim.Time
	Dir, Verdict, Stage, Draws string
	Frame                      uint64
	Made                       bool
	Copy, Len                  int
	NS                         int64
	Draw, Reason               string
}

// readLog returns the arrivals of a log, and what each stage decided of each frame.
func readLog(t *testing.T, text []byte) (arrivals []logLine, verdicts map[string]string) {
	t.Helper()
	verdicts = map[string]string{}
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n"))[1:] {
		var l logLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Verdict == "enter" {
			arrivals = append(arrivals, l)
			continue
		}
		verdicts[fmt.Sprintf("%s %d.%d %s %s", l.Dir, l.Frame, l.Copy, l.Stage, l.Draws)] = fmt.Sprint(l.Verdict, " ", l.NS, " ", l.Draw, " ", l.Reason)
	}
	return arrivals, verdicts
}

// sendAgain sends the arrivals over a link in virtual time and returns its decision
// log.
func sendAgain(t *testing.T, arrivals []logLine, seed uint64, up, down link.DirectionConfig) []byte {
	t.Helper()
	loop := sim.NewLoop(sim.Config{Seed: seed})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link", Up: up, Down: down})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	rec := decisions.NewRecorder(loop, &out, decisions.Header{Scenario: "again"}, func(err error) { t.Error(err) })
	l.Up.AddDecider(rec)
	l.Down.AddDecider(rec)
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc((*link.Frame).Release))
	for _, a := range arrivals {
		path := l.Up
		if a.Dir == "down" {
			path = l.Down
		}
		loop.At(a.T, func() { path.Put(link.NewFrame(a.Len)) })
	}
	if err := loop.Run(sim.Never - 1); err != nil {
		t.Fatal(err)
	}
	if err := rec.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What came to a link in real time, from the kernel through a TAP, sent over the
// same link in virtual time: each stage decides of each frame as it did then.
// And with jitter, copies, damage and rate away the same frames are lost.
func TestTheArrivalsOfARealRunHaveTheSameVerdictsInVirtualTime(t *testing.T) {
	linktest.Require(t, "tun", "netns", "ping")
	ns := linktest.Namespace(t)
	sc, err := scenarios.Load("pinged.yaml", []byte(strings.Replace(pingedScenario, "NETNS", ns.Name, 1)))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "real.jsonl")
	world, err := emu.New(sc, emu.Options{DecisionsOut: file})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(10000)
	finished := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it takes 5 s; a machine that stands still must not hold the test
	defer cancel()
	go func() {
		_, err := world.Run(ctx)
		finished <- err
	}()
	for e := range events.Events() {
		if e.T > 0 {
			break // it runs
		}
	}
	// Without -w it would go on for ever once the TAP is gone, where the machine is too slow for its pace.
	ns.Run("ping", "-q", "-w", "4", "-i", "0.005", "-s", "200", "10.0.0.2")
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	arrivals, want := readLog(t, text)
	if len(arrivals) < 200 || len(want) < 1000 {
		t.Fatalf("%d arrivals, %d decisions: the link had little to do", len(arrivals), len(want))
	}
	up, down := sc.Links[0].Up.Config(), sc.Links[0].Down.Config()
	_, got := readLog(t, sendAgain(t, arrivals, sc.Seed, up, down))
	if !maps.Equal(got, want) {
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if got[k] != want[k] {
				t.Errorf("%s: %q in real time, %q in virtual", k, want[k], got[k])
				break
			}
		}
		t.Errorf("%d decisions in real time, %d in virtual time", len(want), len(got))
	}

	lost := func(verdicts map[string]string) []string {
		var all []string
		for k, v := range verdicts {
			if strings.Contains(k, ".0 ") && strings.HasSuffix(k, "/burst drop") && strings.HasPrefix(v, "drop") {
				all = append(all, k)
			}
		}
		return slices.Sorted(slices.Values(all))
	}
	plain := func(d link.DirectionConfig) link.DirectionConfig { return link.DirectionConfig{Burst: d.Burst} }
	_, alone := readLog(t, sendAgain(t, arrivals, sc.Seed, plain(up), plain(down)))
	if a, b := lost(want), lost(alone); len(a) < 20 || !slices.Equal(a, b) {
		t.Errorf("with jitter, copies, damage and rate %d frames are lost, without %d: %.200v, %.200v", len(a), len(b), a, b)
	}
	if _, other := readLog(t, sendAgain(t, arrivals, sc.Seed+1, up, down)); maps.Equal(other, want) {
		t.Error("another seed decides alike: this test sees nothing")
	}
}
