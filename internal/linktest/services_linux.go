package linktest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A Mosquitto is a mosquitto that runs in a namespace.
type Mosquitto struct {
	*Process
	Addr netip.AddrPort
}

// Mosquitto starts mosquitto in the namespace, listening at addr, logging
// everything; settings are further lines of its configuration. It returns when
// the broker listens.
func (n *Net) Mosquitto(addr netip.AddrPort, settings ...string) *Mosquitto {
	n.t.Helper()
	Require(n.t, "mosquitto")
	conf := []string{
		fmt.Sprintf("listener %d %s", addr.Port(), addr.Addr()),
		"allow_anonymous true", "persistence false", "log_dest stderr", "log_type all",
		"log_timestamp false", "connection_messages true",
	}
	if os.Geteuid() == 0 {
		conf = append(conf, "user root") // else it changes to a user that may not exist
	}
	path := filepath.Join(n.t.TempDir(), "mosquitto.conf")
	text := strings.Join(append(conf, settings...), "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	m := &Mosquitto{Process: Start(n.t, n.Command("mosquitto", "-c", path)), Addr: addr}
	m.WaitFor(n.t, "running")
	n.Do(func() error {
		conn, err := net.DialTimeout("tcp", addr.String(), patience)
		if err != nil {
			return fmt.Errorf("linktest: mosquitto says that it runs: %w\n%s", err, m.Output())
		}
		return conn.Close()
	})
	return m
}

// A Capture is a tcpdump that runs in a namespace.
type Capture struct {
	*Process
	Path string
	n    *Net
}

// Tcpdump captures all frames at an interface of the namespace, from now until
// Finish.
func (n *Net) Tcpdump(ifname string) *Capture {
	n.t.Helper()
	Require(n.t, "tcpdump")
	path := filepath.Join(n.t.TempDir(), "tcpdump.pcap")
	// In immediate mode each frame takes a slot of the longest length from the
	// buffer, whose default of 2 MiB would hold eight: on a busy machine frames
	// would be lost.
	args := []string{"-i", ifname, "-s", "65535", "-B", "32768", "-U", "--immediate-mode", "-n", "-w", path}
	if os.Geteuid() == 0 {
		args = append(args, "-Z", "root") // it would give up the right to write here
	}
	c := &Capture{Process: Start(n.t, n.Command("tcpdump", args...)), Path: path, n: n}
	c.WaitFor(n.t, "listening on")
	return c
}

var tcpdumpLost = regexp.MustCompile(`(\d+) packets? dropped by kernel`)

// Finish ends the capture and returns its file. Frames that tcpdump lost fail
// the test: nothing could be said about what is in the file.
func (c *Capture) Finish() string {
	c.n.t.Helper()
	c.Stop(c.n.t)
	if m := tcpdumpLost.FindStringSubmatch(c.Output()); m == nil || m[1] != "0" {
		c.n.t.Fatalf("tcpdump lost frames, or does not say:\n%s", c.Output())
	}
	return c.Path
}
