package tap_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"hilnet/sim"
	"hilnet/tap"
)

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Pacer: pacer})
	defer loop.Close()
	valid := func() tap.Config { return tap.Config{Name: "tap0", Loop: loop, Clock: pacer.Now} }
	if cfg := valid(); cfg.Validate() != nil {
		t.Fatal(cfg.Validate())
	}
	for _, c := range []struct {
		why  string
		edit func(*tap.Config)
		want string
	}{
		{"no loop", func(c *tap.Config) { c.Loop = nil }, "Loop"},
		{"no clock", func(c *tap.Config) { c.Clock = nil }, "Clock"},
		{"virtual time", func(c *tap.Config) { c.Loop = sim.NewLoop(sim.Config{}) }, "virtual time"},
		{"IPv6 address", func(c *tap.Config) { c.Address = netip.MustParsePrefix("2001:db8::1/64") }, "not IPv4"},
		{"IPv4 address for IPv6", func(c *tap.Config) { c.Address6 = netip.MustParsePrefix("10.0.0.1/24") }, "not IPv6"},
		{"multicast MAC", func(c *tap.Config) { c.MAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 1} }, "unicast"},
		{"short MAC", func(c *tap.Config) { c.MAC = net.HardwareAddr{2, 0} }, "unicast"},
		{"small mtu", func(c *tap.Config) { c.MTU = 67 }, "68 and 65521"},
		{"large mtu", func(c *tap.Config) { c.MTU = 65522 }, "68 and 65521"},
		{"long name", func(c *tap.Config) { c.Name = "sixteen-bytes-xx" }, "at most 15"},
		{"slash", func(c *tap.Config) { c.Name = "a/b" }, "no slash"},
		{"pattern", func(c *tap.Config) { c.Name = "tap%d" }, "percent"},
		{"dots", func(c *tap.Config) { c.Name = ".." }, "slash"},
	} {
		cfg := valid()
		c.edit(&cfg)
		if _, err := tap.Open(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.why, err, c.want)
		}
	}
	if err := tap.CheckName("fifteen-bytes-x"); err != nil {
		t.Errorf("a name of 15 bytes: %v", err)
	}
}
