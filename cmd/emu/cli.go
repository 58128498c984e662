package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/scenarios"
)

// A cli is one call of the command.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	code           int // when there is no error
}

// A usageError is what the user typed wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// report prints an error and returns the exit code.
func (c *cli) report(err error) int {
	var env *emu.EnvironmentError
	var sc *scenarios.Error
	var usage *usageError
	switch {
	case errors.As(err, &sc):
		fmt.Fprintln(c.stderr, err)
		return exitUsage
	case errors.As(err, &env):
		fmt.Fprintln(c.stderr, err)
		return exitEnvironment
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "emu: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(c.stderr, "emu: %v\n", strings.TrimPrefix(err.Error(), "emu: "))
	return exitUsage
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "emu",
		Short: "Emulate constrained devices, links and brokers from a scenario",
		Long: `emu runs scenarios: a constrained device with an MQTT client on a packet pool,
a link whose delay, loss and outages are scripted, and a broker. It records both
ends of the link, says what came of it, and repeats it bit for bit.`,
		Example: `  emu run link-drop
  emu show link-drop > mine.yaml
  emu run mine.yaml --seed 8 --out out`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(c.runCommand(), c.listCommand(), c.showCommand(), c.validateCommand(), c.versionCommand())
	return root
}

// arguments checks the number of arguments with a message of our own.
func arguments(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		if n == 0 {
			return &usageError{fmt.Errorf("%s takes no arguments; see %s --help", cmd.CommandPath(), cmd.CommandPath())}
		}
		return &usageError{fmt.Errorf("%s needs %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())}
	}
}

// load finds a scenario: a file if the argument looks like one or exists, else
// a built-in one.
func load(arg string) (*scenarios.Scenario, error) {
	if looksLikeFile(arg) {
		return scenarios.LoadFile(arg)
	}
	if sc, err := scenarios.Open(arg); err == nil || !errors.Is(err, scenarios.ErrNotFound) {
		return sc, err
	}
	if _, err := os.Stat(arg); err == nil {
		return scenarios.LoadFile(arg)
	}
	_, err := scenarios.Open(arg)
	return nil, &usageError{err}
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

func looksLikeFile(arg string) bool {
	return strings.ContainsAny(arg, `/\`) || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml")
}

func (c *cli) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the built-in scenarios",
		Example: "  emu list",
		Args:    arguments(0, ""),
		RunE: func(*cobra.Command, []string) error {
			entries := scenarios.Library()
			width := 0
			for _, e := range entries {
				width = max(width, len(e.Name))
			}
			for _, e := range entries {
				fmt.Fprintf(c.stdout, "%-*s  %s\n", width, e.Name, e.Summary)
			}
			return nil
		},
	}
}

func (c *cli) showCommand() *cobra.Command {
	var resolved bool
	cmd := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Print a scenario",
		Long: `show prints a scenario as it was written, a good start for one of your own.
With --resolved it prints every key with the value that a run uses.`,
		Example: "  emu show link-drop > mine.yaml\n  emu show mine.yaml --resolved",
		Args:    arguments(1, "the name of a scenario or a file"),
		RunE: func(_ *cobra.Command, args []string) error {
			sc, err := load(args[0])
			if err != nil {
				return err
			}
			text, err := source(args[0])
			if resolved {
				text, err = sc.Resolved()
			}
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&resolved, "resolved", false, "fill in every default")
	return cmd
}

func (c *cli) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "validate FILE…",
		Short:   "Check scenario files without running them",
		Example: "  emu validate mine.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("emu validate needs at least one file; see emu validate --help")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			var failed []error
			for _, arg := range args {
				sc, err := load(arg)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintf(c.stdout, "%s: valid: %d devices, %d timeline entries, %d expectations, %v\n",
					arg, len(sc.Devices), len(sc.Timeline), len(sc.Expect), sc.Duration)
			}
			return errors.Join(failed...)
		},
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions that a run depends on",
		Example: "  emu version",
		Args:    arguments(0, ""),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(c.stdout, "hilnet %s\n%s %s/%s\nscenario language %d\n",
				emu.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, scenarios.Version)
			return nil
		},
	}
}
