package emu_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/trace"
)

// observe runs a scenario and returns its result and what its programs said.
func observe(t *testing.T, text, out string) (*emu.Result, string) {
	t.Helper()
	world, err := emu.New(scenario(t, text), emu.Options{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(1 << 16)
	result, err := world.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for e := range events.Events() {
		if e.Kind == trace.KindExecOutput {
			said.WriteString(e.Text + "\n")
		}
	}
	return result, said.String()
}

// lwipClient builds the client in testdata/lwip against Debian's lwIP.
func lwipClient(t *testing.T) string {
	t.Helper()
	linktest.Require(t, "gcc", linktest.NeedLwIP)
	program := filepath.Join(t.TempDir(), "lwip-client")
	cmd := exec.CommandContext(t.Context(), "gcc", "-O1", "-Wall", "-I/usr/include/lwip", "-o", program,
		filepath.Join(linktest.Root(t), "emu", "testdata", "lwip", "main.c"), "-llwip")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return program
}

// A stack of an embedded kind that nobody here wrote opens the TAP itself: lwIP,
// through a driver that fails, an outage that nobody tells it of, and losses. All
// it publishes is delivered once. Its own driver says what tx_error is there.
func TestADeviceOnEachSideOfATAP(t *testing.T) {
	linktest.Require(t, "tun", "netns")
	client := lwipClient(t)
	out := t.TempDir()
	result, said := observe(t, strings.Replace(`
version: 1
name: lwip
clock: real
duration: 12s
devices:
  - name: lwip
    kind: tap
    address: 10.0.0.2/24
    tap: {name: dut9, side: descriptor, netns: private}
    exec: PRECONFIGURED_TAPIF=$HILNET_TAP exec CLIENT $HILNET_ADDRESS 255.255.255.0 $HILNET_BROKER $HILNET_PORT 20 200
links: [{delay: 10ms}]
broker: {kind: model}
timeline:
  - {after: {event: broker.received, nth: 3, delay: 100ms}, do: tx_error, for: 1s}
  - {after: {event: broker.received, nth: 8}, do: blackhole, for: 1s}
expect:
  - delivered == 20 and device("lwip").exec.status == 0 and conservation_errors == 0
  - drops.reason.blackhole > 0
`, "CLIENT", client, 1), out)
	if result.Verdict != emu.Pass || !strings.Contains(said, "all acknowledged") {
		t.Errorf("%+v\n%s", result.Checks, said)
	}
	if !strings.Contains(said, "write: Input/output error") {
		t.Errorf("lwIP's driver did not see its send fail:\n%s", said)
	}
	for _, point := range []string{"device", "peer"} {
		if err := pcaps.Verify(filepath.Join(out, "lwip."+point+".pcapng")); err != nil {
			t.Error(err)
		}
	}
	// The broker's SYN-ACK answers a SYN that only lwIP sends like this: one option, MSS 1460 or 536, and TTL 255.
	if syn := linktest.Tshark(t, "-r", filepath.Join(out, "lwip.peer.pcapng"), "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0 && ip.ttl == 255", "-T", "fields", "-e", "tcp.options"); !strings.HasPrefix(syn, "0204") {
		t.Errorf("no SYN of lwIP: %q", syn)
	}
}

// TestHoldATAP is what another test runs; it is no test. It opens a TAP and reads
// nothing.
func TestHoldATAP(t *testing.T) {
	if os.Getenv("HILNET_TEST_HOLD") == "" {
		t.Skip("runs only inside other tests")
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	req, err := unix.NewIfreq(os.Getenv("HILNET_TAP"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	fmt.Println("holds it")
	time.Sleep(time.Minute)
}

// Firmware that has its TAP open and does not read: what the kernel drops behind the
// bridge is counted and has a reason, though hilnet's own TAP took it all; so is what
// comes while hilnet has the device's TAP down.
func TestWhatADeviceDoesNotReadIsCounted(t *testing.T) {
	linktest.Require(t, "tun", "netns")
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	peer := linktest.Namespace(t)
	world, err := emu.New(scenario(t, strings.NewReplacer("SELF", self, "PEER", peer.Name).Replace(`
version: 1
name: unread
clock: real
duration: 6s
devices:
  - name: dut
    kind: tap
    tap: {side: descriptor, netns: private}
    exec: HILNET_TEST_HOLD=1 exec SELF -test.run '^TestHoldATAP$'
broker: {kind: tap, tap: {name: hil0, address: 10.0.0.1/24, netns: PEER}}
timeline: [{at: 4500ms, do: tx_error}]
`)), emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(1 << 16)
	done := make(chan *emu.Result, 1)
	go func() {
		r, err := world.Run(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	flooded := false
	for e := range events.Events() {
		if e.Kind == trace.KindExecOutput && strings.Contains(e.Text, "holds it") && !flooded {
			flooded = true
			time.Sleep(1500 * time.Millisecond) // until the bridge has opened the port
			peer.Do(func() error { return floodFromStrangers("hil0", 3000) })
		}
		if e.Kind == trace.KindNIC {
			peer.Do(func() error { return floodFromStrangers("hil0", 300) })
		}
	}
	o := (<-done).Outcome
	lost, down := o.Drops.Reason["tap_unread"], o.Drops.Reason["link_down"]
	nic := o.Devices[0].NIC
	if !flooded || lost < 500 || down < 200 || nic.RxDropped < lost+down || nic.RxFrames+lost < 2500 || nic.RxFrames > 2500 || len(o.ConservationErrors) > 0 {
		t.Errorf("%d were not read, %d came while it was down, %+v, %+v, %v", lost, down, nic, o.Drops, o.ConservationErrors)
	}
}

// Firmware inside QEMU, at a socket and without any rights, and a server on this
// machine's loopback, which the gateway leads to: iPXE fetches a page again and
// again, whole each time, through a lost frame; it sees its cable go by QEMU's
// monitor, is not told of an outage, and goes on after both. hil-qemu has the stream
// and the model broker.
func TestFirmwareInQEMUReachesAServerThroughTheGateway(t *testing.T) {
	linktest.Require(t, "qemu-system-x86_64", linktest.NeedIPXE)
	t.Parallel()
	const length = 100_000
	var whole atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(length))
		if _, err := w.Write(bytes.Repeat([]byte("0123456789"), length/10)); err == nil && r.URL.Path == "/page" {
			whole.Add(1)
		}
	}))
	defer server.Close()
	out := t.TempDir()
	result, said := observe(t, strings.NewReplacer("QMP", filepath.Join(out, "qmp"), "TO", server.Listener.Addr().String(),
		"SCRIPT", filepath.Join(linktest.Root(t), "emu", "testdata", "ipxe.ipxe")).Replace(`
version: 1
name: ipxe
clock: real
duration: 18s
devices:
  - name: ipxe
    kind: socket
    address: 10.0.0.2/24
    socket: {mode: dgram}
    qmp: {path: QMP, device: nic7}
    exec: |
      exec qemu-system-x86_64 -M pc,graphics=off -m 256 -display none -serial stdio -monitor none -no-reboot \
        -netdev dgram,id=nic7,local.type=unix,local.path=$HILNET_REMOTE,remote.type=unix,remote.path=$HILNET_SOCKET \
        -device e1000,netdev=nic7,mac=$HILNET_MAC,romfile= \
        -qmp unix:$HILNET_QMP,server=on,wait=off -kernel /usr/lib/ipxe/ipxe.lkrn -initrd SCRIPT
links: [{delay: 10ms, down: {drop_frames: [30]}}]
broker: {kind: gateway, gateway: {to: "TO"}}
timeline:
  - {after: {event: drop, delay: 1500ms}, do: link_down, for: 2s}
  - {after: {event: drop, delay: 6s}, do: blackhole, for: 1500ms}
`), out)
	fetched := strings.Count(said, fmt.Sprintf("page : %d bytes", length))
	if fetched < 3 || int(whole.Load()) < fetched {
		t.Errorf("%d pages were fetched, %d sent", fetched, whole.Load())
	}
	if !strings.Contains(said, "[Link:down") || !strings.Contains(said, "[Link:up") {
		t.Error("iPXE did not see its cable go and come")
	}
	o := result.Outcome
	if o.Drops.Reason["listed"] != 1 || o.Drops.Reason["blackhole"] == 0 || len(o.ConservationErrors) > 0 || int(o.Gateway.DownBytes) < fetched*length {
		t.Errorf("%+v, %+v, %v", o.Drops, o.Gateway, o.ConservationErrors)
	}
	if t.Failed() {
		t.Log(said)
	}
	t.Logf("%d pages, lateness %v", fetched, result.Lateness.Max)
}

// A board stands at a NIC of this machine. Here its cable is a veth: the board is a
// namespace of its own, with mosquitto's client.
func TestABoardIsADevice(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto_pub")
	host, board := linktest.Namespace(t), linktest.Namespace(t)
	host.Run("ip", "link", "add", "nic7", "type", "veth", "peer", "name", "board0")
	host.Run("ip", "link", "set", "board0", "netns", board.Name)
	board.Run("ip", "addr", "add", "10.0.0.2/24", "dev", "board0")
	board.Run("ip", "link", "set", "board0", "up")
	// This machine has the broker's address itself, elsewhere, and is not to answer for it.
	host.Run("ip", "addr", "add", "10.0.0.1/24", "dev", "lo")
	monitor := linktest.Start(t, board.Command("ip", "monitor", "link"))
	p, _ := startIn(t, host, `
version: 1
name: board
clock: real
duration: 4s
devices:
  - {name: board, kind: board, board: nic7, mqtt: {client_id: the-board}, address: 10.0.0.2/24}
broker: {kind: model}
timeline:
  - {at: 2500ms, do: link_down, for: 500ms}
expect: ['device("board").delivered == 3']
`)
	p.WaitFor(t, "begins")
	sent := 0
	for deadline := time.Now().Add(10 * time.Second); sent < 3 && time.Now().Before(deadline); {
		if board.Command("mosquitto_pub", "-h", "10.0.0.1", "-i", "the-board", "-t", "telemetry", "-q", "1", "-m", "from the board").Run() == nil {
			sent++
		}
	}
	o := finish(t, p, 20*time.Second)
	if sent != 3 || o.Devices[0].NIC.TxFrames < 15 {
		t.Errorf("%d sent, %+v", sent, o.Devices[0].NIC)
	}
	if !strings.Contains(monitor.Output(), "NO-CARRIER") {
		t.Errorf("the board did not see its cable go:\n%s", monitor.Output())
	}
	if left := host.Run("ip", "-d", "link"); strings.Contains(left, "bridge") || strings.Contains(left, "tun") || strings.Contains(left, ",UP") && strings.Contains(left, "nic7: <BROADCAST,MULTICAST,UP") {
		t.Errorf("not given back: %s", left)
	}
}

// A NIC that is taken away in the middle: the run says so, and judges nothing.
func TestABoardWhoseInterfaceGoesIsNoResult(t *testing.T) {
	linktest.Require(t, "tun", "netns")
	t.Parallel()
	for command, why := range map[string]string{
		"ip link del nic7":          "the interface nic7 is gone",
		"ip link set nic7 nomaster": "taken the interface nic7 out of its bridge",
		"ip link del $(ip -o link show type bridge | cut -d' ' -f2 | tr -d :)": "somebody has removed it",
	} {
		host := linktest.Namespace(t)
		host.Run("ip", "link", "add", "nic7", "type", "veth", "peer", "name", "board0")
		p, _ := startIn(t, host, `
version: 1
name: gone
clock: real
duration: 800ms
devices: [{kind: board, board: nic7, exec: "`+command+`"}]
broker: {kind: model}
expect: [conservation_errors == 0]
`)
		if said, err := p.Wait(t); err == nil || !strings.Contains(said, why) || strings.Contains(said, "outcome ") {
			t.Errorf("%s: %v, want %q\n%s", command, err, why, said)
		}
		if left := host.Run("ip", "-d", "link"); strings.Contains(left, "bridge") || strings.Contains(left, "tun") {
			t.Errorf("%s: left behind: %s", command, left)
		}
	}
}

// kill -9 of emu: its TAPs and bridges are gone with the next run at the latest,
// and so are its programs; the next run works.
func TestAfterKillTheNextRunWorksAndTheHostIsClean(t *testing.T) {
	linktest.Require(t, "tun", "netns", "setsid")
	ns := linktest.Namespace(t)
	text := `
version: 1
name: killed
clock: real
duration: DURATION
devices:
  - name: dut
    kind: tap
    tap: {name: dut7, side: descriptor}
    exec: |
      setsid sh -c 'echo sleeper $$; exec sleep 300' &
      echo ready; exec sleep 300
broker: {kind: tap, tap: {name: hil0}}
expect: ['device("dut").exec.lines == 2']
`
	p, _ := startIn(t, ns, strings.Replace(text, "DURATION", "60s", 1))
	p.WaitFor(t, "begins")
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(ns.Run("ip", "-br", "link"), "dut7") || len(processesIn(ns)) < 3 {
		if time.Now().After(deadline) {
			t.Fatalf("the run does not begin: %v %s", processesIn(ns), p.Output())
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, pid := range processesIn(ns) {
		killIfTest(t, pid)
	}
	p.WaitWithin(t, 10*time.Second)
	next, _ := startIn(t, ns, strings.Replace(text, "DURATION", "1s", 1))
	if o := finish(t, next, 20*time.Second); o.Devices[0].Exec.Starts != 1 {
		t.Errorf("%+v", o.Devices[0])
	}
	if left := processesIn(ns); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left := ns.Run("ip", "-br", "link"); strings.Contains(left, "dut7") || strings.Contains(left, "hb") || strings.Contains(left, "hil0") {
		t.Errorf("interfaces are left: %s", left)
	}
}
