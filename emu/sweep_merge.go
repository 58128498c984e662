package emu

import (
	"errors"
	"fmt"
	"io"
)

// A Merged says what a merge found.
type Merged struct {
	Header     SweepHeader
	Runs       int64 // different ones
	Missing    int64
	FirstGap   int64 // the first run that is missing
	Duplicates int64 // runs that stood in several files, with equal hashes
	Cut        []int // files, by position, that end within a line
}

// MergeSweep brings the results of the shards of a sweep into the order of their
// jobs and calls each with them. Of a run that several files have the first one
// counts; when their hashes differ, the error is a *[DeterminismError]. It holds
// one result of each file.
func MergeSweep(files []*SweepReader, each func(*SweepRun) error) (Merged, error) {
	if len(files) == 0 {
		return Merged{}, errors.New("emu: nothing to merge")
	}
	m := Merged{Header: files[0].Header}
	m.Header.Shard = ""
	heads := make([]*SweepRun, len(files))
	for i, f := range files {
		if why := files[0].Header.sameSweep(&f.Header); why != "" {
			return m, fmt.Errorf("emu: file %d is of another sweep than the first: %s (merge files of one sweep only)", i+1, why)
		}
		if err := m.advance(files, heads, i); err != nil {
			return m, err
		}
	}
	for next := int64(0); ; {
		first := -1
		for i, h := range heads {
			if h != nil && (first < 0 || h.Job < heads[first].Job) {
				first = i
			}
		}
		if first < 0 {
			m.gap(next, m.Header.Jobs)
			return m, nil
		}
		run := heads[first]
		m.gap(next, run.Job)
		next = run.Job + 1
		m.Runs++
		if err := each(run); err != nil {
			return m, err
		}
		for i, h := range heads {
			if h == nil || h.Job != run.Job {
				continue
			}
			if h.Hash != run.Hash {
				return m, &DeterminismError{run.Job, m.Header.Command(run), run.Hash, h.Hash}
			}
			if i != first {
				m.Duplicates++
			}
			if err := m.advance(files, heads, i); err != nil {
				return m, err
			}
		}
	}
}

// gap counts the runs from one to below another as missing.
func (m *Merged) gap(from, to int64) {
	if to > from && m.Missing == 0 {
		m.FirstGap = from
	}
	m.Missing += max(0, to-from)
}

// advance reads the next result of a file.
func (m *Merged) advance(files []*SweepReader, heads []*SweepRun, i int) error {
	before := heads[i]
	run, err := files[i].Next()
	switch {
	case errors.Is(err, ErrCut):
		m.Cut = append(m.Cut, i)
		run = nil
	case errors.Is(err, io.EOF):
		run = nil
	case err != nil:
		return fmt.Errorf("file %d: %w", i+1, err)
	case before != nil && run.Job <= before.Job:
		return fmt.Errorf("emu: file %d: run %d stands behind run %d (results stand in their order)", i+1, run.Job, before.Job)
	}
	heads[i] = run
	return nil
}
