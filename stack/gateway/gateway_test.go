package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"hilnet/stack"
	"hilnet/stack/gateway"
	"hilnet/trace"
)

// Bytes pass both ways, and each direction ends by itself: the server answers
// after the device has closed its own.
func TestBytesPassAndEachDirectionEndsByItself(t *testing.T) {
	for _, address := range []netip.AddrPort{gatewayAt, netip.MustParseAddrPort("[fd00::1]:1883")} {
		t.Run(address.Addr().String(), func(t *testing.T) {
			l := listen(t)
			b := newBench(t, l.Addr().String(), func(c *gateway.Config) {
				c.Client = func(a netip.Addr) string { return "client of " + a.String() }
			})
			c := b.dial(address)
			server := b.accept(l)
			b.run("the handshake", func() bool { return c.connected })
			if n := c.Write([]byte("question")); n != 8 {
				t.Fatalf("%d bytes taken", n)
			}
			c.CloseWrite()
			b.background("the server", func() error {
				got, err := io.ReadAll(server)
				if err != nil || string(got) != "question" {
					return fmt.Errorf("got %q, %w", got, err)
				}
				if _, err := io.WriteString(server, "answer"); err != nil {
					return err
				}
				return server.Close()
			})
			b.run("the answer", func() bool { return c.eof })
			if string(c.got) != "answer" || !errors.Is(c.err, io.EOF) {
				t.Errorf("got %q, %v", c.got, c.err)
			}
			c.Close()
			b.run("the end", func() bool { return b.gw.Counters().Closed == 1 })
			n := b.gw.Counters()
			if n.Requested != 1 || n.Opened != 1 || n.UpBytes != 8 || n.DownBytes != 6 || n.Undelivered != 0 || n.MaxOpen != 1 {
				t.Errorf("%+v", n)
			}
			if s := b.story(); !strings.Contains(s, "gateway.open") || !strings.Contains(s, "closed by both sides") {
				t.Error(s)
			}
			for _, e := range b.events {
				if e.Kind == trace.KindGatewayOpen && e.Client != "client of "+c.Local().Addr().String() && !strings.HasPrefix(e.Client, "client of ") {
					t.Errorf("whose is it? %+v", e)
				}
			}
		})
	}
}

// What the machine says to a connect, the device's TCP hears: a refusal is RST,
// no way there is ICMP, and so is what the gateway may not do.
func TestTheDeviceHearsWhyItIsNotConnected(t *testing.T) {
	l := listen(t)
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, target string
		to           string
		want         error
		reason       trace.DropReason
		counted      func(gateway.Counters) uint64
	}{
		{"refused", nobody, "10.0.0.1:1883", stack.ErrRefused, trace.DropGatewayRefused, func(n gateway.Counters) uint64 { return n.Refused }},
		{"no such name", "no-such-host.invalid:1", "10.0.0.1:1883", stack.ErrUnreachable, trace.DropGatewayUnreachable, func(n gateway.Counters) uint64 { return n.Unreachable }},
		{"not allowed", nobody, "192.0.2.9:80", stack.ErrUnreachable, trace.DropGatewayProhibited, func(n gateway.Counters) uint64 { return n.Prohibited }},
		{"no port of ours", nobody, "10.0.0.1:1", stack.ErrRefused, trace.DropGatewayRefused, func(n gateway.Counters) uint64 { return n.Refused }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.target, nil)
			conn := b.dial(netip.MustParseAddrPort(c.to))
			b.run("the refusal", func() bool { return conn.eof })
			if conn.connected || !errors.Is(conn.err, c.want) {
				t.Errorf("%v, want %v", conn.err, c.want)
			}
			if n := b.gw.Counters(); b.dropped(c.reason) != 1 || c.counted(n) != 1 || n.Opened != 0 {
				t.Errorf("%+v\n%s", n, b.story())
			}
		})
	}
}

// A destination that the configuration allows is reached under its own address:
// here another address of the loopback.
func TestWhatIsAllowedIsReached(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	b := newBench(t, "127.0.0.1:1", nil)
	// The gateway's own address stands for the loopback.
	c := b.dial(netip.AddrPortFrom(gatewayAt.Addr(), uint16(port)))
	b.accept(l)
	b.run("the handshake", func() bool { return c.connected })
}

// A server that does not read stops the device, and a device that does not read
// stops the server: what waits in between is bounded, and all of it arrives when
// they read again.
func TestBackPressurePassesBothWays(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), nil)
	c := b.dial(gatewayAt)
	server := b.accept(l)
	b.run("the handshake", func() bool { return c.connected })
	size := 32 << 20
	if testing.Short() {
		size = 2 << 20 // under the race detector: all of it fits somewhere
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	sent := 0
	push := func() {
		for sent < size {
			n := c.Write(data[sent:])
			if sent += n; n == 0 {
				return
			}
		}
	}
	c.OnWritable(push)
	push()
	b.settle("the device to stop", func() uint64 { return b.device.Counters().TxBytes })
	if sent >= size/2 && !testing.Short() {
		t.Errorf("%d bytes were taken while nobody read", sent)
	}
	b.background("the server reads", func() error {
		got := make([]byte, size)
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, data) {
			return fmt.Errorf("what arrived is other, or %w", err)
		}
		return nil
	})

	c.OnData(nil)
	written := make(chan error, 1)
	go func() {
		_, err := server.Write(data)
		written <- err
	}()
	before := b.settle("the server to stop", func() uint64 { return b.gw.Counters().DownBytes })
	if before >= uint64(size)/2 && !testing.Short() {
		t.Errorf("%d bytes were taken while nobody read", before)
	}
	c.OnData(func(data []byte) { c.got = append(c.got, data...) })
	b.run("the device reads", func() bool { return len(c.got) == size })
	if err := <-written; err != nil || !bytes.Equal(c.got, data) {
		t.Errorf("what arrived is other, or %v", err)
	}
}

// A reset on one side is a reset on the other.
func TestAResetPasses(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), nil)
	c := b.dial(gatewayAt)
	server := b.accept(l)
	b.run("the handshake", func() bool { return c.connected })
	if err := server.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	b.run("the reset", func() bool { return c.eof })
	if !errors.Is(c.err, stack.ErrReset) {
		t.Errorf("the device's connection ended by %v", c.err)
	}
	c = b.dial(gatewayAt)
	server = b.accept(l)
	b.run("the handshake", func() bool { return c.connected })
	c.Abort()
	b.background("the server reads", func() error {
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("the server's connection ended by %w", err)
		}
		return nil
	})
}

// A device that has closed its direction and is reset afterwards resets the
// server's connection too: nobody waits for it.
func TestAResetAfterAHalfClosePasses(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), nil)
	c := b.dial(gatewayAt)
	server := b.accept(l)
	b.run("the handshake", func() bool { return c.connected })
	c.CloseWrite()
	b.background("the server reads the end", func() error {
		if n, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("%d bytes, %w", n, err)
		}
		return nil
	})
	c.Abort()
	b.run("the end", func() bool { return b.gw.Counters().Closed == 1 })
	if s := b.story(); !strings.Contains(s, "the device's side: ") {
		t.Error(s)
	}
}

// Beyond its limit the gateway refuses, by name; when there is room again it does
// not.
func TestConnectionsAreLimited(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), func(c *gateway.Config) { c.Connections = 1 })
	first := b.dial(gatewayAt)
	server := b.accept(l)
	b.run("the handshake", func() bool { return first.connected })
	second := b.dial(gatewayAt)
	b.run("the refusal", func() bool { return second.eof })
	if !errors.Is(second.err, stack.ErrRefused) || b.dropped(trace.DropGatewayLimit) != 1 || b.gw.Counters().Limited != 1 {
		t.Errorf("%v\n%s", second.err, b.story())
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	b.run("the end", func() bool { return first.eof })
	first.Close()
	b.run("the end", func() bool { return b.gw.Counters().Closed == 1 })
	third := b.dial(gatewayAt)
	b.accept(l)
	b.run("the handshake", func() bool { return third.connected })
}

// A connection that carries nothing is reset after a time; one that does is not.
func TestAnIdleConnectionIsReset(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), func(c *gateway.Config) { c.Idle = 400 * time.Millisecond })
	idle := b.dial(gatewayAt)
	server := b.accept(l)
	busy := b.dial(gatewayAt)
	b.accept(l)
	b.run("the handshakes", func() bool { return idle.connected && busy.connected })
	next := time.Now()
	b.run("the reset", func() bool {
		if time.Now().After(next) {
			next = next.Add(50 * time.Millisecond)
			busy.Write([]byte("x"))
		}
		return idle.eof
	})
	if !errors.Is(idle.err, stack.ErrReset) || busy.eof {
		t.Errorf("%v; the busy one: %v", idle.err, busy.err)
	}
	b.background("the server", func() error {
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("the server's connection ended by %w", err)
		}
		return nil
	})
}

// What had been taken of the device and not written when the run ends is not lost
// without a word.
func TestWhatIsNotDeliveredIsReported(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), nil)
	c := b.dial(gatewayAt)
	b.accept(l)
	b.run("the handshake", func() bool { return c.connected })
	data := make([]byte, 32<<20)
	sent := c.Write(data)
	c.OnWritable(func() { sent += c.Write(data[sent:]) })
	b.settle("the device to stop", func() uint64 { return b.device.Counters().TxBytes })
	if err := b.gw.Close(); err != nil {
		t.Fatal(err)
	}
	n := b.gw.Counters()
	if n.Undelivered == 0 || n.Undelivered > gateway.MaxUp+gateway.MaxDown || b.dropped(trace.DropGatewayUndelivered) != 1 || n.OpenAtEnd != 1 {
		t.Errorf("%+v", n)
	}
	if err := b.gw.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// A device that is gone before the machine has connected leaves nothing.
func TestADeviceThatVanishesLeavesNothing(t *testing.T) {
	l := listen(t)
	b := newBench(t, l.Addr().String(), nil)
	c := b.dial(gatewayAt)
	b.run("the ARP request", func() bool { return b.gw.Counters().Requested == 1 })
	b.lose.Store(true) // its ACK does not arrive either
	server := b.accept(l)
	c.Abort()
	if err := b.gw.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
