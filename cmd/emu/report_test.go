package main

import (
	"os"
	"strings"
	"testing"
)

// recordHere runs idle-sensor in a folder of its own.
func recordHere(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	if code, _, errs := call(t, "run", "idle-sensor", "--quiet"); code > exitFail {
		t.Fatal(errs)
	}
}

func pageOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(text), "<!doctype html>") || !strings.HasSuffix(string(text), "</html>\n") {
		t.Fatalf("%s is no page: %v", name, err)
	}
	return string(text)
}

// The page stands beside the capture, or where --out says, and what it lacks is
// named.
func reportsElsewhere(t *testing.T) {
	recordHere(t)
	code, out, errs := call(t, "report", "idle-sensor.device.pcapng")
	if code != exitPass || out != "idle-sensor.html\n" || !strings.Contains(errs, "not on the page: levels of pools and queues") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if text := pageOf(t, "idle-sensor.html"); !strings.Contains(text, "<title>pass: idle-sensor</title>") {
		t.Error("the page has another title")
	}
	if err := os.Remove("idle-sensor.html"); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, "report", "idle-sensor.device.pcapng", "--out", "there.html"); code != exitPass || out != "there.html\n" {
		t.Errorf("exit %d\n%s", code, out)
	}
	pageOf(t, "there.html")
	if _, err := os.Stat("idle-sensor.html"); err == nil {
		t.Error("there are two pages")
	}
}

func reportsQuietly(t *testing.T) {
	recordHere(t)
	if code, out, _ := call(t, "report", "idle-sensor.device.pcapng", "--quiet"); code != exitPass || out != "" {
		t.Errorf("exit %d\n%s", code, out)
	}
	pageOf(t, "idle-sensor.html")
}

// What a user may get wrong is told before anything is lost.
func TestWrongUsesOfReport(t *testing.T) {
	recordHere(t)
	if err := os.WriteFile("text.pcapng", []byte("no capture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"report", exitUsage, "needs a capture"},
		{"report nowhere.device.pcapng", exitUsage, "no such file"},
		{"report text.pcapng", exitUsage, "text.pcapng"},
		{"report idle-sensor.device.pcapng --out idle-sensor.peer.pcapng", exitUsage, "is read, so it cannot be written"},
		{"report idle-sensor.device.pcapng --out nowhere/a.html", exitEnvironment, "create the page"},
		{"run idle-sensor --report idle-sensor.trace.jsonl", exitUsage, "is a file of the run itself"},
		{"run idle-sensor --report nowhere/a.html", exitEnvironment, "create the page"},
	} {
		code, _, errs := call(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("emu %s: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.want, errs)
		}
	}
}

// A run that could not begin has a page that says why, so that nobody looks at
// that of an earlier one.
func TestARunThatDoesNotBeginHasAPage(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.yaml", []byte("version: 1\nnonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := call(t, "run", "bad.yaml", "--report", "bad.html"); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	pageOf(t, "bad.html")
}
