package extract

import (
	"cmp"
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
func remade(t *testing.T, name string, told bool) (golden.Comparison, error) {
	t.Helper()
	file := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", name+".pcap")
	c, err := Single(readFile(t, file))
	if err != nil {
		return golden.Comparison{}, err
	}
	m, err := c.Make(Plan{Recorded: true, Recording: filepath.Base(file), Capture: file})
	if err != nil {
		return golden.Comparison{}, err
	}
	if told {
		reads(m.session, golden.Load(t, name))
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

// reads lets the application take messages when the recorded one did.
func reads(s *session, r *golden.Recording) {
	s.acts = slices.DeleteFunc(s.acts, func(a act) bool { return a.what == take })
	for _, step := range r.Steps {
		if words, _ := step.Args(); len(words) > 0 && words[0] == "message_get" {
			s.acts = append(s.acts, act{at: int64(step.Tick) * int64(tick), what: take})
		}
	}
	slices.SortStableFunc(s.acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
}

// ofRecordings is how many of a recording's device frames the scenario made of it
// must give, with the recording as the broker: as it is made, and told when the
// application took messages; and why where it is not all of them.
var ofRecordings = map[string]struct {
	frames, told int
	why          string
}{
	"1-basic":                        {21, 21, ""},
	"2a-dead-link-8s":                {31, 31, ""},
	"2c-dead-link-keepalive4":        {36, 36, ""},
	"3a-syn-blackhole":               {14, 14, ""},
	"3b-arp-missing-host":            {19, 19, ""},
	"3c-refused-and-nonblocking":     {-1, -1, "no MQTT session: it never sends CONNECT"},
	"3e-nonblocking-extended-notify": {10, 10, ""},
	"4a-pool8x256-qos0-flood":        {6, 19, "the application took nothing for 10 s, which no capture shows"},
	"4b-pool8x256-qos1-flood":        {13, 27, "as 4a; told, one retransmission comes a tick after its acknowledgement"},
	"5a-broker-crash-dup-retransmit": {16, 16, "the phase of the device's clock of 100 ms against its first frame: an ACK comes one beat later, and identifications behind it differ"},
	"5c-disconnect-leak":             {49, 49, ""},
	"6-chained-publish-256B-pool":    {18, 18, "a window update, for want of processor time (docs/fidelity.md)"},
	"9-scripted-peer-quirks":         {23, 23, "a stale byte, for want of processor time (docs/fidelity.md)"},
	"9d-delete-while-connecting":     {3, 3, ""},
}

// The scenario made of a recording of NetX Duo does again what the device did.
func TestScenariosOfRecordingsGiveTheirFrames(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("| recording | device frames | again | told when messages were taken | why not all |\n|---|---|---|---|---|\n")
	for _, name := range golden.Names(t) {
		want, known := ofRecordings[name]
		if !known {
			t.Errorf("%s: how much of it has to match is not said", name)
		}
		c, err := remade(t, name, false)
		switch {
		case errors.Is(err, ErrNoSession) && want.frames < 0:
			fmt.Fprintf(&rows, "| `%s` | – | – | – | %s |\n", name, want.why)
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		case c.Matching != want.frames:
			t.Errorf("%s: %d of %d frames, want %d\n%s", name, c.Matching, c.Frames, want.frames, strings.Join(c.Differing, "\n"))
		}
		told, err := remade(t, name, true)
		if err != nil || told.Matching != want.told {
			t.Errorf("%s, told: %v, %d of %d frames, want %d\n%s", name, err, told.Matching, told.Frames, want.told, strings.Join(told.Differing, "\n"))
		}
		fmt.Fprintf(&rows, "| `%s` | %d | %d | %d | %s |\n", name, c.Frames, c.Matching, told.Matching, want.why)
	}
	table(t, "recordings", rows.String())
}
