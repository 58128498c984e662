package mqtt_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

var server = netip.MustParseAddrPort("10.0.0.1:1883")

// wire is a device with a client on a socket whose other side a test plays, and
// the transcript: times in ms, "D" what the device sent, "B" what it got, "cb"
// callbacks. It answers like a broker until the test tells it otherwise.
type wire struct {
	t      *testing.T
	loop   *sim.Loop
	kernel *rtos.Kernel
	log    *trace.Log
	pool   *nic.Pool
	c      *mqtt.Client
	lines  []string
	events []trace.Event
	quiet  bool

	connack    []byte               // nil: none
	mute       map[byte]bool        // packet types that get no answer
	tcp        nic.Status           // what Connect comes to
	holdTCP    bool                 // TCP acknowledges nothing: sent packets stay
	sendStatus nic.Status           // what Send returns
	closeTakes time.Duration        // of the FIN handshake; negative: for ever
	onSend     func(frame byte)     // after each packet sent
	raw        func(b []byte)       // the broker, instead of answer
	latency    func() time.Duration // of what is sent to raw; nil: 1 ms
	reliable   bool                 // what does not fit into the pool is sent again, as by TCP

	connected, bound, deleted      bool
	connections, lost              int // opened so far; the last that ended by RST
	rx, sent                       []*nic.Packet
	down                           []byte // not sent yet, if reliable
	readers, closers               *rtos.WaitQueue
	receive, disconnect, establish func()
}

type options struct {
	payload, packets int
	quirks           *mqtt.Quirks
	depth            int
	id               string
	mode             mqtt.Mode
	offline          int
	resend           bool
	session          *mqtt.Session
	loop             *sim.Loop // nil: a new one
}

// newWire is makeWire for a test, which fails when a packet gets lost.
func newWire(t *testing.T, o options) *wire {
	t.Helper()
	w, err := makeWire(o)
	if err != nil {
		t.Fatal(err)
	}
	w.t = t
	t.Cleanup(func() { _ = w.loop.Close() })
	w.log.Subscribe(func(e *trace.Event) {
		w.events = append(w.events, *e)
		if err := w.pool.Check(); err != nil {
			t.Errorf("at event %v: %v", e, err)
		}
	})
	w.c.ConnectNotify = func(_ *mqtt.Client, s mqtt.Status) { w.say("cb connect_notify %v", s) }
	w.c.AckReceiveNotify = func(_ *mqtt.Client, kind uint8, id uint16, _ *nic.Packet) { w.say("cb ack %d id=%d", kind, id) }
	w.c.DisconnectNotifySet(func(*mqtt.Client) { w.say("cb disconnect_notify") })
	return w
}

func makeWire(o options) (*wire, error) {
	if o.payload == 0 {
		o.payload, o.packets = 256, 16
	}
	if o.id == "" {
		o.id = "dev"
	}
	loop := o.loop
	if loop == nil {
		loop = sim.NewLoop(sim.Config{})
	}
	w := &wire{
		loop: loop, kernel: rtos.NewKernel(loop, rtos.Config{}), log: trace.NewLog(loop.Now), mute: map[byte]bool{},
		connack: codec.AppendConnack(nil, codec.Connack{}),
	}
	w.readers, w.closers = rtos.NewWaitQueue(w.kernel, "data"), rtos.NewWaitQueue(w.kernel, "FIN")
	var err error
	if w.pool, err = nic.NewPool(w.kernel, w.log, nic.PoolConfig{Payload: o.payload, Packets: o.packets}); err != nil {
		return nil, err
	}
	w.c, err = mqtt.Create(mqtt.Config{
		Kernel: w.kernel, Pool: w.pool, Socket: w, Trace: w.log, Node: "device", ClientID: o.id,
		Quirks: o.quirks, TransmitQueueDepth: o.depth,
		Mode: o.mode, OfflineQueue: o.offline, ResendAfterClean: o.resend, Session: o.session,
	})
	return w, err
}

func (w *wire) say(format string, args ...any) {
	if !w.quiet {
		w.lines = append(w.lines, fmt.Sprintf("%g %s", float64(w.loop.Now())/1e6, fmt.Sprintf(format, args...)))
	}
}

// app runs firmware in a thread of priority 10, below the client's.
func (w *wire) app(fn func(th *rtos.Thread)) { w.kernel.NewThread("app", 10, fn) }

// at runs fn in interrupt context.
func (w *wire) at(ms float64, fn func()) { w.loop.At(sim.Time(ms*1e6), fn) }

// run runs the world for some seconds.
func (w *wire) run(seconds float64) {
	w.t.Helper()
	if err := w.loop.Run(w.loop.Now() + sim.Time(seconds*1e9)); err != nil {
		w.t.Fatal(err)
	}
}

// want runs a minute and compares the transcript.
func (w *wire) want(lines ...string) {
	w.t.Helper()
	w.run(60)
	w.check(lines...)
}

// check compares the transcript so far.
func (w *wire) check(lines ...string) {
	w.t.Helper()
	if got, want := strings.Join(w.lines, "\n"), strings.Join(lines, "\n"); got != want {
		w.t.Errorf("transcript:\n%s\nwant:\n%s", got, want)
	}
}

// free checks the packets in the pool.
func (w *wire) free(want int) {
	w.t.Helper()
	if got := w.pool.Free(); got != want {
		w.t.Errorf("%v ms: %d packets free, want %d, held by %v", float64(w.loop.Now())/1e6, got, want, w.pool.Holdings())
	}
}

// kinds returns the texts of the events of a kind.
func (w *wire) kinds(kind trace.Kind) []trace.Event {
	var all []trace.Event
	for _, e := range w.events {
		if e.Kind == kind {
			all = append(all, e)
		}
	}
	return all
}

// connect connects and says the result.
func (w *wire) connect(keepalive uint32, clean bool) {
	w.say("connect %v", w.c.Connect(server, keepalive, clean, 500))
}

// read takes one message.
func (w *wire) read() {
	topic, body := make([]byte, 64), make([]byte, 4096)
	n, m, status := w.c.MessageGet(topic, body)
	if !status.OK() {
		w.say("message_get %v", status)
		return
	}
	text := string(body[:m])
	if m > 20 {
		text = fmt.Sprintf("%d B", m)
		if strings.ContainsRune(string(body[:m]), 0) { // what was never written
			text += " with a hole"
		}
	}
	w.say("message_get %s %s", topic[:n], text)
}

// deliver makes one TCP segment with these packets arrive, now.
func (w *wire) deliver(packets ...[]byte) {
	data := []byte(nil)
	for _, p := range packets {
		w.say("B %s", codec.Summary(p))
		data = append(data, p...)
	}
	if !w.reliable {
		w.segment(data)
		return
	}
	if w.down = append(w.down, data...); len(w.down) == len(data) {
		w.loop.After(0, w.pump)
	}
}

// pump sends segments of 60 bytes, up to a window of 240, and again after 100 ms.
func (w *wire) pump() {
	for len(w.down) > 0 {
		if n := min(60, len(w.down)); w.pool.Free() > 0 && len(w.rx) < 4 {
			w.segment(w.down[:n])
			w.down = w.down[n:]
			continue
		}
		w.loop.After(1e8, w.pump)
		return
	}
}

// segment makes bytes arrive as one TCP segment behind 54 bytes of headers at
// the driver's offset.
func (w *wire) segment(data []byte) {
	p, status := w.pool.Allocate(nic.Receive, rtos.NoWait)
	if status.OK() {
		p.Extend(56)
		p.Trim(56)
		if status = p.Append(data, w.pool, rtos.NoWait); !status.OK() {
			p.Release()
		}
	}
	if !status.OK() {
		w.say("rx dropped: %v", status)
		return
	}
	p.SetHolder("tcp")
	w.kernel.Interrupt(func() {
		if w.readers.Wake(p) {
			return
		}
		w.rx = append(w.rx, p)
		w.receive()
	})
}

// answer is the broker.
func (w *wire) answer(frame []byte) {
	var p codec.Packet
	if err := p.Decode(frame); err != nil || w.mute[frame[0]>>4] {
		return
	}
	switch p.Type {
	case codec.CONNECT:
		switch {
		case w.connack == nil:
		case len(w.connack) > 4:
			w.deliver(w.connack[:4], w.connack[4:])
		default:
			w.deliver(w.connack)
		}
	case codec.SUBSCRIBE:
		w.deliver(codec.AppendSuback(nil, p.ID, []byte{p.Subscribe.Filters[0].QoS}))
	case codec.UNSUBSCRIBE:
		w.deliver(codec.AppendAck(nil, codec.UNSUBACK, p.ID))
	case codec.PUBLISH:
		if p.Publish.QoS == 1 {
			w.deliver(codec.AppendAck(nil, codec.PUBACK, p.Publish.ID))
		}
	case codec.PINGREQ:
		w.deliver(codec.AppendEmpty(nil, codec.PINGRESP))
	}
}

// reset is a RST from the peer.
func (w *wire) reset() {
	w.say("B RST")
	w.lost = w.connections
	w.connected = false
	w.readers.Flush()
	w.disconnect()
}

func publish(topic, body string, qos uint8, id uint16) []byte {
	return codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), Payload: []byte(body), QoS: qos, ID: id})
}

// without returns the quirks of 6.4.2 without the named ones.
func without(names ...string) *mqtt.Quirks {
	q := mqtt.NetX642()
	for _, name := range names {
		if err := q.Set(name, false); err != nil {
			panic(err)
		}
	}
	return &q
}
