package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/scenarios"
)

// A cli is one call of the command.
type cli struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	code           int // when there is no error
	apps           map[string]emu.App
}

// A usageError is what the user typed wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// bare returns the text of an error without the name of the package it is from.
func bare(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "emu: "), "scenarios: ")
}

// report prints an error and returns the exit code.
func (c *cli) report(err error) int {
	var env *emu.EnvironmentError
	var path *fs.PathError
	var sc *scenarios.Error
	var usage *usageError
	var bug *emu.DeterminismError
	switch {
	case errors.As(err, &bug):
		fmt.Fprintln(c.stderr, err)
		return exitInternal
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "emu: %v\n", bare(err))
		return exitUsage
	case errors.As(err, &sc):
		fmt.Fprintln(c.stderr, err)
		return exitUsage
	case errors.As(err, &env):
		fmt.Fprintln(c.stderr, err)
		return exitEnvironment
	case errors.As(err, &path) && path.Op == "write": // standard output on a full disk
		fmt.Fprintf(c.stderr, "emu: %v\n", bare(err))
		return exitEnvironment
	}
	fmt.Fprintf(c.stderr, "emu: %v\n", bare(err))
	return exitUsage
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "emu",
		Short: "Emulate constrained devices, links and brokers from a scenario",
		Long: `emu runs scenarios: a constrained device with an MQTT client on a packet pool,
a link whose delay, loss and outages are scripted, and a broker. It records both
ends of the link, says what came of it, and repeats it bit for bit.

Every command ends with 0 when all is well, 1 when an expectation failed, 2 when
the command line or a scenario is wrong, 3 when the machine lacks something
(disk, rights, a tool), 4 after an internal error, 5 when a run in real time was too
late to tell anything and 130 after Ctrl-C.`,
		Example: `  emu run link-drop
  emu show link-drop > mine.yaml
  emu run mine.yaml --seed 8 --out out
  emu sweep mine.yaml --set pool.packets=4..16 --seeds 20`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
	}
	root.Version = emu.Version
	root.InitDefaultVersionFlag()
	root.SetVersionTemplate("hilnet {{.Version}}\n")
	root.SetOut(c.stdout)
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, sub := range root.Commands() {
			names = append(names, sub.Name())
		}
		return usagef("unknown command %q%s; see emu --help", args[0], didYouMean(args[0], names))
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help%s", err, cmd.CommandPath(), nearFlag(cmd, err))
	})
	root.AddCommand(c.runCommand(), c.sweepCommand(), c.mergeCommand(), c.exploreCommand(), c.shrinkCommand(), c.reportCommand(), c.validateCommand(), c.listCommand(), c.showCommand(),
		c.explainCommand(), c.tapCommand(), c.doctorCommand(), c.brokerCommand(), c.certsCommand(), c.quirksCommand(), c.presetsCommand(), c.netemCommand(), c.conformanceCommand(), c.schemaCommand(), c.completionCommand(), c.versionCommand())
	root.InitDefaultHelpCmd()
	return root
}

// didYouMean names the candidate that is nearest to a word, or nothing.
func didYouMean(word string, candidates []string) string {
	if near := emu.Nearest(word, candidates); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

var (
	unknownFlag = regexp.MustCompile(`^unknown flag: --(\S+)`)
	flagName    = regexp.MustCompile(`--([a-z][a-z-]*)`)
)

// nearFlag names the flag that an unknown one was most likely meant to be.
func nearFlag(cmd *cobra.Command, err error) string {
	m := unknownFlag.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	var names []string
	for _, f := range flagName.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		names = append(names, f[0])
	}
	if near := emu.Nearest("--"+m[1], names); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

// arguments checks the number of arguments with a message of our own; most < 0
// is no limit.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		path := cmd.CommandPath()
		switch {
		case len(args) > 0 && most == 0:
			return usagef("%s takes no arguments; see %s --help", path, path)
		case len(args) < least:
			return usagef("%s needs %s; see %s --help", path, what, path)
		case most >= 0 && len(args) > most:
			return usagef("%s takes %s and no more, got %d; see %s --help", path, what, len(args), path)
		}
		return nil
	}
}
