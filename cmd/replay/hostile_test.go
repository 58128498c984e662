package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// readers are the commands that read a capture, with FILE for it and OUT for what they write.
var readers = [][]string{
	{"info", "FILE"}, {"info", "--json", "FILE"},
	{"analyze", "FILE"}, {"analyze", "--json", "FILE"},
	{"show", "FILE", "--frame", "1-3"},
	{"convert", "FILE", "-o", "OUT", "--format", "pcap", "--accept-loss"},
	{"convert", "FILE", "-o", "OUT", "--format", "pcapng", "--accept-loss", "--order", "big"},
	{"cut", "FILE", "-o", "OUT", "--frames", "1-", "--accept-loss"},
	{"merge", "FILE", "FILE", "-o", "OUT", "--accept-loss"},
	{"compare", "FILE", "FILE"},
	{"anonymize", "FILE", "-o", "OUT"},
	{"play", "FILE", "--as", "broker", "--plan", "--synthetic"},
}

// offset is how an error names the place.
var offset = regexp.MustCompile(`byte [0-9]+: |frame [0-9]+|has 0 frames|neither a packet nor an interface|nothing was compared`)

// tryAll runs every command on a file. None may panic; one that fails says where; one that
// wrote nothing useful leaves no file.
func tryAll(t *testing.T, path string, codes map[int]int) {
	t.Helper()
	dir := t.TempDir()
	for _, args := range readers {
		out := filepath.Join(dir, "out")
		call := make([]string, len(args))
		for i, a := range args {
			call[i] = map[string]string{"FILE": path, "OUT": out}[a]
			if call[i] == "" {
				call[i] = a
			}
		}
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), call, &stdout, &stderr)
		codes[code]++
		text := stdout.String() + stderr.String()
		switch code {
		case exitPass:
		case exitFail, exitUsage:
			if code == exitUsage && !offset.MatchString(text) {
				t.Errorf("%q: exit %d: no place is named:\n%s", call, code, text)
			}
		default:
			t.Errorf("%q: exit %d\n%.2000s", call, code, text)
		}
		if _, err := os.Stat(out); code > exitFail && err == nil {
			t.Errorf("%q: exit %d, and a file is left", call, code)
		}
		left, err := filepath.Glob(filepath.Join(dir, ".out*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%q leaves %v, %v", call, left, err)
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
}

// Every command takes every file that was made to break a reader.
func TestEveryCommandStandsHostileCaptures(t *testing.T) {
	codes := map[int]int{}
	files := 0
	folders := []string{"captures/malformed"}
	if os.Getenv(linktest.SoakEnv) != "" {
		folders = append(folders, "captures/tcp", "captures/mqtt", "golden")
	}
	for _, folder := range folders {
		err := filepath.WalkDir(linktest.Data(t, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasPrefix(filepath.Ext(path), ".pcap") {
				files++
				tryAll(t, path, codes)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 40 || codes[exitPass] < 200 || codes[exitUsage] < 20 {
		t.Errorf("%d files, exit codes %v", files, codes)
	}
}

// And every capture with a byte changed or its end cut off, all through.
func TestEveryCommandStandsDamage(t *testing.T) {
	codes := map[int]int{}
	step := 197
	if os.Getenv(linktest.SoakEnv) != "" {
		step = 5
	}
	for _, name := range []string{"suricata-mqtt311-pub-qos1.pcap", "zeek-pcapng-multi-interface.pcapng", "hadrielk-difficult-test202.pcapng"} {
		whole, err := os.ReadFile(filepath.Join(linktest.Root(t), "pcaps", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "damaged")
		for n := 5; n < len(whole); n += step {
			bad := bytes.Clone(whole)
			bad[n] ^= 0xff
			if n%2 == 0 {
				bad = bad[:n]
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			tryAll(t, path, codes)
		}
	}
	if codes[exitFail] < 30 {
		t.Errorf("exit codes %v", codes)
	}
}
