package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/scenarios"
)

// Whatever init is told, what it writes is valid, runs and passes: every device
// over every link, cut and not. What talks to a real broker is run with the model
// of one.
func TestEveryNewScenarioRunsAndPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	dir := t.TempDir()
	runs := 0
	for _, device := range scenarios.Profile("").Values() {
		for _, link := range append([]string{noLink}, scenarios.PresetName("").Values()...) {
			for _, cut := range []string{"0s", "8s"} {
				for _, broker := range []string{"model", "tap", "gateway"} {
					file := filepath.Join(dir, fmt.Sprintf("%s-%s-%s-%s.yaml", device, strings.ReplaceAll(link, ".", "-"), cut, broker))
					code, out, errs := call(t, "init", file, "--device", device, "--link", link, "--cut", cut, "--broker", broker)
					if code != exitPass || !strings.Contains(out, file) || errs != "" {
						t.Fatalf("%s: exit %d\n%s%s", file, code, out, errs)
					}
					var sets []scenarios.Set
					if broker != "model" {
						if link != noLink || cut == "0s" {
							if code, _, errs := call(t, "validate", file); code != exitPass {
								t.Errorf("%s: %s", file, errs)
							}
							continue
						}
						sets = []scenarios.Set{{Key: "clock", Value: "virtual"}, {Key: "broker", Value: "{kind: model}"}}
					}
					sc, err := scenarios.LoadFileWith(file, sets)
					if err != nil {
						t.Fatal(err)
					}
					sc.Capture = []scenarios.Point{}
					result, err := emu.Run(t.Context(), sc, emu.Options{})
					if err != nil || result.Verdict != emu.Pass {
						t.Errorf("%s: %v %v %v", file, err, result.Verdict, result.Checks)
					}
					if wanted := 1; cut != "0s" && len(sc.Timeline) != wanted {
						t.Errorf("%s: %d cuts", file, len(sc.Timeline))
					}
					runs++
				}
			}
		}
	}
	if runs < 64 {
		t.Errorf("%d runs", runs)
	}
}

func TestInitLeavesFilesAloneAndSaysWhatIsWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("mine.yaml", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"mine.yaml":                     "is there already",
		"mine.txt":                      "ends in .yaml",
		"x.yaml --device zephyr":        "there are netx, linux",
		"x.yaml --device netz":          `did you mean "netx"?`,
		"x.yaml --pool 16":              "such as 16x1536",
		"x.yaml --pool 0x1536":          "1 to 65535 packets",
		"x.yaml --pool 8x63":            "64 to 16384 bytes",
		"x.yaml --pool 65536x64":        "1 to 65535 packets",
		"x.yaml --link nbiot":           `did you mean "nbiot-ce0" or "nbiot-ce1" or "nbiot-ce2"?`,
		"x.yaml --cut -1s":              "from 0s to 1h",
		"x.yaml --cut soon":             "is not a time such as",
		"x.yaml --broker capture":       "there are model, gateway, tap",
		"x.yaml y.yaml":                 "one file and no more",
		"nowhere/x.yaml --device linux": "create the scenario",
	} {
		code, _, errs := call(t, append([]string{"init"}, strings.Fields(args)...)...)
		if code == exitPass || code == exitInternal || !strings.Contains(errs, want) {
			t.Errorf("emu init %s: exit %d, want %q\n%s", args, code, want, errs)
		}
	}
	if text, err := os.ReadFile("mine.yaml"); err != nil || string(text) != "mine" {
		t.Errorf("%q %v", text, err)
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
	for _, edge := range []string{"1x64", "65535x64", "1x16384"} { // what the language takes, and not a packet more
		if code, _, errs := call(t, "init", "-", "--pool", edge); code != exitPass {
			t.Errorf("%s: %s", edge, errs)
		}
	}
}

// answers gives what a person types, with --ask.
func answers(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out, errs bytes.Buffer
	code = run(ctx, append([]string{"init", "--ask"}, args...), stdin, &out, &errs)
	return code, out.String(), errs.String()
}

func TestInitAsksUntilAnAnswerWillDo(t *testing.T) {
	code, out, errs := answers(t, t.Context(), strings.NewReader("my.yaml\nlinux\n8 packets\n8x512\n\n1m\nmodel"))
	if code != exitPass || !strings.Contains(out, "emu run my.yaml") || !strings.Contains(errs, "such as 16x1536") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	sc, err := scenarios.LoadFile("my.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if d := sc.Devices[0]; d.Profile != scenarios.ProfileLinux || d.Pool.Packets != 8 || d.Pool.Payload != 512 || len(sc.Timeline) != 1 {
		t.Errorf("%+v %+v", d.Pool, sc.Timeline)
	}
	if strings.Contains(errs, "--pool") {
		t.Errorf("nobody typed a flag:\n%s", errs)
	}
	var told bytes.Buffer // before the first question, not after the last
	if code := run(t.Context(), []string{"init", "--ask", "my.yaml"}, strings.NewReader(""), io.Discard, &told); code != exitUsage || !strings.Contains(told.String(), "is there already") {
		t.Errorf("exit %d\n%s", code, &told)
	}
	for name, c := range map[string]struct{ typed, want string }{
		"the end of input": {"my.yaml\nnetx\n", "standard input ended"},
		"no answer":        {strings.Repeat("nothing\n", 9), "no answer to"},
	} {
		if code, _, errs := answers(t, t.Context(), strings.NewReader(c.typed)); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d\n%s", name, code, errs)
		}
		if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
			t.Errorf("%s: %v %v", name, entries, err)
		}
	}
}

// Ctrl-C is heard while a person thinks, and while a scenario is awaited.
func TestAWaitForInputHearsCtrlC(t *testing.T) {
	never, close := io.Pipe()
	defer close.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if code, _, errs := answers(t, ctx, never); code != exitInterrupted {
		t.Errorf("exit %d\n%s", code, errs)
	}
}

// A page of several runs leads to one of each, and has what failed.
func TestAReportOfSeveralRunsLeadsToThePageOfEach(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("broken.yaml", []byte("version: 1\nname: broken\nnonsense: <b>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := call(t, "run", "clean-link", "broken.yaml", "pool-starved", "--set", "duration=5s", "--report", "all.html", "--quiet"); code != exitUsage {
		t.Fatalf("exit %d", code)
	}
	text, err := os.ReadFile("all.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`href="all.clean-link.html"`, `href="all.broken.html"`, `href="all.pool-starved.html"`, "of 3 scenarios passed", "unknown key", "default-src 'none'"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the page lacks %s:\n%s", want, text)
		}
	}
	if bytes.Contains(text, []byte("<b>")) || bytes.Contains(text, []byte("<script")) {
		t.Error("text has become markup")
	}
	for _, name := range []string{"all.clean-link.html", "all.broken.html", "all.pool-starved.html"} {
		if page, err := os.ReadFile(name); err != nil || !bytes.Contains(page, []byte("application/gzip")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One scenario has its page and nothing more.
	if code, _, _ := call(t, "run", "clean-link", "--report", "one.html", "--quiet"); code != exitPass {
		t.Error("exit", code)
	}
	if _, err := os.Stat("one.clean-link.html"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a page of a single run beside the page of it")
	}
}
