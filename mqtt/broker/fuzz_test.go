package broker_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// FuzzBroker plays random calls: valid packets, random bytes, lost
// connections, time. Nothing may panic; every output must be a valid packet of
// a server on an open connection, after CONNACK; the limits must hold; and the
// same calls must give the same outputs and events again.
func FuzzBroker(f *testing.F) {
	for seed := range 16 {
		random := sim.NewRand(uint64(seed), "fuzz")
		calls := make([]byte, 1000)
		if _, err := random.Read(calls); err != nil {
			f.Fatal(err)
		}
		f.Add(calls)
	}
	f.Fuzz(func(t *testing.T, calls []byte) {
		first := playFuzz(t, calls)
		if again := playFuzz(t, calls); !bytes.Equal(first, again) {
			t.Fatalf("two runs differ:\n%s\n%s", first, again)
		}
	})
}

var fuzzConfig = broker.Config{
	MaxPacket: 256, MaxConnections: 3, MaxSessions: 4, MaxInflight: 3,
	MaxQueued: 4, MaxQueuedBytes: 300, MaxSubscriptions: 3, MaxTopicLevels: 4, MaxRetained: 2, MaxUnsent: 600,
}

// fuzzPeer is what one connection is known to be.
type fuzzPeer struct {
	open, connected bool
}

func playFuzz(t *testing.T, calls []byte) (record []byte) {
	var now sim.Time
	tr := trace.NewLog(func() sim.Time { return now })
	tr.Subscribe(func(e *trace.Event) { record = append(trace.AppendJSON(record, e), '\n') })
	cfg := fuzzConfig
	cfg.Trace = tr
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	peers := make([]fuzzPeer, 4)
	next := func() byte {
		if len(calls) == 0 {
			return 0
		}
		c := calls[0]
		calls = calls[1:]
		return c
	}
	for len(calls) > 0 {
		op, id := next(), broker.ConnID(next()%4)
		p := &peers[id]
		switch op % 16 {
		case 0, 1, 2, 3, 4, 5, 6, 7, 8:
			typ := fuzzTypes[int(next())%len(fuzzTypes)]
			if !p.open {
				*p = fuzzPeer{open: true}
				b.Open(now, id, "peer")
				typ = codec.CONNECT
			}
			b.Data(now, id, fuzzPacket(next, typ))
		case 9: // all but the end of a packet, and the rest later
			packet := fuzzPacket(next, codec.PUBLISH)
			b.Data(now, id, packet[:len(packet)-1])
			record = checkFuzzOutputs(t, b, peers, record)
			b.Data(now, id, packet[len(packet)-1:])
		case 10:
			n := min(int(next()%16), len(calls))
			b.Data(now, id, calls[:n])
			calls = calls[n:]
		case 11, 12:
			now = now.Add(time.Duration(next()) * 100 * time.Millisecond)
			b.Timeout(now)
			if at, ok := b.NextTimeout(); ok && at <= now {
				t.Fatalf("at %v Timeout leaves a timeout at %v", now, at)
			}
		case 13, 14:
			p.open = false
			b.Closed(now, id)
		case 15:
			if a := next(); a&1 != 0 {
				b.Backlog(now, id, int(next())*5)
			} else {
				f := broker.Faults{Acks: broker.AckFault(a >> 1 & 3), AckDelay: time.Duration(a>>3&3) * time.Second,
					ConnackDelay: time.Duration(a>>5&1) * time.Second, Refuse: codec.ReturnCode(a >> 6 & 2)}
				b.SetFaults(func(string) broker.Faults { return f })
			}
		}
		record = checkFuzzOutputs(t, b, peers, record)
	}
	kept := b.Snapshot()
	again, err := broker.Restore(fuzzConfig, kept)
	if err != nil {
		t.Fatalf("%v\n%s", err, kept)
	}
	if got := again.Snapshot(); !bytes.Equal(got, kept) {
		t.Fatalf("restored:\n%s\nfrom:\n%s", got, kept)
	}
	record = append(record, kept...)
	st := b.Stats()
	if st.Connections > 3 || st.Sessions > 4 || st.Subscriptions > 12 || st.Retained > 2 {
		t.Fatalf("beyond the limits: %+v", st)
	}
	return record
}

func checkFuzzOutputs(t *testing.T, b *broker.Broker, peers []fuzzPeer, record []byte) []byte {
	t.Helper()
	var p codec.Packet
	for _, o := range b.Outputs() {
		peer := &peers[o.Conn]
		if o.Close || o.Abort {
			peer.open = false
			record = fmt.Appendf(record, "%d closed\n", o.Conn)
			continue
		}
		if err := p.Decode(o.Data); err != nil {
			t.Fatalf("sent %x: %v", o.Data, err)
		}
		record = fmt.Appendf(record, "%d %v\n", o.Conn, &p)
		if !peer.open || peer.connected == (p.Type == codec.CONNACK) {
			t.Fatalf("%+v was sent %v\n%s", peer, &p, record)
		}
		switch p.Type {
		case codec.CONNACK:
			peer.connected = true
		case codec.SUBSCRIBE, codec.UNSUBSCRIBE, codec.PINGREQ, codec.DISCONNECT, codec.CONNECT:
			t.Fatalf("a server sent %v", &p)
		case codec.PUBLISH, codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBACK, codec.UNSUBACK, codec.PINGRESP:
		}
	}
	return record
}

// fuzzTypes are the packets that keep a conversation going, by weight.
var fuzzTypes = []codec.Type{
	codec.PUBLISH, codec.PUBLISH, codec.PUBLISH, codec.PUBLISH, codec.PUBLISH, codec.PUBLISH, codec.PUBLISH,
	codec.SUBSCRIBE, codec.SUBSCRIBE, codec.SUBSCRIBE, codec.UNSUBSCRIBE, codec.PINGREQ, codec.DISCONNECT,
	codec.PUBACK, codec.PUBACK, codec.PUBACK, codec.PUBREC, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.CONNACK,
}

// fuzzPacket makes a valid packet out of small choices, so that sessions meet.
func fuzzPacket(next func() byte, typ codec.Type) []byte {
	topics := []string{"a", "a/b", "$s", "b//c", "a/b/c/d/e"}
	filters := []string{"#", "+", "a/+", "a/b", "a/b/c/d/e"}
	p := codec.Packet{Type: typ, ID: uint16(next()%5) + 1}
	a, c := next(), next()
	p.Connect = codec.Connect{CleanSession: a&1 != 0, KeepAlive: uint16(a >> 4), HasWill: a&2 != 0}
	p.Connect.ClientID = []byte([]string{"x", "y", "z", "w", "v", ""}[c%6])
	p.Connect.Will = codec.Will{Topic: []byte(topics[c%5]), Payload: []byte("will"), QoS: a >> 2 & 3 % 3, Retain: c&1 != 0}
	p.Publish = codec.Publish{QoS: a % 3, ID: p.ID, Retain: a&4 != 0, Topic: []byte(topics[c%5]), Payload: bytes.Repeat([]byte("p"), int(a>>3)*int(a>>7))}
	p.Subscribe.Filters = []codec.Subscription{{Filter: []byte(filters[c%5]), QoS: a % 3}, {Filter: []byte(filters[a%5]), QoS: c % 3}}
	p.Unsubscribe.Filters = [][]byte{[]byte(filters[c%5])}
	p.Suback.Codes = []byte{0}
	return p.Append(nil)
}
