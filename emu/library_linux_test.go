package emu

import (
	"testing"

	"hilnet/internal/linktest"
	"hilnet/scenarios"
)

// The library's scenarios with real devices pass.
func TestTheLibrarysRealDevicesPass(t *testing.T) {
	for name, needs := range map[string][]string{
		"hil-linux":     {"tun", "netns", "mosquitto_pub"},
		"hil-mosquitto": {"tun", "netns", "mosquitto", "mosquitto_pub"},
		"hil-gateway":   {"mosquitto"},
		"hil-qemu":      {"qemu-system-x86_64", linktest.NeedIPXE},
	} {
		t.Run(name, func(t *testing.T) {
			linktest.Require(t, needs...)
			t.Parallel()
			passes(t, name)
		})
	}
}

// U-Boot spins while it waits, which costs too many seconds of a processor for
// every check; those have lwIP and iPXE.
func TestUBootPassesSoak(t *testing.T) {
	linktest.Soak(t)
	linktest.Require(t, "tun", "netns", "qemu-system-i386", linktest.NeedUBoot, "dnsmasq")
	passes(t, "hil-uboot")
}

func passes(t *testing.T, name string) {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), sc, Options{})
	if err != nil || r.Verdict != Pass {
		t.Errorf("%v, failed: %v, findings: %+v", err, failed(r), r.Outcome.Findings)
	}
}
