package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/replay/play"
	"hilnet/replay/script"
)

// playFlags are what replay play is told.
type playFlags struct {
	as, against    string
	timing, policy string
	speed          float64
	wait, accept   time.Duration
	synthetic      bool
	only           []uint
	ports          []uint
	interfaces     []int
	adapt          play.Adapt
	tls            playTLSFlags
	mode           string
	own, to, netns string
	scenario, out  string
	sets           []string
	seed           uint64
	hasSeed        bool
	plan           bool
	messages       bool
	asJSON, quiet  bool
}

func (c *cli) playCommand() *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "play FILE",
		Short: "Play one side of captured MQTT conversations against a live peer",
		Long: `play plays one side of the MQTT conversations of a capture against a live peer, and
reports how faithful that was. As the client it connects to a broker at --against
HOST:PORT; as the broker it listens there for a client.

--against model plays in virtual time: as the client against hilnet's broker, as the
broker against a device that does what the client did, or that of --scenario; with
the link of --scenario, or of --set, in between, and exact to the nanosecond.
--against tap:NAME plays in real time from a host of hilnet's own, which answers at
--own: the kernel of this machine knows of no such connection and resets none. With
--mode segment that host's TCP cuts the stream as the capture has it.

Messages go out as they were recorded, byte for byte, in MQTT 3.1, 3.1.1 and 5;
packet identifiers follow the live peer's, and --client-id, --user, --anonymous and
--topic-prefix change what a live broker may want changed. --plan shows what would be
played, with the cause of every message, and plays nothing.

What was captured in TLS is played in a new session of TLS, when its keys are in the
capture or in --keylog; --tls off plays it in plain.

--timing mixed keeps the distance of a message from what it answers, and of one that
answers nothing from the beginning of its conversation; causal keeps all distances
from what came before; absolute goes by the clock alone; fast waits for answers only.

--policy says what happens when the live peer does something else: wait waits for
--wait, then ends the conversation, or goes on without a PUBLISH; strict ends it at the first difference; follow
answers by protocol and goes on; skip leaves out what answers what did not come.

It ends with 0 when every message was there again, in the same order or another,
with differences in details only; with 1 when messages were missing, extra or
different, or something was refused; with 2 when nothing can be played. See
docs/replay.md.`,
		Example: `  replay play device.pcapng --as client --against localhost:1883
  replay play device.pcapng --as client --plan
  replay play field.pcap --as broker --against :1883 --timing fast --json
  replay play field.pcap --as client --against model --set link.loss=5% --out out
  replay play field.pcapng --keylog field.keys --as client --against localhost:8883 --ca ca.pem
  sudo replay play field.pcap --as client --against tap:tap0 --own 192.0.2.2/24 --to 192.0.2.1:1883 --mode segment
  replay play field.pcap --as client --against test:1883 --client-id again --topic-prefix replay/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("replay play needs one file; see replay play --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.hasSeed = cmd.Flags().Changed("seed")
			return c.play(cmd.Context(), args[0], &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.as, "as", "", "the side to play: client or broker (required)")
	fl.StringVar(&f.against, "against", "", "HOST:PORT of the live broker, or to listen on for the live client; model; or tap:NAME")
	fl.StringVar(&f.own, "own", "", "with tap: the player's address and network, such as 192.0.2.2/24")
	fl.StringVar(&f.to, "to", "", "with tap: ADDRESS:PORT of the live broker")
	fl.StringVar(&f.netns, "netns", "", "with tap: network namespace of the interface")
	fl.StringVar(&f.mode, "mode", modeSocket, "with model and tap: socket, TCP's own segments, or segment, those of the capture")
	fl.StringVar(&f.scenario, "scenario", "", "with model: name or file of the scenario whose link, and broker or device, is used")
	fl.StringArrayVar(&f.sets, "set", nil, "with model: KEY=VALUE in the scenario, such as link.delay=100ms; may be repeated")
	fl.Uint64Var(&f.seed, "seed", 0, "with model: seed of every random draw, instead of the scenario's")
	fl.StringVar(&f.out, "out", "", "with model: folder for captures and trace of the play (default none)")
	fl.StringVar(&f.timing, "timing", "mixed", "when messages are due: mixed, causal, absolute or fast")
	fl.Float64Var(&f.speed, "speed", 1, "times as fast as captured, 0.000001 to 1000000")
	fl.StringVar(&f.policy, "policy", "wait", "when the peer does something else: wait, strict, follow or skip")
	fl.DurationVar(&f.wait, "wait", play.DefaultWait, "how much longer than recorded the peer is waited for")
	fl.DurationVar(&f.accept, "accept", play.DefaultAccept, "as the broker: how long the next connection is waited for")
	fl.BoolVar(&f.synthetic, "synthetic", false, "put a CONNECT, or CONNACK, in front of a conversation whose beginning is not in the capture")
	fl.UintSliceVar(&f.only, "conversation", nil, "play this conversation only, by its number; may be repeated")
	fl.UintSliceVar(&f.ports, "port", []uint{1883}, "TCP port of MQTT in the capture; may be repeated")
	fl.IntSliceVar(&f.interfaces, "interface", nil, "interface of the capture, from 0; may be repeated (default all)")
	fl.StringVar(&f.adapt.ClientID, "client-id", "", "client identifier to use; further clients get -2, -3 behind it")
	fl.StringVar(&f.adapt.User, "user", "", "user name to use")
	fl.StringVar(&f.adapt.Password, "password", "", "password to use with --user")
	fl.BoolVar(&f.adapt.Anonymous, "anonymous", false, "leave user name and password out")
	fl.StringVar(&f.adapt.TopicPrefix, "topic-prefix", "", "text to put in front of every topic and filter")
	f.tls.add(cmd)
	fl.BoolVar(&f.plan, "plan", false, "show what would be played, and why each message is sent when it is")
	fl.BoolVar(&f.messages, "messages", false, "list every message in the text (JSON has them always)")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	fl.BoolVar(&f.quiet, "quiet", false, "print nothing but errors")
	return cmd
}

// role is what --as says.
func (f *playFlags) role() (script.Role, error) {
	switch f.as {
	case "client":
		return script.Client, nil
	case "broker":
		return script.Broker, nil
	case "":
		return script.NoRole, errors.New("--as is missing: write --as client or --as broker")
	}
	return script.NoRole, fmt.Errorf("--as %q is no side: write client or broker", f.as)
}

// check finds what is wrong with the flags before anything is read.
func (f *playFlags) check() error {
	onTAP := strings.HasPrefix(f.against, againstTAP)
	switch {
	case !onTAP && (f.own != "" || f.to != "" || f.netns != ""):
		return errors.New("--own, --to and --netns are for --against tap:NAME")
	case f.against == againstTAP:
		return errors.New("--against tap: lacks the name of the interface: write tap:NAME")
	case f.wait <= 0 || f.wait > play.MaxWait:
		return fmt.Errorf("--wait %v is not a time span above 0 and up to %v", f.wait, play.MaxWait)
	case !(f.speed >= play.MinSpeed && f.speed <= play.MaxSpeed): // nor is NaN
		return fmt.Errorf("--speed %v is not between %v and %v", f.speed, play.MinSpeed, float64(play.MaxSpeed))
	case f.accept <= 0 || f.accept > play.MaxWait:
		return fmt.Errorf("--accept %v is not a time span above 0 and up to %v", f.accept, play.MaxWait)
	case f.adapt.Password != "" && f.adapt.User == "":
		return errors.New("--password is for --user")
	case f.adapt.Anonymous && f.adapt.User != "":
		return errors.New("--anonymous and --user contradict each other")
	case f.plan && f.against != "":
		return errors.New("--plan plays nothing: leave --against out")
	case !f.plan && f.against == "":
		return errors.New("--against is missing: write --against HOST:PORT, or --plan to see what would be played")
	case f.mode != modeSocket && f.mode != modeSegment:
		return fmt.Errorf("--mode %q is none of socket, segment", f.mode)
	case f.against != againstModel && !onTAP && f.mode == modeSegment:
		return errors.New("--mode segment needs a network of hilnet's, --against model or tap:NAME: the sockets of this machine cut segments as they like")
	case f.against != againstModel && (f.scenario != "" || len(f.sets) > 0 || f.hasSeed || f.out != ""):
		return errors.New("--scenario, --set, --seed and --out are for --against model")
	case f.asJSON && f.quiet:
		return errors.New("--json and --quiet contradict each other")
	}
	for _, i := range f.interfaces {
		if i < 0 {
			return fmt.Errorf("--interface %d is negative: they count from 0", i)
		}
	}
	return nil
}

// play carries the command out.
func (c *cli) play(ctx context.Context, name string, f *playFlags) error {
	as, err := f.role()
	if err != nil {
		return err
	}
	if err := errors.Join(f.check(), f.tls.check(as, f.against)); err != nil {
		return err
	}
	s, err := readScript(ctx, name, f)
	if err != nil {
		return err
	}
	if s.Problem != nil {
		c.code = exitFail
		fmt.Fprintf(c.stderr, "replay: %s is damaged: %v\n", name, s.Problem)
	}
	if f.plan {
		return c.showPlan(name, s, as, f)
	}
	if f.against == againstModel {
		report, run, err := c.playModel(ctx, s, as, f)
		if err != nil {
			return err
		}
		return c.played(ctx, name, f, report, run)
	}
	how := c.playHost
	if strings.HasPrefix(f.against, againstTAP) {
		how = c.playTAP
	}
	report, err := how(ctx, s, as, f)
	if err != nil {
		return err
	}
	return c.played(ctx, name, f, report, nil)
}

// readScript reads the capture.
func readScript(ctx context.Context, name string, f *playFlags) (*script.Script, error) {
	ports, err := portsOf(f.ports)
	if err != nil {
		return nil, err
	}
	limits := script.Limits{MQTTPorts: ports, Interfaces: f.interfaces}
	s, err := readOnce(ctx, name, f, limits)
	if info, e := os.Stat(name); err == nil && s.Halves > 0 && e == nil && info.Mode().IsRegular() {
		// Each direction stands apart: once more, together.
		limits.Join = true
		return readOnce(ctx, name, f, limits)
	}
	return s, err
}

func readOnce(ctx context.Context, name string, f *playFlags, limits script.Limits) (*script.Script, error) {
	var err error
	if limits.Keys, err = readKeys(f.tls.keyLog); err != nil {
		return nil, err
	}
	file, err := openCapture(name)
	if err != nil {
		return nil, explainError(name, err)
	}
	defer file.Close()
	s, err := script.Read(file, limits, ctx.Err)
	switch {
	case errors.Is(err, script.ErrTooMuch):
		return nil, fmt.Errorf("%s: %w", name, err)
	case err != nil:
		return nil, explainError(name, err)
	}
	return s, nil
}

// config is what the flags say of the play itself.
func (f *playFlags) config(s *script.Script, as script.Role) play.Config {
	cfg := play.Config{
		Script: s, As: as, Timing: play.Timing(f.timing), Speed: f.speed, Policy: play.Policy(f.policy),
		Wait: f.wait, Accept: f.accept, Synthetic: f.synthetic, Adapt: f.adapt,
	}
	for _, id := range f.only {
		cfg.Only = append(cfg.Only, uint64(id))
	}
	return cfg
}

// playHost plays over the sockets of this machine.
func (c *cli) playHost(ctx context.Context, s *script.Script, as script.Role, f *playFlags) (*play.Report, error) {
	host, _, err := net.SplitHostPort(f.against)
	if err != nil {
		return nil, fmt.Errorf("--against %q: %w: write HOST:PORT", f.against, err)
	}
	clock, err := newRealClock()
	if err != nil {
		return nil, err
	}
	defer clock.close()
	network := play.NewHostNetwork(clock.loop, f.against)
	cfg := f.config(s, as)
	cfg.Loop, cfg.Network, cfg.Done, cfg.Clock = clock.loop, network, clock.loop.Stop, clock.pacer.Now
	secure, err := f.realTLS(s, as, host)
	if err != nil {
		return nil, err
	}
	if cfg.TLS = secure != nil; cfg.TLS {
		network.Secure(secure, c.untaken)
	}
	player, err := play.New(cfg)
	if err != nil {
		return nil, err
	}
	interrupted, err := clock.run(ctx, func() error {
		if err := player.Start(); err != nil {
			return &emu.EnvironmentError{Op: "listen on " + f.against, Err: err, Hint: "is the port taken, or below 1024 without root?"}
		}
		if as == script.Broker && !f.quiet {
			fmt.Fprintf(c.stderr, "replay: listening on %s\n", network.Address())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if interrupted {
		player.Stop("interrupted")
	}
	network.Stop()
	select {
	case <-network.Drained():
	case <-time.After(drainTime):
	}
	return player.Report(), nil
}

// drainTime is how long what was written last may take to go to the sockets.
const drainTime = 2 * time.Second

// played shows the report and says by the exit code what it means.
func (c *cli) played(ctx context.Context, name string, f *playFlags, r *play.Report, run *emu.Result) error {
	if r.Verdict != play.Faithful && r.Verdict != play.Equivalent {
		c.code = exitFail
	}
	switch {
	case f.asJSON:
		doc := playDocument{Report: r, File: name, Against: f.against, Drops: []playDrop{}, Files: []string{}}
		doc.add(run)
		if err := c.writeJSON(doc); err != nil {
			return err
		}
	case !f.quiet:
		writePlayed(c.stdout, name, r, f.messages)
		writeNetwork(c.stdout, run)
	}
	return ctx.Err()
}

// A playDocument is what replay play --json prints.
type playDocument struct {
	*play.Report
	File    string `json:"file"`
	Against string `json:"against"`
	// Of a play in virtual time: the scenario, frames dropped on the way by
	// reason, and what was written.
	Scenario string     `json:"scenario,omitempty"`
	Seed     uint64     `json:"seed,omitempty"`
	Drops    []playDrop `json:"drops"`
	Files    []string   `json:"files"`
}

// A playDrop counts frames dropped for a reason.
type playDrop struct {
	Reason string `json:"reason"`
	Frames int    `json:"frames"`
}

// add tells of the run that the play was part of.
func (d *playDocument) add(run *emu.Result) {
	if run == nil {
		return
	}
	d.Scenario, d.Seed, d.Drops = run.Scenario, run.Seed, dropsOf(run)
	d.Files = append(d.Files, run.Files...)
}
