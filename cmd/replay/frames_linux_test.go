package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
)

// numbered writes a capture of n frames, pause apart, whose payloads are numbers.
func numbered(t testing.TB, n int, pause time.Duration, size int) string {
	t.Helper()
	var file bytes.Buffer
	w, err := pcaps.NewPcapWriter(&file, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	f := make([]byte, size)
	copy(f, []byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5}) // local experimental EtherType
	for i := range n {
		binary.BigEndian.PutUint32(f[14:], uint32(i))
		if err := w.WritePacket(pcaps.VirtualEpoch+pcaps.Stamp(i)*pcaps.Stamp(pause), f, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "numbered.pcap")
	if err := os.WriteFile(name, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// veth makes a pair of interfaces in a namespace of the test.
func veth(t testing.TB) *linktest.Net {
	t.Helper()
	linktest.Require(t, linktest.NeedNetns, "tcpdump")
	ns := linktest.Namespace(t)
	ns.Run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
	ns.Run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
	ns.Run("ip", "link", "set", "near", "up")
	ns.Run("ip", "link", "set", "far", "up")
	return ns
}

// arrivals returns the numbers and times of the numbered frames in a capture.
func arrivals(t testing.TB, name string) (numbers []uint32, at []pcaps.Stamp) {
	t.Helper()
	for p, err := range pcaps.Packets(name) {
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Data) >= 18 && p.Data[12] == 0x88 && p.Data[13] == 0xb5 {
			numbers = append(numbers, binary.BigEndian.Uint32(p.Data[14:]))
			at = append(at, p.Time)
		}
	}
	return numbers, at
}

func TestFramesArriveOnAnInterfaceInOrderAndTheKernelCountsThem(t *testing.T) {
	ns := veth(t)
	const n = 300
	name := numbered(t, n, time.Millisecond, 100)
	dump := ns.Tcpdump("far")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"frames", name, "--to", "nic:near", "--netns", ns.Name, "--spin", "50us"}, &out, &errs); code != exitPass {
		t.Fatalf("exit %d: %s%s", code, out.String(), errs.String())
	}
	numbers, _ := arrivals(t, dump.Finish())
	if len(numbers) != n || !slices.IsSorted(numbers) {
		t.Fatalf("%d frames arrived, sorted %v, want %d in order", len(numbers), slices.IsSorted(numbers), n)
	}
	var counters []struct {
		Stats64 struct{ TX struct{ Packets int } } `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(ns.Run("ip", "-j", "-s", "link", "show", "dev", "near")), &counters); err != nil || counters[0].Stats64.TX.Packets < n {
		t.Errorf("%v: the kernel counted %+v, want at least %d", err, counters, n)
	}
	if !strings.Contains(out.String(), fmt.Sprintf("%d frames, %d bytes", n, n*100)) || !strings.Contains(out.String(), "lateness: median") {
		t.Errorf("%s", out.String())
	}
}

func TestFramesReachTheKernelBehindATAP(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, "ip", "tcpdump")
	ns := linktest.Namespace(t)
	ns.Run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
	ns.Run("ip", "tuntap", "add", "dev", "tap9", "mode", "tap")
	ns.Run("ip", "link", "set", "tap9", "up")
	dump := ns.Tcpdump("tap9")
	name := numbered(t, 50, time.Millisecond, 100)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"frames", name, "--to", "tap:tap9", "--netns", ns.Name}, &out, &errs); code != exitPass {
		t.Fatalf("exit %d: %s%s", code, out.String(), errs.String())
	}
	if numbers, _ := arrivals(t, dump.Finish()); len(numbers) != 50 || !slices.IsSorted(numbers) {
		t.Errorf("%d frames arrived: %v", len(numbers), numbers)
	}
}

func TestFramesThatAnInterfaceDoesNotTakeAreNamed(t *testing.T) {
	ns := veth(t)
	name := numbered(t, 5, 0, 2000)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"frames", name, "--to", "nic:near", "--netns", ns.Name}, &out, &errs); code != exitFail || !strings.Contains(out.String(), "5 refused: longer than mtu") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	ns.Run("ip", "link", "set", "near", "down")
	out.Reset()
	name = numbered(t, 5, 0, 60)
	if code := run(t.Context(), []string{"frames", name, "--to", "nic:near", "--netns", ns.Name}, &out, &errs); code != exitFail || !strings.Contains(out.String(), "5 refused: interface down") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
}

// BenchmarkBesideTcpreplay sends 5,000 frames 1 ms apart and then as many as go,
// with both programs in turn over one pair of interfaces; the far end's kernel
// stamps what arrives.
func BenchmarkBesideTcpreplay(b *testing.B) {
	linktest.Require(b, "tcpreplay", "ip", "tcpdump")
	ns := veth(b)
	program := filepath.Join(b.TempDir(), "replay")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	const n, flood = 5000, 200_000
	paced, fast := numbered(b, n, time.Millisecond, 100), numbered(b, flood, 0, 200)
	ours := func(name string, args ...string) string {
		return ns.Run(program, append([]string{"frames", name, "--to", "nic:near"}, args...)...)
	}
	theirs := func(name string, args ...string) string {
		return ns.Run("tcpreplay", append(append([]string{"-q", "-i", "near"}, args...), name)...)
	}
	measure := func(send func(string, ...string) string, args ...string) (median, drift time.Duration) {
		file := filepath.Join(b.TempDir(), "far.pcap")
		// A large buffer: the machine may have nothing left for tcpdump for a while.
		dump := ns.Command("tcpdump", "-i", "far", "-w", file, "-B", "65536", "--time-stamp-precision=nano")
		if err := dump.Start(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Second) // until it listens, which no test depends on
		send(paced, args...)
		time.Sleep(time.Second)
		_ = dump.Process.Signal(os.Interrupt)
		_ = dump.Wait()
		numbers, at := arrivals(b, file)
		if len(at) != n {
			b.Fatalf("%d frames arrived, want %d", len(at), n)
		}
		late := make([]time.Duration, n)
		for i, number := range numbers {
			late[i] = time.Duration(at[i]-at[0]) - time.Duration(number)*time.Millisecond
		}
		drift = late[n-1]
		for i := range late {
			late[i] = max(late[i], -late[i])
		}
		slices.Sort(late)
		return late[n/2], drift
	}
	for b.Loop() {
		m, d := measure(ours)
		b.ReportMetric(float64(m.Microseconds()), "median-µs")
		b.ReportMetric(float64(d.Microseconds()), "drift-µs")
		m, d = measure(theirs)
		b.ReportMetric(float64(m.Microseconds()), "tcpreplay-median-µs")
		b.ReportMetric(float64(d.Microseconds()), "tcpreplay-drift-µs")
		var own, other []float64
		for range 5 {
			own = append(own, rate(b, ours(fast, "--top-speed"), `\(([0-9]+) frames/s`))
			other = append(other, rate(b, theirs(fast, "--topspeed"), `, ([0-9.]+) pps`))
		}
		slices.Sort(own)
		slices.Sort(other)
		b.ReportMetric(own[2], "frames/s")
		b.ReportMetric(other[2], "tcpreplay-frames/s")
		b.ReportMetric(own[2]/other[2], "ratio")
	}
}

func rate(b *testing.B, out, pattern string) float64 {
	b.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		b.Fatalf("no rate in %s", out)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return v
}
