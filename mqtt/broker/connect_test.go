package broker_test

import (
	"strings"
	"testing"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
)

func TestConnectPingDisconnect(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.dial()
	s.send(c, connect("meter", true, 60), pingreq) // a client need not wait for CONNACK
	s.want(c, "CONNACK accepted", "PINGRESP")
	s.send(c, disconnect, pingreq) // what follows DISCONNECT is ignored
	s.want(c, "CLOSE")
	s.wantTrace("connected meter (10.0.0.1:1000)", "disconnected meter (DISCONNECT received)")
	if st := s.b.Stats(); st != (broker.Stats{}) {
		t.Errorf("left behind: %+v", st)
	}
}

func TestPacketsMayArriveByteByByte(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.subscriber("a", "t", 1)
	p := publish("t", strings.Repeat("x", 300), 1, 9)
	for i := range p {
		s.send(c, p[i:i+1])
	}
	s.want(c, "PUBLISH q1 id=1 t 300 B", "PUBACK id=9")
}

// [MQTT-3.1.2-24]: at 10 s of keep alive a client may be silent for 15 s.
func TestKeepAliveEndsAfterOneAndAHalfTimes(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.dial()
	s.send(c, connect("a", true, 10))
	s.at(14 * time.Second)
	s.send(c, pingreq) // 15 s start again
	s.send(c, pingreq[:1])
	s.at(29*time.Second - 1)
	s.want(c, "CONNACK accepted", "PINGRESP")
	s.at(29 * time.Second) // half a packet does not count
	s.want(c, "CLOSE")
	s.trace = s.trace[1:]
	s.wantTrace("disconnected a (keep alive timeout)")
}

func TestKeepAliveZeroNeverEnds(t *testing.T) {
	s := newScript(t, broker.Config{})
	c := s.client("a")
	s.at(1000 * time.Hour)
	s.send(c, pingreq)
	s.want(c, "PINGRESP")
}

func TestNoConnectInTime(t *testing.T) {
	s := newScript(t, broker.Config{ConnectTimeout: 3 * time.Second})
	c := s.dial()
	s.at(3*time.Second - 1)
	s.want(c)
	s.at(3 * time.Second)
	s.want(c, "CLOSE")
	s.wantTrace("disconnected (no CONNECT in time)")
}

func TestRefusals(t *testing.T) {
	users := broker.Config{Users: []broker.User{{Name: "u", Password: "p"}, {Name: "open"}}}
	as := func(user, password string) []byte {
		return codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("a"), CleanSession: true, HasUser: user != "",
			User: []byte(user), HasPassword: password != "", Password: []byte(password)})
	}
	for _, c := range []struct {
		name string
		cfg  broker.Config
		send []byte
		want []string
	}{
		{"empty identifier, clean session", broker.Config{}, connect("", true, 0), []string{"CONNACK accepted"}},
		{"empty identifier, kept session [MQTT-3.1.3-8]", broker.Config{}, connect("", false, 0), []string{"CONNACK identifier rejected", "CLOSE"}},
		{"MQTT 5 [MQTT-3.1.2-2]", broker.Config{}, []byte("\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01p"), []string{"CONNACK unacceptable protocol version", "CLOSE"}},
		{"MQTT 3.1", broker.Config{}, []byte("\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x0a\x00\x01p"), []string{"CONNACK unacceptable protocol version", "CLOSE"}},
		{"another protocol [MQTT-3.1.2-1]", broker.Config{}, []byte("\x10\x0d\x00\x04HTTP\x04\x02\x00\x0a\x00\x01p"), []string{"CLOSE"}},
		{"right password", users, as("u", "p"), []string{"CONNACK accepted"}},
		{"wrong password", users, as("u", "q"), []string{"CONNACK bad user name or password", "CLOSE"}},
		{"no password", users, as("u", ""), []string{"CONNACK bad user name or password", "CLOSE"}},
		{"user without password", users, as("open", ""), []string{"CONNACK accepted"}},
		{"unknown user", users, as("x", "p"), []string{"CONNACK bad user name or password", "CLOSE"}},
		{"nobody", users, as("", ""), []string{"CONNACK bad user name or password", "CLOSE"}},
		{"name where none is needed", broker.Config{}, as("u", "p"), []string{"CONNACK accepted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, c.cfg)
			conn := s.dial()
			s.send(conn, c.send)
			s.want(conn, c.want...)
		})
	}
}

func TestAssignedIdentifiersAreUnique(t *testing.T) {
	s := newScript(t, broker.Config{})
	s.client("auto-2")
	for range 3 {
		s.client("")
	}
	if n := s.b.Stats().Sessions; n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
}

// [MQTT-3.1.4-2], and the will of the old connection (section 3.1.2.5).
func TestTakeOverClosesTheOldConnectionAndPublishesItsWill(t *testing.T) {
	s := newScript(t, broker.Config{})
	watch := s.subscriber("watch", "will/#", 1)
	will := codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("a"), HasWill: true,
		Will: codec.Will{Topic: []byte("will/a"), Payload: []byte("gone"), QoS: 1}})
	old := s.dial()
	s.send(old, will, subscribe(1, "t", 1))
	s.want(old, "CONNACK accepted", "SUBACK id=1 q1")
	s.trace = nil
	c := s.dial()
	s.send(c, connect("a", false, 0))
	s.want(old, "CLOSE")
	s.want(c, "CONNACK session-present accepted")
	s.want(watch, "PUBLISH q1 id=1 will/a 4 B")
	s.wantTrace(
		"disconnected a (taken over by a new connection)",
		"received a will/a q1 n=1 (will)",
		"sent watch will/a q1 id=1",
		"connected a n=1 (10.0.0.3:1000)",
	)
	s.send(c, publish("t", "x", 0, 0)) // the subscription has moved along
	s.want(c, "PUBLISH q0 t 1 B")
	s.send(old, pingreq) // too late: ignored
	s.want(old)
}

func TestWill(t *testing.T) {
	will := codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("a"), CleanSession: true, KeepAlive: 10, HasWill: true,
		Will: codec.Will{Topic: []byte("w"), Payload: []byte("gone"), Retain: true}})
	for _, c := range []struct {
		name string
		end  func(*script, broker.ConnID)
		want []string
	}{
		{"connection lost", func(s *script, c broker.ConnID) { s.lose(c) }, []string{"PUBLISH q0 w 4 B"}},
		{"keep alive", func(s *script, c broker.ConnID) { s.at(15 * time.Second) }, []string{"PUBLISH q0 w 4 B"}},
		{"protocol error", func(s *script, c broker.ConnID) { s.send(c, []byte{0}) }, []string{"PUBLISH q0 w 4 B"}},
		{"DISCONNECT [MQTT-3.14.4-3]", func(s *script, c broker.ConnID) { s.send(c, disconnect) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, broker.Config{})
			watch := s.subscriber("watch", "w", 1)
			conn := s.dial()
			s.send(conn, will)
			c.end(s, conn)
			s.want(watch, c.want...)
			if c.want != nil && s.said != "gone" {
				t.Errorf("the will says %q", s.said)
			}
			if n := s.b.Stats().Retained; n != len(c.want) {
				t.Errorf("%d wills retained, want %d", n, len(c.want))
			}
		})
	}
}

func TestProtocolErrorsCloseTheConnection(t *testing.T) {
	for _, c := range []struct {
		name, clause string
		connected    bool
		send         []byte
	}{
		{"first packet is not CONNECT", "[MQTT-3.1.0-1]", false, pingreq},
		{"second CONNECT", "[MQTT-3.1.0-2]", true, connect("a", true, 0)},
		{"CONNACK from a client", "[MQTT-4.8.0-1]", true, codec.AppendConnack(nil, codec.Connack{})},
		{"SUBACK from a client", "[MQTT-4.8.0-1]", true, codec.AppendSuback(nil, 1, []byte{0})},
		{"PINGRESP from a client", "[MQTT-4.8.0-1]", true, codec.AppendEmpty(nil, codec.PINGRESP)},
		{"QoS 3", "[MQTT-3.3.1-4]", true, []byte{0x36, 0}},
		{"a wildcard in a topic", "[MQTT-3.3.2-2]", true, publish("a/#", "", 0, 0)},
		{"five length bytes", "[section 2.2.3]", true, []byte{0x30, 0x80, 0x80, 0x80, 0x80}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, broker.Config{})
			conn, name := s.dial(), ""
			if c.connected {
				s.send(conn, connect("a", true, 0))
				s.want(conn, "CONNACK accepted")
				name = "a "
			}
			s.trace = nil
			s.send(conn, c.send, pingreq)
			s.want(conn, "CLOSE")
			if len(s.trace) != 2 || !strings.HasPrefix(s.trace[0], "drop mqtt_protocol_error "+name) ||
				!strings.HasPrefix(s.trace[1], "disconnected "+name+"(protocol error: ") || !strings.Contains(s.trace[0], c.clause) {
				t.Errorf("trace %q", s.trace)
			}
		})
	}
}
