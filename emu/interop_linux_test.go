package emu_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/internal/matrix"
	"hilnet/scenarios"
	"hilnet/trace"
)

// interopMessages is how many messages each device publishes to itself.
const interopMessages = 15

var updateInterop = flag.Bool("update", false, "run everything against real brokers, and rewrite docs/interop.md")

// An interopCase is one device.
type interopCase struct {
	qos   int
	clean bool
	loss  string
}

func (c interopCase) name() string {
	return fmt.Sprintf("qos%d-clean-%v-loss-%s", c.qos, c.clean, strings.TrimSuffix(c.loss, "%"))
}

// labels name the row of the case.
func (c interopCase) labels() []string {
	return []string{map[bool]string{true: "clean", false: "kept"}[c.clean], c.loss}
}

// interopCases are each quality of service, with a clean session and without, on
// a link that loses and on one that does not; or the short list for each change.
func interopCases(whole bool) (cases []interopCase) {
	if !whole {
		return []interopCase{{0, true, "0%"}, {1, false, "5%"}, {2, false, "5%"}}
	}
	for _, clean := range []bool{true, false} {
		for _, loss := range []string{"0%", "5%"} {
			for qos := range 3 {
				cases = append(cases, interopCase{qos, clean, loss})
			}
		}
	}
	return cases
}

// interopScenario has a device for each case. The run may take long, for a lost
// ARP request is repeated after 10 s only; it is stopped when all is through.
func interopScenario(netns string, cases []interopCase) string {
	var devices, links strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&devices, `
  - name: %[1]s
    quirks: none
    pool: {packets: 40, payload: 512B}
    mqtt: {clean_session: %[2]v, keepalive: 10s, wait: 10s}
    reconnect: 500ms
    steps:
      - connect
      - wait_for: {event: connected, timeout: 60s}
      - subscribe: {topic: "%[1]s/#", qos: %[3]d}
      - sleep: 200ms
      - every: {period: 100ms, count: %[4]d, do: [publish: {topic: %[1]s/x, payload: "message {n}", qos: %[3]d}, message_get: all]}
      - every: {period: 200ms, do: [message_get: all]}`, c.name(), c.clean, c.qos, interopMessages)
		fmt.Fprintf(&links, "\n  - {device: %s, delay: 5ms, loss: %s}", c.name(), c.loss)
	}
	return fmt.Sprintf(`
version: 1
name: interop
seed: 7
clock: real
duration: 90s
devices:%s
links:%s
broker:
  kind: tap
  address: 10.0.0.1/24
  tap: {name: hil0, address: 10.0.0.1/24, netns: %s}
`, devices.String(), links.String(), netns)
}

// errThrough ends a run in which everything has arrived.
var errThrough = errors.New("all is through")

// runInterop runs the cases until each device has read its messages and had them
// acknowledged, and for half a second more: nothing may come twice.
func runInterop(t *testing.T, netns string, cases []interopCase) *emu.Result {
	t.Helper()
	w, err := emu.New(scenario(t, interopScenario(netns, cases)), emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	left := map[string]int{}
	for _, c := range cases {
		left[c.name()+string(trace.KindMessageGet)] = interopMessages
		if c.qos > 0 {
			left[c.name()+string(trace.KindAcked)] = interopMessages
		}
	}
	events := w.Observe(1 << 16).Events()
	go func() {
		for e := range events {
			k := e.Node + string(e.Kind)
			if left[k] == 0 || e.Status != 0 {
				continue
			}
			if left[k]--; left[k] == 0 {
				delete(left, k)
			}
			if len(left) == 0 {
				time.AfterFunc(500*time.Millisecond, func() { cancel(errThrough) })
			}
		}
	}()
	r, err := w.Run(ctx)
	if err != nil && !errors.Is(err, errThrough) {
		t.Fatal(err)
	}
	return r
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
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		_ = l.Close() // the test is over
		mu.Lock()
		for _, c := range open { // their devices have gone without a word; mochi would wait for the keepalive
			_ = c.Close()
		}
		mu.Unlock()
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
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
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
// service says. docs/interop.md has the results.
func TestTheFixedClientAndRealBrokers(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto")
	whole := *updateInterop || os.Getenv(linktest.SoakEnv) != ""
	brokers := []string{"mosquitto", "mochi"}
	var columns []string
	for _, broker := range brokers {
		for qos := range 3 {
			columns = append(columns, fmt.Sprintf("%s, QoS %d", broker, qos))
		}
	}
	table := matrix.New("our client", []string{"session", "loss"}, columns)
	for _, c := range interopCases(true) {
		if c.qos == 0 {
			table.Row(c.labels()...)
		}
	}
	cases := interopCases(whole)
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			ns := linktest.Namespace(t)
			if broker == "mochi" {
				mochiIn(t, ns)
			} else {
				ns.Mosquitto(netip.MustParseAddrPort("0.0.0.0:1883"))
			}
			result := runInterop(t, ns.Name, cases)
			for i, c := range cases {
				table.Set(interopResult(t, c, &result.Outcome.Devices[i]), fmt.Sprintf("%s, QoS %d", broker, c.qos), c.labels()...)
			}
		})
	}
	if !t.Failed() {
		table.Check(t, "docs/interop.md", whole, *updateInterop)
	}
}

// interopResult judges a device, and says what the table says of it.
func interopResult(t *testing.T, c interopCase, d *scenarios.DeviceOutcome) string {
	t.Helper()
	acked := interopMessages
	if c.qos == 0 {
		acked = 0
	}
	ok := d.Published == interopMessages && d.Acknowledged == acked && d.Received == interopMessages
	if c.qos == 1 && d.Reconnects > 0 { // at least once
		ok = d.Published == interopMessages && d.Acknowledged == acked && d.Received >= interopMessages
	}
	if !ok {
		t.Errorf("%s: published %d, acknowledged %d, received %d; %d reconnects", d.Name, d.Published, d.Acknowledged, d.Received, d.Reconnects)
	}
	return fmt.Sprintf("%d of %d", min(d.Received, interopMessages), d.Published)
}
