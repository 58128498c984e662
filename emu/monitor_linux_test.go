package emu_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/trace"
)

// monitorVariable makes a process of this test binary QEMU's monitor.
const monitorVariable = "HILNET_TEST_MONITOR"

// answerAfter is how long the monitor takes.
const answerAfter = 200 * time.Millisecond

// TestBeAMonitor is what another test runs; it is no test. It says what its cable is
// told, as QEMU's monitor hears it, and has a socket that nobody reads.
func TestBeAMonitor(t *testing.T) {
	if os.Getenv(monitorVariable) == "" {
		t.Skip("runs only inside other tests")
	}
	path := os.Getenv("HILNET_QMP")
	_ = os.Remove(path) // of one that was killed, as QEMU does
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(c, `{"QMP": {"version": {}, "capabilities": []}}`)
		for r := bufio.NewScanner(c); r.Scan(); fmt.Fprintln(c, `{"return": {}}`) {
			for text, said := range map[string]string{`"up":false`: "cable out", `"up":true`: "cable in"} {
				if strings.Contains(r.Text(), text) {
					time.Sleep(answerAfter)
					fmt.Println(said)
				}
			}
		}
		c.Close()
	}
}

// A QEMU whose power comes back while its cable is out is told so, for it begins
// with its cable in; one that is off is told nothing, and that is no failure.
func TestAnEmulatorThatStartsWhileItsCableIsOutIsTold(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	world, err := emu.New(scenario(t, strings.ReplaceAll(`
version: 1
name: monitor
clock: real
duration: 6s
devices:
  - name: dut
    kind: socket
    qmp: {}
    boot: 100ms
    exec: HILNET_TEST_MONITOR=1 exec SELF -test.run '^TestBeAMonitor$'
broker: {kind: model}
timeline:
  - {at: 800ms, do: link_down, for: 1700ms}
  - {at: 1200ms, do: power_cut, for: 200ms}
  - {at: 3s, do: power_cut, for: 900ms}
  - {at: 3300ms, do: link_down, for: 300ms}
  - {at: 4500ms, do: link_down, for: 800ms}
  - {at: 5400ms, do: power_cut, for: 10s}
  - {at: 5800ms, do: link_down}
`, "SELF", self)), emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(1 << 12)
	if _, err := world.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told, late []string
	var said strings.Builder
	var out sim.Time
	for e := range events.Events() {
		switch {
		case e.Kind == trace.KindNIC && e.Text == nic.LinkDown.String() && out == 0:
			out = e.T
		case e.Kind == trace.KindNIC && e.T > sim.Time(5300*time.Millisecond):
			late = append(late, e.Text)
		case e.Kind == trace.KindExecOutput && strings.HasPrefix(e.Text, "cable "):
			told = append(told, e.Text)
		}
		fmt.Fprintln(&said, e.T, e.Kind, e.Text)
	}
	// What the guest sends before its monitor has answered is no fault of its.
	if asked := sim.Time(800 * time.Millisecond); out < asked.Add(answerAfter) || out > asked.Add(time.Second) {
		t.Errorf("the cable was out at %v", out)
	}
	if got := strings.Join(told, ", "); got != "cable out, cable out, cable in, cable out" {
		t.Errorf("QEMU was told: %s\n%s", got, said.String())
	}
	// Its power went before it had its cable back: that is in for everybody else.
	if got := strings.Join(late, ", "); got != "link_up, link_down" {
		t.Errorf("at the end: %s\n%s", got, said.String())
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v: somebody waited for a monitor that is off", took)
	}
}
