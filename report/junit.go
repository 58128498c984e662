package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hilnet/emu"
)

// Reading list: the JUnit XML that Jenkins (xunit-plugin, junit-10.xsd), GitLab
// (unit test reports) and GitHub actions read: testsuites, testsuite, testcase,
// failure, error, skipped, properties, system-out.

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property,omitempty"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitProblem `xml:"failure,omitempty"`
	Error     *junitProblem `xml:"error,omitempty"`
	Skipped   *junitProblem `xml:"skipped,omitempty"`
	Out       string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the document as JUnit XML: a test suite for each scenario,
// with a test case for each expectation and one for the run itself.
func (d *Document) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: "emu run"}
	seconds := 0.0
	for i := range d.Runs {
		s := suite(&d.Runs[i])
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
		seconds += d.Runs[i].Wall.Seconds()
		all.Suites = append(all.Suites, s)
	}
	all.Time = duration(seconds)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(&all); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func suite(r *Run) junitSuite {
	s := junitSuite{Name: clean(r.Scenario), Time: duration(r.Wall.Seconds())}
	s.Properties = []junitProperty{{"seed", strconv.FormatUint(r.Seed, 10)}, {"source", clean(r.Source)}}
	if r.Command != "" {
		s.Properties = append(s.Properties, junitProperty{"command", clean(r.Command)})
	}
	class := "emu." + clean(r.Scenario)
	whole := junitCase{Name: "runs to its end", ClassName: class, Time: s.Time, Out: clean(output(r))}
	switch r.Verdict {
	case emu.Pass, emu.Fail:
	case emu.Inconclusive:
		whole.Skipped = &junitProblem{Message: "too late in real time"}
		s.Skipped++
	case emu.Interrupted:
		whole.Skipped = &junitProblem{Message: "interrupted"}
		s.Skipped++
	default:
		first, _, _ := strings.Cut(r.Error, "\n")
		whole.Error = &junitProblem{Message: clean(first), Type: string(r.Verdict), Text: clean(r.Error)}
		s.Errors++
	}
	s.Cases = append(s.Cases, whole)
	for _, c := range r.Checks {
		one := junitCase{Name: clean(c.Text), ClassName: class, Time: duration(0)}
		if !c.Passed {
			text := c.That + "\n" + c.Why
			if r.Command != "" {
				text += "\nagain: " + r.Command
			}
			one.Failure = &junitProblem{Message: clean(c.Why), Type: "expectation", Text: clean(text)}
			s.Failures++
		}
		s.Cases = append(s.Cases, one)
	}
	s.Tests = len(s.Cases)
	return s
}

// output is what a viewer of test results shows beside the run.
func output(r *Run) string {
	var lines []string
	if r.Outcome != nil {
		for _, f := range r.Outcome.Findings {
			lines = append(lines, fmt.Sprintf("finding: %s: %s at %v: %s (%s)", f.Severity, f.Device, time.Duration(f.T), f.Text, f.Name))
		}
	}
	for _, n := range r.Notes {
		lines = append(lines, "note: "+n)
	}
	for _, f := range r.Files {
		lines = append(lines, "file: "+f)
	}
	if r.Command != "" {
		lines = append(lines, "again: "+r.Command)
	}
	return strings.Join(lines, "\n")
}

func duration(seconds float64) string { return strconv.FormatFloat(seconds, 'f', 6, 64) }

// clean replaces what XML 1.0 cannot hold, and invalid UTF-8.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFC || r >= 0x10000 && r <= 0x10FFFF {
			return r
		}
		return '\uFFFD'
	}, s)
}
