package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps/analyze"
	"hilnet/pcaps/tlsdec"
)

// A cut capture is analyzed to its last whole block, and ends with 1.
func TestACutCaptureIsAnalyzedToTheCut(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(linktest.Root(t), "pcaps", "testdata", "suricata-mqtt311-pub-qos1.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cut.pcap")
	if err := os.WriteFile(file, whole[:len(whole)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"analyze", file}, &out, &out); code != exitFail || !bytes.Contains(out.Bytes(), []byte("CUT: pcaps: byte")) {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// FuzzAnalyze: whatever the file, analyze ends without a panic, and a terminal
// is not made to obey it.
func FuzzAnalyze(f *testing.F) {
	for _, name := range []string{"suricata-mqtt311-pub-qos1.pcap", "zeek-pcapng-multi-interface.pcapng", "hadrielk-difficult-test202.pcapng"} {
		text, err := os.ReadFile(filepath.Join(linktest.Root(f), "pcaps", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := analyzeInput(t.Context(), "x", bytes.NewReader(text), analyze.Config{}, new(tlsdec.Keys))
		if err != nil {
			if explainError("x", err) == nil {
				t.Fatal(errors.Unwrap(err))
			}
			return
		}
		var out bytes.Buffer
		writeAnalysis(&out, a, true)
		if bytes.ContainsAny(out.Bytes(), "\x1b\a") {
			t.Errorf("%q", out.String())
		}
	})
}
