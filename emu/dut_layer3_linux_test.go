package emu_test

import (
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
)

// A device whose interface has no Ethernet, as a modem's has none: the kernel's own
// ping and mosquitto_pub reach the broker, which takes it for a neighbour with an
// address; its cable is pulled, and it goes on.
func TestADeviceWithoutEthernet(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto_pub", "ping", "tshark")
	out := t.TempDir()
	result, said := observe(t, `
version: 1
name: tun
clock: real
duration: 6s
devices:
  - name: modem
    kind: tap
    mac: 02:77:00:00:00:07
    address: 10.0.0.2/24
    tap: {layer: 3, netns: private}
    exec: |
      ip -br link show $HILNET_TAP
      ping -c 3 -i 0.1 -W 3 $HILNET_BROKER
      for i in $(seq 1 10); do echo "message $i"; sleep 0.1; done |
      mosquitto_pub -h $HILNET_BROKER -p $HILNET_PORT -i $HILNET_CLIENT -t telemetry -q 1 -l
links: [{delay: 10ms}]
broker: {kind: model}
timeline:
  - {after: {event: broker.received, nth: 3}, do: link_down, for: 700ms}
  - {after: {event: broker.received, nth: 6}, do: blackhole, for: 700ms}
expect:
  - delivered == 10 and device("modem").exec.status == 0 and conservation_errors == 0
  - drops.reason.blackhole > 0
`, out)
	if result.Verdict != emu.Pass || !strings.Contains(said, "3 received") {
		t.Errorf("%+v\n%s", result.Checks, said)
	}
	if !strings.Contains(said, "POINTOPOINT") || strings.Contains(said, "02:77") {
		t.Errorf("the interface is no TUN:\n%s", said)
	}
	for _, point := range []string{"device", "peer"} {
		path := filepath.Join(out, "tun."+point+".pcapng")
		if err := pcaps.Verify(path); err != nil {
			t.Error(err)
		}
		// What the device sends, by our made-up address: its ARP request, and PUBLISH.
		got := linktest.Tshark(t, "-r", path, "-Y", "eth.src == 02:77:00:00:00:07 || _ws.malformed", "-T", "fields",
			"-e", "arp.dst.proto_ipv4", "-e", "mqtt.msgtype", "-e", "_ws.malformed")
		if !strings.Contains(got, "10.0.0.1\t\t\n") || !strings.Contains(got, "\t3\t\n") || strings.Contains(got, "alformed") {
			t.Errorf("%s: the frames of the device are\n%s", point, got)
		}
	}
}
