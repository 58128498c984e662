package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// A target is a fuzz target in a test binary that has been built.
type target struct {
	pkg    *pkg
	binary string
	name   string
}

// cutShort is all that is said when Go's own coordinator loses a race at the end of the
// time: golang/go issue 75804, mended in Go 1.27. Such a target is tried again.
const cutShort = "\n    context deadline exceeded\n"

// run fuzzes the target. The folder cache keeps what it finds, as go test -fuzz does.
func (f *target) run(d time.Duration, cache string) error {
	_, err := output(f.pkg.Dir, nil, f.binary, "-test.run=^$", "-test.fuzz=^"+f.name+"$", "-test.parallel=1",
		"-test.fuzztime="+d.String(), "-test.fuzzminimizetime="+d.String(),
		"-test.fuzzcachedir="+filepath.Join(cache, filepath.FromSlash(f.pkg.ImportPath)))
	return err
}

// fuzz lets each fuzz target of the module run for a while, one on each
// processor. Its corpus has run as a test already.
func (r *runner) fuzz() error {
	pkgs, err := packages()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "check-fuzz-")
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	defer os.RemoveAll(dir)
	cache, err := r.command(nil, "go", "env", "GOCACHE")
	if err != nil {
		return err
	}
	cache = filepath.Join(strings.TrimSpace(cache), "fuzz")
	var (
		t       tally
		errs    []error
		mu      sync.Mutex // guards t, errs and r.out
		workers sync.WaitGroup
		targets = make(chan target)
	)
	for range runtime.NumCPU() {
		workers.Go(func() {
			for f := range targets {
				err := f.run(r.fuzzTime, cache)
				for tries := 1; tries < 4 && err != nil && strings.Contains(err.Error(), cutShort); tries++ {
					err = f.run(r.fuzzTime, cache)
				}
				mu.Lock()
				if err != nil {
					t.failed++
					errs = append(errs, err)
				} else {
					t.passed++
					fmt.Fprintf(r.out, "ok    %s %s\n", f.pkg.ImportPath, f.name)
				}
				mu.Unlock()
			}
		})
	}
	for i := range pkgs {
		names, err := pkgs[i].fuzzTargets()
		binary := filepath.Join(dir, fmt.Sprint(i, ".test"))
		if err == nil && len(names) > 0 {
			_, err = r.command(nil, "go", "test", "-c", "-fuzz=.", "-o", binary, pkgs[i].ImportPath)
		}
		if err != nil {
			mu.Lock()
			t.failed += max(1, len(names))
			errs = append(errs, err)
			mu.Unlock()
			continue
		}
		for _, name := range names {
			targets <- target{&pkgs[i], binary, name}
		}
	}
	close(targets)
	workers.Wait()
	fmt.Fprintln(r.out, t.String())
	r.total.add(&t)
	return errors.Join(errs...)
}

// fuzzTargets returns the names of the fuzz targets in the package's tests.
func (p *pkg) fuzzTargets() ([]string, error) {
	texts, err := p.testText()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, text := range texts {
		for _, m := range fuzzTarget.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	return names, nil
}
