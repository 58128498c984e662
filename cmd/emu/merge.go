package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hilnet/emu"
)

func (c *cli) mergeCommand() *cobra.Command {
	var f sweepFlags
	var partial bool
	cmd := &cobra.Command{
		Use:   "merge FILE…",
		Short: "Bring the results of a sweep's shards together",
		Long: `merge reads files that emu sweep --out-file wrote, of the shards of one sweep or
of one that is whole, and prints the same summary as a sweep that was done in one
piece; with --out-file it also writes the same file.

A run that stands in several files must have come out alike in all: if not, that
is a bug of hilnet, and merge ends with 4. It ends with 2 when runs are missing,
unless --partial is given.`,
		Example: `  emu merge r1.jsonl r2.jsonl r3.jsonl --out-file all.jsonl
  emu merge all.jsonl --format csv > summary.csv
  emu merge all.jsonl --csv runs.csv --quiet`,
		Args: arguments(1, -1, "at least one file of results"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return c.merge(args, &f, partial)
		},
	}
	addSummaryFlags(cmd, &f)
	cmd.Flags().BoolVar(&partial, "partial", false, "be content with what there is when runs are missing")
	return cmd
}

func (c *cli) merge(args []string, f *sweepFlags, partial bool) error {
	var readers []*emu.SweepReader
	for _, name := range args {
		if same(name, f.outFile) || same(name, f.csv) || same(name, f.report) {
			return usagef("%s is read, so it cannot be written; choose another name", name)
		}
		if err := notPipe("read", name); err != nil {
			return &emu.EnvironmentError{Op: "read the results", Err: err, Hint: "name a file"}
		}
		file, err := os.Open(name)
		if err != nil {
			return usagef("%w (name files that emu sweep --out-file wrote)", err)
		}
		defer file.Close()
		r, err := emu.NewSweepReader(file)
		if err != nil {
			return usagef("%s: %s", name, bare(err))
		}
		readers = append(readers, r)
	}
	header := readers[0].Header
	header.Shard = ""
	out, err := c.newSink(header, f, nil)
	if err != nil {
		return err
	}
	m, err := emu.MergeSweep(readers, out.add)
	if err != nil {
		return err
	}
	if err := out.close(); err != nil {
		return err
	}
	c.code = out.code()
	for _, i := range m.Cut {
		fmt.Fprintf(c.stderr, "emu: %s ends within a line: its sweep was interrupted\n", args[i])
	}
	if m.Missing > 0 && !partial {
		return usagef("%d of %d runs are missing, the first is run %d (do the missing shards, or those interrupted again with --resume, or accept it with --partial)",
			m.Missing, header.Jobs, m.FirstGap)
	}
	return nil
}

// same reports whether two names are one file.
func same(a, b string) bool {
	if b == "" {
		return false
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// distinct sees that no output is written over another.
func (f *sweepFlags) distinct() error {
	names := []string{f.outFile, f.csv, f.report}
	flags := []string{"--out-file", "--csv", "--report"}
	for i, a := range names {
		for k, b := range names[:i] {
			if a != "" && b != "" && oneFile(a, b) {
				return usagef("%s and %s are one file, %s: give each its own", flags[k], flags[i], a)
			}
		}
	}
	return nil
}

// oneFile reports whether two names are one file, or will be when it is there.
// Devices such as /dev/null are none.
func oneFile(a, b string) bool {
	if info, err := os.Stat(a); err == nil {
		return info.Mode().IsRegular() && same(a, b)
	}
	x, err1 := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && x == y
}
