package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/mqtt/broker"
	"hilnet/mqtt/broker/serve"
	"hilnet/scenarios"
	"hilnet/trace"
)

// brokerFlags are what emu broker was told.
type brokerFlags struct {
	listen string
	expose bool
	state  string
	trace  string
	length time.Duration
	tls    brokerTLSFlags
}

func (c *cli) brokerCommand() *cobra.Command {
	var f brokerFlags
	cmd := &cobra.Command{
		Use:   "broker [SCENARIO]",
		Short: "Serve the model broker on a socket of this machine",
		Long: `broker serves hilnet's MQTT 3.1.1 broker on a real socket and in real time, for a
board or a program on the bench. It is the broker that scenarios have, with the
users, topics and limits of SCENARIO's broker section if one is given; the
scenario itself does not run.

It listens on the loopback interface. Any other address needs --expose: without
users everybody may publish and subscribe. With --tls-cert and --tls-key it
speaks TLS 1.2 and 1.3, and nothing else. Ctrl-C ends it.`,
		Example: `  emu broker
  emu broker --listen 127.0.0.1:11883 --state broker.json --trace broker.jsonl
  emu broker retained-will --listen 192.168.7.1:1883 --expose
  emu certs && emu broker --listen 127.0.0.1:8883 --tls-cert server.pem --tls-key server.key`,
		Args:              arguments(0, 1, "at most one scenario"),
		ValidArgsFunction: completeScenarios,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.broker(cmd.Context(), args, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:1883", "the `address` and port to listen on; port 0 is any free one")
	flags.BoolVar(&f.expose, "expose", false, "allow an address that other machines reach")
	flags.StringVar(&f.state, "state", "", "keep sessions and retained messages in `file`: read at the start if it exists, written at the end")
	flags.StringVar(&f.trace, "trace", "", "write what happens to `file`, as the trace of a run")
	f.tls.add(cmd)
	flags.DurationVar(&f.length, "for", 0, "end after this `time`, such as 30s (default: at Ctrl-C)")
	return cmd
}

func (c *cli) broker(ctx context.Context, args []string, f *brokerFlags) error {
	if err := checkListen(f); err != nil {
		return err
	}
	if f.length < 0 {
		return usagef("--for: %v is negative", f.length)
	}
	cfg := serve.Config{}
	if len(args) == 1 {
		sc, err := load(ctx, args[0], nil)
		if err != nil {
			return err
		}
		if sc.Broker.Kind != scenarios.BrokerModel {
			return usagef("the broker of %s is of kind %s; emu broker serves kind model", args[0], sc.Broker.Kind)
		}
		cfg.Broker = emu.BrokerConfig(&sc.Broker)
	}
	var err error
	if cfg.State, err = readBrokerState(f.state); err != nil {
		return err
	}
	var closeKeys func() error
	if cfg.TLS, closeKeys, err = f.tls.config(c.stderr); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closeTrace, err := traceTo(f.trace, &cfg, cancel)
	if err != nil {
		return errors.Join(err, closeKeys())
	}
	closeTrace = func(end func() error) func() error {
		return func() error { return errors.Join(end(), closeKeys()) }
	}(closeTrace)
	s, err := serve.New(cfg)
	if err != nil {
		return errors.Join(usagef("--state %s: %w", f.state, err), closeTrace())
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return errors.Join(&emu.EnvironmentError{Op: "listen", Err: err, Hint: "choose another address with --listen"}, closeTrace())
	}
	fmt.Fprintf(c.stdout, "listening on %s\n", l.Addr())
	if f.length > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, f.length)
		defer stop()
	}
	state, err := s.Serve(ctx, l)
	if err != nil {
		err = &emu.EnvironmentError{Op: "serve", Err: err}
	}
	if f.state != "" {
		err = errors.Join(err, writeBrokerState(f.state, state))
	}
	return errors.Join(err, closeTrace())
}

// checkListen refuses an address that others reach unless they may.
func checkListen(f *brokerFlags) error {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return usagef("--listen %s: write an address and a port, such as 127.0.0.1:1883", f.listen)
	}
	ip := net.ParseIP(host)
	if loopback := host == "localhost" || ip != nil && ip.IsLoopback(); !loopback && !f.expose {
		return usagef("--listen %s: other machines reach this address; add --expose if they may", f.listen)
	}
	return nil
}

func readBrokerState(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	if err := checkStateFolder(name); err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &emu.EnvironmentError{Op: "read the state", Err: err}
	case !info.Mode().IsRegular() || info.Size() > broker.MaxState:
		return nil, usagef("--state %s: it is no file, or larger than %d bytes", name, broker.MaxState)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "read the state", Err: err}
	}
	return data, nil
}

// stateError is a state that cannot be written.
func stateError(err error) error {
	return &emu.EnvironmentError{Op: "write the state", Err: err, Hint: "choose another file with --state"}
}

// checkStateFolder finds out at the start that writeBrokerState cannot make its
// file, for at the end it would be too late for what the broker knows.
func checkStateFolder(name string) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err == nil {
		err = errors.Join(tmp.Close(), os.Remove(tmp.Name()))
	}
	if err != nil {
		return stateError(err)
	}
	return nil
}

// writeBrokerState replaces the file at once, so that there always is a whole one.
func writeBrokerState(name string, state []byte) error {
	if err := replaceFile(name, state, 0o600); err != nil {
		return stateError(err)
	}
	return nil
}

// traceTo makes the server write its trace, and returns what ends that. A trace
// that cannot be written any more calls cancel: it would lack what comes.
func traceTo(name string, cfg *serve.Config, cancel func()) (end func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	fail := func(err error) error {
		return &emu.EnvironmentError{Op: "write the trace", Err: err, Hint: "choose another file with --trace"}
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fail(err)
	}
	w, err := trace.NewWriter(f, trace.Header{Hilnet: emu.Version, Scenario: "broker", Clock: string(scenarios.Real)})
	if err != nil {
		return nil, fail(errors.Join(err, f.Close()))
	}
	cfg.Trace = writeOrEnd(w, cancel)
	return func() error {
		if err := errors.Join(w.Flush(), f.Close()); err != nil {
			return fail(err)
		}
		return nil
	}, nil
}

// writeOrEnd writes events to w, and calls end once that fails.
func writeOrEnd(w *trace.Writer, end func()) func(*trace.Event) {
	return func(e *trace.Event) {
		if w.Write(e); w.Err() != nil {
			end()
		}
	}
}
