package serve_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt/broker"
	"hilnet/mqtt/broker/serve"
	"hilnet/mqtt/codec"
	"hilnet/trace"
)

// patience is how long a test waits for what must come at once.
const patience = 20 * time.Second

// served is a server that runs until the test stops it.
type served struct {
	addr  string
	stop  func() []byte
	trace []string // valid after stop
}

func start(t testing.TB, cfg serve.Config) *served {
	t.Helper()
	s := &served{}
	also := cfg.Trace
	cfg.Trace = func(e *trace.Event) {
		if also != nil {
			also(e)
		}
		s.trace = append(s.trace, strings.TrimSpace(string(e.Kind)+" "+string(e.Reason)+" "+e.Text))
	}
	srv, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan []byte, 1)
	go func() {
		state, err := srv.Serve(ctx, l)
		if err != nil {
			t.Error(err)
		}
		ended <- state
	}()
	s.stop = func() (state []byte) {
		t.Helper()
		cancel()
		select {
		case state = <-ended:
			ended <- state
		case <-time.After(patience):
			t.Fatal("the server did not stop")
		}
		return state
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// client is a raw connection.
type client struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, s *served, packets ...[]byte) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	x := &client{t, c}
	x.send(packets...)
	return x
}

func (c *client) send(packets ...[]byte) {
	c.t.Helper()
	for _, p := range packets {
		if _, err := c.Write(p); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *client) want(bytes ...byte) {
	c.t.Helper()
	got := make([]byte, len(bytes))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(bytes) {
		c.t.Fatalf("read % x (%v), want % x", got, err, bytes)
	}
}

// wantEnd wants the connection to end; it says how.
func (c *client) wantEnd() error {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	n, err := io.Copy(io.Discard, c)
	if n > 0 {
		c.t.Fatalf("%d bytes, want the end", n)
	}
	return err
}

func connect(name string, clean bool) []byte {
	return codec.AppendConnect(nil, &codec.Connect{ClientID: []byte(name), CleanSession: clean})
}

func publish(topic, payload string, qos uint8, retain bool) []byte {
	return codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, ID: 1, Retain: retain})
}

func TestItServesAndKeepsItsState(t *testing.T) {
	linktest.NoLeaks(t)
	s := start(t, serve.Config{})
	a := dial(t, s, connect("a", false))
	a.want(0x20, 2, 0, 0)
	a.send(codec.AppendSubscribe(nil, 7, []codec.Subscription{{Filter: []byte("t"), QoS: 1}}))
	a.want(0x90, 3, 0, 7, 1)
	b := dial(t, s, connect("b", true), publish("kept", "x", 1, true))
	b.want(0x20, 2, 0, 0, 0x40, 2, 0, 1)
	b.send([]byte{0x30}) // half a packet, and gone
	b.Close()
	state := s.stop()
	if err := a.wantEnd(); err != nil {
		t.Errorf("stopping: %v, want FIN", err)
	}
	s = start(t, serve.Config{State: state})
	a = dial(t, s, connect("a", false))
	a.want(0x20, 2, 1, 0)
	b = dial(t, s, connect("b", true), codec.AppendSubscribe(nil, 1, []codec.Subscription{{Filter: []byte("kept")}}))
	b.want(0x20, 2, 0, 0, 0x90, 3, 0, 1, 0, 0x31, 7, 0, 4, 'k', 'e', 'p', 't', 'x')
	b.send([]byte{0xF0, 0})
	if err := b.wantEnd(); err != nil {
		t.Errorf("a protocol error: %v, want FIN", err)
	}
	s.stop()
	if all := strings.Join(s.trace, "\n"); !strings.Contains(all, "mqtt_protocol_error") {
		t.Error(all)
	}
}

func TestTimeoutsAreReal(t *testing.T) {
	s := start(t, serve.Config{Broker: broker.Config{ConnectTimeout: 30 * time.Millisecond}})
	if err := dial(t, s).wantEnd(); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, serve.Config{Broker: broker.Config{MaxConnections: 1}})
	a := dial(t, s, connect("a", true))
	a.want(0x20, 2, 0, 0)
	if second, err := net.Dial("tcp", s.addr); err == nil { // else the reset was faster
		_ = (&client{t, second}).wantEnd()
		second.Close()
	}
	a.send([]byte{0xC0, 0})
	a.want(0xD0, 0)
}

// A subscriber that never reads costs MaxUnsent and what the kernel holds; it
// hinders nobody.
func TestAReaderThatSleepsIsBounded(t *testing.T) {
	s := start(t, serve.Config{Broker: broker.Config{MaxUnsent: 64 << 10}})
	deaf := dial(t, s, connect("deaf", true), codec.AppendSubscribe(nil, 1, []codec.Subscription{{Filter: []byte("#")}}))
	deaf.want(0x20, 2, 0, 0, 0x90, 3, 0, 1, 0)
	pub := dial(t, s, connect("pub", true))
	pub.want(0x20, 2, 0, 0)
	load := strings.Repeat("x", 60<<10)
	for range 300 { // 18 MB: more than the socket buffers take
		pub.send(publish("t", load, 0, false))
	}
	pub.send([]byte{0xC0, 0})
	pub.want(0xD0, 0)
	s.stop()
	if n := strings.Count(strings.Join(s.trace, "\n"), string(trace.DropQoS0Inflight)); n < 100 {
		t.Errorf("%d messages dropped, want most of 300", n)
	}
}
