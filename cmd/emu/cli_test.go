package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"hilnet/nic"
	"hilnet/report"
	"hilnet/scenarios"
)

// call runs the command and returns its exit code and what it printed.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, nil, &out, &errs)
	return code, out.String(), errs.String()
}

// Every command says how to use it, with an example.
func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	root := (&cli{}).root()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			continue
		}
		code, out, _ := call(t, cmd.Name(), "--help")
		if code != exitPass || !strings.Contains(out, "Examples:\n  ") || !strings.Contains(out, "Usage:\n  emu "+cmd.Name()) {
			t.Errorf("emu %s --help: %d\n%s", cmd.Name(), code, out)
		}
	}
}

// Every status, CONNACK code and kind of event that a trace may hold is explained.
func TestExplainKnowsAllThatATraceMayHold(t *testing.T) {
	known := map[string]string{}
	for _, m := range meanings() {
		if known[m.Group+m.Name] != "" {
			t.Errorf("%s is explained twice", m.Name)
		}
		if !strings.HasSuffix(m.Text, ".") || m.Source == "" {
			t.Errorf("%s: %q from %q", m.Name, m.Text, m.Source)
		}
		known[m.Group+m.Name] = m.Text
	}
	codes := 0
	for n := range nic.Status(0x10100) {
		if name := n.String(); !strings.HasPrefix(name, "0x") {
			codes++
			if known[groupStatus+name] == "" {
				t.Errorf("the status %s is not explained", name)
			}
		}
	}
	if codes != len(statusTexts) || codes < 40 {
		t.Errorf("%d codes have a name, %d are explained", codes, len(statusTexts))
	}
}

// What --json prints is what the published schema says, by an independent
// validator, for every built-in scenario that needs nothing else.
func TestJSONIsWhatTheSchemaSays(t *testing.T) {
	var schemaText bytes.Buffer
	if code := run(t.Context(), []string{"schema", "--result"}, nil, &schemaText, &schemaText); code != exitPass {
		t.Fatal(schemaText.String())
	}
	parsed, err := jsonschema.UnmarshalJSON(&schemaText)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("s.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	checkDocument(t, schema, append([]string{"run", "--json", "--out", t.TempDir()}, virtualLibrary(t)...), 4)
	checkDocument(t, schema, []string{"run", "--json", "--set", "clock=real", "--set", "duration=3s", "--out", t.TempDir(), "clean-link"}, 8)
}

// virtualLibrary names the scenarios of the library that take no time; those of
// quirks add nothing to the others.
func virtualLibrary(t *testing.T) (names []string) {
	t.Helper()
	for _, e := range scenarios.Library() {
		sc, err := scenarios.Open(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if sc.Clock == scenarios.Virtual && !strings.HasPrefix(e.Name, "quirks/") {
			names = append(names, e.Name)
		}
	}
	return names
}

// checkDocument runs a command whose names of scenarios begin behind its flags,
// and compares its JSON with the schema.
func checkDocument(t *testing.T, schema *jsonschema.Schema, args []string, flags int) {
	t.Helper()
	code, out, errs := call(t, args...)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	var d report.Document
	if err := json.Unmarshal([]byte(out), &d); err != nil || len(d.Runs) != len(args)-flags || d.ExitCode != code {
		t.Errorf("%v, %d runs, exit code %d and %d", err, len(d.Runs), d.ExitCode, code)
	}
}

// Stopped, run says so and ends with 130; a sweep keeps what it has and goes on
// to the same bytes.
func TestInterruptedCommandsEndWith130(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	long := "version: 1\nname: long\nduration: 8760h\ndevices: [{steps: [connect, {every: {period: 1s, do: [{publish: {topic: t}}]}}]}]\nbroker: {}\n"
	if err := os.WriteFile("long.yaml", []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"run", "long.yaml", "link-drop"}, nil, &out, &errs); code != exitInterrupted || !strings.Contains(out.String(), "2 interrupted") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}

	args := []string{"sweep", "clean-link", "--seeds", "12", "--out-file", "whole.jsonl", "--parallel", "1"}
	if code, _, errs := call(t, args...); code != exitPass {
		t.Fatal(errs)
	}
	ctx, cancel = context.WithCancel(t.Context())
	args[5] = "cut.jsonl"
	stop := &cancelAt{cancel: cancel, at: regexp.MustCompile(`[3-9] of 12`)}
	code := runWithClock(ctx, append(args, "--progress", "plain"), &out, stop)
	if code != exitInterrupted || !strings.Contains(stop.String(), "the same command with --resume goes on") {
		t.Errorf("exit code %d\n%s", code, stop.String())
	}
	if code, _, errs := call(t, append(args, "--resume")...); code != exitPass {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	whole, err := os.ReadFile("whole.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if cut, err := os.ReadFile("cut.jsonl"); err != nil || !bytes.Equal(cut, whole) {
		t.Errorf("interrupted and resumed, the results differ (%v)", err)
	}
}

// A cancelAt is a standard error that cancels when it is told something.
type cancelAt struct {
	bytes.Buffer
	at     *regexp.Regexp
	cancel func()
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if c.at.Match(p) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

// runWithClock runs with a meter whose every look is due.
func runWithClock(ctx context.Context, args []string, stdout *bytes.Buffer, stderr *cancelAt) int {
	before := clock
	defer func() { clock = before }()
	now := time.Unix(0, 0)
	clock = func() time.Time { now = now.Add(time.Minute); return now }
	return run(ctx, args, nil, stdout, stderr)
}

// A panic is a bug of ours: exit code 4, and what repeats it, quoted for a shell.
func TestAnInternalErrorSaysWhatRepeatsIt(t *testing.T) {
	var errs bytes.Buffer
	c := &cli{args: []string{"run", "a b.yaml", "--set", "x='1'"}, stderr: &errs}
	c.internalError(errors.New("out of luck"), []byte("stack"))
	if want := `What repeats it: emu run 'a b.yaml' --set 'x='\''1'\'''`; !strings.Contains(errs.String(), want) {
		t.Errorf("%s\nwant %s", errs.String(), want)
	}
}
