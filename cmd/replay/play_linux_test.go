package main

import (
	"net/netip"
	"sync"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/replay/play"
)

// A player behind a TAP is a host of its own to the kernel and to mosquitto: in
// either mode it plays the client against mosquitto and the broker against
// mosquitto_pub.
func TestAPlayerBehindATAPTalksToRealPrograms(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "mosquitto", "mosquitto_pub")
	ns := linktest.Namespace(t)
	ns.Run("ip", "tuntap", "add", "dev", "player0", "mode", "tap")
	ns.Run("ip", "address", "add", "192.0.2.1/24", "dev", "player0")
	ns.Run("ip", "link", "set", "player0", "up")
	ns.Mosquitto(netip.MustParseAddrPort("192.0.2.1:1883"))
	file := testCapture(t, "suricata-mqtt311-pub-qos2.pcap")
	for _, mode := range []string{"socket", "segment"} {
		code, r, errs := callPlay(t, file, "--as", "client", "--against", "tap:player0", "--netns", ns.Path(), "--own", "192.0.2.2/24", "--to", "192.0.2.1:1883", "--mode", mode)
		if code != exitPass || r.Verdict != play.Faithful {
			t.Errorf("%s, client: exit %d, %+v %s", mode, code, r, errs)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			code, r, errs = callPlay(t, file, "--as", "broker", "--against", "tap:player0", "--netns", ns.Path(), "--own", "192.0.2.2/24", "--mode", mode)
		})
		args := mosquittoArgs(t, readScriptOf(t, file).Conversations[0], "192.0.2.2:1883")
		said := ""
		for range 50 { // the player may not be there yet
			cmd := ns.Command(args[0], args[1:]...)
			out, err := cmd.CombinedOutput()
			if said = string(out); err == nil {
				break
			}
		}
		wait.Wait()
		if r == nil || r.Reproduced != 1 || r.Conversations[0].Verdict == play.Diverged {
			t.Errorf("%s, broker: exit %d, %+v %s %s", mode, code, r, errs, said)
		}
	}
}

// So is it in TLS: as the client of a real broker, in either mode.
func TestAPlayerBehindATAPSpeaksTLS(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "mosquitto")
	ns := linktest.Namespace(t)
	ns.Run("ip", "tuntap", "add", "dev", "player0", "mode", "tap")
	ns.Run("ip", "address", "add", "192.0.2.1/24", "dev", "player0")
	ns.Run("ip", "link", "set", "player0", "up")
	ca, cert, key := makeCertificates(t)
	ns.Mosquitto(netip.MustParseAddrPort("192.0.2.1:8883"), "cafile "+ca, "certfile "+cert, "keyfile "+key)
	file, _, _ := secrets(t)
	for _, mode := range []string{"socket", "segment"} {
		code, r, errs := callPlay(t, file, "--as", "client", "--against", "tap:player0", "--netns", ns.Path(), "--own", "192.0.2.2/24", "--to", "192.0.2.1:8883",
			"--mode", mode, "--timing", "fast", "--ca", ca)
		if code != exitPass || r.Verdict != play.Faithful || !r.TLS {
			t.Errorf("%s: exit %d, %+v %s", mode, code, r, errs)
		}
	}
}
