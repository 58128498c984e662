package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/pcaps/tlsdec"
	"hilnet/replay/distance"
	"hilnet/scenarios"
)

const (
	distanceFormat  = "hilnet-distance"
	distanceVersion = 1 // grows when a key changes its meaning or goes away
)

// A distanceDocument is what emu distance --json prints.
type distanceDocument struct {
	Format  string `json:"format" jsonschema:"enum=hilnet-distance"`
	Version int    `json:"version" jsonschema:"enum=1"`
	AFile   string `json:"a_file"`
	// B is the capture, or the profile, that A is compared with: the nearest of all
	// profiles where none was named.
	B      string           `json:"b_name"`
	Within float64          `json:"within"` // the distance up to which the command ends with 0
	Ranked []distanceTo     `json:"ranked"` // all that were compared, the nearest first
	Notes  []string         `json:"notes"`
	Report *distance.Report `json:"report"`
}

// A distanceTo is the distance to one of several.
type distanceTo struct {
	Name     string  `json:"name"`
	Distance float64 `json:"distance"`
}

type distanceFlags struct {
	scenario, device string
	program          string
	sets             []string
	within           float64
	tolerance        time.Duration
	contents, asJSON bool
	max              int
	keyLog           string
	decide           decisionFlags
}

func (c *cli) distanceCommand() *cobra.Command {
	var f distanceFlags
	cmd := &cobra.Command{
		Use:   "distance RUN [PROFILE|RUN2]",
		Short: "Say how far a device's behaviour is from a model's or another device's",
		Long: `distance says how far the behaviour of one device is from that of another: by class
of behaviour what matches, what is late and by how much, what differs, what is
missing and what is new; and one number, 0 for the same and 100 for nothing in common.

RUN is a run's NAME.device.pcapng, or another capture of a device's end of its link.
It is compared with RUN2, such as the run of another version of the firmware; or
with the model of a PROFILE, netx or linux, which runs the same scenario in virtual
time; or with all profiles, of which the nearest is shown. The scenario is the one in
RUN. A real device has no program in it that a model could run: --program names a
scenario with a model that does what the firmware does, and takes links, outages and
services from RUN. --scenario names another scenario as a whole, for captures that have
none. replay extract makes both of a capture.

Times are those between a cause and what the device does of it, so that clocks,
addresses and ports do not matter. With the trace of a run beside it, what the device
did in outages and behind them counts too.

It ends with 0 when the distance is at most --within, with 1 when it is more.`,
		Example: `  emu distance out/link-drop.device.pcapng netx
  emu distance out/link-drop.device.pcapng
  emu distance out/hil-linux.device.pcapng linux --program mine.yaml
  emu distance field.pcapng --scenario mine.yaml --within 10
  emu distance v1/link-drop.device.pcapng v2/link-drop.device.pcapng --json`,
		Args:              arguments(1, 2, "a capture, and a profile or a second capture"),
		ValidArgsFunction: completeProfiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.distance(cmd.Context(), args, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.scenario, "scenario", "", "`NAME|FILE` of the scenario that the model runs, instead of the one in RUN")
	flags.StringVar(&f.program, "program", "", "`NAME|FILE` of a scenario whose first device, a model, does what the one in RUN did; links, timeline and services are those of RUN")
	flags.StringVar(&f.device, "device", "", "the device: its `NAME` in the scenario, or in captures without one its IP address or MAC (default: that of the capture's name or the first, or the one that opens the first connection)")
	flags.Float64Var(&f.within, "within", 0, "the distance up to which the command ends with 0")
	flags.DurationVar(&f.tolerance, "tolerance", distance.DefaultTolerance, "how far times may lie apart to be the same")
	flags.BoolVar(&f.contents, "contents", false, "compare payloads and client identifiers byte by byte, too, not by their lengths")
	flags.StringVar(&f.keyLog, "keylog", "", "`FILE` with the secrets of TLS sessions, in the form of SSLKEYLOGFILE, beside those in the captures")
	flags.StringVar(&f.decide.in, "decisions", "", "decision log that the model's links follow, or list of frames that they drop, a `FILE` as docs/decisions.md describes")
	flags.IntVar(&f.max, "max", 10, "differences of each behaviour to print; all are counted")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	addSet(cmd, &f.sets)
	complete(cmd, "scenario", completeScenarios)
	complete(cmd, "program", completeScenarios)
	return cmd
}

// completeProfiles offers profiles as the second argument, and files.
func completeProfiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return scenarios.Profile("").Values(), cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveDefault
}

func (c *cli) distance(ctx context.Context, args []string, f *distanceFlags) error {
	config, err := f.config()
	if err != nil {
		return err
	}
	a, err := openSubject(ctx, args[0], f, config)
	if err != nil {
		return err
	}
	d := &distanceDocument{Format: distanceFormat, Version: distanceVersion, AFile: a.path, Within: f.within, Ranked: []distanceTo{}, Notes: []string{}}
	profiles := scenarios.Profile("").Values()
	switch {
	case len(args) == 1:
	case isProfile(args[1]):
		profiles = args[1:]
	default:
		return c.distanceOfTwo(ctx, a, args[1], f, config, d)
	}
	if err := c.distanceToModels(ctx, a, profiles, f, config, d); err != nil {
		return err
	}
	return c.tellDistance(d, f)
}

func (f *distanceFlags) config() (distance.Config, error) {
	config := distance.Config{Tolerance: f.tolerance, Contents: f.contents, MaxLines: distanceLines}
	switch {
	case !(f.within >= 0 && f.within <= 100):
		return config, usagef("--within %v: write a number from 0 to 100", f.within)
	case f.tolerance < 0:
		return config, usagef("--tolerance %v is negative; write a time such as 20ms", f.tolerance)
	case f.program != "" && f.scenario != "":
		return config, usagef("--program takes the links from RUN, --scenario from the file that it names: name one of them")
	case f.max < 0:
		return config, usagef("--max %d is negative; 0 prints no difference", f.max)
	case f.tolerance == 0:
		config.Tolerance = -1
	}
	if f.keyLog != "" {
		keys, err := readKeyLog(f.keyLog)
		if err != nil {
			return config, err
		}
		config.KeyLog = keys
	}
	return config, nil
}

// plain returns the text of an error without the name of the package it is from.
func plain(err error) string { return strings.TrimPrefix(bare(err), "distance: ") }

// distanceLines is how many differences a document lists.
const distanceLines = 2000

// distanceOfTwo compares two captures.
func (c *cli) distanceOfTwo(ctx context.Context, a *subject, name string, f *distanceFlags, config distance.Config, d *distanceDocument) error {
	if f.scenario != "" || f.program != "" || len(f.sets) > 0 || f.decide.in != "" {
		return usagef("--scenario, --program, --set and --decisions are for the run of a model, and %s is taken for a capture (profiles are %s)", name, strings.Join(scenarios.Profile("").Values(), ", "))
	}
	b, err := openSubject(ctx, name, f, config)
	if err != nil {
		return err
	}
	r, err := distance.Compare(a.capture, b.capture, config)
	if err != nil {
		return err
	}
	d.sayOfTwo(a, b)
	d.B, d.Report, d.Ranked = name, r, []distanceTo{{name, r.Distance}}
	d.sayOfOutages(b)
	d.Notes = append(append(d.Notes, a.notes...), b.notes...)
	return c.tellDistance(d, f)
}

// sayOfOutages notes that outages of two runs are not the same.
func (d *distanceDocument) sayOfOutages(b *subject) {
	if r := d.Report; !r.OutagesCompared && r.A.Outages >= 0 && r.B.Outages >= 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%s: its link was down otherwise than that of %s (%d outages and %d, or of other kinds), so what was done then is not compared", b.name, d.AFile, r.B.Outages, r.A.Outages))
	}
}

// sayOfTwo notes what is otherwise in one run than in the other.
func (d *distanceDocument) sayOfTwo(a, b *subject) {
	if a.run == nil || b.run == nil {
		return
	}
	x, y := a.run.Scenario, b.run.Scenario
	if x.Name != y.Name {
		d.Notes = append(d.Notes, fmt.Sprintf("the runs are of two scenarios, %s and %s: a part of the distance is theirs", x.Name, y.Name))
	}
	if p, q := x.Broker.Kind, y.Broker.Kind; p != q {
		d.Notes = append(d.Notes, fmt.Sprintf("the brokers are of two kinds, %s and %s: a part of the distance may be theirs", p, q))
	}
	if p, q := a.run.Followed, b.run.Followed; p != q {
		d.Notes = append(d.Notes, fmt.Sprintf("the runs followed different decision logs (%s, %s): frames that only one of them lost for that make a distance", cmp.Or(p, "none"), cmp.Or(q, "none")))
	}
}

// maxKeyLog bounds a key log that is read: some 300,000 sessions.
const maxKeyLog = 64 << 20

// readKeyLog reads the secrets of TLS sessions.
func readKeyLog(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usagef("--keylog %s: no such file", name)
	case err == nil && (!info.Mode().IsRegular() || info.Size() > maxKeyLog):
		return nil, usagef("--keylog %s: it is no file, or larger than %d bytes", name, maxKeyLog)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "read the key log", Err: err, Hint: "name a file that you may read"}
	}
	keys := new(tlsdec.Keys)
	keys.Add(data)
	if keys.Len() == 0 {
		return nil, usagef("--keylog %s: it holds no secret of a TLS session", name)
	}
	return data, nil
}
