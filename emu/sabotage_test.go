package emu

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hilnet/nic"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
)

// Each test here breaks the product on purpose and sees a gate go red. The gate
// is a function that the product passes in the same test. Turning off the barrier
// that makes gVisor deterministic is sabotaged where it can be:
// TestSabotageWithoutTheBarrierRunsDiffer in package stack.

const fleet = `
version: 1
name: fleet
duration: 5s
devices:
  - {name: a, steps: [connect, publish: {topic: t, qos: 1}]}
  - {name: b, steps: [connect, publish: {topic: t, qos: 1}]}
  - {name: c, steps: [connect, publish: {topic: t, qos: 1}]}
  - {name: d, steps: [connect, publish: {topic: t, qos: 1}]}
broker: {kind: model}
`

// repeats is the determinism gate: runs with one trace. A map of four often
// enough has the same order, so there are many.
func repeats(t *testing.T, opt Options) error {
	sc := load(t, fleet)
	want := events(t, sc, opt)
	for range 50 {
		if got := events(t, sc, opt); !bytes.Equal(got, want) {
			return fmt.Errorf("two runs differ in %s", firstDifference(want, got))
		}
	}
	return nil
}

func TestAMapRangeInThePathTurnsTheDeterminismGateRed(t *testing.T) {
	if err := repeats(t, Options{}); err != nil {
		t.Errorf("as it is: %v", err)
	}
	if err := repeats(t, Options{sabotage: sabotageMapRange}); err == nil {
		t.Error("devices built in the order of a map, and 51 runs are alike")
	}
}

// packetsBack is the leak gate: after a disconnect all packets are free, by the
// pool's counters, by an expectation and by the pool's own books.
func packetsBack(t *testing.T, leak bool) error {
	sc := open(t, "clean-link")
	sc.Expect = []scenarios.Expectation{{That: `device("device").pool.free_at_end == device("device").pool.total`}}
	w, err := New(sc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if leak {
		w.onStart(func() error {
			if _, s := w.devices[0].pool.Allocate(nic.IPv4TCP, 0); !s.OK() {
				t.Fatalf("no packet to leak: %v", s)
			}
			return nil
		})
	}
	result, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if result.Verdict != Pass {
		return errors.New(result.Checks[0].Why)
	}
	return w.devices[0].pool.Check()
}

func TestOnePacketLeakedTurnsTheExpectationRed(t *testing.T) {
	if err := packetsBack(t, false); err != nil {
		t.Errorf("as it is: %v", err)
	}
	err := packetsBack(t, true)
	if err == nil || !strings.Contains(err.Error(), "pool.free_at_end = 15") {
		t.Errorf("one packet of 16 leaked, and the gate says: %v", err)
	}
}

// framesRecorded is the capture gate: at the device's point as many frames are
// recorded as its link took from it and gave to it.
func framesRecorded(t *testing.T, opt Options) error {
	r := record(t, open(t, "link-drop"), opt)
	path := r.capture(scenarios.PointDevice)
	if err := pcaps.Verify(path); err != nil {
		return err
	}
	n := 0
	for _, err := range pcaps.Packets(path) {
		if err != nil {
			return err
		}
		n++
	}
	l := r.Outcome.Links[0]
	if want := l.Up.Entered + l.Down.Arrived; n != want {
		return fmt.Errorf("%d frames in the capture, %d at the device", n, want)
	}
	return nil
}

func TestOneRecordLostTurnsTheCaptureGateRed(t *testing.T) {
	if err := framesRecorded(t, Options{}); err != nil {
		t.Errorf("as it is: %v", err)
	}
	if err := framesRecorded(t, Options{sabotage: sabotageLostRecord}); err == nil {
		t.Errorf("frame %d is not in the capture, and nobody sees it", sabotagedFrame)
	}
}

const silentCut = `
version: 1
name: silent-cut
duration: 10s
devices:
  - steps: [connect, {sleep: 1s}, publish: {topic: t, payload: into the void, qos: 1}]
links: [delay: 10ms]
broker: {kind: model}
timeline: [{at: 500ms, do: blackhole, for: 7s}]
`

// retransmitsEverySecond is the timing gate: into a cut link, NetX sends a
// segment again at the 100 ms tick of its timer that is 0.9 to 1 s later, and
// from then on every second, to the microsecond.
func retransmitsEverySecond(t *testing.T, opt Options) error {
	r := record(t, load(t, silentCut), opt)
	var last sim.Time
	sent := 0
	for p, err := range pcaps.Packets(r.capture(scenarios.PointDevice)) {
		if err != nil {
			return err
		}
		if !bytes.Contains(p.Data, []byte("into the void")) {
			continue
		}
		now := sim.Time(p.Time - pcaps.VirtualEpoch)
		least := time.Second - time.Microsecond
		if sent == 1 {
			least = 900 * time.Millisecond
		}
		if gap := now.Sub(last); sent > 0 && (gap < least || gap > time.Second+time.Microsecond) {
			return fmt.Errorf("retransmission %d follows after %v, want 1s", sent, gap)
		}
		last = now
		sent++
	}
	if sent < 5 {
		return fmt.Errorf("only %d transmissions in ten seconds", sent)
	}
	return nil
}

func TestATimeOutOf1100msTurnsTheTimingGateRed(t *testing.T) {
	if err := retransmitsEverySecond(t, Options{}); err != nil {
		t.Errorf("as it is: %v", err)
	}
	err := retransmitsEverySecond(t, Options{sabotage: sabotageRTO})
	if err == nil || !strings.Contains(err.Error(), "retransmission 1 follows after 1.04s") {
		t.Errorf("retransmission after 1.1 s, and the gate says: %v", err)
	}
}

// The gate of TLS: two runs over a lossy link have the same files.
func TestTheMachinesRandomnessInTLSTurnsTheGateRed(t *testing.T) {
	for sabotage, want := range map[string]bool{"": true, sabotageTLSChance: false} {
		a, b := record(t, open(t, "tls-lossy"), Options{sabotage: sabotage}), record(t, open(t, "tls-lossy"), Options{sabotage: sabotage})
		if same(t, a.dir, b.dir) != want {
			t.Errorf("sabotage %q: the files are the same: %v", sabotage, !want)
		}
	}
}
