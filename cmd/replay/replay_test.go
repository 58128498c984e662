package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/pcaps/tlsdec"
	"hilnet/scenarios"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"replay": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	captures := filepath.Join(linktest.Root(t), "pcaps", "testdata")
	golden := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx")
	mqtt := filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("CAPTURES", captures)
			e.Setenv("GOLDEN", golden)
			e.Setenv("MQTT", mqtt)
			return nil
		},
	})
}

// record runs link-drop and returns the result and the capture at the device.
func record(t testing.TB) (*emu.Result, string) {
	t.Helper()
	sc, err := scenarios.Open("link-drop")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	result, err := emu.Run(t.Context(), sc, emu.Options{Out: dir})
	if err != nil {
		t.Fatal(err)
	}
	return result, filepath.Join(dir, "link-drop.device.pcapng")
}

// infoOf calls replay info --json on one file.
func infoOf(t testing.TB, file string) (code int, i *info) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), []string{"info", "--json", file}, &out, &errs)
	if code != exitPass && code != exitFail {
		return code, nil
	}
	var d document
	if err := json.Unmarshal(out.Bytes(), &d); err != nil || len(d.Files) != 1 || d.Version != infoVersion || errs.Len() > 0 {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	if strings.Contains(out.String(), "null") {
		t.Errorf("a list is null:\n%s", out.String())
	}
	return code, d.Files[0]
}

// Of our own capture, info tells the run, and its numbers are those of the run's
// outcome and of the file read by itself.
func TestInfoOfOurOwnCaptureIsTheRun(t *testing.T) {
	result, file := record(t)
	code, i := infoOf(t, file)
	if code != exitPass || i.Problem != nil || len(i.Sections) != 1 || i.Sections[0].Run == nil {
		t.Fatalf("exit code %d: %+v", code, i)
	}
	if r := i.Sections[0].Run; r.Seed != result.Seed || r.Version != emu.Version || len(r.Texts) != 1 || r.Texts[0] != "link-drop.yaml" {
		t.Errorf("the run: %+v", r)
	}
	packets, lost := uint64(0), uint64(0)
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			t.Fatal(err)
		}
		packets++
		if len(p.Verdicts) > 0 {
			lost++
		}
	}
	if i.Packets != packets || i.Lost != lost || i.Commented != lost || lost == 0 {
		t.Errorf("%d packets, %d lost; want %d, %d", i.Packets, i.Lost, packets, lost)
	}
	if len(i.Conversations) != 1 {
		t.Fatalf("%d conversations", len(i.Conversations))
	}
	c := i.Conversations[0]
	if c.ToServer.Messages["PUBLISH"] != result.Outcome.Published || c.ToClient.Messages["PUBACK"] != result.Outcome.Acknowledged ||
		c.ToServer.Messages["CONNECT"] != 1 || c.Server != "10.0.0.1:1883" || c.RoleKnownBy != "SYN" || c.MQTTVersion != 4 {
		t.Errorf("the conversation: %+v", c)
	}
	ignored := uint64(0)
	for _, r := range i.Ignored {
		ignored += r.N
	}
	if frames := uint64(c.ToServer.Frames + c.ToClient.Frames); frames+ignored != packets {
		t.Errorf("%d frames of the conversation and %d ignored are not %d", frames, ignored, packets)
	}

	var out bytes.Buffer
	if code := run(t.Context(), []string{"info", file}, &out, &out); code != exitPass {
		t.Fatal(out.String())
	}
	for _, want := range []string{"run           scenario link-drop, seed 1, hilnet " + emu.Version, "CONNECT 1, PUBLISH 50", "ignored       2 frames: not IP"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
}

// A file that is cut anywhere is read to its last whole block, and says where
// that is; nothing is said twice or made up.
func TestACutCaptureIsReadToItsLastWholeBlock(t *testing.T) {
	_, ours := record(t)
	theirs := filepath.Join(linktest.Root(t), "pcaps", "testdata", "suricata-mqtt311-pub-qos1.pcap")
	for _, file := range []string{ours, theirs} {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, all := infoOf(t, file)
		before := uint64(0)
		cut := filepath.Join(t.TempDir(), "cut")
		for n := 0; n < len(whole); n += 1 + len(whole)/150 {
			if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			code, i := infoOf(t, cut)
			switch {
			case code == exitUsage && before == 0:
				continue // not even a header
			case code == exitPass && i.Problem == nil: // cut between two blocks
			case code != exitFail || i.Problem.Kind != "cut" || i.Problem.Offset+i.Problem.Ignored != int64(n):
				t.Fatalf("%d bytes of %s: exit code %d, %+v", n, file, code, i)
			}
			if i.Packets < before || i.Packets > all.Packets {
				t.Fatalf("%d bytes: %d packets behind %d", n, i.Packets, before)
			}
			before = i.Packets
		}
		if before == 0 {
			t.Errorf("%s: no cut showed a packet", file)
		}
	}
}

// Damage in the middle shows what stands before it.
func TestADamagedCaptureShowsWhatStandsBeforeTheDamage(t *testing.T) {
	_, file := record(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, all := infoOf(t, file)
	copy(whole[len(whole)*2/3:], bytes.Repeat([]byte{0xff}, 400))
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	code, i := infoOf(t, file)
	if code != exitFail || i.Problem == nil || i.Packets == 0 || i.Packets >= all.Packets {
		t.Fatalf("exit code %d, %+v", code, i)
	}
	var out bytes.Buffer
	if run(t.Context(), []string{"info", file}, &out, &out); !strings.Contains(out.String(), strings.ToUpper(i.Problem.Kind)) {
		t.Errorf("the text does not say so:\n%s", out.String())
	}
}

func TestInterruptedInfoEndsWith130(t *testing.T) {
	_, file := record(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := run(ctx, []string{"info", file}, &out, &out); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// What a file's author wrote is shown, but never obeyed by the terminal.
func TestTextFromAFileIsPrintable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pcapng")
	f, err := pcaps.Create(file, pcaps.Section{UserAppl: "a\x1b[2Jb", Comments: []string{"c\x1b]0;d\a"}}, pcaps.WriterConfig{})
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"info", file}, &out, &out); code != exitPass || strings.ContainsAny(out.String(), "\x1b\a") {
		t.Errorf("exit code %d: %q", code, out.String())
	}
}

// FuzzInfo: whatever the file, info ends without a panic and with a code that
// fits what it says.
func FuzzInfo(f *testing.F) {
	for _, name := range []string{"suricata-mqtt311-pub-qos1.pcap", "zeek-pcapng-multi-interface.pcapng", "hadrielk-difficult-test202.pcapng"} {
		text, err := os.ReadFile(filepath.Join(linktest.Root(f), "pcaps", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := read(t.Context(), "x", bytes.NewReader(text), []uint16{1883}, new(tlsdec.Keys))
		if err != nil {
			if explained := explainError("x", err); explained == nil || errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return
		}
		var out bytes.Buffer
		writeInfo(&out, i)
		if bytes.ContainsAny(out.Bytes(), "\x1b\a") {
			t.Errorf("%q", out.String())
		}
	})
}
