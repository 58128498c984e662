// Command check runs what must hold before a change goes in, as steps, and ends
// with one line that says how many tests passed, failed and were skipped. `make
// check` and CI run it; `go run ./internal/check -list` names the steps.
//
// It is a test runner for this repository only, not a build tool: the go
// command does the work.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// defaultBudget is the longest a check may take on two cores.
const defaultBudget = 20 * time.Minute

// A step is one part of a check. run writes what a person must see and returns
// an error when the step fails.
type step struct {
	name  string
	what  string
	check bool // part of a check; the others are asked for by name
	run   func(*runner) error
}

var steps = []step{
	{"format", "gofmt finds nothing to change", true, (*runner).format},
	{"vet", "go vet", true, (*runner).vet},
	{"cross", "go build and go vet for macOS and Windows", true, (*runner).cross},
	{"test", "all tests", true, (*runner).test},
	{"race", "tests of what goroutines share, -race -short", true, (*runner).race},
	{"fuzz", "each fuzz target for -fuzztime", true, (*runner).fuzz},
	{"soak", "all tests, the long ones too (HILNET_SOAK=1)", false, (*runner).soak},
	{"bench", "all benchmarks", false, (*runner).bench},
	{"golden", "rewrite the golden files; read the diff", false, (*runner).golden},
}

// concurrent are the packages in which other goroutines meet the loop.
var concurrent = []string{"sim", "tap", "stack", "stack/gateway", "mqtt/broker/serve", "emu", "internal/longrun", "report/live", "cmd/emu"}

// A runner runs steps and keeps what they found.
type runner struct {
	out      io.Writer
	budget   time.Duration
	fuzzTime time.Duration
	total    tally
	times    []string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout))
}

func run(args []string, out io.Writer) int {
	r := &runner{out: out}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.DurationVar(&r.budget, "budget", defaultBudget, "fail when the steps take longer")
	flags.DurationVar(&r.fuzzTime, "fuzztime", 2*time.Second, "time for each fuzz target")
	list := flags.Bool("list", false, "name the steps")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *list {
		for _, s := range steps {
			fmt.Fprintf(out, "%-8s %s\n", s.name, s.what)
		}
		return 0
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		fmt.Fprintln(out, err)
		return 2
	}
	start := time.Now()
	ok := r.runSteps(chosen)
	return r.finish(ok, time.Since(start))
}

// choose returns the steps of these names, or those of a check.
func choose(names []string) ([]step, error) {
	var chosen []step
	for _, s := range steps {
		if len(names) == 0 && s.check {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("check: no step %q; -list names them", name)
		}
		chosen = append(chosen, steps[i])
	}
	return chosen, nil
}

// runSteps runs all steps, so that one failure does not hide another.
func (r *runner) runSteps(chosen []step) bool {
	ok := true
	for _, s := range chosen {
		fmt.Fprintf(r.out, "== %s: %s\n", s.name, s.what)
		start := time.Now()
		err := s.run(r)
		took := time.Since(start).Round(100 * time.Millisecond)
		r.times = append(r.times, fmt.Sprintf("%s %v", s.name, took))
		if err != nil {
			ok = false
			fmt.Fprintf(r.out, "FAIL %s after %v: %v\n", s.name, took, err)
		}
	}
	return ok
}

// finish writes the closing lines and returns the exit code.
func (r *runner) finish(ok bool, took time.Duration) int {
	r.total.writeSkips(r.out)
	fmt.Fprintf(r.out, "times: %s\n", strings.Join(r.times, ", "))
	if took > r.budget {
		ok = false
		fmt.Fprintf(r.out, "FAIL budget: the steps took %v, more than %v\n", took, r.budget)
	}
	took = took.Round(time.Second)
	verdict := "ok"
	if !ok {
		verdict = "FAIL"
	}
	fmt.Fprintf(r.out, "%s: %s, in %v (budget %v)\n", verdict, r.total.String(), took, r.budget)
	if !ok {
		return 1
	}
	return 0
}

// command runs a command and returns what it printed. Its error has the output.
func (r *runner) command(env []string, name string, args ...string) (string, error) {
	return output("", env, name, args...)
}

// output is command in a folder.
func output(dir string, env []string, name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(append(env, cmd.Args...), " "), err, &out)
	}
	return out.String(), nil
}

func (r *runner) format() error {
	files, err := r.command(nil, "gofmt", "-l", ".")
	if err == nil && files != "" {
		err = fmt.Errorf("gofmt would change, `make fmt` does:\n%s", files)
	}
	return err
}

func (r *runner) vet() error {
	_, err := r.command(nil, "go", "vet", "./...")
	return err
}

func (r *runner) cross() error {
	var errs []error
	for _, goos := range []string{"darwin", "windows"} {
		for _, verb := range []string{"build", "vet"} { // vet compiles the tests too
			_, err := r.command([]string{"GOOS=" + goos, "CGO_ENABLED=0"}, "go", verb, "./...")
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// test has one package more under test than there are processors: many tests wait
// for real time.
func (r *runner) test() error {
	return r.goTest(nil, "-timeout=15m", fmt.Sprintf("-p=%d", runtime.NumCPU()+1), "./...")
}

func (r *runner) soak() error {
	return r.goTest([]string{"HILNET_SOAK=1"}, "-timeout=2h", "-count=1", "./...")
}

// sequential matches tests in which one thing happens after the other, many times
// over: documents and libraries of scenarios in virtual time. The detector makes
// them ten times as slow, and the tests of the same packages that do several
// things at once stay.
const sequential = "Page|README|Scripts|Quirk|CleanRun|TheBugs|Library|KindOfFinding|TellsTheTruth|JSONIsWhat|NetemString|FindingsAre|NeverUndone|JitterSpreads|HoldOverSeeds|" +
	"SameSeedSameFrames|BroadcastOfAFleet|TsharkNames|EveryCommandPrints|FleetIsRecorded|FleetSmall|SpreadsTheStarts"

func (r *runner) race() error {
	pkgs, err := packages()
	if err != nil {
		return err
	}
	args := []string{"-race", "-short", "-timeout=15m", "-skip=" + sequential}
	for _, p := range pkgs {
		if slices.Contains(concurrent, strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")) {
			args = append(args, p.ImportPath)
		}
	}
	return r.goTest(nil, args...)
}

func (r *runner) bench() error {
	out, err := r.command(nil, "go", "test", "-run=^$", "-bench=.", "-benchmem", "./...")
	fmt.Fprint(r.out, out)
	return err
}

// goTest runs go test -json and counts.
func (r *runner) goTest(env []string, args ...string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	var stderr bytes.Buffer // not r.out: the command would write to it while we do
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	var t tally
	readErr := t.read(stdout, r.out)
	err = errors.Join(readErr, cmd.Wait())
	fmt.Fprint(r.out, stderr.String())
	fmt.Fprintln(r.out, t.String())
	r.total.add(&t)
	if err == nil && t.failed > 0 {
		err = fmt.Errorf("%d failed", t.failed)
	}
	return err
}
