package serve_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"hilnet/internal/linktest"
	"hilnet/mqtt/broker/serve"
	"hilnet/mqtt/codec"
)

// BenchmarkQoS1OverLoopback sends 64-byte messages at QoS 1 from one connection
// to another, 16 of them on their way at a time, by hilnet's broker, mosquitto and
// mochi: one client for all three, so the ratios mean something.
func BenchmarkQoS1OverLoopback(b *testing.B) {
	for _, peer := range []struct {
		name  string
		start func(testing.TB) string
	}{
		{"hilnet", func(t testing.TB) string { return startUntraced(t) }},
		{"mosquitto", startMosquitto},
		{"mochi", startMochi},
	} {
		b.Run(peer.name, func(b *testing.B) { exchangeQoS1(b, peer.start(b)) })
	}
}

func startUntraced(t testing.TB) string { return start(t, serve.Config{}).addr }

// freeAddress returns a loopback address that nobody has.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func startMosquitto(t testing.TB) string {
	linktest.Require(t, "mosquitto")
	addr := freeAddress(t)
	_, port, _ := net.SplitHostPort(addr)
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n", port)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := linktest.Start(t, exec.Command("mosquitto", "-c", conf))
	p.WaitFor(t, "running")
	return addr
}

// allowAll lets everybody do everything.
type allowAll struct{ mochi.HookBase }

func (*allowAll) ID() string { return "allow" }
func (*allowAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (*allowAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allowAll) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

func startMochi(t testing.TB) string {
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(new(allowAll), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = s.EstablishConnection("bench", c) }()
		}
	}()
	return l.Addr().String()
}

func exchangeQoS1(b *testing.B, addr string) {
	const window, size = 16, 64
	s := &served{addr: addr}
	sub := dial(b, s, connect("sub", true))
	sub.want(0x20, 2, 0, 0)
	sub.send(codec.AppendSubscribe(nil, 1, []codec.Subscription{{Filter: []byte("t"), QoS: 1}}))
	sub.want(0x90, 3, 0, 1, 1)
	pub := dial(b, s, connect("pub", true))
	pub.want(0x20, 2, 0, 0)
	for _, c := range []*client{sub, pub} {
		_ = c.SetReadDeadline(time.Time{})
	}
	ended := make(chan error, 1)
	n := max(b.N, window)
	b.ResetTimer()
	delivered := make(chan struct{}, n)
	go func() { ended <- acknowledge(sub, n, size, delivered) }()
	acks := bufio.NewReader(pub)
	message := codec.AppendPublish(nil, &codec.Publish{Topic: []byte("t"), QoS: 1, ID: 1, Payload: make([]byte, size)})
	for sent, acked := 0, 0; acked < n; {
		// A message is on its way until it was delivered too: no broker has to
		// drop any because its queue is full.
		for sent < n && sent-acked < window {
			if sent >= window {
				select {
				case <-delivered:
				case err := <-ended:
					b.Fatalf("the subscriber ended: %v", err)
				}
			}
			binary.BigEndian.PutUint16(message[5:], uint16(sent%window)+1)
			pub.send(message)
			sent++
		}
		var ack [4]byte
		if _, err := io.ReadFull(acks, ack[:]); err != nil || ack[0] != 0x40 {
			b.Fatalf("% x %v", ack, err)
		}
		acked++
	}
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}

// acknowledge takes n messages and acknowledges each.
func acknowledge(c *client, n, size int, delivered chan<- struct{}) error {
	in := bufio.NewReader(c)
	packet := make([]byte, 2+3+2+size)
	for range n {
		if _, err := io.ReadFull(in, packet); err != nil || packet[0]&0xF6 != 0x32 {
			return fmt.Errorf("% x %w", packet[:8], err)
		}
		if _, err := c.Write([]byte{0x40, 2, packet[5], packet[6]}); err != nil {
			return err
		}
		delivered <- struct{}{}
	}
	return nil
}
