package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/sim"
)

const severalFile = `
version: 1
name: several
duration: 5s
devices: [{name: a, app: counts}, {name: b, steps: [connect]}]
links: [{device: b, up: {drop_frames: [3, 4, 5]}}]
broker: {kind: model}
expect: [drops.total < 2]
`

// severalAtOnce shows that --parallel is how many runs of a command go on at a
// moment.
func severalAtOnce(t *testing.T, command string) {
	for _, c := range []struct {
		parallel string
		several  bool
	}{{"3", true}, {"1", false}} {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("several.yaml", []byte(severalFile), 0o600); err != nil {
			t.Fatal(err)
		}
		var running, most atomic.Int32
		app := func(*sim.Task, *mqtt.Client) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(20 * time.Millisecond)
			running.Add(-1)
		}
		var out bytes.Buffer
		cmd := &cli{args: []string{command, "several.yaml", "--parallel", c.parallel}, stdout: &out, stderr: &out, apps: map[string]emu.App{"counts": app}}
		if cmd.run(t.Context()); most.Load() > 1 != c.several {
			t.Errorf("--parallel %s: %d at a time\n%s", c.parallel, most.Load(), out.String())
		}
	}
}

// shownRun finds a command and what the page says that it prints.
var shownRun = regexp.MustCompile("(?m)^```\n\\$ (emu .*)\n((?:.*\n)*?)```$")

// The page on explore shows what its commands print, in the order of the page;
// -update writes it.
func TestTheExplorePageTellsTheTruth(t *testing.T) {
	name := filepath.Join(linktest.Root(t), "docs", "explore.md")
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	took := regexp.MustCompile(`; in \S+|device time in \S+,`)
	n := 0
	got := shownRun.ReplaceAllFunc(page, func(block []byte) []byte {
		n++
		m := shownRun.FindSubmatch(block)
		var stdout, stderr bytes.Buffer
		run(t.Context(), linktest.Words(string(m[1]))[1:], nil, &stdout, &stderr)
		said := stdout.String() + stderr.String()
		if *update || took.ReplaceAllString(said, "") != took.ReplaceAllString(string(m[2]), "") {
			return []byte("```\n$ " + string(m[1]) + "\n" + said + "```")
		}
		return block
	})
	if n < 4 {
		t.Fatalf("the page shows %d commands", n)
	}
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(got, page) {
		t.Errorf("docs/explore.md does not show what its commands print (go test ./cmd/emu -run ExplorePage -update); it should be:\n%s", got)
	}
}

// Wrong use is refused before the first run, with exit code 2; what is found
// decides the others.
func TestTheExitCodesOfExploreAndShrink(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"explore idle-sensor --max 6", exitPass, "6 lost one by one, 0 fatal"},
		{"explore idle-sensor", exitFail, "session_lost_to_one_ping"},
		{"explore idle-sensor --pairs -1", exitUsage, "not negative"},
		{"explore idle-sensor --format tabel", exitUsage, "did you mean \"table\""},
		{"explore tap-mosquitto", exitUsage, "clock: real"},
		{"explore idle-sensor --out no/such/dir.json --max 1", exitEnvironment, "choose another name"},
		{"shrink idle-sensor", exitUsage, "nothing to shrink"},
		{"shrink idle-sensor --max-runs 0", exitUsage, "at least 1"},
		{"shrink tap-mosquitto", exitUsage, "clock: real"},
		{"shrink idle-sensor --set link.up.drop_frames=[6] -o no/such/dir.yaml", exitEnvironment, "--out"},
		{"shrink idle-sensor --set link.up.drop_frames=[6] -o small.yaml", exitPass, "up 6, 10.000 s: PINGREQ"},
		{"run small.yaml", exitFail, "the session lasts"},
	} {
		code, out, errs := call(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("emu %s: exit %d, want %d and %q in\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	_, out, _ := call(t, "explore", "idle-sensor", "--json")
	var doc struct {
		Format string
		Fatal  []struct {
			Drops   []struct{ Link, Dir, What string }
			Command string
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Format != exploreFormat || len(doc.Fatal) == 0 || doc.Fatal[0].Drops[0].What != "PINGREQ" {
		t.Errorf("%v: %+v", err, doc)
	}
}
