package emu_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/mqtt/codec"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/stack/gateway"
	"hilnet/trace"
	"hilnet/wire"
)

// pairs is what the cells of the table in docs/gateway.md are made of: each kind
// of device and of broker, by the label of its row or column.
type pairs struct {
	devices, brokers map[string]string
	host             *linktest.Net   // where the boards' interfaces are
	boards           []*linktest.Net // what they are
}

// newPairs starts what the kinds need.
func newPairs(t *testing.T) *pairs {
	t.Helper()
	client := lwipClient(t)
	_, port := loopbackMosquitto(t, 0)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	emulator := self + " -test.run '^TestBeAnEmulator$' -test.v"
	publish := "mosquitto_pub -h $HILNET_BROKER -p $HILNET_PORT -i dut -t t -q 1 -m hello"
	again := func(command string) string { return "until " + command + "; do sleep 0.1; done" }

	host, board, far := linktest.Namespace(t), linktest.Namespace(t), linktest.Namespace(t)
	for nic, at := range map[string]struct {
		ns      *linktest.Net
		address string
	}{"nic7": {board, "10.0.0.2/24"}, "nic8": {far, "10.0.0.1/24"}} {
		host.Run("ip", "link", "add", nic, "type", "veth", "peer", "name", "eth0", "netns", at.ns.Name)
		at.ns.Run("ip", "address", "add", at.address, "dev", "eth0")
		at.ns.Run("ip", "link", "set", "eth0", "up")
	}
	far.Mosquitto(netip.MustParseAddrPort("0.0.0.0:1883"))
	return &pairs{
		host: host, boards: []*linktest.Net{board, far},
		devices: map[string]string{
			"`model`":                   "quirks: none, reconnect: 300ms, steps: [connect, wait_for: {event: connected, timeout: 15s}, publish: {topic: t, qos: 1}]",
			"`tap`":                     "kind: tap, tap: {netns: private}, exec: " + strconv.Quote(again(publish)),
			"`tap`, `side: descriptor`": "kind: tap, tap: {side: descriptor, netns: private}, exec: " + strconv.Quote("PRECONFIGURED_TAPIF=$HILNET_TAP exec "+client+" $HILNET_ADDRESS 255.255.255.0 $HILNET_BROKER $HILNET_PORT 1 10"),
			"`socket`":                  "kind: socket, exec: " + strconv.Quote(emulatorVariable+"=device exec "+emulator),
			"`board`":                   "kind: board, board: nic7, exec: " + strconv.Quote(again("ip netns exec "+board.Name+" "+publish)),
		},
		brokers: map[string]string{
			"`model`":   "kind: model",
			"`gateway`": fmt.Sprintf("kind: gateway, gateway: {to: \"127.0.0.1:%d\"}", port),
			"`tap`":     "kind: tap, tap: {netns: private}, exec: exec mosquitto -c " + mosquittoConf(t),
			"`socket`":  "kind: socket, exec: " + strconv.Quote(fmt.Sprintf("%s=127.0.0.1:%d exec %s", emulatorVariable, port, emulator)),
			"`board`":   "kind: board, board: nic8",
		},
	}
}

// run runs a cell until the device's message is acknowledged.
func (p *pairs) run(device, broker string) error {
	sc, err := scenarios.Load("pair.yaml", []byte(fmt.Sprintf(`
version: 1
name: pair
clock: real
duration: 30s
devices: [{name: dut, address: 10.0.0.2/24, %s}]
links: [{delay: 5ms}]
broker: {%s}
`, p.devices[device], p.brokers[broker])))
	if err != nil {
		return err
	}
	world, err := emu.New(sc, emu.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	events := world.Observe(1 << 14).Events()
	said := make(chan string, 1)
	go func() {
		var text strings.Builder
		for e := range events {
			switch {
			case e.Kind == trace.KindAcked && e.Node == "dut", e.Kind == trace.KindExecExit && e.Node == "dut" && e.Status == 0:
				cancel(errThrough)
			case e.Kind == trace.KindExecOutput, e.Kind == trace.KindExecExit:
				text.WriteString(e.Node + ": " + e.Text + "\n")
			}
		}
		said <- text.String()
	}()
	result, err := world.Run(ctx)
	switch {
	case !errors.Is(err, errThrough):
		return fmt.Errorf("nothing was acknowledged (%v)\n%s", err, <-said)
	case len(result.Outcome.ConservationErrors) > 0:
		return fmt.Errorf("%v", result.Outcome.ConservationErrors)
	}
	return nil
}

// The table of docs/gateway.md: every kind of device talks to every kind of
// broker, through our link.
func TestEveryKindOfDeviceTalksToEveryKindOfBroker(t *testing.T) {
	t.Parallel()
	linktest.Require(t, "tun", "netns", "mosquitto", "mosquitto_pub")
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| device, broker |")
	if !found {
		t.Fatal("docs/gateway.md has no table of who talks to whom")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(table, "\n")
	columns := regexp.MustCompile("`[a-z]+`").FindAllString(lines[0], -1)
	p := newPairs(t)
	if len(columns) != len(p.brokers) || len(lines) != 2+len(p.devices) {
		t.Fatalf("the table has the brokers %v and %d devices", columns, len(lines)-2)
	}
	var free, boards [][2]string
	for _, line := range lines[2:] {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if p.devices[cells[0]] == "" || len(cells) != 1+len(columns) {
			t.Fatalf("%q is no row", line)
		}
		for i, column := range columns {
			if cells[1+i] != "yes" {
				t.Errorf("%s, %s: %q", cells[0], column, cells[1+i])
			}
			pair := [2]string{cells[0], column}
			if cells[0] == "`board`" || column == "`board`" {
				boards = append(boards, pair)
			} else {
				free = append(free, pair)
			}
		}
	}
	var all sync.WaitGroup
	judge := func(pair [2]string, err error) {
		if err != nil {
			t.Errorf("device %s, broker %s: %v", pair[0], pair[1], err)
		}
	}
	const side = 5 // by side
	slots := make(chan struct{}, side)
	for _, pair := range free {
		all.Add(1)
		go func() {
			defer all.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			judge(pair, p.run(pair[0], pair[1]))
		}()
	}
	for _, pair := range boards { // there is one board of each
		for _, b := range p.boards { // others were at their addresses before
			b.Run("ip", "neighbour", "flush", "all")
		}
		judge(pair, p.host.Try(func() error { return p.run(pair[0], pair[1]) }))
	}
	all.Wait()
}

// An emulator at our socket, with a device inside, reaches a real broker by the
// machine's sockets: all of it as a user without rights.
func TestAnEmulatorReachesARealBrokerWithoutRights(t *testing.T) {
	t.Parallel()
	broker, port := loopbackMosquitto(t, 0)
	p := startAsNobody(t, strings.NewReplacer("PORT", strconv.Itoa(port), "VARIABLE", emulatorVariable).Replace(`
version: 1
name: emulator
clock: real
duration: 5s
devices:
  - name: dut
    kind: socket
    exec: VARIABLE=device exec SELF -test.run '^TestBeAnEmulator$' -test.v
links: [{delay: 20ms, loss: 3%}]
broker: {kind: gateway, gateway: {to: "127.0.0.1:PORT"}}
timeline: [{at: 200ms, do: blackhole, for: 400ms}]
expect:
  - device("dut").exec.exits == 1 and device("dut").exec.status == 0
  - gateway.opened >= 1 and conservation_errors == 0
`))
	finish(t, p, 30*time.Second)
	if log := broker.Output(); !strings.Contains(log, "Received PUBLISH from emulated") {
		t.Error(log)
	}
}

// emulatorVariable makes the test binary an emulator at our socket: "device", or
// for a broker the address of the real one.
const emulatorVariable = "HILNET_TEST_EMULATOR"

// TestBeAnEmulator is what other tests run; it is no test. The emulator has the
// frames of QEMU's -netdev stream and a TCP/IP stack of its own.
func TestBeAnEmulator(t *testing.T) {
	role := os.Getenv(emulatorVariable)
	if role == "" {
		t.Skip("runs only inside other tests")
	}
	conn, err := net.Dial("unix", os.Getenv("HILNET_SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Seed: uint64(os.Getpid()), Pacer: pacer})
	defer loop.Close()
	cfg := stack.Config{Node: "emulator", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: netip.PrefixFrom(netip.MustParseAddr(os.Getenv("HILNET_BROKER")), 24)}
	if role == "device" {
		mac, err := net.ParseMAC(os.Getenv("HILNET_MAC"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.MAC, cfg.Addr = wire.MAC(mac), netip.PrefixFrom(netip.MustParseAddr(os.Getenv("HILNET_ADDRESS")), 24)
	}
	host, err := stack.New(loop, nil, cfg, link.SinkFunc(func(f *link.Frame) {
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f.Data))), f.Data...)); err != nil {
			loop.Cancel(err)
		}
		f.Release()
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	port, err := strconv.ParseUint(os.Getenv("HILNET_PORT"), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	if role == "device" {
		emulatedDevice(loop, host, netip.AddrPortFrom(netip.MustParseAddr(os.Getenv("HILNET_BROKER")), uint16(port)))
	} else {
		g, err := gateway.New(gateway.Config{Loop: loop, Host: host, Node: "emulator", To: role, Port: uint16(port)})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
	}
	if err := loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	go readFrames(conn, loop, host)
	if err := loop.Run(sim.Never); err != nil && role == "device" {
		t.Fatal(err)
	}
}

// readFrames gives a host what comes over a stream.
func readFrames(conn net.Conn, loop *sim.Loop, host *stack.Host) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			loop.Cancel(err)
			return
		}
		f := link.NewFrame(int(binary.BigEndian.Uint32(head[:])))
		if _, err := io.ReadFull(conn, f.Data); err != nil {
			loop.Cancel(err)
			return
		}
		loop.Post(func() { host.Put(f) })
	}
}

// emulatedDevice publishes one message, and ends the loop when it is
// acknowledged. It tries again until it is.
func emulatedDevice(loop *sim.Loop, host *stack.Host, broker netip.AddrPort) {
	var attempt func()
	attempt = func() {
		c, err := host.Dial(broker)
		if err != nil {
			loop.Cancel(err)
			return
		}
		var got []byte
		c.OnConnected(func() {
			c.Write(codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("emulated"), CleanSession: true, KeepAlive: 30}))
		})
		c.OnData(func(data []byte) {
			got = append(got, data...)
			switch len(got) {
			case 4: // CONNACK
				c.Write(codec.AppendPublish(nil, &codec.Publish{Topic: []byte("t"), QoS: 1, ID: 1, Payload: []byte("hello")}))
			case 8: // and PUBACK
				c.Close()
				loop.After(100*time.Millisecond, loop.Stop)
			}
		})
		c.OnClosed(func(error) {
			c.Close()
			loop.After(100*time.Millisecond, attempt)
		})
	}
	loop.After(0, attempt)
}

// What the page shows can be copied: each piece of a scenario is valid, and each
// command runs a scenario that there is.
func TestTheExamplesOfTheGatewayPageAreValid(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var pieces []string
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		pieces = append(pieces, m[1])
	}
	for _, m := range regexp.MustCompile("`(broker: {[^`…]*})`").FindAllStringSubmatch(page, -1) {
		pieces = append(pieces, m[1]+"\n")
	}
	if len(pieces) < 4 {
		t.Fatalf("the page has %d pieces of scenarios", len(pieces))
	}
	for _, piece := range pieces {
		base := "version: 1\nname: page\nduration: 5s\ndevices: [{steps: [connect]}]\n"
		if !strings.Contains(piece, "clock:") {
			base += "clock: real\n"
		}
		if _, err := scenarios.Load("page.yaml", []byte(base+piece)); err != nil {
			t.Errorf("%s\n%v", piece, err)
		}
	}
	for _, m := range regexp.MustCompile("emu run ([a-z-]+)").FindAllStringSubmatch(page, -1) {
		library(t, m[1])
	}
}
