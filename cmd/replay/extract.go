package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/replay/extract"
)

type extractFlags struct {
	out    string
	device string
	ports  []uint
}

func (c *cli) extractCommand() *cobra.Command {
	var f extractFlags
	cmd := &cobra.Command{
		Use:   "extract FILE [FILE2]",
		Short: "Find out what a link did to the frames",
		Long: `extract finds out what the link of a device did to the frames in a capture: which
were lost, doubled or overtaken, how long they took, how fast the link was and when
it was gone.

With captures of both ends (two files, or one with two interfaces) each frame is
looked for at the other end, so losses, copies and order are exact; the clocks are
compared first. With one capture, losses follow from what TCP says about itself, and
what cannot be known has bounds. What the capturing itself spoiled is said first.

Conditions are JSON lines: what was seen ("event"), and a trace that links can play.
See docs/extract.md.`,
		Example: "  replay extract device.pcapng broker.pcapng -o conditions.jsonl\n  replay extract field.pcap --device 10.0.0.7",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("replay extract needs one file, or those of both ends; see replay extract --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.extract(cmd.Context(), args, &f) },
	}
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "write the conditions to this file, NAME.jsonl (default: a summary is printed)")
	cmd.Flags().StringVar(&f.device, "device", "", "IP address of the device (default: who opens the connections)")
	cmd.Flags().UintSliceVar(&f.ports, "port", []uint{1883}, "TCP port of MQTT; may be repeated")
	return cmd
}

func (c *cli) extract(ctx context.Context, files []string, f *extractFlags) error {
	cfg := extract.Config{}
	var err error
	if cfg.MQTTPorts, err = portsOf(f.ports); err != nil {
		return err
	}
	if f.device != "" {
		if cfg.Device, err = netip.ParseAddr(f.device); err != nil {
			return fmt.Errorf("--device %q is not an IP address", f.device)
		}
	}
	kind := filepath.Ext(f.out)
	if f.out != "" && kind != ".jsonl" {
		return fmt.Errorf("--out %s: the name says what to write: NAME.jsonl", f.out)
	}
	var captures []*extract.Capture
	for _, name := range files {
		one, err := readCapture(ctx, name, cfg)
		if err != nil {
			return explainError(name, err)
		}
		if one.Problem != "" {
			fmt.Fprintf(c.stderr, "replay: %s: %s\n", name, one.Problem)
			c.code = exitFail
		}
		captures = append(captures, one)
	}
	found, err := extract.Extract(captures...)
	if err != nil {
		return err
	}
	if f.out == "" {
		_, err = io.WriteString(c.stdout, found.Text())
		return err
	}
	if err := writeFile(f.out, found.Write); err != nil {
		return &emu.EnvironmentError{Op: "write " + f.out, Err: err, Hint: "check the folder and the disk"}
	}
	_, err = io.WriteString(c.stdout, found.Text())
	return err
}

func readCapture(ctx context.Context, name string, cfg extract.Config) (*extract.Capture, error) {
	file, err := openCapture(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return extract.Read(ctx, name, file, cfg)
}

// writeFile writes a file as a whole or not at all.
func writeFile(name string, write func(io.Writer) error) (err error) {
	var text strings.Builder
	if err := write(&text); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) // what is written in part is of no use
		}
	}()
	_, err = io.WriteString(temp, text.String())
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	const readable = 0o644
	if err = os.Chmod(temp.Name(), readable); err != nil {
		return err
	}
	return os.Rename(temp.Name(), name)
}
