package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/report/live"
	"hilnet/scenarios"
)

// uiFlags are those of the live view.
type uiFlags struct {
	address string
	stay    time.Duration
	bounded bool // stay was given

	listener net.Listener
	token    string
	view     *live.View
	stop     func()
	served   chan error
}

func (f *uiFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.address, "ui", "", "show the run in a browser while it goes on, at this `ADDRESS` and port, such as 127.0.0.1:8088; other machines need the token that is printed")
	flags.DurationVar(&f.stay, "ui-stay", 0, "how long the live view stays behind the run; 0: not at all (default: until Ctrl-C)")
}

// open listens, before the run, so that an address that is taken is found at once.
func (f *uiFlags) open(cmd *cobra.Command, all []*found) error {
	f.bounded = cmd.Flags().Changed("ui-stay")
	switch {
	case f.address == "" && f.bounded:
		return usagef("--ui-stay is about the live view: add --ui 127.0.0.1:8088")
	case f.address == "":
		return nil
	case f.stay < 0:
		return usagef("--ui-stay %v is negative; write a time such as 10s", f.stay)
	case len(all) > 1:
		return usagef("--ui shows one run, and there are %d", len(all))
	}
	host, port, err := net.SplitHostPort(f.address)
	if err != nil || port == "" {
		return usagef("--ui %s: write an address and a port, such as 127.0.0.1:8088", f.address)
	}
	if all[0].err != nil {
		return nil // there is no run to show
	}
	if !loopback(host) {
		f.token = rand.Text()
	}
	if f.listener, err = net.Listen("tcp", f.address); err != nil {
		return &emu.EnvironmentError{Op: "listen for the live view", Err: err, Hint: "choose another address with --ui"}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// url is what a browser is given.
func (f *uiFlags) url() string {
	host, _, _ := net.SplitHostPort(f.address)
	at := f.listener.Addr().(*net.TCPAddr)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	url := fmt.Sprintf("http://%s/", net.JoinHostPort(host, fmt.Sprint(at.Port)))
	if f.token != "" {
		url += "?token=" + f.token
	}
	return url
}

// show serves the run of a world that has not begun.
func (f *uiFlags) show(ctx context.Context, c *cli, w *emu.World, sc *scenarios.Scenario, source string) error {
	if f.listener == nil {
		return nil
	}
	own := sc.Clone()
	own.Seed = w.Seed()
	cfg := live.Config{World: w, Scenario: own, Source: source, Token: f.token}
	if f.token != "" {
		if name, err := os.Hostname(); err == nil {
			cfg.Hosts = append(cfg.Hosts, name)
		}
		if host, _, err := net.SplitHostPort(f.address); err == nil && host != "" {
			cfg.Hosts = append(cfg.Hosts, host)
		}
	}
	var err error
	if f.view, err = live.New(cfg); err != nil {
		return err
	}
	// The view outlives the run: it is ended by close, which sees Ctrl-C as well.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop, f.served = stop, make(chan error, 1)
	fmt.Fprintf(c.stderr, "emu: live view on %s\n", f.url())
	go func() { f.served <- f.view.Serve(serving, f.listener) }()
	return nil
}

// ended tells the pages what came of the run.
func (f *uiFlags) ended(d *done, sc *scenarios.Scenario) error {
	if f.view == nil {
		return nil
	}
	b, err := readRun(d, sc)
	if err != nil {
		return err
	}
	return f.view.End(b)
}

// close stays as long as was asked for, or until Ctrl-C, and ends the view.
func (f *uiFlags) close(ctx context.Context, c *cli) error {
	if f.view == nil {
		if f.listener != nil {
			return f.listener.Close()
		}
		return nil
	}
	var over <-chan time.Time
	if f.bounded {
		over = time.After(f.stay)
	} else if ctx.Err() == nil {
		fmt.Fprintln(c.stderr, "emu: the live view stays until Ctrl-C")
	}
	var err error
	select {
	case <-ctx.Done():
	case <-over:
	case err = <-f.served:
		f.served <- nil
	}
	f.stop()
	err = errors.Join(err, <-f.served)
	if err != nil {
		return &emu.EnvironmentError{Op: "serve the live view", Err: err}
	}
	return nil
}
