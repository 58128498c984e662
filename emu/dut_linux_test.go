package emu_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/scenarios"
	"hilnet/trace"
)

// realScenario is a Linux client in one namespace and mosquitto in another: two
// TAPs, our link between them.
const realScenario = `
version: 1
name: real
clock: real
duration: 9s
devices:
  - name: linux
    kind: tap
    address: 10.0.0.2/24
    mac: 02:11:22:33:44:55
    mtu: 1400
    tap: {name: dut7, side: kernel, netns: NSDEV}
    start: 800ms
    exec: |
      for i in $(seq 1 20); do echo "message $i"; sleep 0.15; done |
      mosquitto_pub -h $HILNET_BROKER -p $HILNET_PORT -i $HILNET_CLIENT -t telemetry -q 1 -l -k 5
links: [{delay: 10ms, loss: 3%}]
broker:
  kind: tap
  tap: {name: hil0, address: 10.0.0.1/24, netns: NSPEER}
  exec: mosquitto -c CONF
timeline:
  - {at: 1700ms, do: link_down, for: 1300ms}
  - {at: 3500ms, do: blackhole, for: 700ms}
expect:
  - device("linux").exec.exits == 1 and device("linux").exec.status == 0
  - drops.reason.loss > 0 and drops.reason.blackhole > 0
`

// mosquittoConf is a configuration for a scenario's own broker.
func mosquittoConf(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := "listener 1883 0.0.0.0\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type all\nlog_timestamp false\n"
	if os.Geteuid() == 0 {
		text += "user root\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Real client, real broker, our link with losses, a pulled cable and an outage:
// every QoS 1 message arrives, of mosquitto's client and of paho's; the kernel
// sees its cable go; a flood of frames from strangers stops nothing.
func TestARealClientAndARealBroker(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto", "mosquitto_pub", "mosquitto_sub", "ping")
	device, broker := linktest.Namespace(t), linktest.Namespace(t)
	monitor := linktest.Start(t, device.Command("ip", "monitor", "link"))
	text := strings.NewReplacer("NSDEV", device.Name, "NSPEER", broker.Name, "CONF", mosquittoConf(t)).Replace(realScenario)
	out := t.TempDir()
	world, err := emu.New(scenario(t, text), emu.Options{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(1 << 16)
	finished := make(chan struct{})
	var result *emu.Result
	go func() {
		defer close(finished)
		result, err = world.Run(context.Background())
	}()
	said := make(chan string, 1)
	running := make(chan struct{})
	go func() {
		var text strings.Builder
		for e := range events.Events() {
			if e.Kind == trace.KindExecOutput && e.Node == "broker" && strings.Contains(e.Text, "running") {
				close(running)
			} else if e.Kind == trace.KindExecOutput && e.Node == "linux" {
				text.WriteString(e.Text + "\n")
			}
		}
		said <- text.String()
	}()
	select {
	case <-running:
	case <-finished:
		t.Fatalf("mosquitto never ran: %v", err)
	}
	sub := linktest.Start(t, broker.Command("mosquitto_sub", "-h", "127.0.0.1", "-t", "#", "-q", "1", "-C", "40", "-W", "8"))
	facts := device.Run("ip", "-d", "-j", "address", "show", "dut7")
	for _, want := range []string{`"02:11:22:33:44:55"`, `"mtu":1400`, `"10.0.0.2"`} {
		if !strings.Contains(facts, want) {
			t.Errorf("the kernel's end has no %s: %s", want, facts)
		}
	}
	published := make(chan error, 1)
	go func() { published <- publishWithPaho(device) }()
	device.Do(func() error { return floodFromStrangers("dut7", 3000) })
	<-finished
	if err != nil {
		t.Fatal(err)
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
	got, err := sub.Wait(t)
	for i := 1; i <= 20; i++ {
		for _, m := range []string{fmt.Sprintf("message %d\n", i), fmt.Sprintf("paho %d\n", i)} {
			if !strings.Contains(got, m) {
				t.Errorf("%q did not arrive (%v)", m, err)
			}
		}
	}
	o := result.Outcome
	if result.Verdict != emu.Pass || len(o.ConservationErrors) > 0 {
		t.Errorf("%+v, unaccounted: %v\nthe client said: %s", result.Checks, o.ConservationErrors, <-said)
	}
	if !regexp.MustCompile(`dut7: <[^>]*NO-CARRIER`).MatchString(monitor.Output()) {
		t.Errorf("the kernel did not see its cable go:\n%s", monitor.Output())
	}
	if o.Devices[0].NIC.TxFrames < 3000*9/10 {
		t.Errorf("of 3000 frames from strangers %d are through", o.Devices[0].NIC.TxFrames)
	}
	t.Logf("lateness: median %v, 99 %% %v, most %v", result.Lateness.Quantile(0.5), result.Lateness.Quantile(0.99), result.Lateness.Max)
	if left := device.Run("ip", "-br", "link") + broker.Run("ip", "-br", "link"); strings.Contains(left, "dut7") || strings.Contains(left, "hil0") {
		t.Errorf("left behind: %s", left)
	}
}

// publishWithPaho publishes 20 messages from the device's namespace and waits
// until each is acknowledged.
func publishWithPaho(ns *linktest.Net) error {
	opt := paho.NewClientOptions().AddBroker("tcp://10.0.0.1:1883").SetClientID("paho").SetConnectRetry(true).
		SetConnectRetryInterval(200 * time.Millisecond).SetAutoReconnect(true).SetCleanSession(false).SetKeepAlive(5 * time.Second)
	opt.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (c net.Conn, err error) {
		tried := ns.Try(func() error {
			c, err = net.DialTimeout("tcp", "10.0.0.1:1883", 5*time.Second)
			return err
		})
		return c, tried
	})
	c := paho.NewClient(opt)
	defer c.Disconnect(100)
	if token := c.Connect(); !token.WaitTimeout(8*time.Second) || token.Error() != nil {
		return fmt.Errorf("paho does not connect: %w", token.Error())
	}
	var tokens []paho.Token
	for i := range 20 {
		tokens = append(tokens, c.Publish("paho", 1, false, fmt.Sprintf("paho %d", i+1)))
		time.Sleep(100 * time.Millisecond)
	}
	for i, token := range tokens {
		if !token.WaitTimeout(8*time.Second) || token.Error() != nil {
			return fmt.Errorf("paho: message %d: %w", i+1, token.Error())
		}
	}
	return nil
}

// floodFromStrangers sends frames from and to addresses that nobody has.
func floodFromStrangers(name string, frames int) error {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	frame := make([]byte, 200)
	for i := range frames {
		if _, err := rand.Read(frame); err != nil {
			return err
		}
		frame[0], frame[6] = frame[0]&0xfc|2, frame[6]&0xfc|2
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifc.Index}); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if i%100 == 99 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// A scenario of this environment variable is run in a process of its own, in a
// namespace where its bridges and TAPs are nobody's else.
const scenarioVariable = "HILNET_TEST_SCENARIO"

// noFilesVariable has the run of scenarioVariable write nothing.
const noFilesVariable = "HILNET_TEST_NO_FILES"

// TestRunTheScenarioOfTheEnvironment is what runIn runs; it is no test.
func TestRunTheScenarioOfTheEnvironment(t *testing.T) {
	path := os.Getenv(scenarioVariable)
	if path == "" {
		t.Skip("runs only inside other tests")
	}
	sc, err := scenarios.LoadFileWith(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	limitFiles(t)
	linktest.NoLeaks(t)
	freePort(t) // the runtime's own descriptors
	open := openFiles(t)
	defer func() {
		if left := openFiles(t); left > open {
			t.Errorf("%d descriptors were open before, %d are now", open, left)
		}
	}()
	fmt.Println("begins")
	leak(t)
	options := emu.Options{Out: filepath.Dir(path)}
	if os.Getenv(noFilesVariable) != "" {
		options.Out = ""
	}
	result, err := emu.Run(context.Background(), sc, options)
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(result.Outcome)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("outcome %s\n", line)
	for _, c := range result.Checks {
		if !c.Passed {
			t.Errorf("%s: %s", c.Text, c.Why)
		}
	}
}

// leakVariable has the run of scenarioVariable leave something open, which it is to
// be found out for.
const leakVariable = "HILNET_TEST_LEAK"

// leaked keeps what leak has opened.
var leaked *os.File

// leak does what leakVariable says.
func leak(t *testing.T) {
	switch os.Getenv(leakVariable) {
	case "a descriptor":
		var err error
		if leaked, err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
	case "a goroutine":
		go func() { select {} }()
	}
}

// startIn starts a scenario in a process of its own in a namespace.
func startIn(t *testing.T, ns *linktest.Net, text string) (*linktest.Process, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := ns.Command(os.Args[0], "-test.run", "^TestRunTheScenarioOfTheEnvironment$", "-test.v")
	cmd.Env = append(os.Environ(), scenarioVariable+"="+path)
	return linktest.Start(t, cmd), filepath.Dir(path)
}

// finish waits for a process of startIn and returns its outcome.
func finish(t *testing.T, p *linktest.Process, within time.Duration) *scenarios.Outcome {
	t.Helper()
	p.WaitWithin(t, within)
	output := p.Output()
	_, rest, _ := strings.Cut(output, "outcome ")
	line, _, _ := strings.Cut(rest, "\n")
	o := &scenarios.Outcome{}
	if err := json.Unmarshal([]byte(line), o); err != nil || strings.Contains(output, "--- FAIL") {
		t.Fatalf("%v\n%s", err, output)
	}
	return o
}

// processesIn returns the processes in a namespace.
func processesIn(ns *linktest.Net) (pids []int) {
	for _, word := range strings.Fields(ns.List()) {
		var pid int
		if _, err := fmt.Sscan(word, &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killIfTest kills a process as kill -9 does if it is this test binary.
func killIfTest(t *testing.T, pid int) {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return // gone
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if path == own {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}
