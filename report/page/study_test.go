package page_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/browser"
	"hilnet/report"
	"hilnet/report/page"
	"hilnet/scenarios"
)

// swept returns the page of a small sweep, and its rows.
func swept(t *testing.T) (*page.Builder, []*emu.SweepRow) {
	t.Helper()
	sc, err := scenarios.Open("link-drop")
	if err != nil {
		t.Fatal(err)
	}
	sw, err := emu.NewSweep(emu.SweepConfig{
		Scenario: sc, Seeds: 2, Axes: []emu.Axis{{Key: "pool.packets", Values: []string{"12", "20", "28"}}, {Key: "link.loss", Values: []string{"0", "5%"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := page.NewSweep(sw.Header())
	var rows []*emu.SweepRow
	sum := emu.NewSweepSummary(sw.Header(), 2, func(r *emu.SweepRow) error {
		rows = append(rows, r)
		b.Row(r)
		return nil
	})
	if err := sw.Run(t.Context(), sum.Add); err != nil {
		t.Fatal(err)
	}
	if err := sum.Close(); err != nil {
		t.Fatal(err)
	}
	b.EndSweep(sum, nil)
	return b, rows
}

// save writes a page to a file.
func save(t *testing.T, b *page.Builder) string {
	t.Helper()
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The page of a sweep has a heat map with the numbers of the rows, and curves
// with intervals; that of an exploration marks the fatal frames on the ladder.
func TestPagesOfManyRunsInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	b := browser.Start(t)
	sweep, rows := swept(t)
	file := save(t, sweep)
	p := b.Page(1280, 900, false)
	p.Open("file://"+file, ready)
	var cells []string
	p.Eval("[...document.querySelectorAll('#heatmap td')].map(x => x.textContent)", &cells)
	if len(cells) != 6 || len(rows) != 6 {
		t.Fatalf("%d cells, %d rows", len(cells), len(rows))
	}
	for i, r := range rows { // pool by loss; the map has the pool along
		cell := cells[i%2*3+i/2]
		if want := map[int64]string{0: "0 %", 1: "50.0 %", 2: "100 %"}[r.Passed]; cell != want {
			t.Errorf("%v: the heat map says %s, the sweep %s", r.Values, cell, want)
		}
	}
	var curves, whiskers int
	p.Eval("document.querySelectorAll('#curves .curves .line').length", &curves)
	p.Eval("document.querySelectorAll('#curves .whisker').length", &whiskers)
	if curves != 2 || whiskers != 6 {
		t.Errorf("%d curves, %d intervals", curves, whiskers)
	}
	p.Eval("(s => { s.value = String([...s.options].findIndex(o => o.text === 'pool min free')); s.dispatchEvent(new Event('change')); })(document.querySelector('.choice select'))", nil)
	p.Eval("[...document.querySelectorAll('#heatmap td')].map(x => x.textContent)", &cells)
	if got := strings.Join(cells[:3], " "); got != "0 1 9" {
		t.Errorf("the pool's low-water marks without loss are %s", got)
	}
	quiet(t, p, file)

	file = save(t, explored(t))
	p = b.Page(400, 900, true)
	p.Open("file://"+file, ready)
	var marked, listed []string
	p.Eval("[...hilnet.ladder.marked.keys()].map(i => hilnet.model.title(i))", &marked)
	p.Eval("[...document.querySelectorAll('#fatal tbody tr')].map(x => x.children[2].textContent)", &listed)
	if len(marked) == 0 || strings.Join(marked, "|") != strings.Join(listed, "|") {
		t.Errorf("marked on the ladder %q, listed %q", marked, listed)
	}
	p.Eval("document.querySelector('#fatal .moment').click()", nil)
	var detail string
	p.Eval("document.querySelector('.details').textContent", &detail)
	if !strings.Contains(detail, "fatal") || !strings.Contains(detail, "PINGREQ") {
		t.Errorf("the first fatal frame is %q", detail)
	}
	quiet(t, p, file)
}

// explored returns the page of an exploration.
func explored(t *testing.T) *page.Builder {
	t.Helper()
	sc, err := scenarios.Open("idle-sensor")
	if err != nil {
		t.Fatal(err)
	}
	found, err := emu.Explore(t.Context(), emu.ExploreConfig{Scenario: sc, Max: 20})
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, "idle-sensor")
	s := r.source()
	run := report.NewRun(r.result, "idle-sensor")
	s.Run = &run
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	b.Explored(found)
	return b
}
