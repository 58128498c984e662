package page_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/report"
	"hilnet/report/page"
	"hilnet/scenarios"
)

// A recorded run and its files.
type recorded struct {
	dir    string
	result *emu.Result
}

// record runs a scenario, a built-in one or a text, and keeps its files.
func record(t testing.TB, what string) *recorded {
	t.Helper()
	var sc *scenarios.Scenario
	var err error
	if strings.Contains(what, "\n") {
		sc, err = scenarios.Load("mine.yaml", []byte(what))
	} else {
		sc, err = scenarios.Open(what)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &recorded{dir: t.TempDir()}
	if r.result, err = emu.Run(t.Context(), sc, emu.Options{Out: r.dir, Samples: true}); err != nil {
		t.Fatal(err)
	}
	return r
}

// path is a file of the run.
func (r *recorded) path(end string) string { return filepath.Join(r.dir, r.result.Scenario+end) }

// source is what emu run makes the page of.
func (r *recorded) source() page.Source {
	run := report.NewRun(r.result, r.result.Source)
	s := page.Source{Run: &run}
	for _, name := range r.result.Files {
		switch {
		case strings.HasSuffix(name, ".pcapng"):
			s.Captures = append(s.Captures, name)
		case strings.HasSuffix(name, ".samples.jsonl"):
			s.Samples = name
		default:
			s.Trace = name
		}
	}
	return s
}

// write makes the page of a source and returns it and its text.
func write(t testing.TB, s page.Source) (*page.Builder, []byte) {
	t.Helper()
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	return b, out.Bytes()
}

// What a page of a run is made of again later is what it was made of at once.
func TestEqualFilesGiveEqualPages(t *testing.T) {
	r := record(t, "link-drop")
	_, first := write(t, page.Beside(r.path(".device.pcapng")))
	_, again := write(t, page.Beside(r.path(".device.pcapng")))
	if !bytes.Equal(first, again) {
		t.Error("two pages of the same files differ")
	}
	if len(first) > 1<<20 {
		t.Errorf("the page of a short run has %d bytes", len(first))
	}
}

// The page says what it would show if there was more: each file that is taken
// away adds something.
func TestThePageSaysWhatIsMissing(t *testing.T) {
	r := record(t, "link-drop")
	device := r.path(".device.pcapng")
	b, _ := write(t, page.Beside(device))
	if m := b.Missing(); len(m) != 0 {
		t.Errorf("everything is there, and the page lacks %q", m)
	}
	for _, c := range []struct{ remove, want string }{{".samples.jsonl", "levels of pools"}, {".trace.jsonl", "the trace, NAME.trace.jsonl"}} {
		if err := os.Remove(r.path(c.remove)); err != nil {
			t.Fatal(err)
		}
		b, _ := write(t, page.Beside(device))
		if m := strings.Join(b.Missing(), "\n"); !strings.Contains(m, c.want) {
			t.Errorf("without %s the page lacks only %q", c.remove, m)
		}
	}
	cut, err := os.ReadFile(device)
	if err == nil {
		err = os.WriteFile(device, cut[:len(cut)-100], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, _ = write(t, page.Beside(device))
	if m := strings.Join(b.Missing(), "\n"); !strings.Contains(m, "link-drop.device.pcapng, behind what could be read") {
		t.Errorf("of a capture that was cut: %q", m)
	}
}

// A trace alone, a damaged trace, one of another run, a file that is no capture.
func TestWrongFilesAreToldOf(t *testing.T) {
	r, other := record(t, "idle-sensor"), record(t, "link-drop")
	text, err := os.ReadFile(r.path(".trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	s := page.Beside(r.path(".device.pcapng"))
	if err := os.WriteFile(s.Trace, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := write(t, s)
	if m := strings.Join(b.Missing(), "\n"); !strings.Contains(m, "the trace behind what could be read") {
		t.Errorf("of half a trace: %q", m)
	}
	s.Trace = other.path(".trace.jsonl")
	if _, err := s.Read(); err == nil || !strings.Contains(err.Error(), `of the scenario "link-drop"`) {
		t.Errorf("of another run's trace: %v", err)
	}
	if _, err := (&page.Source{Captures: []string{s.Trace}}).Read(); err == nil {
		t.Error("a trace is taken for a capture")
	}
}

// Captures of unknown origin, in every format and link type that is understood,
// give pages as well.
func TestAnyCaptureHasAPage(t *testing.T) {
	root := linktest.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "pcaps", "testdata", "*.pcap*"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, text := write(t, page.Beside(f))
		if len(text) < 10_000 || !strings.Contains(strings.Join(b.Missing(), "\n"), "does not carry its scenario") {
			t.Errorf("%s: %d bytes, missing %q", f, len(text), b.Missing())
		}
	}
}

// Whatever a scenario and a capture say, the page has two scripts that run,
// counting none of theirs, and no attribute of theirs.
func TestWhatTheFilesSayIsNeverMarkup(t *testing.T) {
	_, text := write(t, record(t, hostile).source())
	if bytes.Contains(text, []byte("hacked")) || bytes.Contains(text, []byte("onerror")) {
		t.Error("text of the scenario stands in the page as it is")
	}
	run := regexp.MustCompile(`<script[^>]*>`).FindAll(text, -1)
	for _, tag := range run {
		if s := string(tag); s != "<script>" && !strings.HasPrefix(s, `<script type="application/gzip"`) {
			t.Errorf("a tag %s", s)
		}
	}
	if n := bytes.Count(text, []byte("<script>")); n != 1 {
		t.Errorf("%d scripts that run", n)
	}
	b := page.NewBuilder(page.Head{Title: `</title><script>hacked()</script>`})
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "<script>hacked") {
		t.Error("the title is markup")
	}
}

// The script of the page asks for nothing and makes no markup of text: none of
// the means for it is used.
func TestTheScriptHasNoMeansForMarkupOrRequests(t *testing.T) {
	script, err := page.Script()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "import(", "localStorage"} {
		if bytes.Contains(script, []byte(word)) {
			t.Errorf("the script uses %s", word)
		}
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, fmt.Errorf("no space left on device")
	}
	return len(p), nil
}

func TestAFullDiskIsAnError(t *testing.T) {
	r := record(t, "idle-sensor")
	s := r.source()
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(&fullDisk{room: 60_000}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
}

// hostile has markup wherever a text may stand.
const hostile = `
version: 1
name: hostile
about: "<script>hacked('about')</script>"
duration: 6s
devices:
  - profile: netx
    name: device
    pool: {packets: 32, payload: 512B}
    mqtt: {client_id: "<script>hacked('id')</script>", keepalive: 30s}
    steps:
      - connect
      - subscribe: {topic: "</script><script>hacked('sub')</script>", qos: 1}
      - every:
          period: 1s
          for: 4s
          do:
            - publish: {topic: "</script><script>hacked('topic')</script><img src=x onerror=hacked(1)>", payload: "<img src=x onerror=hacked('payload')>{n}", qos: 1}
links:
  - {delay: 20ms}
broker: {kind: model}
expect:
  - text: "<script>hacked('text')</script><img src=x onerror=hacked(2)>"
    that: lost == 1 and "<script>hacked('that')</script>" != ""
  - conservation_errors == 0
`
