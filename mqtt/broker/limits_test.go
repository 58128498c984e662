package broker_test

import (
	"strings"
	"testing"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
)

func TestInflightLimitHoldsMessagesBackInOrder(t *testing.T) {
	s := newScript(t, broker.Config{MaxInflight: 2})
	pub, sub := s.client("pub"), s.subscriber("sub", "#", 1)
	for i := range 4 {
		s.send(pub, publish("t", strings.Repeat("x", i), 1, 1))
	}
	s.want(sub, "PUBLISH q1 id=1 t 0 B", "PUBLISH q1 id=2 t 1 B")
	s.send(pub, publish("t", "overtakes", 0, 0))
	s.want(sub, "PUBLISH q0 t 9 B")
	s.send(sub, ack(codec.PUBACK, 2)) // out of order is fine
	s.want(sub, "PUBLISH q1 id=3 t 2 B")
	s.send(sub, ack(codec.PUBACK, 1), ack(codec.PUBACK, 3))
	s.want(sub, "PUBLISH q1 id=4 t 3 B")
}

func TestQueueLimits(t *testing.T) {
	s := newScript(t, broker.Config{MaxQueued: 3, MaxQueuedBytes: 100})
	pub, sub := s.client("pub"), s.dial()
	s.send(sub, connect("sub", false, 0), subscribe(1, "t", 1), disconnect)
	s.want(sub, "CONNACK accepted", "SUBACK id=1 q1", "CLOSE")
	s.trace = nil
	s.send(pub, publish("t", strings.Repeat("x", 90), 1, 1), publish("t", strings.Repeat("x", 9), 1, 2), publish("t", "", 0, 0))
	s.wantTrace("received pub t q1 id=1 n=1", "received pub t q1 id=2 n=1",
		"drop session_queue_full sub t q1", "received pub t q0 n=1", "drop qos0_offline sub t q0")
	s.send(pub, publish("t", "2", 1, 3), publish("t", "3", 1, 4), publish("t", "4", 1, 5))
	s.want(pub, "PUBACK id=1", "PUBACK id=2", "PUBACK id=3", "PUBACK id=4", "PUBACK id=5")
	if got := s.trace[len(s.trace)-1]; got != "drop session_queue_full sub t q1" {
		t.Errorf("the fourth: %s", got)
	}
	sub = s.dial()
	s.send(sub, connect("sub", false, 0))
	s.want(sub, "CONNACK session-present accepted", "PUBLISH q1 id=1 t 90 B", "PUBLISH q1 id=2 t 1 B", "PUBLISH q1 id=3 t 1 B")
}

func TestConnectionLimitAborts(t *testing.T) {
	s := newScript(t, broker.Config{MaxConnections: 1})
	c := s.client("a")
	s.trace = nil
	d := s.dial()
	s.want(d, "ABORT")
	s.wantTrace("drop connection_limit (10.0.0.2:1000)", "disconnected (too many connections)")
	s.lose(c)
	s.client("b")
}

func TestSessionLimitRefusesNewClientsOnly(t *testing.T) {
	s := newScript(t, broker.Config{MaxSessions: 1})
	c := s.dial()
	s.send(c, connect("kept", false, 0), disconnect)
	s.trace = nil
	c = s.dial()
	s.send(c, connect("other", true, 0))
	s.want(c, "CONNACK server unavailable", "CLOSE")
	s.wantTrace("drop session_limit other (10.0.0.2:1000)", "connected other status=3 (10.0.0.2:1000)",
		"disconnected (CONNECT refused: server unavailable)")
	c = s.dial()
	s.send(c, connect("kept", false, 0))
	s.want(c, "CONNACK session-present accepted")
}

func TestPacketLimitClosesBeforeTheBodyArrives(t *testing.T) {
	s := newScript(t, broker.Config{MaxPacket: 64})
	c := s.client("a")
	s.send(c, publish("t", strings.Repeat("x", 59), 0, 0)) // 64 bytes
	s.want(c)
	s.trace = nil
	s.send(c, publish("t", strings.Repeat("x", 60), 0, 0)[:2])
	s.want(c, "CLOSE")
	if !strings.HasPrefix(s.trace[0], "drop packet_too_large a ") {
		t.Errorf("trace %q", s.trace)
	}
}

func TestSubscriptionLimits(t *testing.T) {
	s := newScript(t, broker.Config{MaxSubscriptions: 2, MaxTopicLevels: 3})
	c := s.client("a")
	s.trace = nil
	s.send(c, codec.AppendSubscribe(nil, 1, []codec.Subscription{
		{Filter: []byte("a/b/c/d")}, {Filter: []byte("a/b/c")}, {Filter: []byte("x")}, {Filter: []byte("y")}, {Filter: []byte("x"), QoS: 1},
	}))
	s.want(c, "SUBACK id=1 refused q0 q0 refused q1")
	s.wantTrace("drop subscription_limit a a/b/c/d q0", "subscribed a a/b/c q0", "subscribed a x q0",
		"drop subscription_limit a y q0", "subscribed a x q1")
}

func TestRetainedLimitStillPassesOn(t *testing.T) {
	for _, cfg := range []broker.Config{{MaxRetained: 1}, {MaxRetainedBytes: 5}} {
		s := newScript(t, cfg)
		c := s.subscriber("a", "#", 0)
		s.trace = nil
		s.send(c, retain("1", "old", 0, 0), retain("2", "no", 0, 0), retain("1", "new!", 0, 0))
		s.want(c, "PUBLISH q0 1 3 B", "PUBLISH q0 2 2 B", "PUBLISH q0 1 4 B")
		if got := s.trace[3]; got != "drop retained_full a 2 q0 (passed on, but not retained)" {
			t.Errorf("trace %q", got)
		}
		if n := s.b.Stats(); n.Retained != 1 || n.RetainedBytes != 5 {
			t.Errorf("%+v", n)
		}
	}
}

func TestASlowReaderLosesQoS0AndKeepsQoS1(t *testing.T) {
	s := newScript(t, broker.Config{MaxUnsent: 100})
	pub, sub := s.client("pub"), s.subscriber("sub", "t", 1)
	s.b.Backlog(s.now, sub, 101)
	s.trace = nil
	s.send(pub, publish("t", "0", 0, 0), publish("t", "1", 1, 1))
	s.want(sub)
	s.wantTrace("received pub t q0 n=1", "drop qos0_backlog sub t q0", "received pub t q1 id=1 n=1")
	s.b.Backlog(s.now, sub, 100)
	s.collect()
	s.want(sub, "PUBLISH q1 id=1 t 1 B")
}

// A client that sends and never reads must not fill the memory.
func TestAClientThatNeverReadsIsAborted(t *testing.T) {
	s := newScript(t, broker.Config{MaxUnsent: 100, MaxPacket: 100})
	c := s.client("a")
	s.b.Backlog(s.now, c, 199)
	s.send(c, pingreq)
	s.want(c, "PINGRESP", "ABORT")
	if last := s.trace[len(s.trace)-1]; last != "disconnected a (client reads too slowly)" {
		t.Error(last)
	}
	c = s.client("a")
	s.b.Backlog(s.now, c, 201)
	s.collect()
	s.want(c, "ABORT")
}

// What may be in flight does not make a reader slow, however much it is at once.
func TestAClientThatGetsItsWholeQueueAtOnceIsNotAborted(t *testing.T) {
	s := newScript(t, broker.Config{MaxUnsent: 100, MaxPacket: 100})
	c := s.dial()
	s.send(c, connect("sub", false, 0), codec.AppendSubscribe(nil, 1, []codec.Subscription{{Filter: []byte("t"), QoS: 1}}), []byte{0xE0, 0})
	pub := s.client("pub")
	for id := range uint16(5) {
		s.send(pub, publish("t", strings.Repeat("x", 80), 1, id+1))
	}
	c = s.dial()
	s.send(c, connect("sub", false, 0))
	s.b.Backlog(s.now, c, 4+5*(2+2+1+2+80)) // all of it
	s.send(c, pingreq)
	for _, l := range s.out[c] {
		if l == "ABORT" {
			t.Errorf("aborted with five messages in flight: %q", s.out[c])
		}
	}
	s.b.Backlog(s.now, c, 1000)
	s.collect()
	if l := s.out[c]; len(l) == 0 || l[len(l)-1] != "ABORT" {
		t.Errorf("no end to what a client does not read: %q", l)
	}
}

// A QoS 0 message as large as a packet may be goes to whoever has read everything.
func TestAMessageLargerThanTheUnsentLimitArrives(t *testing.T) {
	s := newScript(t, broker.Config{MaxUnsent: 100, MaxPacket: 1000})
	pub, sub := s.client("pub"), s.subscriber("sub", "t", 0)
	s.send(pub, publish("t", strings.Repeat("x", 900), 0, 0))
	s.b.Backlog(s.now, sub, 906)
	s.collect()
	s.want(sub, "PUBLISH q0 t 900 B")
}

// A message that may not be retained must not leave an older one in its place
// [MQTT-3.3.1-7].
func TestARetainedMessageBeyondALimitTakesTheOlderOneAway(t *testing.T) {
	s := newScript(t, broker.Config{MaxRetainedBytes: 5})
	c := s.client("a")
	s.send(c, retain("1", "old", 0, 0), retain("1", "too long", 0, 0))
	if n := s.b.Stats(); n.Retained != 0 || n.RetainedBytes != 0 {
		t.Errorf("%+v", n)
	}
}

// Outputs not taken yet count too.
func TestAFloodOfQoS0WithinOneCallIsBounded(t *testing.T) {
	s := newScript(t, broker.Config{MaxUnsent: 100})
	c := s.client("pub")
	s.subscriber("sub", "t", 0)
	one := publish("t", strings.Repeat("x", 45), 0, 0) // 50 bytes
	s.trace = nil
	s.send(c, one, one, one, one, one)
	sent := strings.Count(strings.Join(s.trace, "\n"), "sent sub")
	lost := strings.Count(strings.Join(s.trace, "\n"), "drop qos0_backlog sub")
	if sent != 3 || lost != 2 {
		t.Errorf("%d sent, %d dropped, want 3 and 2: the limit is crossed by one at most", sent, lost)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, cfg := range []broker.Config{
		{MaxPacket: -1}, {MaxInflight: 65_536}, {MaxPacket: codec.MaxPacket + 1}, {ConnectTimeout: -1},
		{Users: []broker.User{{Name: "a"}, {Name: "a"}}},
	} {
		if _, err := broker.New(cfg); err == nil {
			t.Errorf("%+v accepted", cfg)
		}
	}
}
