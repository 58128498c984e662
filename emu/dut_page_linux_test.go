package emu_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
)

// standIn is in the place of firmware that is not in Debian: lwIP, which opens the
// TAP that the firmware's own arguments name.
const standIn = `#!/bin/sh
for a; do tap=${a#--eth-if=}; done
PRECONFIGURED_TAPIF=$tap exec %s $HILNET_ADDRESS 255.255.255.0 $HILNET_BROKER $HILNET_PORT 5 100
`

var pageDevices = regexp.MustCompile("(?s)```yaml\n(devices:\n.*?)```")

// The command lines of docs/hil.md for Zephyr and RIOT name the TAP where the
// firmware looks for it.
func TestTheCommandLinesOfThePageOpenTheirTAP(t *testing.T) {
	linktest.Require(t, "tun", "netns")
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "hil.md"))
	if err != nil {
		t.Fatal(err)
	}
	client := lwipClient(t)
	t.Chdir(t.TempDir())
	for _, firmware := range []string{"build/zephyr/zephyr.exe", "bin/native64/firmware.elf"} {
		if err := os.MkdirAll(filepath.Dir(firmware), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(firmware, fmt.Appendf(nil, standIn, client), 0o700); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, block := range pageDevices.FindAllStringSubmatch(string(page), -1) {
			if !strings.Contains(block[1], firmware) {
				continue
			}
			found++
			result, said := observe(t, "version: 1\nname: page\nclock: real\nduration: 5s\n"+block[1]+
				"links: [{delay: 5ms}]\nbroker: {kind: model}\nexpect: [delivered == 5, conservation_errors == 0]\n", "")
			if result.Verdict != emu.Pass {
				t.Errorf("%s: %+v\n%s", firmware, result.Checks, said)
			}
		}
		if found != 1 {
			t.Errorf("docs/hil.md has %s %d times", firmware, found)
		}
	}
}
