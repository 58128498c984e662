package broker_test

import (
	"strings"
	"testing"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
)

// only gives one client faults.
func only(name string, f broker.Faults) func(string) broker.Faults {
	return func(client string) broker.Faults {
		if client == name {
			return f
		}
		return broker.Faults{}
	}
}

func TestRefusalsHaveAnyCode(t *testing.T) {
	s := newScript(t, broker.Config{})
	s.b.SetFaults(only("a", broker.Faults{Refuse: codec.RefusedUnavailable}))
	a, b := s.dial(), s.client("b")
	s.send(a, connect("a", true, 0))
	s.want(a, "CONNACK server unavailable", "CLOSE")
	s.b.SetFaults(nil)
	s.client("a")
	s.send(b, pingreq)
	s.want(b, "PINGRESP")
}

func TestAcksAreMissingWrongOrRepeated(t *testing.T) {
	for fault, want := range map[broker.AckFault]string{
		broker.AcksRight:    "PUBACK id=5|PUBREC id=6|PUBCOMP id=6|SUBACK id=7 q0|UNSUBACK id=8|PINGRESP",
		broker.AcksMissing:  "PINGRESP",
		broker.AcksWrong:    "PUBACK id=6|PUBREC id=7|PUBCOMP id=7|SUBACK id=8 q0|UNSUBACK id=9|PINGRESP",
		broker.AcksRepeated: "PUBACK id=5|PUBACK id=5|PUBREC id=6|PUBREC id=6|PUBCOMP id=6|PUBCOMP id=6|SUBACK id=7 q0|SUBACK id=7 q0|UNSUBACK id=8|UNSUBACK id=8|PINGRESP",
	} {
		s := newScript(t, broker.Config{})
		c, other := s.client("a"), s.client("b")
		s.b.SetFaults(only("a", broker.Faults{Acks: fault}))
		s.trace = nil
		s.send(c, publish("t", "", 1, 5), publish("t", "", 2, 6), ack(codec.PUBREL, 6), subscribe(7, "x", 0),
			codec.AppendUnsubscribe(nil, 8, [][]byte{[]byte("x")}), pingreq)
		s.want(c, strings.Split(want, "|")...)
		drops := strings.Count(strings.Join(s.trace, "\n"), "drop scripted_fault a")
		if (fault == broker.AcksMissing) != (drops == 5) {
			t.Errorf("fault %d: %d drops", fault, drops)
		}
		s.send(other, publish("t", "", 1, 5))
		s.want(other, "PUBACK id=5")
	}
}

func TestAWrongIdentifierIsNeverZero(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.client("a")
	s.b.SetFaults(only("a", broker.Faults{Acks: broker.AcksWrong}))
	s.send(c, publish("t", "", 1, 65_535))
	s.want(c, "PUBACK id=1")
}

func TestSlowAcksKeepTheirOrderAndOthersOvertake(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.subscriber("a", "t", 0)
	s.b.SetFaults(only("a", broker.Faults{AckDelay: 3 * time.Second}))
	s.send(c, publish("t", "1", 1, 1))
	s.want(c, "PUBLISH q0 t 1 B")
	s.at(time.Second)
	s.b.SetFaults(nil) // the next one is due at once, but not before the first
	s.send(c, publish("t", "2", 1, 2), pingreq)
	s.want(c, "PUBLISH q0 t 1 B", "PINGRESP")
	s.at(2999 * time.Millisecond)
	s.want(c)
	s.at(3 * time.Second)
	s.want(c, "PUBACK id=1", "PUBACK id=2")
	s.send(c, publish("t", "3", 1, 3))
	s.want(c, "PUBLISH q0 t 1 B", "PUBACK id=3")
}

// Acks that wait are bytes that wait for the client.
func TestSlowAcksAreBounded(t *testing.T) {
	s := newScript(t, broker.Config{MaxUnsent: 100, MaxPacket: 100})
	c := s.client("a")
	s.b.SetFaults(only("a", broker.Faults{AckDelay: time.Hour}))
	for i := range 51 {
		s.send(c, publish("t", "", 1, uint16(i+1)))
	}
	s.want(c, "ABORT")
}

func TestAConnackIsLateAndWhatFollowsWaits(t *testing.T) {
	s := newScript(t, broker.Config{ConnectTimeout: time.Second})
	s.b.SetFaults(only("a", broker.Faults{ConnackDelay: 5 * time.Second}))
	c := s.dial()
	s.send(c, connect("a", true, 1), subscribe(1, "#", 0), publish("t", "early", 0, 0)[:3])
	s.at(4 * time.Second) // neither the CONNECT's limit nor the keep alive counts
	s.send(c, publish("t", "early", 0, 0)[3:])
	s.want(c)
	s.at(5 * time.Second)
	s.want(c, "CONNACK accepted", "SUBACK id=1 q0", "PUBLISH q0 t 5 B")
	s.at(6500 * time.Millisecond)
	s.want(c, "CLOSE") // keep alive, from the CONNACK on
	c = s.dial()
	s.send(c, connect("a", true, 1))
	s.lose(c) // before its CONNACK
	s.at(20 * time.Second)
	s.want(c)
}

func TestWhatWaitsBehindAHeldConnectIsBounded(t *testing.T) {
	s := newScript(t, broker.Config{MaxPacket: 100, MaxUnsent: 100})
	s.b.SetFaults(only("a", broker.Faults{ConnackDelay: time.Second}))
	c := s.dial()
	s.send(c, connect("a", true, 0))
	for range 25 {
		s.send(c, publish("t", "1234", 0, 0))
	}
	s.want(c, "ABORT")
	if !strings.HasPrefix(s.trace[0], "drop held_input_limit") {
		t.Errorf("trace %q", s.trace)
	}
}

func TestForgottenSessions(t *testing.T) {
	s := newScript(t, broker.Config{})
	here, away, other := s.dial(), s.dial(), s.client("other")
	s.send(here, connect("here", false, 0), subscribe(1, "t", 1))
	s.send(away, connect("away", false, 0), subscribe(1, "t", 1), disconnect)
	s.send(other, publish("t", "", 1, 1))
	s.out, s.trace = map[broker.ConnID][]string{}, nil
	s.b.Forget(s.now, func(c string) bool { return c != "other" })
	s.collect()
	s.want(here, "ABORT")
	s.wantTrace("disconnected here (session forgotten)", "drop session_ended here t q1 id=1 (sent, not acknowledged)",
		"drop session_ended away t q1 (queued)")
	for _, name := range []string{"here", "away"} {
		c := s.dial()
		s.send(c, connect(name, false, 0))
		s.want(c, "CONNACK accepted")
	}
	s.send(other, pingreq)
	s.want(other, "PINGRESP")
}

func TestInjectedBytesReachTheClientsChosen(t *testing.T) {
	b, err := broker.New(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "b"} {
		b.Open(0, broker.ConnID(i), "")
		b.Data(0, broker.ConnID(i), connect(name, true, 0))
	}
	b.Outputs()
	n := b.Inject(0, func(c string) bool { return c == "b" }, []byte{0xFF, 0xFF})
	out := b.Outputs()
	if n != 1 || len(out) != 1 || out[0].Conn != 1 || string(out[0].Data) != "\xFF\xFF" {
		t.Errorf("%d connections, %v", n, out)
	}
}
