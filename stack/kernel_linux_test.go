package stack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/sim"
	"hilnet/tap"
	"hilnet/trace"
	"hilnet/wire"
)

// A Linux kernel on a TAP makes an address of what the host advertises, finds
// the host, keeps it reachable, pings it and talks to it by TCP.
func TestALinuxKernelSpeaksIPv6WithAHost(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns)
	ns := linktest.Namespace(t)
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Pacer: pacer})
	defer loop.Close()
	if err := loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	log := trace.NewLog(loop.Now)
	var texts []string
	log.Subscribe(func(e *trace.Event) {
		texts = append(texts, fmt.Sprintf("%v %s %s %s %s", e.T, e.Node, e.Kind, e.Reason, e.Text))
	})
	var frames []string
	note := func(way string) func(f *link.Frame, at sim.Time) {
		return func(f *link.Frame, at sim.Time) { frames = append(frames, fmt.Sprint(at, way, wire.Summary(f.Data))) }
	}
	kernel, err := tap.Open(tap.Config{
		Name: "hil6", Namespace: ns.Name, IPv6: true, Loop: loop, Clock: pacer.Now, Trace: log,
		Sent: note(" host>kernel "),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	host, err := New(loop, log, Config{
		Node: "host", MAC: macB, Addr6: netip.MustParsePrefix("fd00:1::2/64"), Advertise: network6, DAD: 1,
	}, kernel)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := host.Listen(7, 0, func(c *Conn) {
		s := new(stream).attach(c)
		c.OnData(func(d []byte) { s.send(d) })
		c.OnClosed(func(error) { s.closeNow = true; s.push() })
	}); err != nil {
		t.Fatal(err)
	}
	if err := kernel.Start(link.SinkFunc(func(f *link.Frame) {
		note(" kernel>host ")(f, loop.Now())
		host.Put(f)
	})); err != nil {
		t.Fatal(err)
	}
	var output string
	failed := make(chan error, 1)
	go func() {
		defer loop.Post(loop.Stop)
		failed <- func() error {
			if err := waitForAddress(ns); err != nil {
				return err
			}
			for _, to := range []string{"fd00:1::2", "fe80::ff:fe00:2%hil6", "ff02::1%hil6"} {
				out, err := ns.Command("ping", "-6", "-c", "3", "-i", "0.2", "-W", "2", to).CombinedOutput()
				if output += string(out); err != nil {
					return fmt.Errorf("ping %s: %w", to, err)
				}
			}
			if out, err := ns.Command("ping", "-6", "-c", "1", "-s", "4000", "-W", "2", "fd00:1::2").CombinedOutput(); err != nil {
				return fmt.Errorf("ping with fragments: %w\n%s", err, out)
			}
			return ns.Try(echoOverTCP)
		}()
	}()
	if err := loop.Run(sim.Time(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Errorf("%v\n%s\n%s\n%s", err, output, strings.Join(frames, "\n"), strings.Join(texts, "\n"))
	}
	if strings.Contains(strings.Join(texts, "\n"), string(trace.DropMalformed)) {
		t.Errorf("a frame of the kernel's was refused:\n%s", strings.Join(texts, "\n"))
	}
}

// waitForAddress waits until the kernel has made an address that is no longer
// tentative.
func waitForAddress(ns *linktest.Net) error {
	var out []byte
	for range 100 {
		out, _ = ns.Command("ip", "-6", "addr", "show", "dev", "hil6", "scope", "global").CombinedOutput()
		if s := string(out); strings.Contains(s, "fd00:1:") && !strings.Contains(s, "tentative") {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the kernel has no address after 10 s: %s", out)
}

// echoOverTCP sends 200,000 bytes to port 7 and reads them back.
func echoOverTCP() error {
	c, err := net.DialTimeout("tcp6", "[fd00:1::2]:7", 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	want := pattern(200_000, 3)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- err
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	if string(got) != string(want) {
		return fmt.Errorf("the echo differs")
	}
	return <-sent
}
