package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hilnet/emu"
	"hilnet/scenarios"
)

// A found scenario is what an argument stands for.
type found struct {
	source string // how to name it again
	sc     *scenarios.Scenario
	err    error // what is wrong in the file
}

// name returns the name of the scenario, or of its file when it has none.
func (f *found) name() string {
	if f.sc != nil {
		return f.sc.Name
	}
	return filepath.Base(f.source)
}

// find returns the scenarios that arguments stand for: names of the library,
// files, and folders, of which all files are taken. What is wrong in a file is
// in the entry; an error is one of the command line or the machine.
func find(ctx context.Context, args []string, sets []scenarios.Set) ([]*found, error) {
	var all []*found
	for _, arg := range args {
		sources, err := sourcesOf(arg)
		if err != nil {
			return nil, err
		}
		for _, s := range sources {
			f := &found{source: s}
			f.sc, f.err = load(ctx, s, sets)
			switch {
			case f.err == nil:
			case !isScenarioError(f.err):
				return nil, f.err
			case isSetError(f.err) && len(args)+len(sources) > 2:
				return nil, usagef("%s: %w", s, f.err)
			case isSetError(f.err):
				return nil, f.err
			}
			all = append(all, f)
		}
	}
	return all, nil
}

func isScenarioError(err error) bool {
	var sc *scenarios.Error
	return errors.As(err, &sc)
}

// isSetError reports whether the command line is wrong, not the file.
func isSetError(err error) bool {
	var all scenarios.Errors
	return errors.As(err, &all) && slices.ContainsFunc(all, (*scenarios.Error).IsSet)
}

// sourcesOf returns the name, the file, or the files of a folder.
func sourcesOf(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	isDir := err == nil && info.IsDir()
	if !isDir || !looksLikeFile(arg) && inLibrary(arg) {
		return []string{arg}, nil
	}
	var files []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && isYAML(path):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "read the folder", Err: err, Hint: "name the files themselves"}
	}
	if len(files) == 0 {
		return nil, usagef("the folder %s has no scenario: no file that ends in .yaml or .yml (emu show link-drop > %s makes one)",
			arg, filepath.Join(arg, "mine.yaml"))
	}
	return files, nil
}

func inLibrary(name string) bool {
	_, err := scenarios.Source(name)
	return err == nil
}

// load finds a scenario: a file if the argument looks like one or exists, else
// a built-in one.
func load(ctx context.Context, arg string, sets []scenarios.Set) (*scenarios.Scenario, error) {
	if looksLikeFile(arg) {
		return loadFile(ctx, arg, sets)
	}
	sc, err := scenarios.OpenWith(arg, sets)
	if err == nil || !errors.Is(err, scenarios.ErrNotFound) {
		return sc, err
	}
	if _, statErr := os.Stat(arg); statErr == nil {
		return loadFile(ctx, arg, sets)
	}
	return nil, usagef("%s (emu list --all shows all; the name of a file ends in .yaml)", bare(err))
}

func loadFile(ctx context.Context, name string, sets []scenarios.Set) (*scenarios.Scenario, error) {
	if err := notPipe("read", name); err != nil {
		return nil, &emu.EnvironmentError{Op: "read the scenario", Err: err, Hint: "save what it gives in a file, or name it /dev/stdin"}
	}
	if what := captureAt(name); what != "" {
		return nil, usagef("%s is %s, and no scenario (emu run --from %s repeats the run that it is of, replay info says what is in it)", name, what, emu.Quote(name))
	}
	sc, err := loadText(ctx, name, sets)
	switch {
	case err == nil || isScenarioError(err) || isInterrupt(ctx, err):
		return sc, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, usagef("%s: no such file%s", name, nearFile(name))
	}
	return nil, &emu.EnvironmentError{Op: "read the scenario", Err: err, Hint: "name a file that you may read"}
}

// loadText loads a file. What is not a regular one, such as a terminal or a
// shell's <(command), may keep its reader waiting: Ctrl-C ends that.
func loadText(ctx context.Context, name string, sets []scenarios.Set) (*scenarios.Scenario, error) {
	if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
		return scenarios.LoadFileWith(name, sets)
	}
	type loaded struct {
		sc  *scenarios.Scenario
		err error
	}
	came := make(chan loaded, 1)
	go func() {
		sc, err := scenarios.LoadFileWith(name, sets)
		came <- loaded{sc, err}
	}()
	select {
	case l := <-came:
		return l.sc, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// captureAt says what kind of capture a file is, "" if it is none.
func captureAt(name string) string {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close() // only read from
	var magic [4]byte
	if _, err := io.ReadFull(file, magic[:]); err != nil {
		return ""
	}
	switch binary.LittleEndian.Uint32(magic[:]) {
	case 0x0A0D0D0A:
		return "a pcapng capture"
	case 0xA1B2C3D4, 0xD4C3B2A1, 0xA1B23C4D, 0x4D3CB2A1:
		return "a pcap capture"
	}
	return ""
}

// nearFile names a file beside it that was most likely meant.
func nearFile(name string) string {
	dir := filepath.Dir(name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Sprintf(", nor a folder %s (emu list shows the built-in scenarios)", dir)
	}
	var names []string
	for _, e := range entries {
		if isYAML(e.Name()) {
			names = append(names, e.Name())
		}
	}
	for _, e := range scenarios.Library() {
		names = append(names, e.Name)
	}
	if near := emu.Nearest(filepath.Base(name), names); near != "" && isYAML(near) {
		return fmt.Sprintf(", did you mean %q?", filepath.Join(dir, near))
	}
	if base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)); inLibrary(base) {
		return fmt.Sprintf(", but a built-in scenario: emu run %s", base)
	}
	return " (emu list shows the built-in scenarios)"
}

// source returns the text of what load found.
func source(arg string) ([]byte, error) {
	if !looksLikeFile(arg) {
		if text, err := scenarios.Source(arg); err == nil {
			return text, nil
		}
	}
	return os.ReadFile(arg)
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func looksLikeFile(arg string) bool { return strings.ContainsAny(arg, `/\`) || isYAML(arg) }

// parseSets reads the values of --set.
func parseSets(texts []string) ([]scenarios.Set, error) {
	var all []scenarios.Set
	for _, text := range texts {
		s, err := scenarios.ParseSet(text)
		if err != nil {
			return nil, usagef("--set: %s", bare(err))
		}
		all = append(all, s)
	}
	return all, nil
}

// notPipe refuses a named pipe, for to open one waits until somebody opens its
// other end. Those below /dev, such as a shell's <(command), have somebody there.
func notPipe(op, name string) error {
	if info, err := os.Stat(name); err == nil && info.Mode()&fs.ModeNamedPipe != 0 && !strings.HasPrefix(name, "/dev/") {
		return &fs.PathError{Op: op, Path: name, Err: errors.New("it is a named pipe, and opening it would wait for somebody at its other end")}
	}
	return nil
}

// create creates a file for results.
func create(name string) (*os.File, error) {
	if err := notPipe("create", name); err != nil {
		return nil, err
	}
	return os.Create(name)
}

// replaceFile gives a file new contents, all or none of them. What is no regular
// file, such as /dev/stdout, is written to.
func replaceFile(name string, data []byte, mode fs.FileMode) error {
	if info, err := os.Stat(name); err == nil {
		if !info.Mode().IsRegular() {
			if err := notPipe("write", name); err != nil {
				return err
			}
			return os.WriteFile(name, data, mode)
		}
		mode = info.Mode().Perm()
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
