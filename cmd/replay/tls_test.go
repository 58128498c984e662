package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/scenarios"
)

// tlsCapture runs a scenario over TLS and returns its capture, a copy of that
// without the keys, and a key log.
func tlsCapture(t *testing.T) (with, without, keys string) {
	t.Helper()
	dir := t.TempDir()
	sc, err := scenarios.Open("tls-lossy")
	if err != nil {
		t.Fatal(err)
	}
	with, without, keys = filepath.Join(dir, "tls-lossy.linux.device.pcapng"), filepath.Join(dir, "plain.pcap"), filepath.Join(dir, "keys.log")
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir, KeyLog: keys}); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(without)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := pcaps.NewPcapWriter(out, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	for p, err := range pcaps.Packets(with) {
		if err == nil {
			err = w.WritePacket(p.Time, p.Data, p.OriginalLen)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return with, without, keys
}

// replayed runs the command and returns what it prints.
func replayed(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), args, &out, &out)
	return code, out.String()
}

func TestTLSIsReadWithItsKeys(t *testing.T) {
	with, without, keys := tlsCapture(t)
	const counts = "CONNECT 1, PUBLISH 45, PUBACK 8, SUBSCRIBE 1"
	for _, tc := range []struct {
		args []string
		want []string
		not  string
	}{
		{[]string{"info", with}, []string{"MQTT 3.1.1 over TLS 1.3, ", "decrypted: 110 records", counts}, ""},
		{[]string{"info", without}, []string{":8883  TLS 1.3, ", "not decrypted: there are no keys"}, "CONNECT"},
		{[]string{"info", "--keylog", keys, without}, []string{"MQTT 3.1.1 over TLS 1.3, ", counts}, ""},
		{[]string{"info", "--json", with}, []string{`"tls": "TLS 1.3, `, `"protocol": "MQTT"`}, ""},
		{[]string{"analyze", "--messages", with}, []string{"over TLS 1.3", `client "linux"`, "CONNACK", `"telemetry"`}, ""},
		{[]string{"analyze", "--messages", without}, []string{"not decrypted: there are no keys"}, "CONNACK"},
		{[]string{"analyze", "--messages", "--keylog", keys, without}, []string{"CONNACK"}, ""},
		{[]string{"compare", "--by", "message", "--keylog", keys, with, without}, []string{"no difference in 1 conversation"}, "in TLS"},
	} {
		code, out := replayed(t, tc.args...)
		for _, want := range tc.want {
			if code != exitPass || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d, looked for %q in\n%s", tc.args, code, want, out)
			}
		}
		if tc.not != "" && strings.Contains(out, tc.not) {
			t.Errorf("%v: found %q in\n%s", tc.args, tc.not, out)
		}
	}
	// Without keys that is said, and what the other one has is a difference.
	code, out := replayed(t, "compare", "--by", "message", with, without)
	for _, want := range []string{"messages not compared, in TLS: 1 conversation of " + without + ": there are no keys", `-> PUBLISH`, ", TLS 1.3, "} {
		if code != exitFail || !strings.Contains(out, want) {
			t.Errorf("exit %d, looked for %q in\n%s", code, want, out)
		}
	}
	if code, out := replayed(t, "compare", "--by", "message", without, without); code != exitUsage || strings.Count(out, "there are no keys") != 2 {
		t.Errorf("exit %d\n%s", code, out)
	}
	yaml := filepath.Join(t.TempDir(), "again.yaml")
	if code, out := replayed(t, "extract", without, "-o", yaml); code == exitPass || !strings.Contains(out, "there are no keys") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := replayed(t, "extract", "--keylog", keys, without, "-o", yaml); code != exitPass || !strings.Contains(out, "PUBLISH                            53       53") {
		t.Errorf("exit %d\n%s", code, out)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<30); err != nil { // without a byte on the disk
		t.Fatal(err)
	}
	for _, wrong := range []string{empty, huge, "none", t.TempDir()} {
		if code, out := replayed(t, "compare", "--keylog", wrong, with, with); code != exitUsage && code != exitEnvironment || !strings.Contains(out, "--keylog") {
			t.Errorf("--keylog %s: exit %d\n%s", wrong, code, out)
		}
		if code, out := replayed(t, "info", "--keylog", wrong, with); code != exitUsage && code != exitEnvironment || !strings.Contains(out, "--keylog") {
			t.Errorf("--keylog %s: exit %d\n%s", wrong, code, out)
		}
	}
}
