package main

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
)

// Archives do not depend on when and where they are packed, and the usual
// programs read them.
func TestArchivesAreReadByOthers(t *testing.T) {
	files := []file{{"emu", 0o755, []byte("program")}, {"LICENSE", 0o644, []byte("text")}}
	at := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		pack func(string, time.Time, []file) ([]byte, error)
		read []string
	}{
		{tarball, []string{"tar", "-tzvf"}},
		{zipped, []string{"python3", "-m", "zipfile", "-l"}},
	} {
		linktest.Require(t, c.read[0])
		first, err := c.pack("hilnet-1", at, files)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := c.pack("hilnet-1", at, files); err != nil || !bytes.Equal(first, again) {
			t.Errorf("packed twice, two results (%v)", err)
		}
		if err := os.WriteFile("archive", first, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(c.read[0], append(c.read[1:], "archive")...)
		cmd.Env = append(os.Environ(), "TZ=UTC")
		out, err := cmd.CombinedOutput()
		for _, want := range []string{"hilnet-1/emu", "hilnet-1/LICENSE", "2026-01-02 03:04"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v: %v: %q is missing in\n%s", c.read, err, want, out)
			}
		}
	}
}

func TestOnlyTakesPlatforms(t *testing.T) {
	if got, err := choose("linux/arm64,linux/amd64"); err != nil || !slices.Equal(got, platforms[:2]) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"linux", "plan9/386", "linux/amd64,"} {
		if _, err := choose(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A release holds programs that need no other file, carries licences and
// checksums, and is the same when it is made again.
func TestAReleaseRunsAndRepeats(t *testing.T) {
	linktest.Soak(t)
	linktest.Require(t, "git", "sha256sum", "tar")
	t.Chdir(linktest.Root(t))
	only := "-only=linux/" + runtime.GOARCH
	var archives [][]byte
	dir := ""
	for range 2 {
		dir = t.TempDir()
		if err := run([]string{only, "-out", dir}, io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "hilnet-"+emu.Version+"-linux-"+runtime.GOARCH+".tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, data)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("made twice, two archives")
	}
	for _, line := range []string{"sha256sum --check SHA256SUMS", "tar -xzf *.tar.gz --strip-components=1", "./emu run link-drop --quiet", "./replay info link-drop.device.pcapng"} {
		cmd := exec.Command("bash", "-c", line)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	for _, program := range programs {
		f, err := elf.Open(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("%s needs %v (%v)", program, libraries, err)
		}
		f.Close()
	}
	text, err := os.ReadFile(filepath.Join(dir, "THIRD-PARTY-LICENSES.txt"))
	for _, want := range []string{"gvisor.dev/gvisor", "github.com/google/gopacket", "github.com/songgao/water", "======== Go, LICENSE"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: no licence of %s", err, want)
		}
	}
}
