package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// script plays a conversation with a Broker in virtual time.
type script struct {
	t     testing.TB
	b     *broker.Broker
	now   sim.Time
	out   map[broker.ConnID][]string // what each connection was sent and not yet wanted
	trace []string
	last  broker.ConnID
	open  map[broker.ConnID]bool
	said  string // payload of the PUBLISH sent last
}

func newScript(t testing.TB, cfg broker.Config) *script {
	t.Helper()
	s := &script{t: t, out: map[broker.ConnID][]string{}, open: map[broker.ConnID]bool{}}
	cfg.Trace = trace.NewLog(func() sim.Time { return s.now })
	cfg.Trace.Subscribe(func(e *trace.Event) { s.trace = append(s.trace, line(e)) })
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.b = b
	return s
}

// line is an event as the transcripts write it.
func line(e *trace.Event) string {
	w := []string{strings.TrimPrefix(string(e.Kind), "broker.")}
	add := func(format string, v any, ok bool) {
		if ok {
			w = append(w, fmt.Sprintf(format, v))
		}
	}
	add("%v", e.Reason, e.Reason != "")
	add("%v", e.Client, e.Client != "")
	add("%v", e.Topic, e.Topic != "")
	add("q%v", e.QoS, e.Topic != "")
	add("id=%v", e.ID, e.ID != 0)
	add("%v", "dup", e.Dup)
	add("%v", "retain", e.Retain)
	add("status=%v", e.Status, e.Status != 0)
	add("n=%v", e.Count, e.Count != 0)
	add("(%v)", e.Text, e.Text != "")
	return strings.Join(w, " ")
}

// at moves the clock, calling Timeout when the broker wants it.
func (s *script) at(d time.Duration) {
	s.t.Helper()
	to := sim.Time(d)
	if to < s.now {
		s.t.Fatalf("at %v: it is %v already", d, s.now)
	}
	for {
		t, ok := s.b.NextTimeout()
		if !ok || t > to {
			break
		}
		s.now = max(s.now, t)
		s.b.Timeout(s.now)
		s.collect()
	}
	s.now = to
}

func (s *script) collect() {
	s.t.Helper()
	for _, o := range s.b.Outputs() {
		switch {
		case o.Abort:
			s.out[o.Conn] = append(s.out[o.Conn], "ABORT")
			s.open[o.Conn] = false
		case o.Close:
			s.out[o.Conn] = append(s.out[o.Conn], "CLOSE")
			s.open[o.Conn] = false
		default:
			if !s.open[o.Conn] {
				s.t.Fatalf("data on closed connection %d: %s", o.Conn, codec.Summary(o.Data))
			}
			var p codec.Packet
			if err := p.Decode(o.Data); err != nil {
				s.t.Fatalf("sent to connection %d: %v", o.Conn, err)
			}
			if p.Type == codec.PUBLISH {
				s.said = string(p.Publish.Payload)
			}
			s.out[o.Conn] = append(s.out[o.Conn], p.String())
		}
	}
}

// dial opens a connection.
func (s *script) dial() broker.ConnID {
	s.t.Helper()
	s.last++
	s.open[s.last] = true
	s.b.Open(s.now, s.last, fmt.Sprintf("10.0.0.%d:1000", s.last))
	s.collect()
	return s.last
}

// send sends packets, joined, from a client.
func (s *script) send(c broker.ConnID, packets ...[]byte) {
	s.t.Helper()
	var all []byte
	for _, p := range packets {
		all = append(all, p...)
	}
	s.b.Data(s.now, c, all)
	clear(all) // the broker must not have kept it
	s.collect()
}

// lose ends a connection without DISCONNECT.
func (s *script) lose(c broker.ConnID) {
	s.t.Helper()
	s.open[c] = false
	s.b.Closed(s.now, c)
	s.collect()
}

// want compares what a connection was sent since the last want.
func (s *script) want(c broker.ConnID, lines ...string) {
	s.t.Helper()
	if got := s.out[c]; strings.Join(got, "\n") != strings.Join(lines, "\n") {
		s.t.Errorf("at %v connection %d was sent\n\t%s\nwant\n\t%s", s.now, c, strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
	delete(s.out, c)
}

// wantTrace compares the events since the last wantTrace.
func (s *script) wantTrace(lines ...string) {
	s.t.Helper()
	if strings.Join(s.trace, "\n") != strings.Join(lines, "\n") {
		s.t.Errorf("at %v the trace has\n\t%s\nwant\n\t%s", s.now, strings.Join(s.trace, "\n\t"), strings.Join(lines, "\n\t"))
	}
	s.trace = nil
}

// client dials, connects and expects to be accepted without a session.
func (s *script) client(name string) broker.ConnID {
	s.t.Helper()
	c := s.dial()
	s.send(c, connect(name, true, 0))
	s.want(c, "CONNACK accepted")
	return c
}

// subscriber is client with a subscription.
func (s *script) subscriber(name, filter string, qos uint8) broker.ConnID {
	s.t.Helper()
	c := s.client(name)
	s.send(c, subscribe(1, filter, qos))
	s.want(c, fmt.Sprintf("SUBACK id=1 q%d", qos))
	return c
}

func connect(name string, clean bool, keepAlive uint16) []byte {
	return codec.AppendConnect(nil, &codec.Connect{ClientID: []byte(name), CleanSession: clean, KeepAlive: keepAlive})
}

func publish(topic, payload string, qos uint8, id uint16) []byte {
	return codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, ID: id})
}

func retain(topic, payload string, qos uint8, id uint16) []byte {
	return codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, ID: id, Retain: true})
}

func subscribe(id uint16, filter string, qos uint8) []byte {
	return codec.AppendSubscribe(nil, id, []codec.Subscription{{Filter: []byte(filter), QoS: qos}})
}

func ack(t codec.Type, id uint16) []byte { return codec.AppendAck(nil, t, id) }

var (
	pingreq    = codec.AppendEmpty(nil, codec.PINGREQ)
	disconnect = codec.AppendEmpty(nil, codec.DISCONNECT)
)
