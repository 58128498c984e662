package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// A pkg is what `go list -json` says about a package.
type pkg struct {
	ImportPath, Dir           string
	Module                    struct{ Path string }
	TestGoFiles, XTestGoFiles []string
}

func packages() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Module,TestGoFiles,XTestGoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(out)
	for {
		var p pkg
		if err = dec.Decode(&p); err != nil {
			break
		}
		pkgs = append(pkgs, p)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("check: go list: %w", err)
	}
	return pkgs, nil
}

// testText returns the text of each test file of the package.
func (p *pkg) testText() ([]string, error) {
	var texts []string
	for _, name := range append(slices.Clone(p.TestGoFiles), p.XTestGoFiles...) {
		b, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		texts = append(texts, string(b))
	}
	return texts, nil
}

// A package has goldens if its tests have the flag that rewrites them.
var goldenFlag = regexp.MustCompile(`flag\.Bool\("update"|"hilnet/internal/golden"`)

func (r *runner) golden() error {
	pkgs, err := packages()
	if err != nil {
		return err
	}
	var errs []error
	for i := range pkgs {
		texts, err := pkgs[i].testText()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(texts, goldenFlag.MatchString) {
			continue
		}
		if out, err := r.command(nil, "go", "test", pkgs[i].ImportPath, "-update"); err != nil {
			errs = append(errs, err)
		} else {
			fmt.Fprint(r.out, out)
		}
	}
	return errors.Join(errs...)
}
