package broker_test

import (
	"testing"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
)

func TestQoSOfADeliveryIsTheLowerOne(t *testing.T) {
	s := newScript(t, broker.Config{})
	pub := s.client("pub")
	subs := []broker.ConnID{s.subscriber("s0", "t", 0), s.subscriber("s1", "t", 1), s.subscriber("s2", "t", 2)}
	s.trace = nil
	s.send(pub, publish("t", "x", 0, 0), publish("t", "x", 1, 5), publish("t", "x", 2, 6))
	s.want(pub, "PUBACK id=5", "PUBREC id=6")
	s.want(subs[0], "PUBLISH q0 t 1 B", "PUBLISH q0 t 1 B", "PUBLISH q0 t 1 B")
	s.want(subs[1], "PUBLISH q0 t 1 B", "PUBLISH q1 id=1 t 1 B", "PUBLISH q1 id=2 t 1 B")
	s.want(subs[2], "PUBLISH q0 t 1 B", "PUBLISH q1 id=1 t 1 B", "PUBLISH q2 id=2 t 1 B")
	s.wantTrace(
		"received pub t q0 n=3", "sent s0 t q0", "sent s1 t q0", "sent s2 t q0",
		"received pub t q1 id=5 n=3", "sent s0 t q0", "sent s1 t q1 id=1", "sent s2 t q1 id=1",
		"received pub t q2 id=6 n=3", "sent s0 t q0", "sent s1 t q1 id=2", "sent s2 t q2 id=2",
	)
}

// [MQTT-4.3.3-2]: the repetition is acknowledged and not passed on.
func TestQoS2IsReceivedExactlyOnce(t *testing.T) {
	s := newScript(t, broker.Config{})
	pub, sub := s.client("pub"), s.subscriber("sub", "t", 0)
	again := codec.AppendPublish(nil, &codec.Publish{Topic: []byte("t"), QoS: 2, ID: 7, Dup: true})
	s.trace = nil
	s.send(pub, publish("t", "", 2, 7), again)
	s.want(pub, "PUBREC id=7", "PUBREC id=7")
	s.want(sub, "PUBLISH q0 t 0 B")
	s.wantTrace("received pub t q2 id=7 n=1", "sent sub t q0", "drop qos2_duplicate pub t q2 id=7")
	s.send(pub, ack(codec.PUBREL, 7), ack(codec.PUBREL, 7)) // the second is answered too
	s.want(pub, "PUBCOMP id=7", "PUBCOMP id=7")
	s.send(pub, publish("t", "", 2, 7)) // released: a new message
	s.want(pub, "PUBREC id=7")
	s.want(sub, "PUBLISH q0 t 0 B")
}

func TestQoS2IsSentInFourSteps(t *testing.T) {
	s := newScript(t, broker.Config{})
	pub, sub := s.client("pub"), s.subscriber("sub", "t", 2)
	s.send(pub, publish("t", "x", 2, 1))
	s.want(sub, "PUBLISH q2 id=1 t 1 B")
	s.trace = nil
	s.send(sub, ack(codec.PUBCOMP, 1)) // too early: ignored
	s.want(sub)
	s.send(sub, ack(codec.PUBREC, 1), ack(codec.PUBREC, 1))
	s.want(sub, "PUBREL id=1", "PUBREL id=1")
	s.wantTrace("acked sub t q2 id=1")
	s.send(sub, ack(codec.PUBCOMP, 1), ack(codec.PUBREC, 1))
	s.want(sub, "PUBREL id=1") // forgotten, but the client may end it
	s.wantTrace()
}

func TestAnAcknowledgementOfNothingIsIgnored(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.client("a")
	s.send(c, ack(codec.PUBACK, 3), ack(codec.PUBCOMP, 3), pingreq)
	s.want(c, "PINGRESP")
}

// [MQTT-3.3.5-1], and the $ rule [MQTT-4.7.2-1].
func TestOverlappingSubscriptionsDeliverOnceAtTheHighestQoS(t *testing.T) {
	s := newScript(t, broker.Config{})
	sub := s.client("sub")
	s.send(sub, codec.AppendSubscribe(nil, 1, []codec.Subscription{
		{Filter: []byte("#"), QoS: 0}, {Filter: []byte("a/+"), QoS: 2}, {Filter: []byte("a/b"), QoS: 1},
	}))
	s.want(sub, "SUBACK id=1 q0 q2 q1")
	s.send(sub, publish("a/b", "", 2, 1), publish("c", "", 2, 2), publish("$SYS/a", "", 0, 0))
	s.want(sub, "PUBLISH q2 id=1 a/b 0 B", "PUBREC id=1", "PUBLISH q0 c 0 B", "PUBREC id=2")
	s.send(sub, codec.AppendUnsubscribe(nil, 2, [][]byte{[]byte("a/+"), []byte("not/there")}))
	s.want(sub, "UNSUBACK id=2")
	s.send(sub, publish("a/b", "", 1, 3))
	s.want(sub, "PUBLISH q1 id=2 a/b 0 B", "PUBACK id=3")
	s.send(sub, subscribe(4, "a/b", 0)) // replaces the former QoS [MQTT-3.8.4-3]
	s.want(sub, "SUBACK id=4 q0")
	s.send(sub, publish("a/b", "", 1, 5))
	s.want(sub, "PUBLISH q0 a/b 0 B", "PUBACK id=5")
	if n := s.b.Stats().Subscriptions; n != 2 {
		t.Errorf("%d subscriptions, want 2", n)
	}
}

func TestRetainedMessages(t *testing.T) {
	s := newScript(t, broker.Config{})
	live := s.subscriber("live", "#", 2)
	s.send(live, retain("b", "old", 1, 1), retain("b", "new!", 2, 2), retain("a/x", "1", 0, 0), retain("a", "22", 1, 3))
	s.want(live, // a live subscriber does not see the flag [MQTT-3.3.1-9]
		"PUBLISH q1 id=1 b 3 B", "PUBACK id=1", "PUBLISH q2 id=2 b 4 B", "PUBREC id=2",
		"PUBLISH q0 a/x 1 B", "PUBLISH q1 id=3 a 2 B", "PUBACK id=3")

	late := s.client("late")
	s.send(late, subscribe(1, "a/#", 1))
	s.want(late, "SUBACK id=1 q1", "PUBLISH q1 retain id=1 a 2 B", "PUBLISH q0 retain a/x 1 B")
	s.send(late, subscribe(2, "b", 1), subscribe(3, "b", 0)) // each SUBSCRIBE gets it [MQTT-3.8.4-3]
	s.want(late, "SUBACK id=2 q1", "PUBLISH q1 retain id=2 b 4 B", "SUBACK id=3 q0", "PUBLISH q0 retain b 4 B")

	s.send(live, retain("b", "", 0, 0)) // deletes it, and is passed on [MQTT-3.3.1-10]
	s.want(live, "PUBLISH q0 b 0 B")
	s.want(late, "PUBLISH q0 b 0 B")
	s.send(late, subscribe(4, "+", 0))
	s.want(late, "SUBACK id=4 q0", "PUBLISH q0 retain a 2 B")
	s.send(live, publish("a", "not retained", 0, 0)) // neither stores nor deletes [MQTT-3.3.1-12]
	if st := s.b.Stats(); st.Retained != 2 || st.RetainedBytes != len("a/x")+1+len("a")+2 {
		t.Errorf("%+v", st)
	}
}

// [MQTT-4.4.0-1], [MQTT-4.6.0-1]: the same order, the same identifiers, DUP.
func TestUnacknowledgedMessagesAreSentAgainOnResumption(t *testing.T) {
	s := newScript(t, broker.Config{})
	pub, sub := s.client("pub"), s.dial()
	s.send(sub, connect("sub", false, 0), subscribe(1, "t", 2))
	s.want(sub, "CONNACK accepted", "SUBACK id=1 q2")
	s.send(pub, publish("t", "1", 1, 1), publish("t", "22", 2, 2), publish("t", "333", 2, 3), publish("t", "4444", 1, 4))
	s.send(sub, ack(codec.PUBREC, 2), ack(codec.PUBACK, 4))
	s.want(sub, "PUBLISH q1 id=1 t 1 B", "PUBLISH q2 id=2 t 2 B", "PUBLISH q2 id=3 t 3 B", "PUBLISH q1 id=4 t 4 B", "PUBREL id=2")
	s.lose(sub)
	s.send(pub, publish("t", "55555", 1, 5), publish("t", "lost", 0, 0))
	s.at(time.Hour)
	s.trace = nil
	sub = s.dial()
	s.send(sub, connect("sub", false, 0))
	s.want(sub, "CONNACK session-present accepted",
		"PUBLISH q1 dup id=1 t 1 B", "PUBREL id=2", "PUBLISH q2 dup id=3 t 3 B", "PUBLISH q1 id=5 t 5 B")
	s.wantTrace("connected sub n=1 (10.0.0.3:1000)",
		"sent sub t q1 id=1 dup", "sent sub t q2 id=3 dup", "sent sub t q1 id=5")
}

func TestQoS2FromAPublisherSurvivesItsReconnect(t *testing.T) {
	s := newScript(t, broker.Config{})
	sub, pub := s.subscriber("sub", "t", 0), s.dial()
	s.send(pub, connect("pub", false, 0), publish("t", "", 2, 9))
	s.lose(pub)
	pub = s.dial()
	s.send(pub, connect("pub", false, 0), publish("t", "", 2, 9))
	s.want(pub, "CONNACK session-present accepted", "PUBREC id=9")
	s.want(sub, "PUBLISH q0 t 0 B") // once
}

// [MQTT-3.1.2-6]
func TestACleanSessionForgetsAllAndSaysSo(t *testing.T) {
	s := newScript(t, broker.Config{MaxInflight: 1})
	pub, sub := s.client("pub"), s.dial()
	s.send(sub, connect("sub", false, 0), subscribe(1, "t", 1))
	s.send(pub, publish("t", "", 1, 1), publish("t", "", 1, 2))
	s.lose(sub)
	s.trace = nil
	sub = s.dial()
	s.send(sub, connect("sub", true, 0))
	s.wantTrace("drop session_ended sub t q1 id=1 (sent, not acknowledged)", "drop session_ended sub t q1 (queued)",
		"connected sub (10.0.0.3:1000)")
	s.lose(sub)
	sub = s.dial()
	s.send(sub, connect("sub", false, 0))
	s.want(sub, "CONNACK accepted") // no session present
	s.send(pub, publish("t", "", 1, 3))
	s.want(sub)
}

func TestPacketIdentifiersInUseAreSkipped(t *testing.T) {
	s := newScript(t, broker.Config{MaxInflight: 3})
	pub, sub := s.client("pub"), s.subscriber("sub", "t", 1)
	s.send(pub, publish("t", "", 1, 1))  // 1 stays unacknowledged
	for id := uint16(2); id != 0; id++ { // past the script, which would write 65,534 transcripts
		s.b.Data(s.now, pub, publish("t", "", 1, 1))
		s.b.Data(s.now, sub, ack(codec.PUBACK, id))
		s.b.Outputs()
		s.trace = nil
	}
	delete(s.out, sub)
	s.send(pub, publish("t", "", 1, 1))
	s.want(sub, "PUBLISH q1 id=2 t 0 B") // neither 0 nor 1
}

func TestQueuedAndRetainedPayloadsAreCopies(t *testing.T) {
	s := newScript(t, broker.Config{})
	pub, sub := s.client("pub"), s.dial()
	s.send(sub, connect("sub", false, 0), subscribe(1, "t", 1), disconnect)
	s.send(pub, retain("t", "payload", 1, 1))
	s.b.Open(s.now, 99, "")
	s.b.Data(s.now, 99, connect("sub", false, 0))
	s.b.Data(s.now, 99, subscribe(2, "t", 1))
	var got []string
	for _, o := range s.b.Outputs() {
		var p codec.Packet
		if err := p.Decode(o.Data); err != nil {
			t.Fatal(err)
		}
		if p.Type == codec.PUBLISH {
			got = append(got, string(p.Publish.Payload))
		}
	}
	if len(got) != 2 || got[0] != "payload" || got[1] != "payload" {
		t.Errorf("queued and retained: %q", got)
	}
}
