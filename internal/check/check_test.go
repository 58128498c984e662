package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestATallyCountsWhatGoTestSays(t *testing.T) {
	const said = `
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"chatter of a test that passes\n"}
{"Action":"pass","Package":"m/a","Test":"TestOne/sub","Elapsed":0}
{"Action":"pass","Package":"m/a","Test":"TestOne","Elapsed":0}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"=== RUN   TestTwo\n"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"    a_test.go:3: needs tun: no /dev/net/tun\n"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"--- SKIP: TestTwo (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestTwo","Elapsed":0}
{"Action":"output","Package":"m/a","Test":"TestThree","Output":"    a_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"m/a","Test":"TestThree","Elapsed":0}
{"Action":"fail","Package":"m/a","Elapsed":0.1}
{"Action":"pass","Package":"m/b","Elapsed":0.1}
`
	var tl tally
	var out bytes.Buffer
	if err := tl.read(strings.NewReader(strings.TrimSpace(said)), &out); err != nil {
		t.Fatal(err)
	}
	if got := tl.String(); got != "1 passed, 1 failed, 1 skipped" {
		t.Error(got)
	}
	if s := out.String(); !strings.Contains(s, "got 1, want 2") || strings.Contains(s, "chatter") {
		t.Errorf("wants the words of the failed test only:\n%s", s)
	}
	out.Reset()
	tl.writeSkips(&out)
	if got := out.String(); got != "skipped: m/a TestTwo: a_test.go:3: needs tun: no /dev/net/tun\n" {
		t.Error(got)
	}
}

// inModule makes a module of these test files the working directory.
func inModule(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// check runs the command and returns its exit code, all it wrote, and the last line.
func check(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(args, &out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return code, out.String(), lines[len(lines)-1]
}

func TestTheCheckIsGreenWhenAllIsWell(t *testing.T) {
	inModule(t, map[string]string{
		"a_test.go": "package m\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\n\nfunc TestB(t *testing.T) { t.Skip(\"why not\") }\n",
	})
	code, all, last := check(t, "format", "vet", "test")
	if code != 0 || !strings.HasPrefix(last, "ok: 1 passed, 0 failed, 1 skipped, in ") {
		t.Errorf("exit %d:\n%s", code, all)
	}
}

// Each way to go wrong turns the check red, and the last line says so.
func TestTheCheckIsRedWhenSomethingIsWrong(t *testing.T) {
	const head = "package m\n\nimport \"testing\"\n\n"
	for _, c := range []struct {
		why, step, file, last, says string
	}{
		{"a test fails", "test", head + "func TestA(t *testing.T) { t.Error(\"broken\") }\n", "FAIL: 0 passed, 1 failed", "broken"},
		{"a test panics", "test", head + "func TestA(t *testing.T) { panic(\"broken\") }\n", "FAIL: 0 passed, 1 failed", "broken"},
		{
			"a process dies", "test",
			"package m\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestA(t *testing.T) { t.Log(\"last words\"); os.Exit(3) }\n",
			"FAIL: 0 passed, 1 failed", "last words",
		},
		{"a test does not build", "test", head + "func TestA(t *testing.T) { undefinedName() }\n", "FAIL: 0 passed, 1 failed", "undefinedName"},
		{"vet finds something", "vet", head + "func TestA(t *testing.T) { t.Logf(\"%d\", \"x\") }\n", "FAIL: 0 passed", "%d"},
		{"a file is not formatted", "format", head + "func  TestA(t *testing.T) {}\n", "FAIL: 0 passed", "a_test.go"},
	} {
		inModule(t, map[string]string{"a_test.go": c.file})
		code, all, last := check(t, c.step)
		if code != 1 || !strings.HasPrefix(last, c.last) || !strings.Contains(all, c.says) {
			t.Errorf("%s: exit %d, want 1, %q and %q:\n%s", c.why, code, c.last, c.says, all)
		}
	}
}

func TestTheFuzzStepFindsTargetsAndTheirFailures(t *testing.T) {
	if testing.Short() {
		t.Skip("builds fuzz targets")
	}
	target := func(body string) string {
		return "package m\n\nimport \"testing\"\n\nfunc FuzzA(f *testing.F) {\n\tf.Fuzz(func(t *testing.T, b []byte) {" + body + "})\n}\n"
	}
	inModule(t, map[string]string{"a_test.go": target("")})
	if code, all, last := check(t, "-fuzztime", "1s", "fuzz"); code != 0 || !strings.HasPrefix(last, "ok: 1 passed") {
		t.Errorf("exit %d:\n%s", code, all)
	}
	inModule(t, map[string]string{"a_test.go": "package m\n\nimport \"testing\"\n\nfunc FuzzA(f *testing.F) { undefinedName() }\n"})
	if code, all, last := check(t, "-fuzztime", "1s", "fuzz"); code != 1 || !strings.HasPrefix(last, "FAIL: 0 passed, 1 failed") || !strings.Contains(all, "undefinedName") {
		t.Errorf("exit %d:\n%s", code, all)
	}
	inModule(t, map[string]string{"a_test.go": target("t.Fatal(`found it`)")})
	if code, all, last := check(t, "-fuzztime", "1s", "fuzz"); code != 1 || !strings.HasPrefix(last, "FAIL: 0 passed, 1 failed") || !strings.Contains(all, "found it") {
		t.Errorf("exit %d:\n%s", code, all)
	}
}

func TestACheckOverItsBudgetIsRed(t *testing.T) {
	inModule(t, map[string]string{"a.go": "package m\n"})
	code, all, last := check(t, "-budget", "1ns", "format")
	if code != 1 || !strings.HasPrefix(last, "FAIL: ") || !strings.Contains(all, "FAIL budget: ") {
		t.Errorf("exit %d:\n%s", code, all)
	}
}

func TestACheckRunsEveryStepThatItPromises(t *testing.T) {
	chosen, err := choose(nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range chosen {
		names = append(names, s.name)
	}
	if got := strings.Join(names, " "); got != "format vet cross test race fuzz" {
		t.Errorf("a check runs %s", got)
	}
	if _, err := choose([]string{"tset"}); err == nil || !strings.Contains(err.Error(), "tset") {
		t.Errorf("a step that does not exist: %v", err)
	}
}
