package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/trace"
)

// endless is a scenario that no test waits for.
const endless = `
version: 1
name: endless
duration: 8000h
devices: [{steps: [connect, every: {period: 100ms, do: [publish: {topic: t, payload: "{n}", qos: 1}]}]}]
links: [{delay: 10ms, loss: 1%}]
broker: {kind: model}
`

// processFaults are what may happen to the command: Ctrl-C, a disk that is full
// or closed, rights that are missing.
func processFaults(t *testing.T, emu string) {
	t.Run("ends well after Ctrl-C", func(t *testing.T) {
		for _, clock := range []string{"clock: virtual", "clock: real\nspeed: 100"} {
			endsAfterCtrlC(t, emu, clock)
		}
	})
	t.Run("ends with 5 when the machine held it up", func(t *testing.T) { tellsThatItWasHeldUp(t, emu) })
	t.Run("says that it may not write", func(t *testing.T) { saysThatItMayNotWrite(t, emu) })
	t.Run("leaves whole files on a full disk", func(t *testing.T) { survivesAFullDisk(t, emu) })
	t.Run("keeps the old file when the new one has no room", func(t *testing.T) { keepsTheOldFile(t, emu) })
	t.Run("says that it may not open a TAP", func(t *testing.T) { saysThatItMayNotOpenATap(t, emu) })
}

func endsAfterCtrlC(t *testing.T, emu, clock string) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "endless.yaml"), strings.Replace(endless, "duration:", clock+"\nduration:", 1))
	cmd := exec.Command(emu, "run", file, "--out", dir)
	p := linktest.Start(t, cmd)
	log := filepath.Join(dir, "endless.trace.jsonl")
	awaitSize(t, log, 64<<10)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	out, _ := p.Wait(t)
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(out, "endless: interrupted") {
		t.Errorf("%s: exit %d\n%s", clock, code, out)
	}
	events := readTrace(t, log)
	if last := events[len(events)-1]; last.Kind != trace.KindEnd || last.Text != "interrupted" {
		t.Errorf("%s: the trace ends with %+v", clock, last)
	}
	for _, point := range []string{"device", "peer"} {
		path := filepath.Join(dir, "endless."+point+".pcapng")
		if err := pcaps.Verify(path); err != nil {
			t.Error(err)
		}
		if n := framesOf(t, path); n < 100 {
			t.Errorf("%s: %d frames at the %s", clock, n, point)
		}
	}
}

// tellsThatItWasHeldUp stops the process for a while, as a machine does that has
// too much to do: what was due meanwhile is late, and nothing is judged. The same
// run is judged where that is allowed.
func tellsThatItWasHeldUp(t *testing.T, emu string) {
	const heldUp = 700 * time.Millisecond
	const busy = `{steps: [connect, every: {period: 10ms, do: [publish: {topic: t, payload: "{n}", qos: 0}]}]}`
	const quiet = `{kind: socket, exec: exec sleep 60}` // for which nothing is due: what it might have sent is late
	dir := t.TempDir()
	for i, c := range []struct {
		device, most string
		code         int
		text         string
	}{
		{busy, "300ms", exitInconclusive, "held: inconclusive"},
		{busy, "1h", exitPass, "held: pass"},
		{quiet, "300ms", exitInconclusive, "held: inconclusive"},
	} {
		file := write(t, filepath.Join(dir, "held.yaml"), `
version: 1
name: held
clock: real
duration: 2s
devices: [`+c.device+`]
broker: {kind: model}
expect: [conservation_errors == 0]
`)
		most, want := c.most, c
		out := filepath.Join(dir, fmt.Sprint(i))
		cmd := exec.Command(emu, "run", file, "--out", out, "--max-lateness", most, "--progress", "none")
		p := linktest.Start(t, cmd)
		for range 1000 { // until it has begun
			if _, err := os.Stat(filepath.Join(out, "held.trace.jsonl")); err == nil {
				break
			}
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(200 * time.Millisecond)
		for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if s == syscall.SIGSTOP {
				<-time.After(heldUp)
			}
		}
		text, _ := p.Wait(t)
		if code := cmd.ProcessState.ExitCode(); code != want.code || !strings.Contains(text, want.text) {
			t.Errorf("at most %s late, held up for %v: exit %d\n%s", most, heldUp, code, text)
		}
	}
}

// awaitSize waits until a process has written so much to a file. It looks at the
// real clock, as everything that waits for a process must.
func awaitSize(t *testing.T, path string, bytes int64) {
	t.Helper()
	for range 1000 {
		if size(t, path) >= bytes {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("%s has %d bytes after ten seconds, want %d", path, size(t, path), bytes)
}

// framesOf lets tshark read a capture to its end, and returns how many frames it
// has.
func framesOf(t *testing.T, path string) int {
	t.Helper()
	if out := linktest.Tshark(t, "-r", path, "-c", "200000", "-Y", "_ws.malformed"); out != "" {
		t.Errorf("%s: malformed:\n%s", path, out)
	}
	n := 0
	for _, err := range pcaps.Packets(path) {
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		n++
	}
	return n
}

func readTrace(t *testing.T, path string) []trace.Event {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := trace.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []trace.Event
	for {
		e, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, e)
	}
}

// asNobody lets a command run without any right.
func asNobody(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return exec.Command(name, args...)
	}
	linktest.Require(t, "setpriv")
	return exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", name}, args...)...)
}

func saysThatItMayNotWrite(t *testing.T, emu string) {
	dir := open(t) // which belongs to the user of the test
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(open(t), "file"), "")
	for what, out := range map[string]string{
		"a folder without the right to write": dir,
		"a folder that cannot be made":        filepath.Join(dir, "new"),
		"a folder below a file":               filepath.Join(file, "new"),
	} {
		code, text := finish(t, asNobody(t, emu, "run", "clean-link", "--out", out))
		if code != exitEnvironment || !strings.Contains(text, filepath.Dir(out)) || !strings.Contains(text, "--out") || strings.Contains(text, "pass") {
			t.Errorf("%s: exit %d\n%s", what, code, text)
		}
	}
}

// survivesAFullDisk runs the command on a disk of a few kilobytes, which exists
// in a mount namespace of the command's own; what it wrote is copied out of it.
func survivesAFullDisk(t *testing.T, emu string) {
	linktest.Require(t, linktest.NeedNetns, "unshare", "tshark") // the right to mount comes with that to make namespaces
	folder := t.TempDir()
	file := write(t, filepath.Join(folder, "endless.yaml"), endless)
	for what, c := range map[string]struct{ arg, name, size string }{
		"when it closes its files": {"link-drop", "link-drop", "28k"},
		"in the middle":            {file, "endless", "400k"},
		"at the first byte":        {"link-drop", "link-drop", "4k"},
	} {
		keep, disk := t.TempDir(), t.TempDir()
		code, text := finish(t, exec.Command("unshare", "-m", "sh", "-c",
			`mount -t tmpfs -o size="$1" none "$2" || exit 99; "$3" run "$4" --out "$2"; code=$?; cp "$2"/* "$5"; exit $code`,
			"sh", c.size, disk, emu, c.arg, keep))
		if code != exitEnvironment || !strings.Contains(text, "no space left on device") || !strings.Contains(text, "free some space") {
			t.Errorf("%s: exit %d\n%s", what, code, text)
			continue
		}
		if strings.Contains(text, "pass") {
			t.Errorf("%s: nothing was judged, but it says\n%s", what, text)
		}
		if c.size == "4k" { // there is no room for the header of a capture: it is not there, and nothing is said of it
			if left, _ := filepath.Glob(filepath.Join(keep, "*.pcapng")); len(left) > 0 || strings.Contains(text, "holds") {
				t.Errorf("%s: %v\n%s", what, left, text)
			}
			continue
		}
		// What is said of each file is so.
		for _, point := range []string{"device", "peer"} {
			name := c.name + "." + point + ".pcapng"
			if n := framesOf(t, filepath.Join(keep, name)); !strings.Contains(text, fmt.Sprintf("%s holds %d frames", name, n)) || n == 0 && c.name == "endless" {
				t.Errorf("%s: %d frames in %s\n%s", what, n, name, text)
			}
		}
		name := c.name + ".trace.jsonl"
		if n := len(readTrace(t, filepath.Join(keep, name))); !strings.Contains(text, fmt.Sprintf("%s %d events", name, n)) {
			t.Errorf("%s: %d events in %s\n%s", what, n, name, text)
		}
	}
}

// keepsTheOldFile writes a scenario over another on a disk that is full.
func keepsTheOldFile(t *testing.T, emu string) {
	linktest.Require(t, linktest.NeedNetns, "unshare")
	code, text := finish(t, exec.Command("unshare", "-m", "sh", "-c",
		`mount -t tmpfs -o size=8k none "$1" || exit 99; cd "$1"; echo old >small.yaml; head -c 4096 /dev/zero >full
		"$2" shrink idle-sensor --set link.up.drop_frames=[6] -o small.yaml; code=$?; cat small.yaml; ls; exit $code`, "sh", t.TempDir(), emu))
	if code != exitEnvironment || !strings.Contains(text, "no space left on device") || !strings.HasSuffix(text, "\nold\nfull\nsmall.yaml\n") {
		t.Errorf("exit %d\n%s", code, text)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func saysThatItMayNotOpenATap(t *testing.T, emu string) {
	dir := open(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	commands := map[string]*exec.Cmd{"another user": asNobody(t, emu, "run", "tap-mosquitto", "--out", dir)}
	if os.Geteuid() == 0 {
		commands["root without CAP_NET_ADMIN"] = exec.Command("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
			emu, "run", "tap-mosquitto", "--out", t.TempDir())
	}
	if code, text := finish(t, asNobody(t, emu, "doctor")); code != exitEnvironment || !strings.Contains(text, "run emu with sudo") {
		t.Errorf("doctor: exit %d\n%s", code, text)
	}
	for who, cmd := range commands {
		code, text := finish(t, cmd)
		if code != exitEnvironment || !strings.Contains(text, "TAP") || !strings.Contains(text, "sudo") {
			t.Errorf("%s: exit %d\n%s", who, code, text)
		}
	}
}
