package distance

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/trace"
)

// A trace tells when a link was down: by the NIC's state and by blackholes of the
// device's link; one that is not over ends with the trace.
func TestATraceTellsWhenTheLinkWasDown(t *testing.T) {
	const second = sim.Time(time.Second)
	var b bytes.Buffer
	w, err := trace.NewWriter(&b, trace.Header{Clock: "virtual"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []trace.Event{
		{T: 1 * second, Kind: trace.KindNIC, Node: "device", Text: "link_down"},
		{T: 2 * second, Kind: trace.KindNIC, Node: "other", Text: "link_down"},
		{T: 3 * second, Kind: trace.KindNIC, Node: "device", Text: "link_up"},
		{T: 4 * second, Kind: trace.KindAction, Node: "link", Text: "cut: blackhole up for 2s"},
		{T: 5 * second, Kind: trace.KindAction, Node: "another", Text: "blackhole for 1s"},
		{T: 5 * second, Kind: trace.KindAction, Node: "link", Text: "delay 5ms"},
		{T: 6 * second, Kind: trace.KindAction, Node: "link", Text: "end of cut: blackhole up for 2s"},
		{T: 7 * second, Kind: trace.KindNIC, Node: "device", Text: "tx_error"},
		{T: 9 * second, Kind: trace.KindEnd},
	} {
		w.Write(&e)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	in, err := trace.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadOutages(in, "device", "link", pcaps.VirtualEpoch)
	at := func(t sim.Time) pcaps.Stamp { return pcaps.VirtualEpoch + pcaps.Stamp(t) }
	want := []Outage{
		{"link_down", at(1 * second), at(3 * second)}, {"blackhole", at(4 * second), at(6 * second)}, {"tx_error", at(7 * second), at(9 * second)},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What a device does in an outage and behind it is compared if both outages are known.
func TestWhatIsDoneInAnOutageIsMeasured(t *testing.T) {
	path := recording(t, "2a-dead-link-8s")
	plain := open(t, path, Config{})
	start := packets(t, path)[0].Time
	retries := plain.samples[Retries]
	first, last := retries[0].at, retries[len(retries)-1].at
	outage := Outage{"blackhole", start + pcaps.Stamp(first) - 1, start + pcaps.Stamp(last)}
	with := open(t, path, Config{Outages: []Outage{outage}})
	if with.Of(OutageSends) < len(retries)-1 || with.Of(OutageReturns) != 1 || with.Of(OutageRecoveries) != 1 {
		t.Errorf("%d sends, %d returns, %d recoveries", with.Of(OutageSends), with.Of(OutageReturns), with.Of(OutageRecoveries))
	}
	if back := with.samples[OutageReturns][0]; !back.timed || back.after != 0 {
		t.Errorf("%+v", back)
	}
	outage.Kind = "link_down"
	other := open(t, path, Config{Outages: []Outage{outage}})
	none := open(t, path, Config{Outages: []Outage{}})
	for _, c := range []struct {
		other *Capture
		shown bool
	}{{with, true}, {plain, false}, {other, false}, {none, false}} {
		r, err := Compare(with, c.other, Config{})
		if err != nil || r.Distance != 0 {
			t.Fatal(r, err)
		}
		i := slices.IndexFunc(r.Measures, func(m Measure) bool { return m.Name == OutageReturns.String() })
		if r.Measures[i].Shown != c.shown {
			t.Errorf("shown %v", r.Measures[i].Shown)
		}
	}
}
