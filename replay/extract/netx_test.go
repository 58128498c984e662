package extract

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/golden"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/segment"
)

// remade runs the scenario that is made of a recording of NetX Duo, and compares the
// device's frames with the recorded ones: as it is made, or with what the capture does
// not show looked for.
func remade(t *testing.T, file string, look bool) (*Making, golden.Comparison, error) {
	t.Helper()
	c, err := Single(readFile(t, file))
	if err != nil {
		return nil, golden.Comparison{}, err
	}
	m, err := c.Make(Plan{Recorded: true, Recording: filepath.Base(file), Capture: file})
	if err != nil {
		return nil, golden.Comparison{}, err
	}
	if look {
		if err := m.Guess(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	sc, err := m.load()
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Text())
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatalf("%v\n%s", err, m.Text())
	}
	want, got := deviceFrames(t, file), deviceFrames(t, filepath.Join(dir, sc.Name+".device.pcapng"))
	return m, golden.Compare(want, got), nil
}

// deviceFrames are the frames of the recorded device.
func deviceFrames(t *testing.T, file string) []golden.Seen {
	t.Helper()
	var frames []segment.Frame
	var begin pcaps.Stamp
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) == 0 {
			begin = p.Time
		}
		frames = append(frames, segment.Frame{At: time.Duration(p.Time - begin), Data: slices.Clone(p.Data)})
	}
	return golden.DeviceFrames(0, frames)
}

// ofRecordings is how many of a recording's device frames the scenario made of it
// must give, with the recording as the broker: as it is made, and with what the capture
// does not show looked for; what must be found then; and why where it is not all of them.
var ofRecordings = map[string]struct {
	made, looked int
	found        hidden
	why          string
}{
	"1-basic":                        {made: 21, looked: 21},
	"2a-dead-link-8s":                {made: 31, looked: 31},
	"2c-dead-link-keepalive4":        {made: 36, looked: 36},
	"3a-syn-blackhole":               {made: 14, looked: 14},
	"3b-arp-missing-host":            {made: 19, looked: 19},
	"3c-refused-and-nonblocking":     {made: -1, why: "no MQTT session: it never sends CONNECT"},
	"3e-nonblocking-extended-notify": {made: 10, looked: 10},
	"4a-pool8x256-qos0-flood":        {made: 6, looked: 19, found: hidden{packets: 8, payload: 256}},
	"4b-pool8x256-qos1-flood":        {made: 13, looked: 28, found: hidden{packets: 8, payload: 256}},
	"5a-broker-crash-dup-retransmit": {made: 16, looked: 23},
	"5c-disconnect-leak":             {made: 49, looked: 49},
	"6-chained-publish-256B-pool":    {made: 18, looked: 18, why: "a window update, for want of processor time (docs/fidelity.md)"},
	"9-scripted-peer-quirks":         {made: 23, looked: 23, why: "a stale byte, for want of processor time (docs/fidelity.md)"},
	"9d-delete-while-connecting":     {made: 3, looked: 3},
}

// The scenario made of a recording of NetX Duo does again what the device did, though
// nobody says how large its pool is, when its application took messages, and how the
// recording lies to its clock.
func TestScenariosOfRecordingsGiveTheirFrames(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("| recording | device frames | as made | with what was looked for | runs | found | why not all |\n|---|---|---|---|---|---|---|\n")
	for _, name := range golden.Names(t) {
		want, known := ofRecordings[name]
		if !known {
			t.Errorf("%s: how much of it has to match is not said", name)
		}
		file := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", name+".pcap")
		_, made, err := remade(t, file, false)
		switch {
		case errors.Is(err, ErrNoSession) && want.made < 0:
			fmt.Fprintf(&rows, "| `%s` | – | – | – | – | – | %s |\n", name, want.why)
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		case made.Matching != want.made:
			t.Errorf("%s: %d of %d frames, want %d\n%s", name, made.Matching, made.Frames, want.made, strings.Join(made.Differing, "\n"))
		}
		m, looked, err := remade(t, file, true)
		if err != nil || looked.Matching != want.looked {
			t.Errorf("%s, looked for: %v, %d of %d frames, want %d\n%s", name, err, looked.Matching, looked.Frames, want.looked, strings.Join(looked.Differing, "\n"))
			continue
		}
		if m.hidden.packets != want.found.packets || m.hidden.payload != want.found.payload {
			t.Errorf("%s: found a pool of %d packets of %d B, want %d of %d B", name, m.hidden.packets, m.hidden.payload, want.found.packets, want.found.payload)
		}
		fmt.Fprintf(&rows, "| `%s` | %d | %d | %d | %d | %s | %s |\n", name, made.Frames, made.Matching, looked.Matching, m.guessed.runs, m.hidden.brief(), want.why)
	}
	table(t, "recordings", rows.String())
}
