package emu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// An outputFile is a file of whole records: when the disk is full it is cut
// back to the last record that fits, so that it stays readable.
type outputFile struct {
	*os.File
	name string
	good int64 // bytes written by calls that succeeded
}

func createOutput(folder, name string) (*outputFile, error) {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, &EnvironmentError{Op: "create the output folder", Err: err, Hint: "choose another one with --out"}
	}
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_RDWR|os.O_CREATE, 0o666)
	if err == nil {
		if err = lock(f); err == nil {
			err = f.Truncate(0)
		}
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return nil, &EnvironmentError{Op: "create an output file", Err: err, Hint: "choose another folder with --out"}
	}
	return &outputFile{File: f, name: f.Name()}, nil
}

// Write writes p whole or, cutting the file back, not at all.
func (f *outputFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err == nil {
		f.good += int64(n)
		return n, nil
	}
	if cut := f.Truncate(f.good); cut != nil {
		err = errors.Join(err, cut)
	}
	return 0, err
}

// An EnvironmentError is something that the machine lacks or refuses: disk,
// rights, a tool. It is not the scenario's fault.
type EnvironmentError struct {
	Op   string
	Err  error
	Hint string // the next step
}

func (e *EnvironmentError) Error() string {
	why := strings.TrimPrefix(fmt.Sprint(e.Err), e.Op+": ") // "write FILE: " is what package os says too
	if e.Hint == "" {
		return fmt.Sprintf("emu: %s: %s", e.Op, why)
	}
	return fmt.Sprintf("emu: %s: %s (%s)", e.Op, why, e.Hint)
}

func (e *EnvironmentError) Unwrap() error { return e.Err }
