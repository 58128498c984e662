package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withFiles writes files and a scenario that names them, and returns its path.
func withFiles(t *testing.T, link string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "s.yaml")
	text := strings.Replace(base, delay, strings.TrimPrefix(link, "\n"), 1)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const someConditions = `{"format":"hilnet-conditions","version":1,"duration_ms":100}
{"t_ms":0,"delay_ms":40,"rate_bps":1000000,"loss":0}
{"t_ms":40,"dir":"up","loss":0.5}
`

// A recording has the resolved scenario, and with it the traces and tables that
// it names: it can be repeated where they are not.
func TestARecordingHasTheFilesThatItsScenarioNames(t *testing.T) {
	t.Setenv("TC_LIB_DIR", t.TempDir())
	name := withFiles(t, `
    up: {trace: {of: ./mine.jsonl, start: 10ms}}
    down: {trace: ./mine.trace, jitter: {spread: 5ms, distribution: mine.dist}}
  - {name: other-link, device: other, netem: delay 5ms 1ms distribution mine2}`,
		map[string]string{"mine.jsonl": someConditions, "mine.trace": "3\n7\n", "mine.dist": "-8192 0 8192\n", "mine2.dist": "1 2 3\n"})
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(strings.Replace(string(text), "links:\n", second, 1), "  - name: link\n", "  - name: link\n    device: device\n", 1))
	if err := os.WriteFile(name, []byte(strings.Replace(string(text), "do: blackhole,", "do: blackhole, link: link,", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	sc, err := LoadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range sc.Files {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"./mine.jsonl", "./mine.trace", "mine.dist", "mine2.dist"}) {
		t.Errorf("files %v", names)
	}
	resolved, err := sc.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	again, err := Load("elsewhere/recorded.yaml", resolved)
	if err != nil {
		t.Fatal(err)
	}
	if !Equal(sc, again) {
		t.Error("another scenario")
	}
	if brief, err := sc.Brief(); err != nil {
		t.Error(err)
	} else if again, err := Load("brief.yaml", brief); err != nil || !Equal(sc, again) {
		t.Errorf("brief: %v\n%s", err, brief)
	}
	if got := again.Links[0].Up.Trace.Read().Conditions; got == nil || len(got.Steps) != 2 {
		t.Errorf("%+v", got)
	}
	if got := again.Links[0].Down.Trace.Read().Opportunities; got == nil || got.Len() != 2 {
		t.Errorf("%+v", got)
	}
	if _, tables, ok := again.Links[1].Up.Netem.Exact(); !ok || len(tables.Delay.Entries) != 3 || tables.Delay.Name != "mine2" {
		t.Errorf("%+v", tables)
	}

	// What was changed in it is noticed, and where there is only the hash, the file
	// must be the one that was there.
	file := again.Files[0]
	change := func(old, to string) string { return strings.Replace(string(resolved), old, to, 1) }
	for _, v := range []struct{ text, want string }{
		{change(file.Data, file.Data[4:]), "the data of ./mine.jsonl"},
		{change(file.Data, "!"+file.Data), "not base64"},
		{change(file.SHA256, strings.Repeat("0", 64)), "is another file than the one with the SHA-256 000"},
		{change("    data: "+scalarOf(file.Data)+"\n", ""), "./mine.jsonl cannot be read"},
		{change(file.Data, again.Files[1].Data), "is another file"},
	} {
		_, err := Load("elsewhere/recorded.yaml", []byte(v.text))
		var errs Errors
		if !errors.As(err, &errs) || !strings.Contains(err.Error(), v.want) || errs[0].Line == 0 || errs[0].Hint == "" {
			t.Errorf("want %q: %v", v.want, err)
		}
	}
}

func scalarOf(s string) string {
	w := &writer{}
	w.value(valueOf(&s), 0)
	return strings.TrimSpace(w.String())
}

// A file that is too large for a scenario leaves its hash, and another file of
// that name is refused.
func TestOfALargeFileTheHashIsKept(t *testing.T) {
	var b strings.Builder
	at, x := 0, uint32(1)
	for b.Len() < 3<<20 {
		x = x*1664525 + 1013904223 // so that gzip finds nothing
		at += int(x >> 19)
		fmt.Fprintln(&b, at)
	}
	name := withFiles(t, "    trace: large.trace", map[string]string{"large.trace": b.String()})
	sc, err := LoadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := sc.Resolved()
	if err != nil || len(resolved) > 10_000 || !strings.Contains(string(resolved), sc.Files[0].SHA256) {
		t.Fatalf("%d bytes, %v", len(resolved), err)
	}
	recorded := filepath.Join(filepath.Dir(name), "recorded.yaml")
	if again, err := Load(recorded, resolved); err != nil || !Equal(sc, again) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(name), "large.trace"), []byte("1\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(recorded, resolved); err == nil || !strings.Contains(err.Error(), "another file than the one with the SHA-256") {
		t.Error(err)
	}
}

func TestAFilesPlaceIsNamedWhenItIsWrong(t *testing.T) {
	for _, v := range []struct{ file, text, key, want string }{
		{"x.trace", "1\n5\n3\n", "12:12", "x.trace:3: 3 ms comes after 5 ms"},
		{"x.trace", "", "12:12", "x.trace cannot be read: it is empty"},
		{"x.trace", "0\n", "12:12", "the last line must be above 0"},
		{"x.trace", "99999999999\n", "12:12", "x.trace:1: 99999999999 ms is beyond 49 days"},
		{"x.jsonl", `{"format":"hilnet-conditions","version":1,"duration_ms":100}` + "\n" + `{"t_ms":0,"loss":1.5}`, "12:12", "x.jsonl:2: loss 1.5"},
		{"x.jsonl", "[", "12:12", "x.jsonl:1: not a line of conditions"},
		{"x.csv", "i,lat,thru,gap,loss\n0,-1,1,1,1", "12:12", `x.csv:2: "-1"`},
	} {
		name := withFiles(t, "    trace: "+v.file, map[string]string{v.file: v.text})
		_, err := LoadFile(name)
		if err == nil || !strings.Contains(err.Error(), v.want) || !strings.Contains(err.Error(), ":"+v.key+":") {
			t.Errorf("%q: %v, want %q at %s", v.text, err, v.want, v.key)
		}
	}
	two := withFiles(t, "    jitter: {spread: 5ms, distribution: a.dist}", map[string]string{"a.dist": "1 40000"})
	if _, err := LoadFile(two); err == nil || !strings.Contains(err.Error(), "a.dist:1:3:") {
		t.Error(err)
	}
}
