// Command bench measures what hilnet promises about its own speed and size, each
// figure beside its goal and, where there is one, beside a peer that does the
// same work in the same minutes. `make bench` runs it; docs/performance.md shows
// its table.
//
// It is an orchestrator: the benchmarks are those of the packages, and the runs
// are those of the command emu, each in a process of its own.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
)

// defaultRounds is how often each program runs. A table shows medians.
const defaultRounds = 5

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, progress io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	rounds := flags.Int("rounds", defaultRounds, "how often each program runs")
	only := flags.String("only", "", "measure only the groups whose name matches this `expression`")
	list := flags.Bool("list", false, "name the groups and their rows")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := regexp.Compile(*only)
	if err != nil || *rounds < 1 || flags.NArg() > 0 {
		fmt.Fprintln(progress, "bench: -only takes a regular expression, -rounds a number above 0, and nothing else is taken")
		return 2
	}
	if *list {
		for _, g := range groups {
			for _, r := range g.rows {
				fmt.Fprintf(out, "%-12s %s\n", g.name, r.what)
			}
		}
		return 0
	}
	if err := bench(chosen, *rounds, out, progress); err != nil {
		fmt.Fprintln(progress, "bench:", err)
		return 1
	}
	return 0
}

// bench measures the groups and writes the table, without those that failed.
func bench(chosen *regexp.Regexp, rounds int, out, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "hilnet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := &workshop{dir: dir, programs: map[string]string{}}
	var failed error
	t := table{rounds: rounds}
	for _, g := range groups {
		if !chosen.MatchString(g.name) {
			continue
		}
		found, err := g.measure(w, rounds, progress)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", g.name, err))
			continue
		}
		for _, r := range g.rows {
			t.add(r, found)
		}
	}
	return errors.Join(failed, t.write(out))
}

// A group is what is measured side by side: its programs run in turn.
type group struct {
	name     string
	programs []program
	rows     []row
}

// A program is made once and runs often.
type program struct {
	name string
	// make returns the command. An *absent says that the machine lacks it.
	make func(*workshop) (command, error)
}

// A row of the table shows something of what was found.
type row struct {
	what string
	goal string // empty: none
	show func(found) string
}

// found has the samples of each program, or why there are none.
type found struct {
	samples map[string][]sample
	absent  map[string]error
}

// measure runs the programs of the group in turn, so that what else the machine
// does disturbs all alike.
func (g *group) measure(w *workshop, rounds int, progress io.Writer) (found, error) {
	f := found{map[string][]sample{}, map[string]error{}}
	commands := map[string]command{}
	for _, p := range g.programs {
		c, err := p.make(w)
		if isAbsent(err) {
			fmt.Fprintf(progress, "bench: %s is not measured: %v\n", p.name, err)
			f.absent[p.name] = err
			continue
		}
		if err != nil {
			return f, err
		}
		commands[p.name] = c
	}
	for i := range rounds {
		for _, p := range g.programs {
			c, ok := commands[p.name]
			if !ok {
				continue
			}
			fmt.Fprintf(progress, "%s: %d of %d: %s\n", g.name, i+1, rounds, p.name)
			s, err := c.run()
			if isAbsent(err) {
				fmt.Fprintf(progress, "bench: %s is not measured: %v\n", p.name, err)
				f.absent[p.name] = err
				delete(commands, p.name)
				continue
			}
			if err != nil {
				return f, err
			}
			f.samples[p.name] = append(f.samples[p.name], s)
		}
	}
	return f, nil
}

// median returns the median of a figure, and false when there is none.
func (f found) median(program string, figure func(sample) float64) (float64, bool) {
	var all []float64
	for _, s := range f.samples[program] {
		all = append(all, figure(s))
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}
