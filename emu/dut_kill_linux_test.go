package emu_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
	"hilnet/sim"
	taphost "hilnet/tap/host"
)

// killScenario is a real client and a real broker, which note their processes.
const killScenario = `
version: 1
name: killed
clock: real
duration: DURATION
devices:
  - name: dut
    kind: tap
    address: 10.0.0.2/24
    tap: {name: dut7, netns: private}
    start: 500ms
    exec: |
      echo $$ > DIR/device.pid
      exec mosquitto_pub -h $HILNET_BROKER -p $HILNET_PORT -i $HILNET_CLIENT -t telemetry -q 1 -m one FOREVER
links: [{delay: 5ms}]
broker:
  kind: tap
  tap: {name: hil0, address: 10.0.0.1/24, netns: private}
  exec: |
    echo $$ > DIR/broker.pid
    exec mosquitto -c CONF
EXPECT
`

// kill -9 of each of the three: of emu nothing is left when the next run has begun,
// of a device or a broker the run says how it ended. The next run works, and
// leaves the host as it was.
func TestAfterKillOfAnyPartTheNextRunWorks(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto", "mosquitto_pub")
	for _, part := range []string{"device", "broker", "emu"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			killAndRunAgain(t, part)
		})
	}
}

func killAndRunAgain(t *testing.T, part string) {
	ns := linktest.Namespace(t)
	dir := t.TempDir()
	text := func(duration, forever, expect string) string {
		return strings.NewReplacer("DURATION", duration, "DIR", dir, "CONF", mosquittoConf(t), "FOREVER", forever, "EXPECT", expect).Replace(killScenario)
	}
	const once, forever = "", "--repeat 10000 --repeat-delay 0.05"
	duration := "3s"
	expect := ""
	switch part {
	case "emu":
		duration = "60s"
	case "device":
		expect = `expect: ['device("dut").exec.status == 137 and device("dut").exec.exits == 1']`
	}
	p, out := startIn(t, ns, text(duration, forever, expect))
	pids := map[string]int{"device": notedProcess(t, dir, "device", p), "broker": notedProcess(t, dir, "broker", p), "emu": p.Pid()}
	awaitTraffic(t, pids["device"], p)
	if err := unix.Kill(pids[part], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if part == "emu" {
		p.WaitWithin(t, 10*time.Second)
	} else {
		finish(t, p, 20*time.Second)
		if trace, err := os.ReadFile(filepath.Join(out, "killed.trace.jsonl")); err != nil || !strings.Contains(string(trace), "ended by signal SIGKILL") {
			t.Errorf("the trace does not say that the %s was killed: %v", part, err)
		}
	}
	next, _ := startIn(t, ns, text("3s", once, `expect: ['device("dut").exec.status == 0 and device("dut").exec.exits == 1']`))
	finish(t, next, 20*time.Second)
	for who, pid := range pids {
		if unix.Kill(pid, 0) == nil && !isZombie(pid) {
			t.Errorf("the %s is left: process %d", who, pid)
		}
	}
	if left := processesIn(ns); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left := ns.Run("ip", "-br", "link"); strings.Count(left, "\n") != 1 {
		t.Errorf("interfaces are left: %s", left)
	}
}

// kill -9 of emu at whatever moment: what it has taken by then is given back by whoever
// cleans up next, in whatever namespace that is, and nothing else is touched.
func TestKilledAtAnyMomentTheHostIsCleanSoak(t *testing.T) {
	linktest.Soak(t)
	linktest.Require(t, "tun", "netns", "setsid")
	ns := linktest.Namespace(t)
	ns.Run("ip", "link", "add", "nic7", "type", "veth", "peer", "name", "board0")
	ns.Run("ip", "tuntap", "add", "lent7", "mode", "tap")
	for _, name := range []string{"board0", "nic7"} {
		ns.Run("ip", "link", "set", name, "up")
	}
	state := func() string {
		ipv6 := ns.Run("sysctl", "net.ipv6.conf.nic7.disable_ipv6", "net.ipv6.conf.lent7.disable_ipv6")
		return ns.Run("ip", "-br", "link") + ipv6 + fmt.Sprint(processesIn(ns))
	}
	before := state()
	rnd := sim.NewRand(7, "kill")
	cleaned := 0
	for i := range 40 {
		p, _ := startIn(t, ns, `
version: 1
name: killed
clock: real
duration: 60s
devices:
  - {name: a, kind: tap, tap: {name: dut7, side: descriptor}, exec: "setsid sleep 300 & sleep 300"}
  - {name: b, kind: board, board: nic7, exec: "sleep 300"}
  - {name: c, kind: tap, tap: {name: lent7, side: descriptor}, mtu: 1400, exec: "sleep 300"}
  - {name: d, kind: tap, tap: {side: descriptor, netns: private}, exec: "sleep 300"}
broker: {kind: tap, tap: {name: hil7}}
`)
		p.WaitFor(t, "begins")
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		p.Kill(t)
		done, err := taphost.CleanUp()
		if err != nil {
			t.Fatal(err)
		}
		cleaned += len(done)
		after := state()
		for deadline := time.Now().Add(2 * time.Second); after != before && time.Now().Before(deadline); after = state() {
			time.Sleep(20 * time.Millisecond) // a killed process takes its moment to go
		}
		if after != before {
			t.Fatalf("killed %d times, and before it was\n%sand is\n%s", i+1, before, after)
		}
	}
	if cleaned < 40 {
		t.Errorf("only %d things were cleaned up: it was killed too early", cleaned)
	}
}

// notedProcess waits until a part has noted its process.
func notedProcess(t *testing.T, dir, part string, p *linktest.Process) int {
	t.Helper()
	path := filepath.Join(dir, part+".pid")
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(text), "\n") {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil { // the next run writes its own
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("the %s does not begin:\n%s", part, p.Output())
	return 0
}

// awaitTraffic waits until the device's program has a TCP connection to the broker.
func awaitTraffic(t *testing.T, pid int, p *linktest.Process) {
	t.Helper()
	const established = " 01 "
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
		if err == nil && strings.Contains(string(table), established) {
			return
		}
	}
	t.Fatalf("the device does not connect:\n%s", p.Output())
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
