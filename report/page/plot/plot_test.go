package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/report/page"
	"hilnet/report/page/plot"
	"hilnet/scenarios"
)

// record runs a scenario and returns what it has written.
func record(t testing.TB, name string, samples bool, sets ...scenarios.Set) page.Source {
	t.Helper()
	sc, err := scenarios.OpenWith(name, sets)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir, Samples: samples}); err != nil {
		t.Fatal(err)
	}
	return page.Beside(filepath.Join(dir, name+".device.pcapng"))
}

// draw returns the figure of a recording.
func draw(t testing.TB, s page.Source, cfg plot.Config) (svg string, left []string) {
	t.Helper()
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	left, err = plot.Run(&out, b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), left
}

// wellFormed reads an SVG file by the standard library and, where it is there,
// by libxml2.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	if _, err := exec.LookPath("xmllint"); err != nil && !linktest.Required("xmllint") {
		t.Log("xmllint is not here: read by encoding/xml alone")
		return
	}
	linktest.Require(t, "xmllint")
	cmd := exec.CommandContext(t.Context(), "xmllint", "--noout", "--nonet", "-")
	cmd.Stdin = strings.NewReader(svg)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("xmllint: %v\n%s", err, out)
	}
}

var everything = plot.Config{Panels: plot.Panels()}

func TestAFigureIsXMLAndTheSameEachTime(t *testing.T) {
	s := record(t, "link-drop", true)
	first, left := draw(t, s, everything)
	wellFormed(t, first)
	if len(left) != 1 || !strings.HasPrefix(left[0], "ladder: all but rows ") {
		t.Errorf("left out: %q", left)
	}
	for _, want := range []string{
		">packet pool [packets]<", ">low-water mark<", ">in flight [bytes]<", ">RTT, RTO [s]<", ">RTT of the device<", ">queues [frames]<",
		">MQTT in flight [messages]<", ">blackhole for 8s<", ">link<", ">session<", ">time [s]<", ">device<", ">broker<", "<title>link-drop: pass</title>", "seed 1",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the figure lacks %s", want)
		}
	}
	if again, _ := draw(t, record(t, "link-drop", true), everything); again != first {
		t.Error("another run of the same scenario and seed has another figure")
	}
	if other, _ := draw(t, record(t, "link-drop", true, scenarios.Set{Key: "seed", Value: "2"}), everything); other == first {
		t.Error("another seed has the same figure")
	}
}

var (
	coordinate = regexp.MustCompile(` (x|x1|x2)="([-0-9.]+)"`)
	fontSize   = regexp.MustCompile(`font-size="([0-9.]+)"`)
)

// At 600 pixels no text is smaller than ten of them, and nothing is beside the
// picture.
func TestAFigureIsLegibleAtSixHundredPixels(t *testing.T) {
	svg, _ := draw(t, record(t, "pool-starved", true), everything)
	if !strings.Contains(svg, `width="600"`) {
		t.Fatal(svg[:200])
	}
	for _, m := range fontSize.FindAllStringSubmatch(svg, -1) {
		if size, err := strconv.ParseFloat(m[1], 64); err != nil || size < 10 {
			t.Errorf("text of %s pixels", m[1])
		}
	}
	for _, m := range coordinate.FindAllStringSubmatch(svg, -1) {
		if x, err := strconv.ParseFloat(m[2], 64); err != nil || x < 0 || x > 600 {
			t.Errorf("%s=%s is outside", m[1], m[2])
		}
	}
	if n := strings.Count(svg, "NaN") + strings.Count(svg, "Inf"); n > 0 {
		t.Errorf("%d numbers are none", n)
	}
}

// The curve of the pool goes through the level that the outcome knows as the
// lowest: the figure draws what was measured.
func TestTheCurveOfThePoolReachesItsLowWaterMark(t *testing.T) {
	s := record(t, "link-drop", true)
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	low, total := float64(b.Head().Run.Outcome.Devices[0].Pool.MinFree), float64(b.Head().Run.Outcome.Devices[0].Pool.Total)
	svg, _ := draw(t, s, plot.Config{Panels: []plot.Panel{plot.Pool}})
	axis := map[string]float64{}
	for _, m := range regexp.MustCompile(`<text x="58" y="([0-9.]+)" [^>]*>([0-9]+)</text>`).FindAllStringSubmatch(svg, -1) {
		axis[m[2]], _ = strconv.ParseFloat(m[1], 64)
	}
	if len(axis) < 3 {
		t.Fatalf("ticks %v", axis)
	}
	const baseline = 0.36 * 11
	perPacket := (axis["0"] - axis["10"]) / 10
	curve := regexp.MustCompile(`<path d="([^"]+)" fill="none" stroke="#b96a00"`).FindAllStringSubmatch(svg, -1)
	if len(curve) != 2 { // legend and curve
		t.Fatalf("%d orange paths", len(curve))
	}
	lowest := 0.0
	for _, m := range regexp.MustCompile(`V([0-9.]+)`).FindAllStringSubmatch(curve[1][1], -1) {
		y, _ := strconv.ParseFloat(m[1], 64)
		lowest = max(lowest, y)
	}
	got := (axis["0"] - baseline - lowest) / perPacket
	if math.Abs(got-low) > 0.2 || low <= 0 || low >= total {
		t.Errorf("the curve goes down to %.2f packets, the pool had %v of %v", got, low, total)
	}
}

// A part of a run has its own axis and its own frames.
func TestAPartOfARunHasItsFramesOnly(t *testing.T) {
	s := record(t, "link-drop", false)
	svg, left := draw(t, s, plot.Config{Panels: []plot.Panel{plot.States, plot.Ladder}, From: 19500 * time.Millisecond, To: 23 * time.Second})
	wellFormed(t, svg)
	if len(left) != 0 {
		t.Errorf("left out: %q", left)
	}
	stamps := regexp.MustCompile(`>([0-9]+\.[0-9]{3})</text>`).FindAllStringSubmatch(svg, -1)
	if len(stamps) < 5 {
		t.Fatalf("%d moments", len(stamps))
	}
	for _, m := range stamps {
		if at, _ := strconv.ParseFloat(m[1], 64); at < 19.5 || at > 23 {
			t.Errorf("%s s is in the ladder", m[1])
		}
	}
	for _, want := range []string{"blackhole", "PUBLISH", "stroke-dasharray"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	s := record(t, "link-drop", false)
	s.Trace = ""
	_, left := draw(t, s, everything)
	all := strings.Join(left, "\n")
	for _, want := range []string{"pool: the recording has no levels", "state: ", "queue: "} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q:\n%s", want, all)
		}
	}
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plot.Run(io.Discard, b, plot.Config{Panels: []plot.Panel{plot.Pool}}); err == nil || !strings.Contains(err.Error(), "nothing to draw") {
		t.Errorf("a figure of nothing: %v", err)
	}
}

func TestWrongWishesAreErrors(t *testing.T) {
	s := record(t, "clean-link", false)
	for want, cfg := range map[string]plot.Config{
		`no panel is called "pol"`:      {Panels: []plot.Panel{"pol"}},
		`no device is called "x"`:       {Device: "x"},
		"a width of 3 pixels":           {Width: 3},
		"nothing is between 1h0m0s and": {From: time.Hour},
		"nothing is between 2s and 1s":  {From: 2 * time.Second, To: time.Second},
	} {
		b, err := s.Read()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := plot.Run(&out, b, cfg); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What a capture or a scenario says reaches the file as text, also where XML has
// no character for it.
func TestHostileTextStaysText(t *testing.T) {
	b := page.NewBuilder(page.Head{Kind: "run", Title: "<script>alert(1)</script>\x00\x1b]&\"", Length: 1e9, Lanes: []page.Lane{{Device: "]]>\uFFFF<", Link: "l", Peer: "\xff&amp;"}}})
	var out bytes.Buffer
	if _, err := plot.Run(&out, b, everything); err == nil {
		t.Fatal("an empty run has a figure")
	}
	s := record(t, "clean-link", false, scenarios.Set{Key: "devices[0].name", Value: "device"})
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	r.Head().Title, r.Head().Lanes[0].Peer = "<script>\x00\x1b</title>", "\"><b>\uFFFE"
	out.Reset()
	if _, err := plot.Run(&out, r, everything); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, out.String())
	if strings.Contains(out.String(), "<script") || strings.Contains(out.String(), "<b>") {
		t.Error("text has become markup")
	}
}
