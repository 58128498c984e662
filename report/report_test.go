package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/report"
	"hilnet/scenarios"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// run returns the result of a built-in scenario.
func run(t *testing.T, name string) report.Run {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	result, err := emu.Run(t.Context(), sc, emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report.NewRun(result, name)
}

// bad is everything that a run may end with beside pass.
func bad() []report.Run {
	return []report.Run{
		report.Failed("a.yaml", "dir/a.yaml", report.Invalid, errors.New("a.yaml:1:2: no\n  hint: yes")),
		report.Failed("b", "b", emu.Broken, errors.New("disk full")),
		report.Failed("c", "c", emu.VerdictInternal, errors.New("a bug: \x00 \xff <&>\"")),
		report.Failed("d", "d", emu.Interrupted, errors.New("interrupted")),
		{
			Scenario: "e", Source: "e", Verdict: emu.Fail, ExitCode: 1, Command: "emu run e --seed 1", Seed: 1, Clock: scenarios.Real,
			Wall: 1500 * time.Millisecond, Lateness: &report.Lateness{P50: 1, P99: 2, Max: 3}, Files: []string{"e.trace.jsonl"}, Notes: []string{"n"},
			Checks: []report.Check{
				{Text: "holds", That: "lost == 0", Passed: true},
				{Text: "fails <&>", That: "lost == 1", Why: "expected lost == 1, got lost = 0", Moment: &scenarios.Moment{T: 1, Seq: 2, Text: "x"}},
			},
		},
	}
}

// The committed schema is what the types say; -update writes it.
func TestTheSchemaIsThatOfTheTypes(t *testing.T) {
	root := linktest.Root(t)
	r := &generator.Reflector{Anonymous: true, AllowAdditionalProperties: true}
	for _, pkg := range []string{"report", "scenarios"} {
		if err := r.AddGoComments("hilnet", root+"/"+pkg); err != nil {
			t.Fatal(err)
		}
	}
	// Paths of the comments depend on where the repository is.
	for name, text := range r.CommentMap {
		if _, rest, ok := strings.Cut(name, root+"/"); ok {
			r.CommentMap["hilnet/"+rest] = strings.ReplaceAll(text, "\n", " ")
		}
	}
	schema := r.Reflect(&report.Document{})
	schema.Title = "The results of emu run, format hilnet-run version 1"
	want, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("schema.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, report.Schema) {
		t.Error("schema.json is not what the types say: go test ./report -update, and read the diff; when a key went away or changed its meaning, Version grows")
	}
	for _, text := range []string{"The worst of the runs' verdicts.", "Fewest packets that were free at any moment"} {
		if !bytes.Contains(report.Schema, []byte(text)) {
			t.Errorf("the schema lacks the description %q", text)
		}
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// An independent validator accepts what is written, for one scenario and for
// many, and refuses it when something is missing.
func TestDocumentsAreWhatTheSchemaSays(t *testing.T) {
	schema := compiled(t)
	good := run(t, "link-drop")
	for _, d := range []*report.Document{report.New(good), report.New(append(bad(), good)...), report.New()} {
		var b bytes.Buffer
		if err := d.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Runs) > 0 && strings.Contains(b.String(), "null") {
			t.Errorf("a list is null:\n%s", b.String())
		}
		if len(d.Runs) == 0 {
			continue
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%v\n%s", err, b.String())
		}
		for _, missing := range []string{"verdict", "runs", "version", "exit_code"} {
			whole := doc.(map[string]any)
			kept := whole[missing]
			delete(whole, missing)
			if schema.Validate(doc) == nil {
				t.Errorf("the schema accepts a document without %s", missing)
			}
			whole[missing] = kept
		}
	}
}

// The worst verdict wins, and interrupted above all.
func TestTheWorstVerdictWins(t *testing.T) {
	pass := report.Run{Verdict: emu.Pass}
	order := []report.Run{pass, {Verdict: emu.Inconclusive}, {Verdict: emu.Fail}, {Verdict: report.Invalid}, {Verdict: emu.Broken}, {Verdict: emu.VerdictInternal}, {Verdict: emu.Interrupted}}
	for i, code := range []int{0, 5, 1, 2, 3, 4, 130} {
		for j := range i + 1 {
			if d := report.New(order[i], order[j], pass); d.ExitCode != code || d.Verdict != order[i].Verdict {
				t.Errorf("%s and %s: %s, exit code %d, want %d", order[i].Verdict, order[j].Verdict, d.Verdict, d.ExitCode, code)
			}
		}
	}
}

// What a viewer of test results reads: well-formed XML, whose counts are those
// of its elements, in each suite and in all.
func TestJUnitCountsWhatItHolds(t *testing.T) {
	d := report.New(append(bad(), run(t, "link-drop"))...)
	var b bytes.Buffer
	if err := d.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.Bytes())
	type suite struct {
		Name                             string `xml:"name,attr"`
		Tests, Failures, Errors, Skipped int    `xml:"-"`
		T                                int    `xml:"tests,attr"`
		F                                int    `xml:"failures,attr"`
		E                                int    `xml:"errors,attr"`
		S                                int    `xml:"skipped,attr"`
		Cases                            []struct {
			Name    string    `xml:"name,attr"`
			Class   string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	}
	var all struct {
		XMLName xml.Name `xml:"testsuites"`
		suite
		Suites []suite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	var total suite
	for _, s := range all.Suites {
		for _, c := range s.Cases {
			s.Tests++
			if c.Failure != nil {
				s.Failures++
			}
			if c.Error != nil {
				s.Errors++
			}
			if c.Skipped != nil {
				s.Skipped++
			}
			if c.Name == "" || c.Class != "emu."+s.Name {
				t.Errorf("suite %s: a case called %q of class %q", s.Name, c.Name, c.Class)
			}
		}
		if s.Tests != s.T || s.Failures != s.F || s.Errors != s.E || s.Skipped != s.S {
			t.Errorf("suite %s says %d %d %d %d and holds %d %d %d %d", s.Name, s.T, s.F, s.E, s.S, s.Tests, s.Failures, s.Errors, s.Skipped)
		}
		total.Tests += s.Tests
		total.Failures += s.Failures
		total.Errors += s.Errors
		total.Skipped += s.Skipped
	}
	if all.T != total.Tests || all.F != total.Failures || all.E != total.Errors || all.S != total.Skipped {
		t.Errorf("the whole says %d %d %d %d and holds %+v", all.T, all.F, all.E, all.S, total)
	}
	if len(all.Suites) != 6 || total.Failures != 1 || total.Errors != 3 || total.Skipped != 1 || total.Tests != 5+2+1+4 {
		t.Errorf("%d suites, %+v", len(all.Suites), total)
	}
}

func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(text))
	for {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
}

// FuzzJUnit: whatever a scenario's texts hold, the XML is well-formed.
func FuzzJUnit(f *testing.F) {
	f.Add("a \x00 b", "]]>")
	f.Add("\xff\xfe", "<!--")
	f.Fuzz(func(t *testing.T, name, why string) {
		r := report.Run{Scenario: name, Source: why, Verdict: emu.Fail, Command: why, Checks: []report.Check{{Text: why, That: name, Why: why}}}
		var b bytes.Buffer
		if err := report.New(r, report.Failed(name, why, emu.Broken, errors.New(why))).WriteJUnit(&b); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, b.Bytes())
	})
}

// Example of one run as JUnit XML.
func ExampleDocument_WriteJUnit() {
	d := report.New(report.Run{
		Scenario: "link-drop", Source: "link-drop", Verdict: emu.Fail, Seed: 1,
		Checks: []report.Check{{Text: "nothing is lost", That: "lost == 0", Why: "expected lost == 0, got lost = 2"}},
	})
	var b strings.Builder
	if err := d.WriteJUnit(&b); err != nil {
		fmt.Println(err)
	}
	fmt.Print(b.String())
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <testsuites name="emu run" tests="2" failures="1" errors="0" skipped="0" time="0.000000">
	//   <testsuite name="link-drop" tests="2" failures="1" errors="0" skipped="0" time="0.000000">
	//     <properties>
	//       <property name="seed" value="1"></property>
	//       <property name="source" value="link-drop"></property>
	//     </properties>
	//     <testcase name="runs to its end" classname="emu.link-drop" time="0.000000"></testcase>
	//     <testcase name="nothing is lost" classname="emu.link-drop" time="0.000000">
	//       <failure message="expected lost == 0, got lost = 2" type="expectation">lost == 0&#xA;expected lost == 0, got lost = 2</failure>
	//     </testcase>
	//   </testsuite>
	// </testsuites>
}

// Findings are in the JSON document and beside the run in JUnit.
func TestFindingsAreInBothReports(t *testing.T) {
	d := report.New(run(t, "pool-starved"))
	var asJSON, asXML bytes.Buffer
	if err := errors.Join(d.WriteJSON(&asJSON), d.WriteJUnit(&asXML)); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Runs []struct {
			Outcome struct{ Findings []scenarios.Finding }
		}
	}
	if err := json.Unmarshal(asJSON.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	found := doc.Runs[0].Outcome.Findings
	if len(found) == 0 || found[0].Name != "pool_exhausted" || found[0].Device != "device" || len(found[0].Events) == 0 {
		t.Errorf("%+v", found)
	}
	if !strings.Contains(asXML.String(), "finding: warning: device at ") {
		t.Errorf("no finding in\n%s", asXML.String())
	}
	clean := report.New(run(t, "clean-link"))
	asJSON.Reset()
	if err := clean.WriteJSON(&asJSON); err != nil || !strings.Contains(asJSON.String(), `"findings": []`) {
		t.Errorf("a clean run has findings, or none at all: %v", err)
	}
}
