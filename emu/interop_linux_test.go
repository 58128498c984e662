package emu_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"hilnet/emu"
	"hilnet/internal/linktest"
)

// interopMessages is how many messages each device publishes to itself.
const interopMessages = 15

// interopScenario is a device for every quality of service, with a clean session
// and without, on a link that loses and on one that does not.
func interopScenario(netns string) string {
	var devices, links strings.Builder
	for _, loss := range []string{"0%", "5%"} {
		for _, clean := range []bool{true, false} {
			for qos := range 3 {
				name := fmt.Sprintf("qos%d-clean-%v-loss-%s", qos, clean, strings.TrimSuffix(loss, "%"))
				fmt.Fprintf(&devices, `
  - name: %[1]s
    quirks: none
    pool: {packets: 40, payload: 512B}
    mqtt: {clean_session: %[2]v, keepalive: 10s, wait: 10s}
    reconnect: 500ms
    steps:
      - connect
      - wait_for: {event: connected, timeout: 20s}
      - subscribe: {topic: "%[1]s/#", qos: %[3]d}
      - wait_for: {event: acked, timeout: 10s}
      - every: {period: 100ms, count: %[4]d, do: [publish: {topic: %[1]s/x, payload: "message {n}", qos: %[3]d}, message_get: all]}
      - every: {period: 200ms, for: 13s, do: [message_get: all]}
      - disconnect`, name, clean, qos, interopMessages)
				fmt.Fprintf(&links, "\n  - {device: %s, delay: 5ms, loss: %s}", name, loss)
			}
		}
	}
	return fmt.Sprintf(`
version: 1
name: interop
seed: 3
clock: real
duration: 20s
devices:%s
links:%s
broker:
  kind: tap
  address: 10.0.0.1/24
  tap: {name: hil0, address: 10.0.0.1/24, netns: %s}
`, devices.String(), links.String(), netns)
}

// admitAll lets everybody do everything.
type admitAll struct{ mochi.HookBase }

func (*admitAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*admitAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (*admitAll) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// mochiIn serves mochi in a namespace, each connection in a goroutine of ours:
// it panics on some packets, which must not end the test run unseen.
func mochiIn(t *testing.T, ns *linktest.Net) {
	t.Helper()
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(new(admitAll), nil); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	ns.Do(func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:1883")
		return err
	})
	t.Cleanup(func() {
		_ = l.Close() // the test is over
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("mochi: %v", r)
					}
				}()
				_ = server.EstablishConnection("tap", c) // how it ended is the device's to say
			}()
		}
	}()
}

// The fixed client and two brokers that nobody here wrote, over a TAP interface
// and the kernel's TCP: what was published comes back as often as its quality of
// service says.
func TestTheFixedClientAndRealBrokers(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto")
	for name, serve := range map[string]func(*testing.T, *linktest.Net){
		"mosquitto": func(_ *testing.T, ns *linktest.Net) { ns.Mosquitto(netip.MustParseAddrPort("0.0.0.0:1883")) },
		"mochi":     mochiIn,
	} {
		t.Run(name, func(t *testing.T) {
			ns := linktest.Namespace(t)
			serve(t, ns)
			result, err := emu.Run(context.Background(), scenario(t, interopScenario(ns.Name)), emu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range result.Outcome.Devices {
				var qos int
				if _, err := fmt.Sscanf(d.Name, "qos%d", &qos); err != nil {
					t.Fatal(err)
				}
				acked := interopMessages
				if qos == 0 {
					acked = 0
				}
				ok := d.Published == interopMessages && d.Acknowledged == acked && d.Received == interopMessages
				if qos == 1 && d.Reconnects > 0 { // at least once
					ok = d.Published == interopMessages && d.Acknowledged == acked && d.Received >= interopMessages
				}
				if !ok {
					t.Errorf("%s: published %d, acknowledged %d, received %d; %d reconnects", d.Name, d.Published, d.Acknowledged, d.Received, d.Reconnects)
				}
			}
		})
	}
}
