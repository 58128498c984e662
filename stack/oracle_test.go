package stack

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/sim"
)

// tshark reads a run with every IPv6 message that a host sends and finds
// nothing malformed and no wrong checksum in it.
func TestTsharkFindsNothingWrongWithAnIPv6Run(t *testing.T) {
	linktest.Require(t, "tshark")
	path := filepath.Join(t.TempDir(), "ipv6.pcapng")
	recorder, err := pcaps.NewRecorder(pcaps.RecorderConfig{Run: pcaps.RunInfo{Version: "test", Seed: 1}})
	if err != nil {
		t.Fatal(err)
	}
	point, err := recorder.CreatePoint("wire", path, pcaps.PointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 1)
	w.tap = func(fromA bool, data []byte) {
		dir := pcaps.Inbound
		if fromA {
			dir = pcaps.Outbound
		}
		if err := point.Capture(w.loop.Now(), w.ids, dir, data, pcaps.FateFinal); err != nil {
			t.Fatal(err)
		}
	}
	w.lose = func(fromA bool, n int, _ []byte) bool { return !fromA && n <= 3 || n%50 == 0 }
	w.dual(func(a, b *Config) {
		a.Addr6, a.SLAAC, a.DAD, a.Profile = netip.Prefix{}, true, 1, NetX()
		b.Addr6, b.Advertise = netip.MustParsePrefix("fd00:1::2/64"), network6
	})
	w.loop.At(sim.Time(20*time.Second), func() {
		client, server := w.dial6(80)
		client.send(pattern(100_000, 1))
		client.closeNow = true
		_ = server
		for _, to := range []string{"fd00:1::2", "fd00:1::99", "fe80::ff:fe00:2"} {
			if err := w.a.Ping(netip.MustParseAddr(to), 100, time.Second, func(time.Duration, error) {}); err != nil {
				t.Error(err)
			}
		}
		if c, err := w.a.Dial(netip.MustParseAddrPort("[fd00:1::2]:81")); err != nil {
			t.Error(err)
		} else {
			new(stream).attach(c)
		}
	})
	w.run(60 * time.Second)
	w.close()
	if err := recorder.Close(sim.Time(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	shark := func(filter string) string {
		cmd := exec.Command("tshark", "-n", "-o", "tcp.check_checksum:TRUE", "-r", path, "-Y", filter)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("tshark %s: %v", filter, err)
		}
		return string(out)
	}
	for _, filter := range []string{"_ws.malformed", "_ws.expert.severity == error", "icmpv6.checksum.status != Good", "tcp.checksum.status != Good"} {
		if out := shark(filter); out != "" {
			t.Errorf("%s:\n%s", filter, out)
		}
	}
	// Of each kind there is something to judge.
	for _, filter := range []string{
		"icmpv6.type == 133", "icmpv6.type == 134 && icmpv6.opt.prefix == fd00:1::", "icmpv6.type == 135 && ipv6.src == ::",
		"icmpv6.type == 135 && icmpv6.opt.linkaddr == 02:00:00:00:00:01", "icmpv6.type == 136 && icmpv6.nd.na.flag.o == 1",
		"icmpv6.type == 128", "icmpv6.type == 129", "tcp.flags.syn == 1 && ipv6.hlim == 255 && tcp.options.mss_val == 1440",
		"tcp.len > 1000", "tcp.flags.reset == 1 && ipv6",
	} {
		if strings.TrimSpace(shark(filter)) == "" {
			t.Errorf("no frame matches %s", filter)
		}
	}
}
