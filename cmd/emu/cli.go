package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
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
	case errors.Is(err, context.Canceled): // while it waited for what it was to read
		return exitInterrupted
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
		return usagef("%s; see %s --help%s", flagProblem(cmd, err), cmd.CommandPath(), nearFlag(cmd, err))
	})
	root.AddCommand(c.initCommand(), c.runCommand(), c.sweepCommand(), c.mergeCommand(), c.exploreCommand(), c.shrinkCommand(), c.reportCommand(), c.plotCommand(), c.distanceCommand(), c.validateCommand(), c.listCommand(), c.showCommand(),
		c.explainCommand(), c.tapCommand(), c.doctorCommand(), c.brokerCommand(), c.certsCommand(), c.quirksCommand(), c.presetsCommand(), c.netemCommand(), c.conformanceCommand(), c.schemaCommand(), c.completionCommand(), c.versionCommand())
	root.InitDefaultHelpCmd()
	return root
}

// didYouMean names the candidate that is nearest to a word, or nothing.
func didYouMean(word string, candidates []string) string {
	if near := emu.Nearest(word, candidates); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	var parts []string
	for _, c := range candidates {
		if len(word) >= 3 && strings.Contains(c, strings.ToLower(word)) {
			parts = append(parts, strconv.Quote(c))
		}
	}
	if n := len(parts); n == 0 || n > maxNamed {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", strings.Join(parts, " or "))
}

// maxNamed is how many candidates that hold a word are named.
const maxNamed = 5

var (
	unknownFlag = regexp.MustCompile(`^unknown flag: --(\S+)`)
	flagName    = regexp.MustCompile(`--([a-z][a-z-]*)`)
)

// badValue is what cobra says of a value that a flag cannot take.
var badValue = regexp.MustCompile(`(?s)^invalid argument "(.*)" for "(?:-., )?--([a-z-]+)" flag: `)

// flagProblem says what is wrong with a flag, in the user's words and not in
// those of the function that read it.
func flagProblem(cmd *cobra.Command, err error) string {
	m := badValue.FindStringSubmatch(err.Error())
	if m == nil {
		return err.Error()
	}
	kinds := map[string]string{
		"uint64": "a whole number from 0 to 18446744073709551615", "uint": "a whole number, 0 or more", "int": "a whole number",
		"duration": "a time such as 20ms, 8s or 5m", "bool": "true or false", "float64": "a number",
	}
	flag := cmd.Flags().Lookup(m[2])
	if flag == nil || kinds[flag.Value.Type()] == "" {
		return err.Error()
	}
	return fmt.Sprintf("--%s %q is not %s", m[2], m[1], kinds[flag.Value.Type()])
}

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
