package broker_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// exchange is a publisher of 64-byte messages and its subscribers.
type exchange struct {
	b    *broker.Broker
	msg  []byte
	acks []byte
	sent int // deliveries
}

func newExchange(t testing.TB, cfg broker.Config, qos uint8, subscribers int) *exchange {
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range subscribers + 1 {
		id := broker.ConnID(i)
		b.Open(0, id, "")
		b.Data(0, id, connect(fmt.Sprint("c", i), true, 0))
		if i > 0 {
			b.Data(0, id, subscribe(1, "sensors/+/temperature", qos))
		}
	}
	b.Outputs()
	return &exchange{b: b, msg: publish("sensors/7/temperature", string(make([]byte, 64)), qos, 1)}
}

// message publishes one message and acknowledges its deliveries.
func (x *exchange) message() {
	x.b.Data(0, 0, x.msg)
	for _, o := range x.b.Outputs() {
		h, _, _ := codec.ParseHeader(o.Data)
		if h.Type != codec.PUBLISH {
			continue
		}
		x.sent++
		if h.Flags != 0 { // QoS 1: the identifier stands before the payload
			id := binary.BigEndian.Uint16(o.Data[len(o.Data)-64-2:])
			x.acks = codec.AppendAck(x.acks[:0], codec.PUBACK, id)
			x.b.Data(0, o.Conn, x.acks)
		}
	}
}

func benchmarkPublish(b *testing.B, cfg broker.Config, qos uint8, subscribers int) {
	x := newExchange(b, cfg, qos, subscribers)
	b.ReportAllocs()
	for b.Loop() {
		x.message()
	}
	b.ReportMetric(float64(x.sent)/b.Elapsed().Seconds(), "deliveries/s")
	if want := b.N * subscribers; x.sent != want {
		b.Fatalf("%d messages delivered, want %d", x.sent, want)
	}
}

func BenchmarkQoS0(b *testing.B)      { benchmarkPublish(b, broker.Config{}, 0, 1) }
func BenchmarkQoS1(b *testing.B)      { benchmarkPublish(b, broker.Config{}, 1, 1) }
func BenchmarkQoS1To100(b *testing.B) { benchmarkPublish(b, broker.Config{}, 1, 100) }

func BenchmarkQoS1Traced(b *testing.B) {
	tr := trace.NewLog(func() sim.Time { return 0 })
	n := 0
	tr.Subscribe(func(*trace.Event) { n++ })
	benchmarkPublish(b, broker.Config{Trace: tr}, 1, 1)
}

// What a message costs in allocations is gated, for it does not depend on the
// machine: none at QoS 0, at QoS 1 the message that is kept until its PUBACK.
func TestAllocationsPerMessage(t *testing.T) {
	for qos, limit := range []float64{0: 0, 1: 2} {
		x := newExchange(t, broker.Config{}, uint8(qos), 3)
		if got := testing.AllocsPerRun(1000, x.message); got > limit {
			t.Errorf("QoS %d: %v allocations a message, want at most %v", qos, got, limit)
		}
		if x.sent != 3*1001 {
			t.Errorf("QoS %d: %d deliveries", qos, x.sent)
		}
	}
}
