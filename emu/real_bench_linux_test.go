package emu_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

// The figures of the real-time path. Two namespaces, each with a kernel that
// knows nothing of what is between: a veth, a forwarder of a few lines, our link,
// our link with both ends recorded. internal/bench runs them in turn.

const (
	realSeconds = 3   // of iperf3
	realPings   = 400 // 5 ms apart
)

// A realPair is two namespaces with a network interface each: t0 at 10.9.0.2 and
// t1 at 10.9.0.1.
type realPair struct {
	b    testing.TB
	near *linktest.Net
	far  *linktest.Net
}

func newRealPair(b testing.TB) *realPair {
	linktest.Require(b, "tun", "netns", "iperf3", "ping", "tcpdump")
	return &realPair{b, linktest.Namespace(b), linktest.Namespace(b)}
}

// address sets up what is at both ends.
func (p *realPair) address() {
	for _, end := range []struct {
		ns            *linktest.Net
		name, address string
	}{{p.near, "t0", "10.9.0.2/24"}, {p.far, "t1", "10.9.0.1/24"}} {
		end.ns.Run("sysctl", "-qw", "net.ipv6.conf."+end.name+".disable_ipv6=1")
		end.ns.Run("ip", "address", "add", end.address, "dev", end.name)
		end.ns.Run("ip", "link", "set", end.name, "up", "txqueuelen", "4096")
	}
}

// through puts something between the two.
func (p *realPair) through(what string, delay time.Duration) {
	switch what {
	case "veth":
		p.near.Run("ip", "link", "add", "t0", "type", "veth", "peer", "name", "t1", "netns", p.far.Name)
		p.address()
	case "forwarder", "sleep":
		p.near.Run("ip", "tuntap", "add", "dev", "t0", "mode", "tap")
		p.far.Run("ip", "tuntap", "add", "dev", "t1", "mode", "tap")
		p.address()
		p.startForwarder(what, delay)
	case "link", "recorded":
		p.startEmu(delay, what == "recorded")
	default:
		p.b.Fatalf("nothing is called %q", what)
	}
	// The first frames wait for ARP, and for a carrier.
	p.near.Run("ping", "-q", "-c", "3", "-i", "0.2", "-W", "5", "10.9.0.1")
}

// startEmu starts a run with our link in a process of its own, as emu run is.
func (p *realPair) startEmu(delay time.Duration, recorded bool) {
	dir := p.b.TempDir()
	path := filepath.Join(dir, "scenario.yaml")
	capture := "[]"
	if recorded {
		capture = "[device, peer]"
	}
	text := fmt.Sprintf(`
version: 1
name: bare
clock: real
duration: 1h
capture: %s
devices:
  - {name: near, kind: tap, address: 10.9.0.2/24, tap: {name: t0, netns: %s}}
links: [{delay: %v}]
broker: {kind: tap, address: 10.9.0.1/24, tap: {name: t1, address: 10.9.0.1/24, netns: %s}}
`, capture, p.near.Name, delay, p.far.Name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestRunTheScenarioOfTheEnvironment$", "-test.v")
	cmd.Env = append(os.Environ(), scenarioVariable+"="+path)
	if !recorded {
		cmd.Env = append(cmd.Env, noFilesVariable+"=1")
	}
	linktest.Start(p.b, cmd).WaitFor(p.b, "begins")
	p.await()
}

// await waits until both interfaces have a carrier.
func (p *realPair) await() {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		near, _ := p.near.Command("ip", "-br", "link", "show", "t0").CombinedOutput()
		far, _ := p.far.Command("ip", "-br", "link", "show", "t1").CombinedOutput()
		up := regexp.MustCompile(`[<,]LOWER_UP[,>]`)
		if up.Match(near) && up.Match(far) {
			return
		}
		if time.Now().After(deadline) {
			p.b.Fatalf("no carrier: %s %s", near, far)
		}
	}
}

var pingTime = regexp.MustCompile(`time=([0-9.]+) ms`)

// rtt returns the median of the times that ping prints.
func (p *realPair) rtt() time.Duration {
	out := p.near.Run("ping", "-c", strconv.Itoa(realPings), "-i", "0.005", "-W", "5", "10.9.0.1")
	var all []float64
	for _, m := range pingTime.FindAllStringSubmatch(out, -1) {
		ms, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			p.b.Fatal(err)
		}
		all = append(all, ms)
	}
	if len(all) < realPings*99/100 {
		p.b.Fatalf("%d answers to %d pings", len(all), realPings)
	}
	slices.Sort(all)
	return time.Duration(all[len(all)/2] * float64(time.Millisecond))
}

// throughput returns what iperf3 sends and its receiver gets, in bits a second.
func (p *realPair) throughput() float64 {
	server := linktest.Start(p.b, p.far.Command("iperf3", "-s", "-1", "--forceflush"))
	server.WaitFor(p.b, "listening")
	out := p.near.Run("iperf3", "-c", "10.9.0.1", "-t", strconv.Itoa(realSeconds), "-J")
	var r struct {
		End struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.End.Received.BitsPerSecond == 0 {
		p.b.Fatalf("%v\n%s", err, out)
	}
	if _, err := server.Wait(p.b); err != nil {
		p.b.Fatal(err)
	}
	return r.End.Received.BitsPerSecond
}

// BenchmarkRealPath measures what passes between two kernels, and how long a ping
// takes.
func BenchmarkRealPath(b *testing.B) {
	for _, what := range []string{"veth", "forwarder", "link", "recorded"} {
		b.Run(what, func(b *testing.B) {
			p := newRealPair(b)
			p.through(what, 0)
			var bits, rtt float64
			for b.Loop() {
				rtt += float64(p.rtt()) / float64(time.Microsecond)
				bits += p.throughput()
			}
			b.ReportMetric(bits/1e6/float64(b.N), "Mbit/s")
			b.ReportMetric(rtt/float64(b.N), "rtt-µs")
		})
	}
}
