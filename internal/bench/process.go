package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A sample is one run of a program.
type sample struct {
	wall, cpu time.Duration
	// metrics are what the program says of itself: by unit of a Go benchmark, by
	// name of ns-3's.
	metrics map[string]float64
}

// A command is a program ready to run.
type command struct {
	path  string
	args  []string
	dir   string // where it runs, or empty
	clean string // a folder that is emptied before each run, or empty
	read  func(output string) (map[string]float64, error)
}

func (c command) run() (sample, error) {
	if c.clean != "" {
		if err := os.RemoveAll(c.clean); err != nil {
			return sample{}, err
		}
	}
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	start := time.Now()
	out, err := cmd.CombinedOutput()
	s := sample{wall: time.Since(start)}
	if err != nil {
		return s, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if c.read != nil {
		s.metrics, err = c.read(string(out))
		if err != nil {
			return s, fmt.Errorf("%v: %w", cmd.Args, err)
		}
	}
	return s, nil
}

// An absent is something that this machine lacks.
type absent struct{ what, hint string }

func (a *absent) Error() string { return a.what + ": " + a.hint }

func isAbsent(err error) bool {
	var a *absent
	return errors.As(err, &a)
}

// A workshop makes programs, each once.
type workshop struct {
	dir      string
	programs map[string]string
}

// once returns the path of what build writes to a path.
func (w *workshop) once(name string, build func(path string) *exec.Cmd) (string, error) {
	if path, ok := w.programs[name]; ok {
		return path, nil
	}
	path := filepath.Join(w.dir, strings.ReplaceAll(name, "/", "-"))
	cmd := build(path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	w.programs[name] = path
	return path, nil
}

// benchmark is one benchmark of a package. benchtime is as in go test.
func benchmark(pkg, pattern, benchtime string) func(*workshop) (command, error) {
	return func(w *workshop) (command, error) {
		path, err := w.once(pkg+".test", func(path string) *exec.Cmd {
			return exec.Command("go", "test", "-c", "-o", path, "./"+pkg)
		})
		return command{
			path: path, dir: pkg, read: readBenchmark,
			args: []string{"-test.run=^$", "-test.benchmem", "-test.bench=" + pattern, "-test.benchtime=" + benchtime},
		}, err
	}
}

// emulator is a run of the command emu; OUT in an argument is an empty folder,
// FILE a file with the scenario.
func emulator(scenario string, args ...string) func(*workshop) (command, error) {
	return func(w *workshop) (command, error) {
		path, err := w.once("emu", func(path string) *exec.Cmd { return exec.Command("go", "build", "-o", path, "./cmd/emu") })
		if err != nil {
			return command{}, err
		}
		file, out := filepath.Join(w.dir, "scenario.yaml"), filepath.Join(w.dir, "out")
		if scenario != "" {
			f, err := os.CreateTemp(w.dir, "*.yaml")
			if err != nil {
				return command{}, err
			}
			_, err = f.WriteString(scenario)
			if err := errors.Join(err, f.Close()); err != nil {
				return command{}, err
			}
			file = f.Name()
		}
		replace := strings.NewReplacer("OUT", out, "FILE", file)
		all := make([]string, len(args))
		for i, a := range args {
			all[i] = replace.Replace(a)
		}
		return command{path: path, args: all, clean: out}, nil
	}
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark\S+\s+\d+\s+(.+)$`)

// readBenchmark returns what the one benchmark in the output reports, by unit.
func readBenchmark(output string) (map[string]float64, error) {
	if m := regexp.MustCompile(`SKIP: .*\n\s+(.*)`).FindStringSubmatch(output); m != nil {
		return nil, &absent{"the benchmark skips", m[1]}
	}
	lines := benchmarkLine.FindAllStringSubmatch(output, -1)
	if len(lines) != 1 {
		return nil, fmt.Errorf("%d benchmarks in the output, want one:\n%s", len(lines), output)
	}
	metrics := map[string]float64{}
	words := strings.Fields(lines[0][1])
	for i := 0; i+1 < len(words); i += 2 {
		v, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return nil, err
		}
		metrics[words[i+1]] = v
	}
	return metrics, nil
}
