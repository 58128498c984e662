package page_test

import (
	"encoding/json"
	"os"
	"testing"

	"hilnet/internal/browser"
	"hilnet/pcaps"
	"hilnet/report/page"
	"hilnet/trace"
)

// A page can be fed while the run goes on: what came in several chunks is what
// comes in one.
func TestAPageGrowsByChunks(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	r := record(t, "two-devices")
	lanes := []page.Lane{{Device: "sensor", Link: "sensor-link", Peer: "broker"}}
	lanes[0].Device = r.result.Outcome.Devices[0].Name
	lanes[0].Link = r.result.Outcome.Links[0].Name
	head := page.Head{Kind: "run", Title: "live", Live: true, Lanes: lanes}
	p := browser.Start(t).Page(1280, 900, false)
	file := save(t, page.NewBuilder(head))
	p.Open("file://"+file, ready)

	b := page.NewBuilder(head)
	feed := func() {
		for _, c := range b.Take() {
			text, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			p.Eval("hilnet.add("+string(text)+")", nil)
		}
	}
	for _, f := range []struct {
		end   string
		point page.Point
	}{{".device.pcapng", page.PointDevice}, {".peer.pcapng", page.PointPeer}} {
		if err := b.Capture(r.path("."+lanes[0].Device+f.end), 0, f.point, pcaps.VirtualEpoch); err != nil {
			t.Fatal(err)
		}
	}
	feed()
	text, err := os.Open(r.path(".trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	events, err := trace.NewReader(text)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		e, err := events.Read()
		if err != nil {
			break
		}
		b.Event(&e)
		if n++; n%50 == 0 {
			feed()
		}
	}
	feed()
	feed() // of nothing
	var counts [3]int
	p.Eval("[hilnet.model.frameCount, hilnet.model.eventCount, hilnet.model.series.get('"+lanes[0].Device+"/mqtt').t.n]", &counts)

	whole := page.NewBuilder(head)
	for _, f := range []string{".device.pcapng", ".peer.pcapng"} {
		point := page.PointDevice
		if f == ".peer.pcapng" {
			point = page.PointPeer
		}
		if err := whole.Capture(r.path("."+lanes[0].Device+f), 0, point, pcaps.VirtualEpoch); err != nil {
			t.Fatal(err)
		}
	}
	again, err := os.Open(r.path(".trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if events, err = trace.NewReader(again); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := events.Read()
		if err != nil {
			break
		}
		whole.Event(&e)
	}
	var want [3]int
	for _, c := range whole.Take() {
		if c.Frames != nil {
			want[0] += c.Frames.N
		}
		want[1] += c.Events.Len()
		for _, s := range c.Series {
			if s.Name == lanes[0].Device+"/mqtt" {
				want[2] += len(s.T)
			}
		}
	}
	if counts != want || want[0] < 20 || want[1] < 20 {
		t.Errorf("in many chunks the page has %v frames, events and points, in one %v", counts, want)
	}
	p.Wait("hilnet.ladder.all.length > 20 && hilnet.charts.tracks.length > 3")
	quiet(t, p, file)
}
