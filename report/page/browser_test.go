package page_test

import (
	"bytes"
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hilnet/internal/browser"
	"hilnet/internal/linktest"
	"hilnet/report/page"
)

var update = flag.Bool("update", false, "rewrite the picture of the docs")

// ready is true when a page has drawn itself.
const ready = "document.documentElement.dataset.ready === 'yes'"

// open writes the page of a source to a file and opens it.
func open(t *testing.T, b *browser.Browser, s page.Source, width int) *browser.Page {
	t.Helper()
	_, text := write(t, s)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := b.Page(width, 900, false)
	p.Open("file://"+file, ready)
	t.Cleanup(func() { quiet(t, p, file) })
	return p
}

// quiet sees that a page logged nothing and asked for nothing but itself.
func quiet(t *testing.T, p *browser.Page, file string) {
	t.Helper()
	if all := p.Problems(); len(all) > 0 {
		t.Errorf("the page logged %q", all)
	}
	for _, r := range p.Requests() {
		if r != "file://"+file {
			t.Errorf("the page asked for %s", r)
		}
	}
}

// failing is link-drop with a pool that is too small.
const failing = `
version: 1
name: failing
seed: 1
duration: 60s
devices:
  - profile: netx
    pool: {packets: 16, payload: 1536B}
    mqtt: {client_id: device, keepalive: 30s, clean_session: false, wait: 5s}
    reconnect: 2s
    steps:
      - connect
      - every: {period: 1s, for: 50s, do: [{publish: {topic: telemetry, payload: '{"n":{n},"t":{t}}', qos: 1}}]}
links:
  - {delay: 100ms, loss: 2%}
broker: {kind: model}
timeline:
  - {at: 20s, do: blackhole, for: 8s}
expect:
  - {text: no message is lost, that: lost == 0}
  - {text: every message is acknowledged, that: acknowledged == published}
  - {text: the pool never runs empty, that: device("device").pool.min_free > 0}
`

// frames is the number of a run's frames, those of a capture that a filter of
// tshark passes, plus one for each line that a second one does.
func tsharkCount(t *testing.T, file, filter string) int {
	t.Helper()
	return strings.Count(linktest.Tshark(t, "-r", file, "-Y", filter, "-T", "fields", "-e", "frame.number"), "\n")
}

// The page of a run that failed, in a browser: what failed comes first and leads
// to its moment, the charts are drawn, the ladder filters and searches, and the
// keys work.
func TestThePageInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	b := browser.Start(t)
	r := record(t, failing)
	p := open(t, b, r.source(), 1280)

	var texts []string
	p.Eval("[...document.querySelectorAll('#expectations li')].map(x => x.className + ': ' + x.querySelector('.text').textContent)", &texts)
	want := "failed: every message is acknowledged|failed: the pool never runs empty|ok: no message is lost"
	if got := strings.Join(texts, "|"); got != want {
		t.Errorf("expectations %s", got)
	}
	var verdict string
	p.Eval("document.querySelector('.verdict').textContent", &verdict)
	if verdict != "✗fail" {
		t.Errorf("verdict %q", verdict)
	}

	var severities string
	p.Eval("[...document.querySelectorAll('.finding .tag')].map(x => x.textContent).join(' ')", &severities)
	if severities != "error warning warning" {
		t.Errorf("findings are %s, not the worst first", severities)
	}

	// Each that failed leads to its moment.
	var buttons int
	p.Eval("document.querySelectorAll('#expectations .failed .moment').length", &buttons)
	if buttons != 2 {
		t.Errorf("%d of 2 failed expectations lead to a moment", buttons)
	}
	p.Eval("document.querySelectorAll('#expectations .failed .moment')[1].click()", nil)
	p.Wait("hilnet.view.selected !== null && hilnet.ladder.scroll.scrollTop > 0")
	var at float64
	p.Eval("(s => s.event !== undefined ? hilnet.model.events.t.v[s.event] : hilnet.model.frames.t.v[s.frame])(hilnet.view.selected)", &at)
	if lowest := time.Duration(at); lowest < 20*time.Second || lowest > 29*time.Second {
		t.Errorf("the pool ran empty at %v, says the page", lowest)
	}

	charts(t, p, r)
	filters(t, p, r)

	p.Resize(400, 800)
	p.Wait("hilnet.charts.narrow === true")
	var wide bool
	p.Eval("document.documentElement.scrollWidth > innerWidth", &wide)
	if wide {
		var what []string
		p.Eval("[...document.querySelectorAll('#app *')].filter(x => x.getBoundingClientRect().right > innerWidth + 1 && !x.closest('.scroll-x')).slice(0, 5).map(x => x.tagName + '.' + x.className)", &what)
		t.Errorf("at 400 pixels the page must be scrolled sideways, for %q", what)
	}

	numbers(t, p, r)
	hostileText(t, b)
	if *update {
		picture(t, b, r)
	}
}

// picture takes the picture of the docs.
func picture(t *testing.T, b *browser.Browser, r *recorded) {
	t.Helper()
	p := open(t, b, r.source(), 1120)
	p.Resize(1120, 1240)
	p.Eval("hilnet.view.seek(28.55e9); hilnet.ladder.problem(1); document.getElementById('time').scrollIntoView(true)", nil)
	p.Eval("new Promise(r => setTimeout(r, 500))", nil)
	p.Picture(filepath.Join(linktest.Root(t), "docs", "report.png"), false)
}

// The picture of the docs is one, and small.
func TestThePictureOfTheDocsIsSmall(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "report.png"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.DecodeConfig(bytes.NewReader(text))
	if err != nil || picture.Width < 800 || len(text) > 200_000 {
		t.Errorf("docs/report.png: %d bytes, %+v, %v", len(text), picture, err)
	}
}

// charts sees that each track is there and that something is drawn.
func charts(t *testing.T, p *browser.Page, r *recorded) {
	t.Helper()
	var tracks []string
	p.Eval("hilnet.charts.tracks.map(x => x.name)", &tracks)
	if got := strings.Join(tracks, "|"); got != "State|Packet pool|Bytes in flight|RTT and RTO|Time on the link|Queues|MQTT in flight|Events" {
		t.Errorf("tracks %s", got)
	}
	var colours int
	p.Eval(`(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, s = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i+3] > 200) s.add(d[i] << 16 | d[i+1] << 8 | d[i+2]); return s.size; })(hilnet.charts.canvas)`, &colours)
	if colours < 20 {
		t.Errorf("the charts have %d colours: nothing is drawn", colours)
	}
	var lowest int
	p.Eval("Math.min(...hilnet.model.series.get('device/pool/lowest').v.v.subarray(0, hilnet.model.series.get('device/pool/lowest').v.n))", &lowest)
	if least := r.result.Outcome.Devices[0].Pool.MinFree; lowest != least {
		t.Errorf("the pool's curve goes down to %d, its low-water mark is %d", lowest, least)
	}
	var tip string
	p.Eval("(() => { const c = hilnet.charts, y = c.tracks[1].y + 20, r = c.canvas.getBoundingClientRect(); c.canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: r.left + c.x(10e9), clientY: r.top + y})); return c.tip.textContent; })()", &tip)
	if !strings.Contains(tip, "free packets: ") {
		t.Errorf("the pointer shows %q", tip)
	}
}

// filters sees that the ladder shows what it is asked for: as many frames as
// tshark finds in the captures.
func filters(t *testing.T, p *browser.Page, r *recorded) {
	t.Helper()
	device, peer := r.path(".device.pcapng"), r.path(".peer.pcapng")
	sent := func(filter string) int { // frames by their senders' captures
		return tsharkCount(t, device, "frame.packet_flags_direction == 2 && ("+filter+")") + tsharkCount(t, peer, "frame.packet_flags_direction == 2 && ("+filter+")")
	}
	shown := func() (n int) {
		p.Eval("(() => { const l = hilnet.ladder; let n = 0; for (const i of l.shown) if (i >= 0) n++; return n; })()", &n)
		return n
	}
	if got, want := shown(), sent("frame"); got != want {
		t.Errorf("the ladder has %d frames, the captures %d", got, want)
	}
	p.Eval("document.getElementById('search').focus()", nil)
	for _, k := range "SYN" {
		p.Key(string(k))
	}
	p.Wait("hilnet.ladder.filter.text === 'SYN'")
	if got, want := shown(), sent("tcp.flags.syn == 1"); got != want || got == 0 {
		t.Errorf("a search for SYN shows %d frames, tshark %d", got, want)
	}
	p.Key("Escape")
	p.Wait("hilnet.ladder.filter.text === ''")
	p.Eval("document.querySelector('[data-filter=problems]').click()", nil)
	problems := shown()
	if all := sent("frame"); problems == 0 || problems >= all {
		t.Errorf("%d of %d frames are problems", problems, all)
	}
	p.Eval("document.querySelector('[data-filter=problems]').click(); hilnet.view.select(null); hilnet.ladder.scroll.scrollTop = 0; hilnet.ladder.scroll.focus()", nil)
	p.Key("n")
	p.Wait("hilnet.view.selected !== null && document.querySelector('.details h3') !== null")
	var detail string
	p.Eval("document.querySelector('.details').textContent", &detail)
	if !strings.Contains(detail, "TCP") || !strings.Contains(detail, "loss at link/up/loss") && !strings.Contains(detail, "loss at link/down/loss") {
		t.Errorf("the first problem is %q", detail)
	}
	p.Key("t")
	p.Wait("hilnet.ladder.mode === 'time'")
	p.Key("t")
	p.Wait("hilnet.ladder.mode === 'rows'")
}

// hostileText sees that what may be markup in captures and scenarios is never
// taken for it.
func hostileText(t *testing.T, b *browser.Browser) {
	t.Helper()
	p := open(t, b, record(t, hostile).source(), 1280)
	var bad bool
	p.Eval("document.querySelectorAll('#app img, #app script').length > 0 || typeof hacked !== 'undefined'", &bad)
	if bad {
		t.Error("markup of the scenario is markup of the page")
	}
	var text string
	p.Eval("document.querySelector('#expectations').textContent", &text)
	if !strings.Contains(text, "<script>hacked('text')</script><img") {
		t.Errorf("the text of an expectation is not shown: %q", text)
	}
	p.Eval("hilnet.ladder.filter.text = 'publish'; hilnet.ladder.refilter(); hilnet.ladder.choose([...hilnet.ladder.shown].find(i => i >= 0)); document.querySelector('.details').textContent", &text)
	if !strings.Contains(text, "</script><script>hacked('topic')") {
		t.Errorf("the topic is not shown: %q", text)
	}
}

// A way is what tshark says of one direction of a connection.
type tsharkWay struct{ frames, again, dups, order, zero, flight int }

// ways returns the directions of a capture, by stream and sender, and how many
// frames it marks as lost.
func ways(t *testing.T, file string) (map[string]*tsharkWay, int) {
	t.Helper()
	all, lost := map[string]*tsharkWay{}, 0
	args := []string{"-r", file, "-T", "fields"}
	for _, f := range []string{"tcp.stream", "ip.src", "tcp.analysis.retransmission", "tcp.analysis.duplicate_ack", "tcp.analysis.out_of_order", "tcp.analysis.zero_window", "tcp.analysis.bytes_in_flight", "frame.verdict.ebpf_tc"} {
		args = append(args, "-e", f)
	}
	for line := range strings.Lines(linktest.Tshark(t, args...)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[7] == "2" {
			lost++
		}
		if f[0] == "" {
			continue
		}
		w := all[f[0]+" "+f[1]]
		if w == nil {
			w = &tsharkWay{}
			all[f[0]+" "+f[1]] = w
		}
		w.frames++
		for i, n := range []*int{&w.again, &w.dups, &w.order, &w.zero} {
			if f[2+i] != "" {
				*n++
			}
		}
		if n, err := strconv.Atoi(f[6]); err == nil {
			w.flight = max(w.flight, n)
		}
	}
	return all, lost
}

// numbers sees that those of the page are what tshark makes of the same capture.
func numbers(t *testing.T, p *browser.Page, r *recorded) {
	t.Helper()
	theirs, lost := ways(t, r.path(".device.pcapng"))
	var rows [][]string
	p.Eval("[...document.querySelectorAll('#connections tbody tr')].map(x => [x.dataset.conversation, ...[...x.querySelectorAll('td')].map(y => y.textContent)])", &rows)
	if len(rows) != len(theirs) || len(rows) < 4 {
		t.Fatalf("%d directions of connections, tshark has %d", len(rows), len(theirs))
	}
	number := func(s string) int {
		n, err := strconv.Atoi(strings.NewReplacer("\u202f", "", " B", "").Replace(s))
		if err != nil {
			t.Errorf("%q is no number", s)
		}
		return n
	}
	for _, row := range rows {
		parts := strings.Split(row[0], ":")
		sender := "10.0.0.1"
		if parts[2] == "up" {
			sender = "10.0.0.2"
		}
		want := theirs[fmt.Sprintf("%d %s", number(parts[1])-1, sender)]
		got := tsharkWay{number(row[2]), number(row[4]), number(row[5]), number(row[6]), number(row[7]), number(row[8])}
		if want == nil || got != *want {
			t.Errorf("%s: the page says %+v, tshark %+v", row[0], got, want)
		}
	}
	var published, drops, captures string
	p.Eval("document.querySelector('[data-number=published] .value').textContent", &published)
	p.Eval("document.querySelector('[data-number=drops] .value').textContent", &drops)
	if number(published) != r.result.Outcome.Published || number(drops) != r.result.Outcome.Drops.Total {
		t.Errorf("published %s, drops %s", published, drops)
	}
	p.Eval("document.querySelector('[data-capture]').textContent", &captures)
	if want := fmt.Sprintf("%d of them lost", lost); !strings.Contains(captures, want) {
		t.Errorf("the capture: %q, tshark says %s", captures, want)
	}
}
