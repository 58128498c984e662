package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/link"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/replay/segment"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/stack"
)

// againstModel is what --against is for a play in virtual time.
const againstModel = "model"

// plainScenario is the network of a play that names none: a link without faults.
// The device is there to be replaced, or to be the client.
const plainScenario = `version: 1
name: play
devices: [{name: device, steps: [connect]}]
links: [{name: link}]
broker: {kind: model}
`

// secureScenario is the same in TLS.
const secureScenario = `version: 1
name: play
devices: [{name: device, mqtt: {tls: {}}, steps: [connect]}]
links: [{name: link}]
broker: {kind: model, tls: {}}
`

// scenario is the network that a play in virtual time goes through.
func (f *playFlags) network(s *script.Script, as script.Role) (*scenarios.Scenario, error) {
	var sets []scenarios.Set
	for _, text := range f.sets {
		set, err := scenarios.ParseSet(text)
		if err != nil {
			return nil, fmt.Errorf("--set: %w", err)
		}
		sets = append(sets, set)
	}
	secure := false
	if f.scenario == "" {
		var err error
		if secure, err = f.speaksTLS(s, as); err != nil {
			return nil, err
		}
	}
	var sc *scenarios.Scenario
	var err error
	switch {
	case f.scenario == "" && as == script.Broker:
		var text []byte
		if text, err = f.clientScenario(s, secure); err == nil {
			sc, err = scenarios.LoadWith("play.yaml", text, sets)
		}
	case f.scenario == "" && secure:
		sc, err = scenarios.LoadWith("play.yaml", []byte(secureScenario), sets)
	case f.scenario == "":
		sc, err = scenarios.LoadWith("play.yaml", []byte(plainScenario), sets)
	case strings.ContainsAny(f.scenario, `/\`) || strings.HasSuffix(f.scenario, ".yaml") || strings.HasSuffix(f.scenario, ".yml"):
		sc, err = scenarios.LoadFileWith(f.scenario, sets)
	default:
		sc, err = scenarios.OpenWith(f.scenario, sets)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, scenarios.ErrNotFound) {
		return nil, fmt.Errorf("--scenario %s: there is no such file or built-in scenario; emu list shows these", f.scenario)
	}
	if err != nil {
		return nil, err
	}
	if err := f.modelTLS(sc); err != nil {
		return nil, err
	}
	if sc.Clock == scenarios.Real {
		return nil, fmt.Errorf("--scenario %s runs in real time: play against HOST:PORT instead", f.scenario)
	}
	sc.Expect = nil // they are about what the scenario's own device does
	sc.Duration = max(sc.Duration, scenarios.Duration(f.longest(s)))
	return sc, nil
}

// clientScenario is the scenario of a device that does what the recorded client
// did.
func (f *playFlags) clientScenario(s *script.Script, secure bool) ([]byte, error) {
	var all []*script.Conversation
	for _, c := range s.Conversations {
		if f.chosen(c) {
			all = append(all, c)
		}
	}
	return play.ClientScenario(all, secure)
}

// longest is how long a play may take in virtual time.
func (f *playFlags) longest(s *script.Script) time.Duration {
	last := time.Duration(0)
	for _, c := range s.Conversations {
		last = max(last, c.End)
	}
	const spare, most = time.Hour, 8000 * time.Hour
	span := float64(spare) + 4*float64(last)/max(f.speed, play.MinSpeed) + 10*float64(f.wait) + float64(f.accept)
	return time.Duration(min(float64(most), span)) // a float64 has room for all of it
}

// playModel plays in virtual time: as the client against the model broker, as the
// broker against the scenario's device, with the scenario's link in between.
func (c *cli) playModel(ctx context.Context, s *script.Script, as script.Role, f *playFlags) (*play.Report, *emu.Result, error) {
	sc, err := f.network(s, as)
	if err != nil {
		return nil, nil, err
	}
	var player *play.Player
	attach := func(e emu.Endpoint) (sink link.Sink, err error) {
		// What was sent last still passes the link.
		player, sink, err = f.stand(s, as, e, func() { e.Loop.After(settle, e.Loop.Stop) }, nil, c.untaken)
		return sink, err
	}
	opt := emu.Options{Out: f.out}
	if f.hasSeed {
		opt.Seed = &f.seed
	}
	if as == script.Client {
		opt.Device = attach
	} else {
		opt.Broker = attach
	}
	result, err := emu.Run(ctx, sc, opt)
	switch {
	case player == nil || result == nil:
		return nil, nil, err
	case err != nil && !errors.Is(err, context.Canceled):
		return nil, nil, err
	case err != nil:
		player.Stop("interrupted")
	default:
		player.Stop("the scenario ended")
	}
	return player.Report(), result, nil
}

// stand puts a player on a TCP of hilnet's own at an end of a link. It begins with
// the loop; untaken hears why a client could not be taken.
func (f *playFlags) stand(s *script.Script, as script.Role, e emu.Endpoint, done func(), clock func() sim.Time, untaken func(error)) (*play.Player, link.Sink, error) {
	cfg := f.config(s, as)
	cfg.Loop, cfg.Done, cfg.Clock = e.Loop, done, clock
	var sink link.Sink
	if f.mode == modeSegment {
		host, err := segment.NewHost(segment.HostConfig{
			Loop: e.Loop, Node: e.Node, MAC: e.MAC, Addr: e.Addr, Gateway: e.Gateway, MTU: e.MTU, Out: e.Out,
		})
		if err != nil {
			return nil, nil, err
		}
		e.OnClose(func() error { host.Close(); return nil })
		sink, cfg.Network = host, play.NewSegmentNetwork(host, s, e.Broker)
	} else {
		host, err := stack.New(e.Loop, e.Trace, stack.Config{
			Node: e.Node, MAC: e.MAC, Addr: e.Addr, Gateway: e.Gateway, MTU: e.MTU, Profile: stack.Linux(),
		}, e.Out)
		if err != nil {
			return nil, nil, err
		}
		e.OnClose(func() error { host.Close(); return nil })
		sink, cfg.Network = host, play.NewStackNetwork(e.Loop, host, e.Broker)
	}
	if cfg.TLS = e.TLS != nil; cfg.TLS {
		cfg.Network = play.NewTLSNetwork(e.Loop, cfg.Network, e.TLS, untaken)
	}
	player, err := play.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	e.Loop.At(0, func() {
		if err := player.Start(); err != nil {
			e.Loop.Cancel(err)
		}
	})
	return player, sink, nil
}

// The values of --mode.
const (
	modeSocket  = "socket"
	modeSegment = "segment"
)

// settle is how long a run goes on behind the play, for what is under way.
const settle = 30 * time.Second
