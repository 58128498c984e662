package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// A block of a page that begins with "```console" is a session in a shell: a
// line "$ COMMAND" and below it what the command prints, and "(exit N)" if it
// ends with another code than 0. The sessions of a page are done one after the
// other in one folder. Those behind "```console long" are done in soak only.
var consoleBlock = regexp.MustCompile("(?ms)^```console( long)?\n(.*?)^```$")

// wallTime is what differs from one run to the next.
var wallTime = regexp.MustCompile(` in [0-9.]+(µs|ms|s),`)

// The pages whose sessions are run.
var pages = []string{"report.md", "plot.md", "distance.md", "pool-sizing.md", "guides/qemu.md", "guides/constrained-device.md", "guides/impairment-experiments.md", "guides/ci.md", "guides/field-capture-to-ci.md", "tls.md", "services.md"}

// What the pages show is what the commands print; -update writes it.
func TestThePagesShowWhatTheCommandsPrint(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "bash")
	for _, name := range pages {
		t.Run(name, func(t *testing.T) { checkPage(t, name, false) })
		t.Run(name+" long", func(t *testing.T) {
			linktest.Soak(t)
			checkPage(t, name, true)
		})
	}
}

// checkPage does the long sessions of a page, or the others.
func checkPage(t *testing.T, name string, long bool) {
	file := filepath.Join(linktest.Root(t), "docs", name)
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(page), "$ replay ") {
		withReplay(t)
	}
	t.Chdir(t.TempDir())
	sessions := 0
	got := consoleBlock.ReplaceAllStringFunc(string(page), func(block string) string {
		sessions++
		m := consoleBlock.FindStringSubmatch(block)
		if (m[1] != "") != long {
			return block
		}
		return "```console" + m[1] + "\n" + session(t, m[2]) + "```"
	})
	switch {
	case sessions == 0:
		t.Error("the page has no session")
	case *update:
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	case got != string(page):
		t.Errorf("the commands print something else than the page shows (go test ./cmd/emu -run Pages -update, with HILNET_SOAK=1 for the long ones):\n%s",
			firstDifference(string(page), got))
	}
}

// withReplay puts the other command on the path.
func withReplay(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "replay"), "./cmd/replay")
	cmd.Dir = linktest.Root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// session does the commands of a block again and returns the block with what
// they print now. Times of this machine stay as they were shown.
func session(t *testing.T, block string) string {
	t.Helper()
	var out strings.Builder
	parts := strings.Split("\n"+block, "\n$ ")
	if parts[0] != "" {
		t.Errorf("a session begins with output: %q", parts[0])
	}
	for _, part := range parts[1:] {
		line, shown, _ := strings.Cut(part, "\n")
		cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
		text, err := cmd.Output() // progress goes to the other one, if the machine is slow
		printed := string(text)
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			if exit.ExitCode() > exitFail {
				printed += string(exit.Stderr)
			}
			printed += fmt.Sprintf("(exit %d)\n", exit.ExitCode())
		case err != nil:
			t.Fatalf("%s: %v", line, err)
		}
		if times := wallTime.FindAllString(shown, -1); len(times) > 0 {
			printed = wallTime.ReplaceAllStringFunc(printed, func(now string) string {
				if len(times) == 0 {
					return now
				}
				was := times[0]
				times = times[1:]
				return was
			})
		}
		fmt.Fprintf(&out, "$ %s\n%s", line, printed)
	}
	return out.String()
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d:\n- %s\n+ %s", i+1, a[i], b[min(i, len(b)-1)])
		}
	}
	return ""
}

// A page with another number than the command prints is found.
func TestAWrongNumberOnAPageIsFound(t *testing.T) {
	linktest.Require(t, "bash")
	right := "$ echo 12\n12\n$ exit 3\n(exit 3)\n"
	if got := session(t, right); got != right {
		t.Errorf("%q", got)
	}
	if got := session(t, strings.Replace(right, "\n12\n", "\n13\n", 1)); got != right {
		t.Errorf("%q", got)
	}
	const timed = "$ echo 'x  (1m0s of device time in 40ms, seed 1)'\nx  (1m0s of device time in 16ms, seed 1)\n"
	if got := session(t, timed); got != timed {
		t.Errorf("%q", got)
	}
}

// The page on pools quotes the packets that were free in the recordings of the
// real stack, in the order in which they were.
func TestThePoolPageQuotesTheRecordings(t *testing.T) {
	root := linktest.Root(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "pool-sizing.md"))
	if err != nil {
		t.Fatal(err)
	}
	quotes := regexp.MustCompile("(?m)^\\| .* \\| `([0-9a-zA-Z-]+)` \\| ([0-9 ]+) \\|$").FindAllStringSubmatch(string(page), -1)
	if len(quotes) < 4 {
		t.Fatalf("the page has %d quotes", len(quotes))
	}
	for _, q := range quotes {
		log, err := os.ReadFile(filepath.Join(root, "pcaps", "golden", "netx", q[1]+".app.log"))
		if err != nil {
			t.Fatal(err)
		}
		if !inOrder(string(log), strings.Fields(q[2])) {
			t.Errorf("%s never had %s free packets, in this order", q[1], q[2])
		}
		wrong := append([]string{"4096"}, strings.Fields(q[2])...)
		if inOrder(string(log), wrong) {
			t.Errorf("%s: anything is found", q[1])
		}
	}
}

var freePackets = regexp.MustCompile(` free=([0-9]+) `)

// inOrder reports whether the log has these numbers of free packets one after
// the other, possibly with others between them.
func inOrder(log string, want []string) bool {
	for _, m := range freePackets.FindAllStringSubmatch(log, -1) {
		if len(want) > 0 && m[1] == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}
