package main

import (
	"bytes"
	"os"
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

// What is wrong with the files is said with what to do next.
func TestPlausibleMistakesAreToldTheNextStep(t *testing.T) {
	mqtt := filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt")
	one, other := filepath.Join(mqtt, "suricata-mqtt311-pub-qos1.pcap"), filepath.Join(mqtt, "suricata-mqtt311-pub-qos2.pcap")
	none := filepath.Join(linktest.Root(t), "pcaps", "testdata", "zeek-pcapng-multi-interface.pcapng")
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy.pcap")
	data, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"extract", one, one}, exitUsage, "are the same capture: name those of both ends, or one alone"},
		{[]string{"extract", one, copied}, exitUsage, "are the same capture"},
		{[]string{"extract", one, other}, exitUsage, "(name captures of both ends of one link, made at the same time, or one alone)"},
		{[]string{"extract", one, filepath.Join(dir, "none.pcap")}, exitUsage, "none.pcap: no such file"},
		{[]string{"extract", none}, exitUsage, "name its address (--device ADDRESS)"},
		{[]string{"compare", none, none}, exitUsage, "nothing was compared: neither side"},
		{[]string{"cut", one, "--frames", "1-3", "-o", filepath.Join(dir, "opened.pcap")}, exitPass, ""},
		{[]string{"compare", filepath.Join(dir, "opened.pcap"), filepath.Join(dir, "opened.pcap")}, exitPass, ""},
		{[]string{"compare", filepath.Join(dir, "opened.pcap"), filepath.Join(dir, "opened.pcap"), "--by", "message"}, exitUsage, "nothing was compared: "},
		{[]string{"cut", one, "--from", "1h", "-o", filepath.Join(dir, "part.pcap")}, exitFail, "no frame was chosen: replay info "},
		{[]string{"compare", one, filepath.Join(dir, "none.yaml")}, exitUsage, "none.yaml: no such file (emu show NAME prints a built-in scenario)"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), c.args, &stdout, &stderr); code != c.code || !strings.Contains(stdout.String()+stderr.String(), c.want) {
			t.Errorf("%v: %d, %s%s\nwant %d, %q", c.args, code, &stdout, &stderr, c.code, c.want)
		}
	}
}
