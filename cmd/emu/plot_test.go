package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// recordDevices runs two devices in a folder of its own, with their levels.
func recordDevices(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	if code, _, errs := call(t, "run", "two-devices", "--report", "x.html", "--quiet"); code > exitFail {
		t.Fatal(errs)
	}
}

// each flag changes the figure of a run.
func drawsARun(t *testing.T) {
	recordDevices(t)
	captures, err := filepath.Glob("two-devices.*.device.pcapng")
	if err != nil || len(captures) != 2 {
		t.Fatal(captures, err)
	}
	code, out, errs := call(t, "plot", captures[0])
	want := strings.TrimSuffix(captures[0], ".device.pcapng") + ".svg\n"
	if code != exitPass || out != want {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	plain, err := os.ReadFile(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	_, piped, _ := call(t, "plot", captures[0], "-o", "-")
	if piped != string(plain) {
		t.Error("standard output gets another figure than the file")
	}
	device := strings.TrimSuffix(strings.TrimPrefix(captures[1], "two-devices."), ".device.pcapng")
	for _, c := range []struct{ args, want, not string }{
		{"--show ladder", "time [s]", "packet pool"},
		{"--show mqtt,queue", "MQTT in flight", "packet pool"},
		{"--from 2s --show state,flight", ">time [s]<", ">0</text>\n<text x=\"64"},
		{"--to 1500ms", ">1.5</text>", ">20</text>"},
		{"--width 900", `width="900"`, `width="600"`},
	} {
		code, svg, errs := call(t, append([]string{"plot", captures[0], "--out", "-"}, strings.Fields(c.args)...)...)
		if code != exitPass || !strings.Contains(svg, c.want) || strings.Contains(svg, c.not) || svg == string(plain) {
			t.Errorf("%s: exit %d\n%s%s", c.args, code, svg, errs)
		}
	}
	// The trace finds all captures, and --device one of them.
	code, svg, errs := call(t, "plot", "two-devices.trace.jsonl", "--device", device, "--out", "-")
	if code != exitPass || !strings.Contains(svg, "Device "+device+",") {
		t.Errorf("exit %d\n%s%s", code, svg, errs)
	}
	if code, out, _ := call(t, "plot", "two-devices.trace.jsonl"); code != exitPass || out != "two-devices.svg\n" {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// drawsASweep draws what emu sweep prints.
func drawsASweep(t *testing.T) {
	t.Chdir(t.TempDir())
	code, csv, errs := call(t, "sweep", "clean-link", "--set", "pool.packets=8,16", "--set", "link.delay=10ms,20ms", "--format", "csv")
	if code != exitPass {
		t.Fatal(errs)
	}
	if err := os.WriteFile("s.csv", []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call(t, "plot", "s.csv"); code != exitPass || out != "s.svg\n" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for args, want := range map[string]string{
		"":                     ">runs that passed [%]<",
		"--metric latency_p95": ">latency p95 [ms]<",
		"--along link.delay":   ">link.delay [ms]<",
	} {
		if code, svg, errs := call(t, append([]string{"plot", "s.csv", "--out", "-"}, strings.Fields(args)...)...); code != exitPass || !strings.Contains(svg, want) {
			t.Errorf("%s: exit %d\n%s%s", args, code, svg, errs)
		}
	}
}

func TestWrongUsesOfPlot(t *testing.T) {
	recordHere(t)
	for name, text := range map[string]string{"text.pcapng": "no capture", "a.csv": "a,b\n1,2\n", "lonely.trace.jsonl": "{}\n", "lonely.samples.jsonl": "{}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitUsage, "needs a capture"},
		{"nowhere.device.pcapng", exitUsage, "no such file"},
		{"text.pcapng", exitUsage, "text.pcapng"},
		{"a.csv", exitUsage, "not the table of a sweep"},
		{"a.csv --show pool", exitUsage, "--show is for runs"},
		{"idle-sensor.device.pcapng --metric lost", exitUsage, "--metric is for the table of a sweep"},
		{"idle-sensor.device.pcapng --show pol", exitUsage, `no panel is called "pol"`},
		{"idle-sensor.device.pcapng --device x", exitUsage, `no device is called "x"`},
		{"idle-sensor.device.pcapng --width 12", exitUsage, "a width of 12 pixels"},
		{"idle-sensor.device.pcapng --from 9h", exitUsage, "nothing is between 9h"},
		{"idle-sensor.device.pcapng --out idle-sensor.peer.pcapng", exitUsage, "is read, so it cannot be written"},
		{"idle-sensor.device.pcapng --out idle-sensor.device.pcapng", exitUsage, "is read, so it cannot be written"},
		{"idle-sensor.device.pcapng --out nowhere/a.svg", exitEnvironment, "create the figure"},
		{"lonely.samples.jsonl", exitUsage, "name lonely.device.pcapng"},
		{"lonely.trace.jsonl", exitUsage, "no capture of the run is beside"},
	} {
		code, _, errs := call(t, append([]string{"plot"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("emu plot %s: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.want, errs)
		}
	}
	if svgs, err := filepath.Glob("*.svg"); err != nil || len(svgs) != 0 {
		t.Errorf("%v %v", svgs, err)
	}
}

// pictures are the figures that the documentation shows, and the page with the
// commands that draw them.
var pictures = []string{"link-drop.svg", "cut.svg", "sweep.svg"}

var pictureOf = regexp.MustCompile(`!\[[^\]]+\]\(([^)]+\.svg)\)`)

// The figures in the documentation are those that its commands draw: -update
// draws them.
func TestTheFiguresOfTheDocumentationAreDrawnByItsCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "bash")
	docs := filepath.Join(linktest.Root(t), "docs")
	page, err := os.ReadFile(filepath.Join(docs, "plot.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := pictureOf.FindAllStringSubmatch(string(page), -1)
	if len(shown) != len(pictures) {
		t.Fatalf("the page shows %v", shown)
	}
	t.Chdir(t.TempDir())
	for _, block := range consoleBlock.FindAllStringSubmatch(string(page), -1) {
		session(t, block[2])
	}
	for _, name := range pictures {
		drawn, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(docs, name)
		if *update {
			if err := os.WriteFile(file, drawn, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, drawn) {
			t.Errorf("docs/%s is another figure than its command draws (go test ./cmd/emu -run Figures -update): %v", name, err)
		}
	}
}
