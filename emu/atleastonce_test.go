package emu_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/sim"
)

// atLeastOnce is a device without quirks that keeps its session and connects
// again, on a link that loses, delays and blacks out as a seed decides.
const atLeastOnce = `
version: 1
name: at-least-once
seed: %d
duration: 150s
devices:
  - quirks: %s
    pool: {packets: 24, payload: 512B}
    mqtt: {clean_session: %v, keepalive: 5s, wait: 3s%s}
    reconnect: 500ms
    backoff: {max: 4s, factor: 2, jitter: 20%%}
    steps:
      - connect
      - wait_for: {event: connected, timeout: 60s}
      - subscribe: {topic: "down/#", qos: %d}
      - every: {period: 700ms, for: 40s, do: [publish: {topic: up, payload: "{n}", qos: %d}, message_get: all]}
      - every: {period: 1s, do: [message_get: all]}
links: [{delay: %dms, loss: %d%%}]
broker: {kind: model}
timeline:
  - {at: %dms, do: blackhole, for: %dms}
  - {at: %dms, do: link_down, for: %dms}
  - {at: %dms, do: blackhole, direction: down, for: %dms}
  - {after: {event: mqtt.subscribed, delay: 1s}, do: broker_publish, topic: down/1, payload: one, qos: %[5]d}
  - {after: {event: mqtt.subscribed, delay: 7s}, do: broker_publish, topic: down/2, payload: two, qos: %[5]d}
  - {after: {event: mqtt.subscribed, delay: 20s}, do: broker_publish, topic: down/3, payload: three, qos: %[5]d}
`

func playAtLeastOnce(t *testing.T, seed uint64, quirks string, clean bool, qos int) (published, lost, duplicated, received int) {
	t.Helper()
	draws := sim.NewRand(seed, "test")
	n := draws.IntN
	offline := ", offline_queue: 100"
	if quirks != "none" {
		offline = ""
	}
	delay, loss := n(200), n(16)
	dark, darkFor := n(20_000), 1+n(12_000)
	down, downFor := 20_000+n(8_000), 1+n(12_000)
	deaf, deafFor := max(30_000+n(20_000), dark+darkFor), 1+n(12_000) // two blackholes may not overlap
	text := fmt.Sprintf(atLeastOnce, seed, quirks, clean, offline, qos, qos, delay, loss, dark, darkFor, down, downFor, deaf, deafFor)
	result, err := emu.Run(context.Background(), scenario(t, text), emu.Options{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	o := result.Outcome
	if len(o.ConservationErrors) > 0 {
		t.Fatalf("seed %d: unaccounted for: %v", seed, o.ConservationErrors)
	}
	return o.Published, o.Lost, o.Duplicated, o.Received
}

// leastTaken is the fewest messages that a run must take: of the 40 s in which a
// device publishes, the three outages and the pauses after them may cover nearly
// all.
const leastTaken = 8

// Whatever the link does below the retry limits, a fixed client that keeps its
// session and an application that connects again deliver every message that was
// taken: at QoS 1 at least once, at QoS 2 exactly once.
func TestEveryMessageArrivesAtLeastOnce(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	seeds := uint64(120)
	switch {
	case testing.Short():
		seeds = 10
	case os.Getenv(linktest.SoakEnv) != "":
		seeds = 10_000
	}
	taken, again, fewest := 0, 0, 1_000_000
	for seed := uint64(1); seed <= seeds; seed++ {
		qos := 1 + int(seed%2)
		published, lost, duplicated, received := playAtLeastOnce(t, seed, "none", false, qos)
		taken, again, fewest = taken+published, again+duplicated, min(fewest, published)
		if lost > 0 || published < leastTaken || received < 3 || qos == 2 && (duplicated > 0 || received > 3) {
			t.Errorf("seed %d, QoS %d: published %d, lost %d, duplicated %d, received %d of 3", seed, qos, published, lost, duplicated, received)
		}
	}
	if taken < int(seeds)*40 {
		t.Errorf("%d messages taken in %d runs: too few to say anything", taken, seeds)
	}
	t.Logf("%d messages taken in %d runs, at least %d in each, %d arrived again (QoS 1)", taken, seeds, fewest, again)
}

// With NetX's client, or without a session, the same links lose messages.
func TestAtLeastOnceSeesALossyClient(t *testing.T) {
	for name, play := range map[string]func(seed uint64) int{
		"quirks: default": func(seed uint64) int {
			published, lost, _, received := playAtLeastOnce(t, seed, "default", true, 1)
			return lost + max(0, 3-received) + max(0, 20-published)
		},
		"clean_session: true": func(seed uint64) int {
			_, lost, _, received := playAtLeastOnce(t, seed, "none", true, 1)
			return lost + max(0, 3-received)
		},
	} {
		lost := 0
		for seed := uint64(1); seed <= 20 && lost == 0; seed++ {
			lost = play(seed)
		}
		if lost == 0 {
			t.Errorf("%s: nothing is lost", name)
		}
	}
}
