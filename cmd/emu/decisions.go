package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/link/decisions"
)

// A decisionFlags is what run is told about decision logs.
type decisionFlags struct {
	in, out string
	log     *decisions.Log
}

func (f *decisionFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.in, "decisions", "", "decision log that the links follow, or list of frames that they drop, a `FILE` as docs/decisions.md describes")
	flags.StringVar(&f.out, "decisions-out", "", "`FILE` to write the decision log of the links to")
}

// open reads the log that is to be followed. Both are for a single scenario.
func (f *decisionFlags) open(scenarios int) error {
	if scenarios > 1 && (f.in != "" || f.out != "") {
		return usagef("--decisions and --decisions-out are for one scenario, not for %d", scenarios)
	}
	if f.in == "" { // --from may have brought a log of its own
		return nil
	}
	if f.in == f.out {
		return usagef("--decisions and --decisions-out name the same file")
	}
	file, err := os.Open(f.in)
	if err != nil {
		return &emu.EnvironmentError{Op: "read the decision log", Err: err}
	}
	f.log, err = decisions.Read(f.in, file)
	err = errors.Join(err, file.Close())
	var bad *decisions.ReadError
	if errors.As(err, &bad) {
		return &usageError{bad}
	}
	if err != nil {
		return &emu.EnvironmentError{Op: "read the decision log", Err: err}
	}
	return nil
}
