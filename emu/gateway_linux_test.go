package emu_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/trace"
)

// loopbackMosquitto starts mosquitto on this machine's loopback, at a port that is
// free, or at the one given.
func loopbackMosquitto(t *testing.T, port int) (*linktest.Process, int) {
	t.Helper()
	linktest.Require(t, "mosquitto")
	if port == 0 {
		port = freePort(t)
	}
	path := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type all\nlog_timestamp false\nmax_inflight_messages 0\n", port)
	if os.Geteuid() == 0 {
		text += "user root\n" // else it changes to a user that may not exist
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := linktest.Start(t, exec.Command("mosquitto", "-c", path))
	p.WaitFor(t, "running")
	return p, port
}

// freePort returns a port of the loopback that nobody listens at.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// fleetScenario has 500 devices of both stacks behind links that delay and lose,
// and a broker on the loopback of this machine.
const fleetScenario = `
version: 1
name: gateway-fleet
clock: real
duration: 16s
network: 10.20.0.0/20
devices:
  - name: netx-{i}
    count: 250
    start_spread: 2s
    mqtt: {wait: 10s}
    steps: &steps
      - connect
      - wait_for: {event: connected, timeout: 10s}
      - every: {period: 200ms, count: 4, do: [publish: {topic: "netx/{i}", payload: "netx {i} {n}", qos: 1}]}
      - wait_for: {event: acked, timeout: 5s}
      - sleep: 1500ms
      - disconnect
  - name: linux-{i}
    count: 250
    profile: linux
    start_spread: 2s
    mqtt: {wait: 10s}
    steps:
      - connect
      - wait_for: {event: connected, timeout: 10s}
      - every: {period: 200ms, count: 4, do: [publish: {topic: "linux/{i}", payload: "linux {i} {n}", qos: 1}]}
      - wait_for: {event: acked, timeout: 5s}
      - sleep: 1500ms
      - disconnect
links:
  - {device: netx-7, delay: 20ms, loss: 2%}
  - {device: linux-7, delay: 20ms, loss: 2%}
broker: {kind: gateway, gateway: {to: "127.0.0.1:PORT"}}
expect:
  - acknowledged == 2000 and published == 2000
  - gateway.opened == 500 and gateway.open_at_end == 0 and gateway.undelivered == 0
  - gateway.limited == 0 and gateway.refused == 0 and gateway.unreachable == 0
  - conservation_errors == 0
`

// Without any rights: a user who owns nothing runs 500 devices against mosquitto on
// the loopback. Every message arrives, and nothing stays open: no goroutine and no
// descriptor (the child sees to it), no connection (mosquitto's log says so).
func TestFiveHundredDevicesReachARealBrokerWithoutRights(t *testing.T) {
	realTimeFleet(t)
	t.Parallel()
	linktest.Require(t, "mosquitto", "mosquitto_sub")
	broker, port := loopbackMosquitto(t, 0)
	sub := linktest.Start(t, exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-i", "subscriber", "-t", "#", "-q", "1", "-C", "2000", "-W", "30"))
	broker.WaitFor(t, "Received SUBSCRIBE from subscriber")
	p := startAsNobody(t, strings.Replace(fleetScenario, "PORT", strconv.Itoa(port), 1))
	o := finish(t, p, 60*time.Second)
	got, err := sub.Wait(t)
	for _, kind := range []string{"netx", "linux"} {
		for i := 1; i <= 250; i++ {
			for n := 1; n <= 4; n++ {
				if m := fmt.Sprintf("%s %d %d\n", kind, i, n); !strings.Contains("\n"+got, "\n"+m) {
					t.Fatalf("%q did not arrive (%v); %+v", m, err, o.Gateway)
				}
			}
		}
	}
	log := broker.Output()
	connected := len(regexp.MustCompile(`New client connected from 127\.0\.0\.1:\d+ as (netx|linux)-\d+ `).FindAllString(log, -1))
	parted := len(regexp.MustCompile(`Received DISCONNECT from (netx|linux)-\d+\n`).FindAllString(log, -1))
	if connected != 500 || parted != 500 {
		t.Errorf("mosquitto saw %d clients come and %d go", connected, parted)
	}
	t.Logf("%d up, %d down bytes, at most %d connections at a time", o.Gateway.UpBytes, o.Gateway.DownBytes, o.Gateway.MaxOpen)
}

// That nothing stays open can be seen: a run that leaves a descriptor, a goroutine or a
// connection fails.
func TestWhatAGatewayRunLeavesOpenIsSeen(t *testing.T) {
	t.Parallel()
	broker, port := loopbackMosquitto(t, 0)
	for leak, want := range map[string]string{
		"a descriptor": "descriptors were open before", "a goroutine": "goroutines leak",
		"a connection": "gateway.open_at_end == 0", "": "--- PASS",
	} {
		steps := "connect, disconnect"
		if leak == "a connection" {
			steps = "connect"
		}
		p := startAsNobody(t, fmt.Sprintf(`
version: 1
name: leak
clock: real
duration: 2s
devices: [{steps: [%s]}]
broker: {kind: gateway, gateway: {to: "127.0.0.1:%d"}}
expect: [gateway.opened == 1, gateway.open_at_end == 0]
`, steps, port), leakVariable+"="+leak)
		if said, err := p.Wait(t); (err == nil) != (leak == "") || !strings.Contains(said, want) {
			t.Errorf("%s: %v, want %q\n%s", leak, err, want, said)
		}
	}
	if log := broker.Output(); strings.Count(log, "New client connected") != 4 {
		t.Errorf("mosquitto saw other clients:\n%s", log)
	}
}

// nobody is the user that owns nothing.
const nobody = 65534

// startAsNobody starts a scenario in a process of its own, as a user without
// rights when this one has any. SELF in it stands for this test binary.
func startAsNobody(t *testing.T, text string, env ...string) *linktest.Process {
	t.Helper()
	dir, err := os.MkdirTemp("", "hilnet-nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a test's folder
	path, program := filepath.Join(dir, "scenario.yaml"), filepath.Join(dir, "emu.test")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "SELF", program)), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Link(self, program) != nil { // another file system
		data, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-test.run", "^TestRunTheScenarioOfTheEnvironment$", "-test.v")
	cmd.Env = append(append(os.Environ(), scenarioVariable+"="+path, "HOME="+dir, "TMPDIR="+dir), env...)
	cmd.Dir = dir
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return linktest.Start(t, cmd)
}

// nofileVariable limits the descriptors of a scenario that runs in a process of its own.
const nofileVariable = "HILNET_TEST_NOFILE"

// limitFiles does what nofileVariable says.
func limitFiles(t *testing.T) {
	text := os.Getenv(nofileVariable)
	if text == "" {
		return
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
}

// openFiles returns how many descriptors this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// When this process may open no more files, connections are refused, by that name,
// and the run goes on; devices that were let in are served.
func TestWithoutDescriptorsTheGatewayRefusesByName(t *testing.T) {
	realTimeFleet(t)
	t.Parallel()
	_, port := loopbackMosquitto(t, 0)
	p := startAsNobody(t, strings.Replace(`
version: 1
name: files
clock: real
duration: 10s
capture: [broker]
devices:
  - name: device-{i}
    count: 100
    start_spread: 500ms
    mqtt: {wait: 6s}
    steps: [connect, publish: {topic: t, qos: 1}]
broker: {kind: gateway, gateway: {to: "127.0.0.1:PORT"}}
expect:
  - drops.reason.gateway_files > 20 and gateway.limited == drops.reason.gateway_files
  - gateway.opened > 20 and acknowledged == gateway.opened
  - gateway.opened + gateway.limited == 100 and connect_errors >= gateway.limited
`, "PORT", strconv.Itoa(port), 1), nofileVariable+"=64")
	o := finish(t, p, 30*time.Second)
	t.Logf("%+v", o.Gateway)
}

// gatewayKeys has two devices that connect, one of them to another address.
const gatewayKeys = `
version: 1
name: gateway-keys
clock: real
duration: 1200ms
devices:
  - {name: a, mqtt: {wait: 300ms, client_id: "a CASE"}, app: near}
  - {name: b, mqtt: {wait: 300ms}, gateway: 10.0.0.1, app: far}
broker: {kind: gateway, port: PORT}
`

// Each key of a gateway is felt.
func TestTheKeysOfAGatewayAreFelt(t *testing.T) {
	_, port := loopbackMosquitto(t, 0)
	_, other := loopbackMosquitto(t, 0)
	nobody := freePort(t)
	near := func(_ *sim.Task, c *mqtt.Client) {
		c.Connect(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(port)), 60, true, 500)
	}
	far := func(task *sim.Task, c *mqtt.Client) {
		task.Sleep(100 * time.Millisecond)
		c.Connect(netip.MustParseAddrPort("192.0.2.7:8883"), 60, true, 30)
	}
	for i, c := range []struct{ keys, want string }{
		{"", "opened 1, refused 0, prohibited 1, limited 0, disconnects 0"},
		{fmt.Sprintf(", gateway: {to: \"localhost:%d\"}", other), "opened 1, refused 0, prohibited 1, limited 0, disconnects 0"},
		{fmt.Sprintf(", gateway: {to: \"localhost:%d\"}", nobody), "opened 0, refused 1, prohibited 1, limited 0, disconnects 0"},
		{", gateway: {allow: [192.0.2.7]}", "opened 1, refused 0, prohibited 0, limited 0, disconnects 0"},
		{", gateway: {connections: 1}", "opened 1, refused 0, prohibited 0, limited 1, disconnects 0"},
		{", gateway: {idle: 200ms}", "opened 1, refused 0, prohibited 1, limited 0, disconnects 1"},
	} {
		t.Run(c.keys, func(t *testing.T) {
			t.Parallel()
			text := strings.NewReplacer("CASE", strconv.Itoa(i), "PORT}", strconv.Itoa(port)+c.keys+"}").Replace(gatewayKeys)
			r, err := emu.Run(t.Context(), scenario(t, text), emu.Options{Apps: map[string]emu.App{"near": near, "far": far}})
			if err != nil {
				t.Fatal(err)
			}
			g := r.Outcome.Gateway
			if got := fmt.Sprintf("opened %d, refused %d, prohibited %d, limited %d, disconnects %d", g.Opened, g.Refused, g.Prohibited, g.Limited, r.Outcome.Disconnects); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if told := strings.Contains(strings.Join(r.Notes, " "), "is a broker running there?"); told != (g.Opened == 0) {
				t.Errorf("%d opened, and the notes are %q", g.Opened, r.Notes)
			}
		})
	}
}

// A run through the gateway is recorded at both ends, and stops at once, and
// clean, when it is interrupted.
func TestAGatewayRunIsRecordedAndEndsAtOnce(t *testing.T) {
	linktest.NoLeaks(t)
	broker, port := loopbackMosquitto(t, 0)
	out := t.TempDir()
	world, err := emu.New(scenario(t, fmt.Sprintf(`
version: 1
name: recorded-gateway
clock: real
duration: 60s
capture: [device, peer, broker]
devices: [{steps: [connect, every: {period: 50ms, do: [publish: {topic: t, qos: 1}]}]}]
links: [{delay: 5ms, loss: 5%%}]
broker: {kind: gateway, gateway: {to: "127.0.0.1:%d"}}
`, port)), emu.Options{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	events := world.Observe(1 << 12).Events()
	go func() {
		acked := 0
		for e := range events {
			if e.Kind == trace.KindAcked {
				if acked++; acked == 10 {
					cancel(errThrough)
				}
			}
		}
	}()
	before := time.Now()
	result, err := world.Run(ctx)
	if !errors.Is(err, errThrough) || time.Since(before) > 30*time.Second {
		t.Errorf("%v", err)
	}
	broker.WaitFor(t, "Client device closed its connection")
	if g := result.Outcome.Gateway; g.Opened != 1 || g.OpenAtEnd != 1 || len(result.Outcome.ConservationErrors) > 0 {
		t.Errorf("%+v %v", g, result.Outcome.ConservationErrors)
	}
	for _, name := range []string{"recorded-gateway.device.pcapng", "recorded-gateway.peer.pcapng", "recorded-gateway.broker.pcapng"} {
		if err := pcaps.Verify(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
}

// realTimeFleet skips a test with so many devices in real time that it needs the
// whole machine's speed, of which the race detector leaves a tenth.
func realTimeFleet(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a fleet in real time is too much with the race detector; stack/gateway has the same goroutines")
	}
}
