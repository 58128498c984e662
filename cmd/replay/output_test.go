package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hilnet/internal/linktest"
)

// A full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A command that could not print what it was asked for has not succeeded.
func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	name := filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", "suricata-mqtt311-pub-qos1.pcap")
	for _, args := range [][]string{
		{"info", name}, {"info", name, "--json"}, {"analyze", name}, {"play", name, "--as", "client", "--plan"},
		{"play", name, "--as", "client", "--against", "model"}, {"play", name, "--as", "client", "--against", "model", "--json"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, full{}, &stderr); code != exitEnvironment || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%v: %d, %s", args, code, &stderr)
		}
	}
}

func TestASpeedThatIsNoneIsTheFlags(t *testing.T) {
	name := filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", "suricata-mqtt311-pub-qos1.pcap")
	for _, speed := range []string{"0", "-1", "NaN", "+Inf", "1e-9"} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"play", name, "--as", "client", "--against", "model", "--speed", speed}, &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "--speed "+speed+" is not between") && speed != "1e-9" {
			t.Errorf("%s: %d, %s", speed, code, &stderr)
		}
	}
}
