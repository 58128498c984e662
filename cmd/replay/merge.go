package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/pcaps"
	"hilnet/replay/edit"
)

func (c *cli) mergeCommand() *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use:   "merge FILE FILE…",
		Short: "Join captures in the order of time",
		Long: `merge writes the frames of several captures into one pcapng file in the order of
their times; of equal times those of the earlier file come first. Every interface of
every file stays one of its own, with its name, link type and time resolution, and so
do names, secrets, statistics and comments. Frames that a capture has out of order stay
behind those in front of them.

Wireshark takes the second sight of a frame, at another interface, for a
retransmission: a merged file is for reading along, not for Wireshark's TCP analysis.
replay analyze keeps interfaces apart.`,
		Example: "  replay merge run.device.pcapng run.peer.pcapng -o run.both.pcapng",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("replay merge needs two files or more; see replay merge --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.merge(cmd.Context(), args, &f) },
	}
	f.add(cmd)
	return cmd
}

func (c *cli) merge(ctx context.Context, names []string, f *editFlags) error {
	for _, name := range names {
		if err := openable(name); err != nil {
			return err
		}
	}
	out, err := createOutput(f.output, names...)
	if err != nil {
		return err
	}
	defer out.discard()
	m, err := pcaps.Merge(&canceller{ctx, out.file}, names...)
	if ctx.Err() != nil {
		return context.Canceled
	}
	report := &edit.Report{Read: m.Packets, Written: m.Packets, Losses: []edit.Loss{}}
	if err != nil {
		return explainEdit(names[0], f.output, err)
	}
	for _, l := range []edit.Loss{{Kind: edit.NoCopyBlocks, N: uint64(m.NotCopied)}, {Kind: edit.SectionTexts, N: uint64(m.HeaderTexts)}} {
		if l.N > 0 {
			l.What = l.Kind.String()
			report.Losses = append(report.Losses, l)
		}
	}
	if len(m.Problems) > 0 {
		report.Problem = errors.Join(m.Problems...)
	}
	if err := out.keep(); err != nil {
		return err
	}
	if strings.HasSuffix(f.output, ".pcap") {
		fmt.Fprintf(c.stderr, "replay: %s is pcapng in spite of its name, for pcap has no room for interfaces and comments; replay convert makes a pcap of it\n", f.output)
	}
	return c.edited(names, f, report, false)
}

// A canceller is a writer that fails when the context has ended.
type canceller struct {
	ctx context.Context
	io.Writer
}

func (w *canceller) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(b)
}
