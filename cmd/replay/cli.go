package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"runtime"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/pcaps"
)

// A cli is one call of the command.
type cli struct {
	stdout, stderr io.Writer
	code           int // when there is no error
}

// report prints an error and returns the exit code.
func (c *cli) report(err error) int {
	var env *emu.EnvironmentError
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(c.stderr, "replay: interrupted")
		return exitInterrupted
	case errors.As(err, &env):
		fmt.Fprintf(c.stderr, "replay: %s: %v (%s)\n", env.Op, env.Err, env.Hint)
		return exitEnvironment
	}
	fmt.Fprintf(c.stderr, "replay: %v\n", err)
	return exitUsage
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "replay",
		Short: "Look into captures and send them again",
		Long: `replay reads captures (pcapng and pcap): which TCP conversations and MQTT messages
they hold, what happened in them and why, and what of them cannot be used. It sends them
again, and writes them anew: in another format, in part, or joined.

Every command ends with 0 when all is well, 1 when a capture is cut or damaged (or
when what was played differs from it), 2 when the command line is wrong or a file is
no capture, 3 when a file cannot be read or written, 4 after an internal error and 130 after
Ctrl-C.`,
		Example:           "  replay info device.pcapng\n  replay analyze device.pcapng",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
	}
	root.Version = emu.Version
	root.InitDefaultVersionFlag()
	root.SetVersionTemplate("hilnet {{.Version}}\n")
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := ""
		names := []string{"version", "help"}
		for _, known := range cmd.Commands() {
			names = append(names, known.Name())
		}
		if near := emu.Nearest(args[0], names); near != "" {
			hint = fmt.Sprintf(", did you mean %q?", near)
		}
		return fmt.Errorf("unknown command %q%s; see replay --help", args[0], hint)
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%s; see %s --help", flagProblem(cmd, err), cmd.CommandPath())
	})
	root.AddCommand(
		c.analyzeCommand(),
		c.anonymizeCommand(),
		c.compareCommand(),
		c.convertCommand(),
		c.cutCommand(),
		c.extractCommand(),
		c.framesCommand(),
		c.playCommand(),
		c.infoCommand(),
		c.mergeCommand(),
		c.showCommand(),
		c.versionCommand(),
	)
	return root
}

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
		"uint64": "a whole number, 0 or more", "uint": "a whole number, 0 or more", "uintSlice": "a list of whole numbers, 0 or more",
		"int": "a whole number", "int64": "a whole number", "duration": "a time such as 20ms, 8s or 5m", "bool": "true or false", "float64": "a number",
	}
	flag := cmd.Flags().Lookup(m[2])
	if flag == nil || kinds[flag.Value.Type()] == "" {
		return err.Error()
	}
	return fmt.Sprintf("--%s %q is not %s", m[2], m[1], kinds[flag.Value.Type()])
}

func (c *cli) infoCommand() *cobra.Command {
	var asJSON bool
	var ports []uint
	var keyLog string
	cmd := &cobra.Command{
		Use:   "info FILE…",
		Short: "Say what is in captures",
		Long: `info says what is in captures: format, interfaces, times, the TCP conversations with
their MQTT messages by type and direction, what was ignored and why, and, for a
capture of hilnet's, the run that it is of. A file that is cut is read to its last
whole block.

A conversation is shown from the client, when it is known, to the server. With
several interfaces each has conversations of its own, for they may be points
that saw the same frames. TLS is read if the capture holds its keys, as hilnet's do,
or --keylog names them.`,
		Example: "  replay info device.pcapng\n  replay info old.pcap --port 1884 --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("replay info needs at least one file; see replay info --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			mqtt, err := portsOf(ports)
			if err != nil {
				return err
			}
			var all []*info
			for _, name := range args {
				keys, err := readKeys(keyLog)
				if err != nil {
					return err
				}
				i, err := gather(cmd.Context(), name, mqtt, keys)
				if err != nil {
					return explainError(name, err)
				}
				if i.Problem != nil {
					c.code = exitFail
				}
				all = append(all, i)
			}
			if asJSON {
				return c.writeJSON(document{Format: infoFormat, Version: infoVersion, Files: all})
			}
			for n, i := range all {
				if n > 0 {
					fmt.Fprintln(c.stdout)
				}
				writeInfo(c.stdout, i)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().UintSliceVar(&ports, "port", []uint{1883}, "TCP port of MQTT; may be repeated")
	addKeyLog(cmd, &keyLog)
	return cmd
}

func portsOf(ports []uint) ([]uint16, error) {
	var all []uint16
	for _, p := range ports {
		if p < 1 || p > 65535 {
			return nil, fmt.Errorf("--port %d is not a port: write 1 to 65535", p)
		}
		all = append(all, uint16(p))
	}
	return all, nil
}

// explainError says what to do about a file that nothing was read of.
func explainError(name string, err error) error {
	var format *pcaps.FormatError
	var path *fs.PathError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file (emu run records captures; --out says where)", name)
	case errors.As(err, &format), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s is no capture: %w (name a pcapng or pcap file, unpacked)", name, err)
	case errors.As(err, &path):
		return &emu.EnvironmentError{Op: "read the capture", Err: err, Hint: "check that it is a file and that you may read it"}
	}
	return &emu.EnvironmentError{Op: "read " + name, Err: err, Hint: "check the disk"}
}

func (c *cli) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  replay version\n  replay version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return c.writeJSON(struct {
					Hilnet string `json:"hilnet"`
					Go     string `json:"go"`
					OS     string `json:"os"`
					Arch   string `json:"arch"`
				}{emu.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			fmt.Fprintf(c.stdout, "hilnet %s\n%s %s/%s\n", emu.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func (c *cli) writeJSON(v any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
