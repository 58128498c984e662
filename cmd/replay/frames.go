package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/replay/frames"
	"hilnet/sim"
)

// A framesFlags holds the flags of replay frames as they were given.
type framesFlags struct {
	to, to2, netns, split         string
	speed, pps                    float64
	bps                           string
	top, step                     bool
	loops                         int
	loopPause, duration, maxSleep time.Duration
	count                         uint64
	include, exclude              string
	macs, networks, ports         []string
	src, dst, vlan, ttl           string
	tos, mtu                      int
	fix                           bool
	cut                           string
	spin                          time.Duration
	asJSON, quiet                 bool
}

func (c *cli) framesCommand() *cobra.Command {
	var f framesFlags
	cmd := &cobra.Command{
		Use:   "frames FILE",
		Short: "Send the frames of a capture again",
		Long: `frames sends the frames of a capture again, each at its time, whatever the other
side answers. Deadlines are counted from one origin, so being late once does not
make the rest late; how late each frame was is measured and shown at the end.

Outputs (--to, and --to2 for the second side of --split):
  tap:NAME    the kernel of this machine, as if the frames had come by cable to
              the interface NAME, which is made when there is none
  nic:NAME    a network interface: the frames leave by it
  file:NAME   a pcapng file, with the times at which they would have gone out

Filters (--include, --exclude, --split) are written as for tcpdump: host, net,
port, portrange with src or dst, and tcp, udp, ip, ip6 or arp before that (tcp dst
port 1883); ether src|dst|host|proto, tcp, udp, icmp, icmp6, arp, ip, ip6, vlan, less,
greater, multicast, broadcast, and, or, not, ( ); and besides, frame N-M (number in
the file) and interface N.

It ends with 0 when every frame that was chosen went out, with 1 when some did
not or the capture is damaged.`,
		Example: `  replay frames device.pcapng --to file:again.pcapng --speed 2
  sudo replay frames field.pcap --to nic:eth1 --dst 02:00:00:00:00:09
  sudo replay frames both.pcapng --to nic:veth0 --to2 nic:veth1 --split 'src net 10.0.0.0/24'
  sudo replay frames field.pcap --to nic:eth1 --pps 2000 --loops 10`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("replay frames needs one file; see replay frames --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.frames(cmd.Context(), args[0], &f, cmd.Flags().Changed)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.to, "to", "", "where frames go: tap:NAME, nic:NAME or file:NAME (required)")
	fl.StringVar(&f.to2, "to2", "", "where frames go that --split does not match")
	fl.StringVar(&f.split, "split", "", "filter: frames for --to; the others are for --to2")
	fl.StringVar(&f.netns, "netns", "", "network namespace of the interfaces")
	fl.Float64Var(&f.speed, "speed", 1, "times as fast as captured, 0.000001 to 1000000")
	fl.Float64Var(&f.pps, "pps", 0, "frames a second, evenly, instead of the times of the capture")
	fl.StringVar(&f.bps, "rate", "", "bits a second, such as 10Mbit, counting the bytes of the frames")
	fl.BoolVar(&f.top, "top-speed", false, "as fast as the output takes them")
	fl.BoolVar(&f.step, "step", false, "one frame for each line of the standard input")
	fl.IntVar(&f.loops, "loops", 1, "how often the capture is sent, 0: until --count, --duration or Ctrl-C")
	fl.DurationVar(&f.loopPause, "loop-pause", 0, "between the last frame of a pass and the first of the next")
	fl.DurationVar(&f.duration, "duration", 0, "end before the first frame that is due later than this")
	fl.DurationVar(&f.maxSleep, "max-sleep", 0, "shorten longer waits between two frames to this")
	fl.Uint64Var(&f.count, "count", 0, "end after so many frames")
	fl.StringVar(&f.include, "include", "", "filter: only these frames")
	fl.StringVar(&f.exclude, "exclude", "", "filter: not these frames")
	fl.StringSliceVar(&f.macs, "mac", nil, "OLD=NEW: change an Ethernet address; may be repeated")
	fl.StringVar(&f.src, "src", "", "every frame's Ethernet source address")
	fl.StringVar(&f.dst, "dst", "", "every frame's Ethernet destination address")
	fl.StringSliceVar(&f.networks, "ip", nil, "OLD=NEW: change IP addresses, such as 10.0.0.0/24=192.0.2.0/24; may be repeated")
	fl.StringSliceVar(&f.ports, "map-port", nil, "OLD=NEW: change TCP and UDP ports; may be repeated")
	fl.StringVar(&f.vlan, "vlan", "", "strip, or the VLAN to tag frames with, 0 to 4095")
	fl.StringVar(&f.ttl, "ttl", "", "time to live: 64, or +1, -1 to change it")
	fl.IntVar(&f.tos, "tos", 0, "type of service and traffic class, 0 to 255")
	fl.IntVar(&f.mtu, "mtu", 0, "cut longer IP packets, 68 or more")
	fl.BoolVar(&f.fix, "fix-checksums", false, "compute all checksums anew")
	fl.StringVar(&f.cut, "cut", "pad", "frames that the capture holds in part: pad with zeros, send or skip")
	fl.DurationVar(&f.spin, "spin", 100*time.Microsecond, "wait the last moments before a frame by spinning, up to 10ms: costs a processor that long a frame; 0 sleeps only")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	fl.BoolVar(&f.quiet, "quiet", false, "print nothing but errors")
	return cmd
}

// frames carries the command out.
func (c *cli) frames(ctx context.Context, name string, f *framesFlags, given func(string) bool) error {
	source, err := f.source(given)
	if err != nil {
		return err
	}
	if err := openable(name); err != nil {
		return err
	}
	source.Open = func() (io.ReadCloser, error) { return os.Open(name) }
	session := framesSession{start: pcaps.VirtualEpoch}
	defer session.close()
	if err := session.open(f, name); err != nil {
		return err
	}
	player, err := frames.NewPlayer(frames.PlayerConfig{
		Source: source, Loop: session.loop, Clock: session.clock, Outputs: session.outputs, Spin: f.spin,
	})
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the thread that sleeps is the one that sends
	defer runtime.UnlockOSThread()
	stop := context.AfterFunc(ctx, func() { session.loop.Cancel(context.Canceled) })
	defer stop()
	if err := session.loop.StartPacer(); err != nil {
		return &emu.EnvironmentError{Op: "start the clock", Err: err}
	}
	player.Start(ctx)
	if source.Schedule.Timing == frames.OneByOne {
		go steps(os.Stdin, session.loop, player)
	}
	runErr := session.loop.Run(sim.Never)
	stats := player.Stats()
	if err := session.close(); runErr == nil && err != nil {
		runErr = &emu.EnvironmentError{Op: "write the frames", Err: err, Hint: "check the disk"}
	}
	return c.framesDone(name, f, &stats, runErr)
}
