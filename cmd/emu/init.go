package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/scenarios"
)

// A draft is what a new scenario is told.
type draft struct {
	file   string
	device string
	pool   string
	link   string
	cut    time.Duration
	broker string
}

// noLink stands for a link that no preset describes.
const noLink = "none"

// defaultDraft is what nobody has said otherwise about.
func defaultDraft() draft {
	return draft{file: "scenario.yaml", device: string(scenarios.ProfileNetX), pool: "32x1536", link: noLink, cut: 8 * time.Second, broker: string(scenarios.BrokerModel)}
}

func (c *cli) initCommand() *cobra.Command {
	d := defaultDraft()
	var ask bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a scenario of your own, with comments",
		Long: `init writes a scenario to begin with: a device, its packet pool and what its
application does, a link that is cut for a while, a broker, and what must be true at
the end, each with a comment that says what it is for. What it writes is valid and
runs. FILE is scenario.yaml if none is named, and - is standard output; a file that
exists is left alone.

On a terminal and without a flag it asks; the answer in brackets is taken when
nothing is typed.`,
		Example: `  emu init
  emu init mine.yaml --device netx --pool 16x512 --link nbiot-ce1 --cut 20s
  emu init bench.yaml --broker gateway --cut 0s
  emu init - --device linux --link wifi-congested | emu run /dev/stdin`,
		Args: arguments(0, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				d.file = args[0]
			}
			told := false
			for _, name := range []string{"device", "pool", "link", "cut", "broker"} {
				told = told || cmd.Flags().Changed(name)
			}
			if terminal, ok := c.stdin.(*os.File); ask || !told && ok && isTerminal(terminal) && isTerminal(c.stdout) {
				if err := c.ask(cmd.Context(), &d, len(args) == 0); err != nil {
					if isInterrupt(cmd.Context(), err) {
						c.code = exitInterrupted
						return nil
					}
					return err
				}
			}
			return c.init(&d)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.device, "device", d.device, "stack and client of the device: netx or linux")
	flags.StringVar(&d.pool, "pool", d.pool, "the device's packet pool, as `PACKETSxBYTES` of payload")
	flags.StringVar(&d.link, "link", d.link, "a `PRESET`, which emu presets lists, or none: 50 ms each way")
	flags.DurationVar(&d.cut, "cut", d.cut, "how long the link is cut, without a word to anybody; 0s: not at all")
	flags.StringVar(&d.broker, "broker", d.broker, "model: hilnet's own, in virtual time; gateway: a real one at a socket of this machine; tap: a real one at a TAP, as root")
	flags.BoolVar(&ask, "ask", false, "ask for each of these, also where standard input is no terminal")
	return cmd
}

// init writes the scenario.
func (c *cli) init(d *draft) error {
	text, err := d.text()
	if err != nil {
		return err
	}
	if d.file == "-" {
		_, err := c.stdout.Write(text)
		return err
	}
	if err := d.write(text); err != nil {
		return err
	}
	run := "emu run " + emu.Quote(d.file)
	if d.broker == string(scenarios.BrokerTap) {
		run = "sudo " + run
	}
	fmt.Fprintf(c.stdout, "%s\n\nIts comments say what each key is for. Next:\n\n  %s\n", d.file, run)
	return nil
}

// write creates the file, which must not be there yet.
func (d *draft) write(text []byte) error {
	file, err := os.OpenFile(d.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	switch {
	case errors.Is(err, fs.ErrExist):
		return d.taken()
	case err != nil:
		return &emu.EnvironmentError{Op: "create the scenario", Err: err, Hint: "name a file in a folder that you may write to"}
	}
	_, err = file.Write(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return &emu.EnvironmentError{Op: "write " + d.file, Err: errors.Join(err, removeHalf(d.file)), Hint: "free some space or name another file"}
	}
	return nil
}

// taken says that the file is there.
func (d *draft) taken() error {
	return usagef("%s is there already, and stays as it is: name another file", d.file)
}

// What pools the scenario language takes.
const (
	maxPackets = 65535
	minPayload = 64
	maxPayload = 16384
)

var poolPattern = regexp.MustCompile(`^([0-9]{1,7})[xX×]([0-9]{1,7})B?$`)

// unfit are the characters that a scenario's name does not have.
var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// name is that of the scenario, by its file.
func (d *draft) name() string {
	base := filepath.Base(d.file)
	name := strings.Trim(unfit.ReplaceAllString(strings.ToLower(strings.TrimSuffix(base, filepath.Ext(base))), "-"), "-")
	if name == "" {
		return "scenario"
	}
	return name
}

// check says what is wrong with a value, by the name of its flag.
func (d *draft) check(flag string) error {
	switch flag {
	case "FILE":
		if d.file != "-" && !isYAML(d.file) {
			return usagef("%s: the name of a scenario's file ends in .yaml", d.file)
		}
		if _, err := os.Lstat(d.file); err == nil && d.file != "-" {
			return d.taken() // told before the first question, not after the last
		}
	case "device":
		return oneOf(flag, d.device, scenarios.Profile("").Values())
	case "broker":
		return oneOf(flag, d.broker, []string{string(scenarios.BrokerModel), string(scenarios.BrokerGateway), string(scenarios.BrokerTap)})
	case "link":
		if d.link == noLink {
			return nil
		}
		_, err := findPreset(d.link, scenarios.Presets())
		return err
	case "pool":
		if !poolPattern.MatchString(d.pool) {
			return usagef("--pool %s: write how many packets, an x, and the bytes of payload of each, such as 16x1536", d.pool)
		}
		if packets, payload := d.size(); packets < 1 || packets > maxPackets || payload < minPayload || payload > maxPayload {
			return usagef("--pool %s: a pool has 1 to %d packets of %d to %d bytes", d.pool, maxPackets, minPayload, maxPayload)
		}
	case "cut":
		if d.cut < 0 || d.cut > time.Hour {
			return usagef("--cut %v: write a time from 0s to 1h", d.cut)
		}
	}
	return nil
}

func oneOf(flag, value string, all []string) error {
	if slices.Contains(all, value) {
		return nil
	}
	return usagef("--%s %s is not known%s (there are %s)", flag, value, didYouMean(value, all), strings.Join(all, ", "))
}

// text is the scenario as it is written, and checked as it will be read.
func (d *draft) text() ([]byte, error) {
	for _, flag := range []string{"FILE", "device", "pool", "link", "cut", "broker"} {
		if err := d.check(flag); err != nil {
			return nil, err
		}
	}
	text := []byte(d.compose())
	if _, err := scenarios.Load(d.file, text); err != nil {
		return nil, err
	}
	return text, nil
}

// size returns the packets of the pool and the bytes of each.
func (d *draft) size() (packets, payload int) {
	m := poolPattern.FindStringSubmatch(d.pool)
	packets, _ = strconv.Atoi(m[1]) // digits, at most seven
	payload, _ = strconv.Atoi(m[2])
	return packets, payload
}
