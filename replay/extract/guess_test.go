package extract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/golden"
	"hilnet/internal/linktest"
	"hilnet/scenarios"
	"hilnet/sim"
)

// A starving is a device whose application leaves its messages in a small pool, and
// that was switched on a while before it does anything.
func starving(seed uint64) (text string, packets, payload int) {
	r := sim.NewRand(seed, "extract starving")
	packets, payload = 6+r.IntN(10), []int{256, 512, 1536}[r.IntN(3)]
	wait, rests := 10*(1+r.IntN(30)), 3000+10*r.IntN(500)
	text = fmt.Sprintf(`version: 1
name: field
seed: %d
duration: 30s
devices:
  - mac: "%s"
    pool: {packets: %d, payload: %dB}
    mqtt: {keepalive: 20s}
    steps:
      - sleep: %dms
      - connect
      - subscribe: {topic: flood, qos: %d}
      - sleep: %dms
      - message_get: all
      - every: {period: 100ms, for: 12s, do: [message_get: all]}
      - disconnect
links: [{delay: %dms}]
broker: {kind: model}
timeline: [{at: 1s, do: broker_publish, every: %dms, count: 60, topic: flood, size: %dB, qos: %d}]
`, seed, scenarios.MAC(golden.DeviceMAC), packets, payload, wait, r.IntN(2), rests, 5+r.IntN(40), 1+r.IntN(60), 60+r.IntN(300), r.IntN(2))
	return text, packets, payload
}

// field runs a scenario and returns the capture of the device's end, without what
// hilnet writes into it.
func field(t *testing.T, text string) string {
	t.Helper()
	sc, err := scenarios.Load("field.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "field.device.pcapng")
}

// What is found of the recordings of NetX Duo is found of other devices with its stack,
// too: pools, messages that nobody takes, and clocks. Which pool it was need not show:
// of those that do the same one is found.
func TestWhatACaptureDoesNotShowIsFound(t *testing.T) {
	first, last := uint64(15), uint64(16)
	soak := os.Getenv(linktest.SoakEnv) != "" || *update
	if soak {
		first, last = 1, 30
	}
	var made, looked, frames, whole, runs int
	for seed := first; seed <= last; seed++ {
		text, packets, payload := starving(seed)
		file := field(t, text)
		_, before, err := remade(t, file, false)
		if err != nil {
			t.Fatal(err)
		}
		m, c, err := remade(t, file, true)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d, %d × %d B: %d frames, %d as made, %d looked for in %d runs: %s", seed, packets, payload, c.Frames, before.Matching, c.Matching, m.guessed.runs, m.hidden.brief())
		made, looked, frames, runs = made+before.Matching, looked+c.Matching, frames+c.Frames, runs+m.guessed.runs
		if c.Matching == c.Frames {
			whole++
		}
		if c.Matching < before.Matching {
			t.Errorf("seed %d: %d frames, without looking %d", seed, c.Matching, before.Matching)
		}
		if before.Matching == before.Frames {
			t.Errorf("seed %d: nothing was hidden", seed)
		}
		if g := m.guessed; g.best.same != c.Matching {
			t.Errorf("seed %d: %d frames are said to come again, %d do", seed, g.best.same, c.Matching)
		}
	}
	n := int(last - first + 1)
	if !soak {
		if looked != frames {
			t.Errorf("%d of %d frames", looked, frames)
		}
		return
	}
	if looked*100 < frames*85 || whole*2 < n {
		t.Errorf("%d of %d frames, %d of %d devices as a whole", looked, frames, whole, n)
	}
	table(t, "hidden", fmt.Sprintf("| devices | their frames | as made | with what was looked for | all of them | runs each |\n|---|---|---|---|---|---|\n| %d | %d | %d | %d | %d | %d |\n",
		n, frames, made, looked, whole, runs/n))
}

// A device whose frames all come again has nothing looked for, and a search that finds
// nothing better leaves the scenario as it was.
func TestWhatMakesNoDifferenceIsNotFound(t *testing.T) {
	for _, name := range []string{"1-basic", "6-chained-publish-256B-pool"} {
		file := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", name+".pcap")
		plain, _, err := remade(t, file, false)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := remade(t, file, true)
		if err != nil {
			t.Fatal(err)
		}
		m.guessed = nil // what it says is another matter
		if m.Text() != plain.Text() {
			t.Errorf("%s:\n%s\nwithout looking:\n%s", name, m.Text(), plain.Text())
		}
	}
}

// A search ends with its context.
func TestASearchCanBeStopped(t *testing.T) {
	file := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "4a-pool8x256-qos0-flood.pcap")
	c, err := Single(readFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Make(Plan{Recorded: true, Recording: filepath.Base(file), Capture: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	err = m.Guess(ctx, func(runs, most, same, frames int) {
		if told++; told == 3 {
			cancel()
		}
		if runs != told || most < runs || same > frames {
			t.Errorf("run %d of %d, %d of %d frames", runs, most, same, frames)
		}
	})
	if !errors.Is(err, context.Canceled) || told != 3 {
		t.Errorf("%v after %d runs", err, told)
	}
}

// A search has an end, and keeps the best so far; a capture that is too long has none, and
// that is said.
func TestASearchHasAnEnd(t *testing.T) {
	file := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "5a-broker-crash-dup-retransmit.pcap")
	c, err := Single(readFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int]string{0: "too long", 2: "16 come again", 3: "23 come again"} {
		m, err := c.Make(Plan{Recorded: true, Recording: filepath.Base(file), Capture: file})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.guess(t.Context(), most, nil); err != nil {
			t.Errorf("%d runs: %v", most, err)
		}
		if text := strings.Join(m.Found(), " "); !strings.Contains(text, want) || m.guessed.runs > most {
			t.Errorf("%d of %d runs: %q", m.guessed.runs, most, text)
		}
	}
}

// Of a device's frames only the first are compared; what is said is said of these.
func TestWhatIsComparedInPartIsSaid(t *testing.T) {
	for frames, want := range map[int]string{maxAlike - 1: "the device's 19999 frames 7 come", maxAlike: "the first 20000 frames of the device 7 come"} {
		l := likeness{frames: frames, same: 7}
		for _, kept := range []bool{false, true} {
			m := &Making{guessed: &guess{capture: make([]drawn, frames), runs: 1, usual: l, best: l, kept: kept}}
			if text := strings.Join(m.Found(), " "); !strings.Contains(text, want) {
				t.Errorf("%d frames: %q", frames, text)
			}
		}
	}
}
