package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"hilnet/emu"
	"hilnet/link"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/tap"
	"hilnet/trace"
	"hilnet/wire"
)

// againstTAP begins the --against of a play on a TAP interface.
const againstTAP = "tap:"

// playerMAC is the player's Ethernet address on a TAP.
var playerMAC = wire.MAC{0x02, 0x68, 0x69, 0x6c, 0, 0x01}

// mqttPort is where a broker listens when the capture does not say.
const mqttPort = 1883

// tapEnds are the addresses of a play on a TAP.
func (f *playFlags) tapEnds(s *script.Script, as script.Role) (own netip.Prefix, broker netip.AddrPort, err error) {
	if own, err = netip.ParsePrefix(f.own); err != nil || !own.Addr().Is4() {
		return own, broker, fmt.Errorf("--own %q is no IPv4 address with the length of its network: write --own 192.0.2.2/24, an address that nobody else has there; what was captured over IPv6 is played over IPv4", f.own)
	}
	if as == script.Client {
		if broker, err = netip.ParseAddrPort(f.to); err != nil || !own.Contains(broker.Addr()) {
			return own, broker, fmt.Errorf("--to %q is no ADDRESS:PORT in %v: write that of the live broker", f.to, own.Masked())
		}
		return own, broker, nil
	}
	if f.to != "" {
		return own, broker, errors.New("--to is for --as client: a broker is connected to")
	}
	port := uint16(mqttPort)
	if len(s.Conversations) > 0 {
		port = s.Conversations[0].Server.Port()
	}
	return own, netip.AddrPortFrom(own.Addr(), port), nil
}

// playTAP plays in real time from a host of hilnet's own behind a TAP interface.
func (c *cli) playTAP(ctx context.Context, s *script.Script, as script.Role, f *playFlags) (report *play.Report, err error) {
	own, broker, err := f.tapEnds(s, as)
	if err != nil {
		return nil, err
	}
	secure, err := f.realTLS(s, as, broker.Addr().String())
	if err != nil {
		return nil, err
	}
	clock, err := newRealClock()
	if err != nil {
		return nil, err
	}
	defer clock.close()
	loop := clock.loop
	log := trace.NewLog(loop.Now)
	t, err := tap.Open(tap.Config{Name: strings.TrimPrefix(f.against, againstTAP), Namespace: f.netns, Loop: loop, Trace: log, Clock: clock.pacer.Now})
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "open the TAP", Err: err, Hint: nicHint(err)}
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	var closers []func() error
	defer func() {
		for _, fn := range closers {
			err = errors.Join(err, fn())
		}
	}()
	end := emu.Endpoint{
		Loop: loop, Trace: log, Node: "player", MAC: playerMAC, Addr: own, MTU: t.MTU(), Broker: broker, Out: t,
		OnClose: func(fn func() error) { closers = append(closers, fn) },
	}
	if secure != nil {
		end.TLS = func(int) *tls.Config { return secure }
	}
	player, sink, err := f.stand(s, as, end, func() { loop.After(drainTime/4, loop.Stop) }, clock.pacer.Now, c.untaken)
	if err != nil {
		return nil, err
	}
	interrupted, err := clock.run(ctx, func() error {
		if err := t.Start(link.SinkFunc(sink.Put)); err != nil {
			return &emu.EnvironmentError{Op: "start the TAP", Err: err}
		}
		if as == script.Broker && !f.quiet {
			fmt.Fprintf(c.stderr, "replay: listening on %v at %s\n", broker, t.Name())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if interrupted {
		player.Stop("interrupted")
	}
	return player.Report(), nil
}
