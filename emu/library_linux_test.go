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
		"hil-uboot":     {"tun", "netns", "qemu-system-i386", linktest.NeedUBoot, "dnsmasq"},
	} {
		t.Run(name, func(t *testing.T) {
			linktest.Require(t, needs...)
			t.Parallel()
			sc, err := scenarios.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Run(t.Context(), sc, Options{})
			if err != nil || r.Verdict != Pass {
				t.Errorf("%v, failed: %v, findings: %+v", err, failed(r), r.Outcome.Findings)
			}
		})
	}
}
