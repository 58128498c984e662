package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// realBase is a scenario of a real device; DEVICE and TIMELINE are filled in.
const realBase = `version: 1
name: real
clock: real
duration: 10s
devices:
  - DEVICE
broker: {kind: model}
timeline: [TIMELINE]
`

func realScenario(device, timeline string) string {
	return strings.NewReplacer("DEVICE", device, "TIMELINE", timeline).Replace(realBase)
}

func TestRealDevicesThatCannotBeAreRefused(t *testing.T) {
	const (
		kernel     = "{kind: tap}"
		descriptor = "{kind: tap, tap: {side: descriptor}}"
		socket     = "{kind: socket, socket: {path: /tmp/s}}"
		board      = "{kind: board, board: eth1}"
	)
	for _, c := range []struct{ device, timeline, msg, hint string }{
		{"{kind: tap, steps: [connect]}", "", "has no steps that hilnet could set", "remove it"},
		{"{kind: socket, socket: {path: /tmp/s}, pool: {packets: 8}}", "", "has no pool", "remove"},
		{"{kind: tap, profile: linux}", "", "has no profile", "remove"},
		{"{kind: socket, socket: {path: /tmp/s}, mtu: 1280}", "", "has no mtu", "remove"},
		{"{kind: tap, quirks: none}", "", "has no quirks", "remove"},
		{"{kind: tap, tap: {side: descriptor}, mqtt: {keepalive: 5s}}", "", "an MQTT client of its own", "client_id"},
		{"{kind: tap, start: 1s}", "", "knows nothing of its start", "add exec"},
		{"{kind: tap, socket: {path: /tmp/s}}", "", "has no socket", "remove"},
		{"{exec: 'true', steps: [connect]}", "", "a device of kind model has no exec", "add kind"},
		{"{kind: tap, tap: {netns: private}}", "", "nobody is in a private namespace", "add exec"},
		{"{kind: tap, gateway: 10.0.0.9}", "", "this machine's own default route", "private"},
		{"{kind: board, board: eth1, gateway: 10.0.0.9}", "", "cannot give a device of kind board a gateway", "in the device"},
		{"{kind: tap, qmp: {}}", "", "no QEMU monitor", "descriptor"},
		{"{kind: tap, tap: {layer: 3, side: descriptor}}", "", "a TUN has no Ethernet", "remove side"},
		{"{kind: board}", "", "needs the interface", "board:"},
		{"{kind: board, board: 'a b'}", "", "not the name of an interface", "ip link"},
		{"{kind: socket}", "", "nobody would know where the socket", "path:"},
		{"{kind: socket, socket: {mode: dgram, path: /tmp/s}}", "", "the emulator's socket", "remote"},
		{"{kind: socket, socket: {path: /tmp/s, remote: /tmp/r}}", "", "the emulator connects to our socket", "dgram"},
		{"{kind: socket, socket: {mode: dgram, path: /tmp/s, remote: /tmp/s}}", "", "both sides", "another"},
		{"{kind: socket, socket: {path: /tmp/" + strings.Repeat("x", 120) + "}}", "", "is 125 bytes long", "107"},
		{kernel, "{at: 1s, do: tx_error}", "takes every frame while its carrier is on", "link_down or blackhole"},
		{socket, "{at: 1s, do: tx_error}", "cannot make the sending of frames fail", "blackhole"},
		{board, "{at: 1s, do: tx_error}", "cannot make the sending of frames fail", "blackhole"},
		{descriptor, "{at: 1s, do: link_down}", "inside the program that emulates it", "qmp"},
		{socket, "{at: 1s, do: link_down}", "inside the program that emulates it", "qmp"},
		{kernel, "{at: 1s, do: power_cut}", "did not start", "add exec"},
		{kernel, "{at: 1s, do: reboot}", "did not start", "add exec"},
		{kernel, "{at: 1s, do: leak, packets: 3}", "no hold of the packet pool", "model"},
		{"{name: a, kind: tap, tap: {name: x}}\n  - {name: b, kind: tap, tap: {name: x}}", "", "taken by devices[0]", "its own"},
	} {
		_, err := Load("f.yaml", []byte(realScenario(c.device, c.timeline)))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s %s: no error: %v", c.device, c.timeline, err)
			continue
		}
		if !strings.Contains(e.Msg, c.msg) || !strings.Contains(e.Hint, c.hint) || e.Line == 0 {
			t.Errorf("%s %s:\n%v\nwant %q, hint %q", c.device, c.timeline, err, c.msg, c.hint)
		}
	}
	virtual := strings.Replace(realScenario(kernel, ""), "clock: real\n", "", 1)
	if _, err := Load("f.yaml", []byte(virtual)); err == nil || !strings.Contains(err.Error(), "needs the real clock") {
		t.Errorf("virtual time: %v", err)
	}
	fast := strings.Replace(realScenario(kernel, ""), "clock: real\n", "clock: real\nspeed: 2\n", 1)
	if _, err := Load("f.yaml", []byte(fast)); err == nil || !strings.Contains(err.Error(), "runs at speed 1") {
		t.Errorf("at another speed: %v", err)
	}
}

// The table of docs/hil.md: which outage is possible where.
func TestEachKindHasItsOutages(t *testing.T) {
	for _, c := range []struct{ device, outages string }{
		{"{kind: tap}", "link_down blackhole"},
		{"{kind: tap, tap: {layer: 3}}", "link_down blackhole"},
		{"{kind: tap, tap: {side: descriptor}}", "tx_error blackhole"},
		{"{kind: tap, tap: {side: descriptor}, qmp: {}}", "link_down tx_error blackhole"},
		{"{kind: socket, socket: {path: /tmp/s}}", "blackhole"},
		{"{kind: socket, socket: {path: /tmp/s}, qmp: {}}", "link_down blackhole"},
		{"{kind: board, board: eth1}", "link_down blackhole"},
		{"{steps: [connect]}", "link_down tx_error blackhole"},
	} {
		var got []string
		for _, do := range []string{"link_down", "tx_error", "blackhole"} {
			if _, err := Load("f.yaml", []byte(realScenario(c.device, fmt.Sprintf("{at: 1s, do: %s, for: 1s}", do)))); err == nil {
				got = append(got, do)
			}
		}
		if strings.Join(got, " ") != c.outages {
			t.Errorf("%s: %v, want %s", c.device, got, c.outages)
		}
	}
}

func TestARealDeviceGetsWhatItLeavesOut(t *testing.T) {
	s, err := Load("f.yaml", []byte(realScenario("{name: 'a-{i}', count: 2, kind: tap}\n  - {name: b, kind: socket, exec: 'true'}", "")))
	if err != nil {
		t.Fatal(err)
	}
	if s.Devices[0].Tap.Name != "dut0" || s.Devices[1].Tap.Name != "dut1" || s.Devices[0].Tap.Side != KernelSide {
		t.Errorf("%+v, %+v", s.Devices[0].Tap, s.Devices[1].Tap)
	}
	if b := s.Devices[2]; b.Socket.Mode != SocketStream || b.Pool.Packets != 0 || b.MQTT.ClientID != "b" || s.Models() != 0 {
		t.Errorf("%+v", b)
	}
	if got := s.Execs(); len(got) != 1 || got[0] != "true" {
		t.Errorf("runs %v", got)
	}
	// Written out, it is the same scenario.
	text, err := s.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load("again.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if text2, err := again.Resolved(); err != nil || string(text2) != string(text) {
		t.Errorf("%v\n%s\n%s", err, text, text2)
	}
}
