//go:build linux

package emu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/scenarios"
)

// tapScenario talks to a real broker for seven seconds of real time. The cable
// is out for a second and a half of them.
const tapScenario = `
version: 1
name: tap
clock: real
duration: 7s
devices:
  - profile: netx
    address: 10.0.0.2/24
    pool: {packets: 40}
    mqtt: {client_id: device, keepalive: 30s}
    reconnect: 500ms
    steps:
      - connect
      - subscribe: {topic: commands, qos: 1}
      - every:
          period: 200ms
          count: 25
          do:
            - publish: {topic: telemetry, payload: "message {n}", qos: 1}
            - message_get: all
      - wait_for: {event: acked, timeout: 1s}
      - message_get: all
      - disconnect
links: [{delay: 10ms}]
broker:
  kind: tap
  tap: {name: hil0, address: 10.0.0.1/24, netns: NETNS}
timeline:
  - {at: 2s, do: link_down, for: 1500ms}
`

// The model device is a neighbour of real programs: mosquitto, its clients and
// ping take it for a host, the kernel sees its cable go, and what tcpdump
// records beside us is what we record.
func TestADeviceOnATapIsAHostAmongRealOnes(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto", "mosquitto_pub", "mosquitto_sub", "tcpdump", "ping", "tshark")
	ns := linktest.Namespace(t)
	ns.Run("ip", "tuntap", "add", "hil0", "mode", "tap")
	ns.Run("sysctl", "-qw", "net.ipv6.conf.hil0.disable_ipv6=1")
	ns.Run("ip", "link", "set", "hil0", "up")
	broker := ns.Mosquitto(netip.MustParseAddrPort("0.0.0.0:1883"))
	tcpdump := ns.Tcpdump("hil0")
	monitor := linktest.Start(t, ns.Command("ip", "monitor", "link"))
	sub := linktest.Start(t, ns.Command("mosquitto_sub", "-h", "127.0.0.1", "-t", "telemetry", "-q", "1", "-C", "25", "-W", "20"))
	broker.WaitFor(t, "Sending SUBACK")

	sc, err := scenarios.Load("tap.yaml", []byte(strings.Replace(tapScenario, "NETNS", ns.Name, 1)))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	world, err := emu.New(sc, emu.Options{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(10000)
	finished := make(chan struct{})
	var result *emu.Result
	go func() {
		defer close(finished)
		result, err = world.Run(context.Background())
	}()
	for e := range events.Events() {
		if e.Kind == "mqtt.subscribed" {
			break
		}
	}
	ns.Do(func() error { return sendToItself("hil0") })
	ping := ns.Run("ping", "-c", "3", "-i", "0.2", "-W", "2", "10.0.0.2")
	for i := range 5 {
		ns.Run("mosquitto_pub", "-h", "127.0.0.1", "-t", "commands", "-q", "1", "-m", fmt.Sprintf("command %d", i))
	}
	<-finished
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(ping, "3 received") || !strings.Contains(ping, "ttl=128") {
		t.Errorf("ping says:\n%s", ping)
	}
	o := result.Outcome
	if o.Published != 25 || o.Acknowledged != 25 || o.Received != 5 || len(o.ConservationErrors) > 0 {
		t.Errorf("published %d, acknowledged %d, want 25; received %d, want 5; unaccounted: %v",
			o.Published, o.Acknowledged, o.Received, o.ConservationErrors)
	}
	got, err := sub.Wait(t)
	if err != nil || strings.Count(got, "message ") != 25 {
		t.Errorf("mosquitto_sub: %v, printed:\n%s", err, got)
	}
	log := broker.Output()
	received := strings.Count(log, "Received PUBLISH from device")
	if received < 25 || strings.Count(log, "Sending PUBACK to device") != received || strings.Count(log, "Received PUBACK from device") != 5 {
		t.Errorf("mosquitto's log disagrees: %d PUBLISHes from the device\n%s", received, log)
	}
	if !regexp.MustCompile(`hil0: <NO-CARRIER`).MatchString(monitor.Output()) {
		t.Errorf("the kernel did not see the cable go:\n%s", monitor.Output())
	}
	compareWithKernel(t, o, ns.Run("ip", "-s", "-j", "link", "show", "hil0"))
	filtered := linktest.Tshark(t, "-r", filepath.Join(out, "tap.peer.pcapng"), "-Y", `frame.comment contains "switch_filtered"`, "-T", "fields", "-e", "eth.src")
	if strings.TrimSpace(filtered) != itself.String() || o.Switch.Filtered != 1 || result.Recording.LateFates != 0 {
		t.Errorf("the frame that the switch filtered: %q in the capture, switch %+v, recording %+v", filtered, o.Switch, result.Recording)
	}
	compareWithTcpdump(t, filepath.Join(out, "tap.peer.pcapng"), tcpdump.Finish())
	for _, point := range []string{"device", "peer"} {
		file := filepath.Join(out, "tap."+point+".pcapng")
		if bad := linktest.Tshark(t, "-r", file, "-Y", "_ws.malformed || tcp.checksum.status == 0", "-o", "tcp.check_checksum:TRUE"); bad != "" {
			t.Errorf("%s: malformed frames:\n%s", point, bad)
		}
		if err := pcaps.Verify(file); err != nil {
			t.Errorf("%s: %v", point, err)
		}
	}
}

// itself is an address that nobody else sends to.
var itself = net.HardwareAddr{0x02, 0x77, 0, 0, 0, 1}

// sendToItself sends a frame out of an interface whose source is its destination:
// a switch must keep it.
func sendToItself(name string) error {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	frame := make([]byte, 60)
	copy(frame, itself)
	copy(frame[6:], itself)
	frame[12], frame[13] = 0x88, 0xb5 // for local experiments (IEEE 802)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifc.Index})
}

// compareWithKernel requires the counters of the TAP to be those of its
// interface: what the kernel sent we have read, what it received we have written.
func compareWithKernel(t *testing.T, o *scenarios.Outcome, ipLink string) {
	t.Helper()
	var links []struct {
		Stats struct {
			RX struct{ Packets int }
			TX struct{ Packets, Dropped int }
		} `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(ipLink), &links); err != nil || len(links) != 1 {
		t.Fatalf("ip printed %q: %v", ipLink, err)
	}
	k := links[0].Stats
	if o.Tap.Read != k.TX.Packets || o.Tap.Written != k.RX.Packets || o.Tap.Read < 30 {
		t.Errorf("TAP %+v, the kernel has %+v", o.Tap, k)
	}
	s := o.Switch
	if s.FramesIn != s.Forwarded+s.Directed+s.Flooded+s.Filtered+s.Malformed || o.Tap.Delivered != o.Tap.Read-o.Tap.Backlog {
		t.Errorf("switch %+v, TAP %+v", s, o.Tap)
	}
}

// compareWithTcpdump requires the same frames in both files, in the same order
// each way. Only what tcpdump saw before and after the run may be missing here:
// there was none, for the interface had no peer.
func compareWithTcpdump(t *testing.T, ours, theirs string) {
	t.Helper()
	device := []byte{0x02, 0, 0, 0, 0, 0x02}
	read := func(file string) (from, to [][]byte) {
		for p, err := range pcaps.Packets(file) {
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(p.Data[6:12], device) {
				from = append(from, bytes.Clone(p.Data))
			} else {
				to = append(to, bytes.Clone(p.Data))
			}
		}
		return from, to
	}
	ourFrom, ourTo := read(ours)
	theirFrom, theirTo := read(theirs)
	for _, way := range []struct {
		name         string
		ours, theirs [][]byte
	}{{"from the device", ourFrom, theirFrom}, {"to the device", ourTo, theirTo}} {
		if len(way.ours) != len(way.theirs) || len(way.ours) < 30 {
			t.Errorf("%s: %d frames here, tcpdump has %d", way.name, len(way.ours), len(way.theirs))
		}
		for i := range min(len(way.ours), len(way.theirs)) {
			if !bytes.Equal(way.ours[i], way.theirs[i]) {
				t.Errorf("%s: frame %d differs:\n%x\n%x", way.name, i, way.ours[i], way.theirs[i])
				break
			}
		}
	}
}

const tap6Scenario = `
version: 1
name: tap6
clock: real
duration: 4s
devices:
  - profile: linux
    address6: "fd00:0:0:7::2/64"
    mqtt: {client_id: device, family: ipv6}
    steps:
      - connect
      - publish: {topic: telemetry, payload: by IPv6, qos: 1}
      - wait_for: {event: acked, timeout: 1s}
      - disconnect
broker:
  kind: tap
  tap: {name: hil0, netns: NETNS, address6: "fd00:0:0:7::1/64"}
expect: [connects == 1, acknowledged == 1]
`

// By IPv6 too the device is a host among real ones: the kernel answers its
// neighbour solicitations, and mosquitto its client.
func TestADeviceOnATapSpeaksIPv6(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto", "tshark")
	ns := linktest.Namespace(t)
	broker := ns.Mosquitto(netip.MustParseAddrPort("127.0.0.1:1882"), "listener 1883 ::")
	sc, err := scenarios.Load("tap6.yaml", []byte(strings.Replace(tap6Scenario, "NETNS", ns.Name, 1)))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	result, err := emu.Run(t.Context(), sc, emu.Options{Out: out})
	if err != nil || result.Verdict != emu.Pass {
		t.Fatalf("%v, %+v", err, result)
	}
	if log := broker.Output(); !strings.Contains(log, "fd00:0:0:7::2") {
		t.Errorf("mosquitto says\n%s", log)
	}
	for _, filter := range []string{"icmpv6.type == 136 && ipv6.src == fd00:0:0:7::1", "mqtt.msgtype == 4 && ipv6.dst == fd00:0:0:7::2"} {
		if linktest.Tshark(t, "-r", filepath.Join(out, "tap6.device.pcapng"), "-Y", filter) == "" {
			t.Errorf("no frame is %s", filter)
		}
	}
}
