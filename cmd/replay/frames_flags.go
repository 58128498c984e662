package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"hilnet/emu"
	"hilnet/replay/frames"
	"hilnet/scenarios"
	"hilnet/wire"
)

// openable returns an error for what is no file that can be read twice.
func openable(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return explainError(name, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: write what comes through it to a file first", name)
	}
	file, err := openCapture(name)
	if err != nil {
		return &emu.EnvironmentError{Op: "read the capture", Err: err, Hint: "check that you may read it"}
	}
	return file.Close()
}

// source says what the flags ask for.
func (f *framesFlags) source(given func(string) bool) (cfg frames.SourceConfig, err error) {
	if f.to == "" {
		return cfg, errors.New("--to is missing: tap:NAME, nic:NAME or file:NAME; see replay frames --help")
	}
	if (f.to2 == "") != (f.split == "") {
		return cfg, errors.New("--to2 and --split belong together: --split says which frames --to gets")
	}
	if cfg.Schedule, err = f.schedule(given); err != nil {
		return cfg, err
	}
	if cfg.Rewrite, err = f.rewrite(given); err != nil {
		return cfg, err
	}
	for _, filter := range []struct {
		flag, text string
		to         **frames.Filter
	}{{"--include", f.include, &cfg.Include}, {"--exclude", f.exclude, &cfg.Exclude}, {"--split", f.split, &cfg.Split}} {
		if filter.text == "" {
			continue
		}
		if *filter.to, err = frames.ParseFilter(filter.text); err != nil {
			return cfg, fmt.Errorf("%s: %w", filter.flag, err)
		}
	}
	switch {
	case f.loops < 0:
		return cfg, fmt.Errorf("--loops %d: write how often, or 0 for no end", f.loops)
	case f.loops == 0:
		cfg.Loops = -1
	default:
		cfg.Loops = f.loops
	}
	if f.loops == 0 && strings.HasPrefix(f.to, "file:") && f.count == 0 && f.duration == 0 {
		return cfg, errors.New("--loops 0 to a file never ends: give --count or --duration")
	}
	cfg.LoopPause, cfg.Count, cfg.Duration = f.loopPause, f.count, f.duration
	return cfg, nil
}

func (f *framesFlags) schedule(given func(string) bool) (cfg frames.ScheduleConfig, err error) {
	var chosen []string
	for _, name := range []string{"speed", "pps", "rate", "top-speed", "step"} {
		if given(name) {
			chosen = append(chosen, "--"+name)
		}
	}
	if len(chosen) > 1 {
		return cfg, fmt.Errorf("%s: choose one", strings.Join(chosen, " and "))
	}
	cfg.Speed, cfg.MaxSleep = f.speed, f.maxSleep
	switch {
	case given("pps"):
		cfg.Timing, cfg.PacketsPerSecond = frames.Rate, f.pps
	case given("rate"):
		rate, err := scenarios.ParseRate(f.bps)
		if err != nil {
			return cfg, fmt.Errorf("--rate: %w", err)
		}
		cfg.Timing, cfg.BitsPerSecond = frames.Rate, uint64(rate)
	case f.top:
		cfg.Timing = frames.TopSpeed
	case f.step:
		cfg.Timing = frames.OneByOne
	}
	if given("speed") && f.speed == 0 {
		return cfg, errors.New("--speed 0 sends nothing: write --step, or a speed above 0")
	}
	return cfg, cfg.Validate()
}

func (f *framesFlags) rewrite(given func(string) bool) (cfg frames.RewriteConfig, err error) {
	cfg.MTU, cfg.FixChecksums = f.mtu, f.fix
	if given("mtu") && f.mtu == 0 {
		return cfg, errors.New("--mtu 0: write 68 or more")
	}
	for _, text := range f.macs {
		var m frames.MACMap
		if err := pairOf("--mac", text, wire.ParseMAC, &m.From, &m.To); err != nil {
			return cfg, err
		}
		cfg.MACs = append(cfg.MACs, m)
	}
	for _, text := range f.networks {
		var m frames.NetworkMap
		if err := pairOf("--ip", text, parseNetwork, &m.From, &m.To); err != nil {
			return cfg, err
		}
		cfg.Networks = append(cfg.Networks, m)
	}
	for _, text := range f.ports {
		var m frames.PortMap
		if err := pairOf("--map-port", text, parsePort, &m.From, &m.To); err != nil {
			return cfg, err
		}
		cfg.Ports = append(cfg.Ports, m)
	}
	for _, mac := range []struct {
		flag, text string
		to         **wire.MAC
	}{{"--src", f.src, &cfg.Src}, {"--dst", f.dst, &cfg.Dst}} {
		if mac.text == "" {
			continue
		}
		m, err := wire.ParseMAC(mac.text)
		if err != nil {
			return cfg, fmt.Errorf("%s %q is no Ethernet address: write it as 02:00:00:00:00:01", mac.flag, mac.text)
		}
		*mac.to = &m
	}
	if err := f.headers(&cfg, given); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate()
}

// headers reads the flags that change single fields.
func (f *framesFlags) headers(cfg *frames.RewriteConfig, given func(string) bool) error {
	switch {
	case f.vlan == "strip":
		cfg.VLAN.Strip = true
	case given("vlan"):
		id, err := strconv.ParseUint(f.vlan, 10, 16)
		if err != nil || id > 4095 {
			return fmt.Errorf("--vlan %q: write strip, or 0 to 4095", f.vlan)
		}
		cfg.VLAN = frames.VLANChange{Set: true, ID: uint16(id)}
	}
	if given("ttl") {
		n, err := strconv.Atoi(f.ttl)
		relative := strings.HasPrefix(f.ttl, "+") || strings.HasPrefix(f.ttl, "-")
		switch {
		case err != nil || n < -254 || n > 255 || n == 0:
			return fmt.Errorf("--ttl %q: write 1 to 255, or +1, -1 to change it", f.ttl)
		case relative:
			cfg.TTL.Add = n
		default:
			cfg.TTL = frames.TTLChange{Set: true, Value: uint8(n)}
		}
	}
	if given("tos") {
		if f.tos < 0 || f.tos > 255 {
			return fmt.Errorf("--tos %d is not between 0 and 255", f.tos)
		}
		tos := uint8(f.tos)
		cfg.TOS = &tos
	}
	switch f.cut {
	case "pad":
	case "send":
		cfg.Cut = frames.SendCut
	case "skip":
		cfg.Cut = frames.SkipCut
	default:
		return fmt.Errorf("--cut %q: write pad, send or skip", f.cut)
	}
	return nil
}

// pairOf reads OLD=NEW.
func pairOf[T any](flag, text string, parse func(string) (T, error), from, to *T) error {
	before, after, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%s %q: write OLD=NEW", flag, text)
	}
	var err error
	if *from, err = parse(before); err == nil {
		*to, err = parse(after)
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", flag, text, err)
	}
	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil {
		return n, fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", s)
	}
	return n, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port: write 1 to 65535", s)
	}
	return uint16(n), nil
}
