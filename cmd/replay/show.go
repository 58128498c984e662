package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/pcaps"
)

// maxShown bounds the frames that one call shows: more is a mistake.
const maxShown = 10_000

func (c *cli) showCommand() *cobra.Command {
	var frames string
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show the headers of single frames",
		Long: `show prints the headers of single frames of a capture, a line for each layer, with
the comments and the verdict that the capture has of them. Frames are numbered
from 1, as in Wireshark and in what the other commands print.`,
		Example: "  replay show device.pcapng --frame 12\n  replay show device.pcapng --frame 1-3",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("replay show needs one file; see replay show --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			first, last, err := parseFrames(frames)
			if err != nil {
				return err
			}
			if err := openable(args[0]); err != nil {
				return err
			}
			number := uint64(0)
			for p, err := range pcaps.Packets(args[0]) {
				if err != nil {
					if number == 0 {
						return explainError(args[0], err)
					}
					fmt.Fprintf(c.stderr, "replay: %s is damaged after frame %d: %v\n", args[0], number, err)
					c.code = exitFail
					return nil
				}
				if number++; number > last {
					return nil
				}
				if number%4096 == 0 && cmd.Context().Err() != nil {
					return cmd.Context().Err()
				}
				if number >= first {
					c.showFrame(number, p)
				}
			}
			if number < first {
				return fmt.Errorf("%s has %d frames, --frame asks for %s", args[0], number, frames)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&frames, "frame", "1", "number of the frame, or N-M")
	return cmd
}

// parseFrames reads N or N-M.
func parseFrames(s string) (first, last uint64, err error) {
	from, to, ranged := strings.Cut(s, "-")
	if !ranged {
		to = from
	}
	first, err = strconv.ParseUint(from, 10, 63)
	last, err2 := strconv.ParseUint(to, 10, 63)
	switch {
	case err != nil || err2 != nil || first == 0 || last < first:
		return 0, 0, fmt.Errorf("--frame %q: write a number from 1, or N-M", s)
	case last-first >= maxShown:
		return 0, 0, fmt.Errorf("--frame %s is more than %d frames", s, maxShown)
	}
	return first, last, nil
}

func (c *cli) showFrame(number uint64, p *pcaps.Packet) {
	fmt.Fprintf(c.stdout, "frame %d: %v, %d bytes", number, p.Time, p.OriginalLen)
	if len(p.Data) < p.OriginalLen {
		fmt.Fprintf(c.stdout, ", %d of them captured", len(p.Data))
	}
	fmt.Fprintln(c.stdout)
	for _, text := range p.Comments {
		fmt.Fprintf(c.stdout, "  comment: %q\n", text)
	}
	for _, line := range strings.Split(strings.TrimRight(pcaps.Describe(p.LinkType, p.Data), "\n"), "\n") {
		fmt.Fprintf(c.stdout, "  %s\n", line)
	}
}
