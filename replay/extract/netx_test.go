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
	"hilnet/scenarios"
)

// remade runs the scenario that is made of a recording of NetX Duo, and compares the
// device's frames with the recorded ones.
func remade(t *testing.T, name string, recorded bool) (golden.Comparison, error) {
	t.Helper()
	file := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", name+".pcap")
	c, err := Single(readFile(t, file))
	if err != nil {
		return golden.Comparison{}, err
	}
	m, err := c.Make(Plan{Recorded: recorded, Recording: filepath.Base(file), Capture: file})
	if err != nil {
		return golden.Comparison{}, err
	}
	if _, err := m.Fit(t.Context()); err != nil {
		t.Fatal(err)
	}
	sc, err := m.load()
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Text())
	}
	// The pool is nothing that a capture shows.
	r := golden.Load(t, name)
	sc.Devices[0].Pool = scenarios.Pool{Packets: r.PoolPackets, Payload: scenarios.Size(r.PoolPayload)}
	sc.Devices[0].MAC = scenarios.MAC(golden.DeviceMAC)
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatalf("%v\n%s", err, m.Text())
	}
	var frames []segment.Frame
	for p, err := range pcaps.Packets(filepath.Join(dir, sc.Name+".device.pcapng")) {
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, segment.Frame{At: time.Duration(p.Time - pcaps.VirtualEpoch), Data: slices.Clone(p.Data)})
	}
	want := golden.DeviceFrames(0, r.Frames)
	return golden.Compare(want, golden.DeviceFrames(0, frames)), nil
}

// ofRecordings is how many of a recording's device frames the scenario made of it
// must give, with the recording as the broker, and why where it is not all of them.
var ofRecordings = map[string]struct {
	frames int
	why    string
}{
	"1-basic":                        {21, ""},
	"2a-dead-link-8s":                {31, ""},
	"2c-dead-link-keepalive4":        {36, ""},
	"3a-syn-blackhole":               {14, ""},
	"3b-arp-missing-host":            {19, ""},
	"3c-refused-and-nonblocking":     {-1, "no MQTT session: it never sends CONNECT"},
	"3e-nonblocking-extended-notify": {2, "the application's connect did not wait, which a capture does not show"},
	"4a-pool8x256-qos0-flood":        {6, "the application read nothing for 10 s, which a capture does not show"},
	"4b-pool8x256-qos1-flood":        {13, "as 4a"},
	"5a-broker-crash-dup-retransmit": {16, "an ACK that the recorded device sent 0.1 s earlier; identifications behind it differ"},
	"5c-disconnect-leak":             {49, ""},
	"6-chained-publish-256B-pool":    {18, "a window update, for want of processor time (docs/fidelity.md)"},
	"9-scripted-peer-quirks":         {23, "a stale byte, for want of processor time (docs/fidelity.md)"},
	"9d-delete-while-connecting":     {3, ""},
}

// The scenario made of a recording of NetX Duo does again what the device did.
func TestScenariosOfRecordingsGiveTheirFrames(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("| recording | device frames | again | why not all |\n|---|---|---|---|\n")
	for _, name := range golden.Names(t) {
		want, known := ofRecordings[name]
		if !known {
			t.Errorf("%s: how much of it has to match is not said", name)
		}
		c, err := remade(t, name, true)
		switch {
		case errors.Is(err, ErrNoSession) && want.frames < 0:
			fmt.Fprintf(&rows, "| `%s` | – | – | %s |\n", name, want.why)
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		case c.Matching != want.frames:
			t.Errorf("%s: %d of %d frames, want %d\n%s", name, c.Matching, c.Frames, want.frames, strings.Join(c.Differing, "\n"))
		}
		fmt.Fprintf(&rows, "| `%s` | %d | %d | %s |\n", name, c.Frames, c.Matching, want.why)
	}
	table(t, "recordings", rows.String())
}
