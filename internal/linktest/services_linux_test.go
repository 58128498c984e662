package linktest_test

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

func TestANamespaceHasItsOwnInterfacesAndGoesAtTheEnd(t *testing.T) {
	var name string
	t.Run("inside", func(t *testing.T) {
		n := linktest.Namespace(t)
		name = n.Name
		if links := n.Run("ip", "-br", "link"); strings.Count(links, "\n") != 1 || !strings.HasPrefix(links, "lo ") {
			t.Errorf("a new namespace has more than lo:\n%s", links)
		}
	})
	if name == "" {
		t.Skip("no right to create a network namespace")
	}
	out, err := linktest.Start(t, exec.Command("ip", "netns", "list")).Wait(t)
	if err != nil || strings.Contains(out, name) {
		t.Errorf("%s is left: %v\n%s", name, err, out)
	}
}

func TestMosquittoAndTcpdumpRunInANamespace(t *testing.T) {
	linktest.NoLeaks(t)
	linktest.Require(t, "mosquitto", "mosquitto_pub", "tcpdump", "tshark")
	n := linktest.Namespace(t)
	m := n.Mosquitto(netip.MustParseAddrPort("127.0.0.1:1883"))
	capture := n.Tcpdump("lo")
	n.Run("mosquitto_pub", "-h", "127.0.0.1", "-i", "publisher", "-t", "a/b", "-m", "hello", "-q", "1")
	m.WaitFor(t, "Received PUBLISH from publisher (d0, q1, r0, m1, 'a/b'")
	m.WaitFor(t, "Client publisher disconnected")
	got := linktest.Tshark(t, "-r", capture.Finish(), "-Y", "mqtt.msgtype == 3", "-T", "fields", "-e", "mqtt.topic")
	if strings.TrimSpace(got) != "a/b" {
		t.Errorf("tshark sees topics %q, want a/b", got)
	}
}
