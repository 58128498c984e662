package mqtt_test

// The byte-exact tests of Mosquitto's client library for MQTT 3.1.1 without TLS
// (test/lib of eclipse/mosquitto, NN-name), as conversations of our own: what
// the client must send follows from the standard, byte by byte. Each is played
// in virtual time and over a TCP socket of this machine.

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/sim/rtos"
)

// A move is one step of the server: bytes that must come, or bytes to send, or
// the end of the connection by either side.
type move struct {
	want, send string
	hangUp     bool // the server closes, and the client is to connect again
}

// A script is a client's program and its server's.
type script struct {
	name      string
	id        string
	keepalive uint32
	keep      bool // clean session 0
	resend    bool // sends again although the session was a clean one
	setup     func(c *mqtt.Client) mqtt.Status
	connected func(c *mqtt.Client) mqtt.Status // once, after the first CONNACK
	last      uint8                            // the client disconnects after this acknowledgement; 0: at once, 255: never
	text      string                           // of the message that must have come, once
	server    [][]move                         // by connection
}

const never = 255

// packet is a control packet of less than 128 bytes.
func packet(first byte, parts ...string) string {
	body := ""
	for _, p := range parts {
		body += p
	}
	return string([]byte{first, byte(len(body))}) + body
}

// field is a string with its length.
func field(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func hello(flags, keepalive byte, fields ...string) string {
	parts := []string{"\x00\x04MQTT\x04", string([]byte{flags, 0, keepalive})}
	for _, f := range fields {
		parts = append(parts, field(f))
	}
	return packet(0x10, parts...)
}

const (
	okay = "\x20\x02\x00\x00"
	bye  = "\xe0\x00"
	ping = "\xc0\x00"
	pong = "\xd0\x00"
)

// greeted is a conversation behind CONNECT and CONNACK.
func greeted(id string, keepalive byte, moves ...move) []move {
	return append([]move{{want: hello(2, keepalive, id)}, {send: okay}}, moves...)
}

func publisher(topic, text string, qos uint8) func(*mqtt.Client) mqtt.Status {
	return func(c *mqtt.Client) mqtt.Status { return c.Publish(topic, []byte(text), false, qos, 100) }
}

func subscriber(topic string, qos uint8) func(*mqtt.Client) mqtt.Status {
	return func(c *mqtt.Client) mqtt.Status { return c.Subscribe(topic, qos) }
}

func scripts() []script {
	all := []script{
		{name: "01-con-discon-success", id: "01-con-discon-success"},
		{name: "01-keepalive-pingreq", id: "01-keepalive-pingreq", keepalive: 5, last: never,
			server: [][]move{greeted("01-keepalive-pingreq", 5, move{want: ping}, move{send: pong}, move{want: ping}, move{send: pong})}},
		{name: "01-no-clean-session", id: "01-no-clean-session", keep: true,
			server: [][]move{{{want: hello(0, 60, "01-no-clean-session")}, {send: okay}, {want: bye}}}},
		{name: "01-unpwd-set", id: "01-unpwd-set",
			setup:  func(c *mqtt.Client) mqtt.Status { return c.LoginSet([]byte("uname"), []byte(";'[08gn=#")) },
			server: [][]move{{{want: hello(0xC2, 60, "01-unpwd-set", "uname", ";'[08gn=#")}, {send: okay}, {want: bye}}}},
		{name: "01-will-set", id: "01-will-set",
			setup: func(c *mqtt.Client) mqtt.Status {
				return c.WillMessageSet([]byte("topic/on/unexpected/disconnect"), []byte("will message"), true, 1)
			},
			server: [][]move{{{want: hello(0x2E, 60, "01-will-set", "topic/on/unexpected/disconnect", "will message")}, {send: okay}, {want: bye}}}},
		{name: "01-will-unpwd-set", id: "01-will-unpwd-set",
			setup: func(c *mqtt.Client) mqtt.Status {
				if s := c.LoginSet([]byte("oibvvwqw"), []byte("#'^2hg9a&nm38*us")); !s.OK() {
					return s
				}
				return c.WillMessageSet([]byte("will-topic"), []byte("will message"), false, 2)
			},
			server: [][]move{{{want: hello(0xD6, 60, "01-will-unpwd-set", "will-topic", "will message", "oibvvwqw", "#'^2hg9a&nm38*us")}, {send: okay}, {want: bye}}}},
		{name: "02-unsubscribe", id: "unsubscribe-test", last: 11,
			connected: func(c *mqtt.Client) mqtt.Status { return c.Unsubscribe("unsubscribe/test") },
			server: [][]move{greeted("unsubscribe-test", 60, move{want: packet(0xA2, "\x00\x01", field("unsubscribe/test"))},
				move{send: "\xb0\x02\x00\x01"}, move{want: bye})}},
		{name: "03-publish-qos0", id: "publish-qos0-test", connected: publisher("pub/qos0/test", "message", 0),
			server: [][]move{greeted("publish-qos0-test", 60, move{want: packet(0x30, field("pub/qos0/test"), "message")}, move{want: bye})}},
		{name: "03-publish-qos0-no-payload", id: "publish-qos0-test-np", connected: publisher("pub/qos0/no-payload/test", "", 0),
			server: [][]move{greeted("publish-qos0-test-np", 60, move{want: packet(0x30, field("pub/qos0/no-payload/test"))}, move{want: bye})}},
		{name: "03-publish-c2b-qos2", id: "publish-qos2-test", last: 7, connected: publisher("pub/qos2/test", "message", 2),
			server: [][]move{greeted("publish-qos2-test", 60, move{want: packet(0x34, field("pub/qos2/test"), "\x00\x01message")},
				move{send: "\x50\x02\x00\x01"}, move{want: "\x62\x02\x00\x01"}, move{send: "\x70\x02\x00\x01"}, move{want: bye})}},
		{name: "03-publish-c2b-qos1-disconnect", id: "publish-qos1-test", last: 4, resend: true, connected: publisher("pub/qos1/test", "message", 1),
			server: [][]move{
				greeted("publish-qos1-test", 60, move{want: packet(0x32, field("pub/qos1/test"), "\x00\x01message")}, move{hangUp: true}),
				greeted("publish-qos1-test", 60, move{want: packet(0x3A, field("pub/qos1/test"), "\x00\x01message")},
					move{send: "\x40\x02\x00\x01"}, move{want: bye})}},
		{name: "03-publish-c2b-qos2-disconnect", id: "publish-qos2-test", last: 7, resend: true, connected: publisher("pub/qos2/test", "message", 2),
			server: [][]move{
				greeted("publish-qos2-test", 60, move{want: packet(0x34, field("pub/qos2/test"), "\x00\x01message")}, move{hangUp: true}),
				greeted("publish-qos2-test", 60, move{want: packet(0x3C, field("pub/qos2/test"), "\x00\x01message")},
					move{send: "\x50\x02\x00\x01"}, move{want: "\x62\x02\x00\x01"}, move{hangUp: true}),
				greeted("publish-qos2-test", 60, move{want: "\x62\x02\x00\x01"}, move{send: "\x70\x02\x00\x01"}, move{want: bye})}},
		{name: "03-publish-b2c-qos1", id: "publish-qos1-test", last: never, text: "message",
			server: [][]move{greeted("publish-qos1-test", 60, move{send: packet(0x32, field("pub/qos1/receive"), "\x00\x7bmessage")}, move{want: "\x40\x02\x00\x7b"})}},
		{name: "03-publish-b2c-qos1-unexpected-puback", id: "publish-qos1-test", keepalive: 5, last: never,
			server: [][]move{greeted("publish-qos1-test", 5, move{send: "\x40\x02\x34\x6f"}, move{want: ping}, move{send: pong})}},
		{name: "03-publish-b2c-qos2", id: "publish-qos2-test", last: never, text: "message",
			server: [][]move{greeted("publish-qos2-test", 60, move{send: packet(0x34, field("pub/qos2/receive"), "\x34\x6fmessage")},
				move{want: "\x50\x02\x34\x6f"}, move{send: "\x62\x02\x34\x6f"}, move{want: "\x70\x02\x34\x6f"})}},
		{name: "03-publish-b2c-qos2-unexpected-pubrel", id: "publish-qos2-test", last: never, text: "message",
			server: [][]move{greeted("publish-qos2-test", 60, move{send: "\x62\x02\x03\xe8"}, move{want: "\x70\x02\x03\xe8"},
				move{send: packet(0x34, field("pub/qos2/receive"), "\x34\x6fmessage")},
				move{want: "\x50\x02\x34\x6f"}, move{send: "\x62\x02\x34\x6f"}, move{want: "\x70\x02\x34\x6f"})}},
		{name: "03-publish-b2c-qos2-unexpected-pubcomp", id: "publish-qos2-test", keepalive: 5, last: never,
			server: [][]move{greeted("publish-qos2-test", 5, move{send: "\x70\x02\x34\x6f"}, move{want: ping}, move{send: pong})}},
		{name: "04-retain-qos0", id: "retain-qos0-test",
			connected: func(c *mqtt.Client) mqtt.Status {
				return c.Publish("retain/qos0/test", []byte("retained message"), true, 0, 100)
			},
			server: [][]move{greeted("retain-qos0-test", 60, move{want: packet(0x31, field("retain/qos0/test"), "retained message")}, move{want: bye})}},
	}
	for qos := range uint8(3) {
		id, topic := fmt.Sprintf("subscribe-qos%d-test", qos), fmt.Sprintf("qos%d/test", qos)
		all = append(all, script{name: fmt.Sprintf("02-subscribe-qos%d", qos), id: id, last: 9, connected: subscriber(topic, qos),
			server: [][]move{greeted(id, 60, move{want: packet(0x82, "\x00\x01", field(topic), string([]byte{qos}))},
				move{send: packet(0x90, "\x00\x01", string([]byte{qos}))}, move{want: bye})}})
	}
	for i := range all {
		if s := &all[i]; s.server == nil {
			s.server = [][]move{greeted(s.id, 60, move{want: bye})}
		}
	}
	return all
}

func (s *script) options() options {
	return options{mode: mqtt.ModeFixed, id: s.id, resend: s.resend}
}

// run is the client's program. It says how it went.
func (s *script) run(c *mqtt.Client, th *rtos.Thread, to netip.AddrPort) error {
	var acked [16]bool
	c.AckReceiveNotify = func(_ *mqtt.Client, kind uint8, _ uint16, _ *nic.Packet) { acked[kind] = true }
	keepalive := uint32(60)
	if s.keepalive > 0 {
		keepalive = s.keepalive
	}
	if s.setup != nil {
		if status := s.setup(c); !status.OK() {
			return fmt.Errorf("setup: %v", status)
		}
	}
	first := true
	for th.Kernel().Now() < 3_000 {
		if c.State() == mqtt.StateIdle {
			if status := c.Connect(to, keepalive, !s.keep, 500); !status.OK() {
				th.Sleep(10)
				continue
			}
			if first && s.connected != nil {
				if status := s.connected(c); !status.OK() {
					return fmt.Errorf("connected: %v", status)
				}
			}
			first = false
		}
		if s.last < 16 && (s.last == 0 || acked[s.last]) {
			c.Disconnect()
			return nil
		}
		th.Sleep(1)
	}
	return nil
}

// messages checks what the application got.
func (s *script) messages(c *mqtt.Client) error {
	topic, body := make([]byte, 64), make([]byte, 64)
	var all []string
	for {
		_, n, status := c.MessageGet(topic, body)
		if !status.OK() {
			break
		}
		all = append(all, string(body[:n]))
	}
	if s.text == "" && len(all) == 0 || len(all) == 1 && all[0] == s.text {
		return nil
	}
	return fmt.Errorf("the application got %q, want %q", all, s.text)
}

func TestMosquittosClientScriptsInVirtualTime(t *testing.T) {
	for _, s := range scripts() {
		t.Run(s.name, func(t *testing.T) {
			if err := s.playVirtual(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// playVirtual is the server in virtual time.
func (s *script) playVirtual(t *testing.T) error {
	w := newWire(t, s.options())
	w.quiet = true
	var failed error
	connection, at, in := -1, 0, []byte(nil)
	finished := false
	var step func()
	step = func() {
		for connection < len(s.server) && at < len(s.server[connection]) && failed == nil {
			switch m := s.server[connection][at]; {
			case m.hangUp:
				at++
				w.reset()
				return
			case m.send != "":
				w.segment([]byte(m.send))
			case len(in) >= len(m.want) || !bytes.HasPrefix([]byte(m.want), in):
				if !bytes.HasPrefix(in, []byte(m.want)) {
					failed = fmt.Errorf("connection %d: got % x, want % x", connection+1, in, m.want)
					return
				}
				in = in[len(m.want):]
			default:
				return
			}
			at++
			finished = connection == len(s.server)-1 && at == len(s.server[connection])
		}
	}
	w.raw = func(b []byte) {
		if connection+1 < w.connections {
			connection, at, in = w.connections-1, 0, nil
		}
		in = append(in, b...)
		step()
	}
	var program error
	w.app(func(th *rtos.Thread) { program = s.run(w.c, th, server) })
	w.run(40)
	w.app(func(*rtos.Thread) { program = errors.Join(program, s.messages(w.c)) })
	w.run(1)
	if failed == nil && !finished {
		failed = fmt.Errorf("stopped in connection %d at move %d", connection+1, at+1)
	}
	return errors.Join(failed, program)
}

// A client that does it otherwise must not pass: NetX's cannot do QoS 2, and
// keeps nothing over a clean session.
func TestMosquittosClientScriptsSeeAnotherClient(t *testing.T) {
	for _, s := range scripts() {
		if s.name != "03-publish-c2b-qos1-disconnect" {
			continue
		}
		s.resend = false
		if err := s.playVirtual(t); err == nil {
			t.Error("the message was sent again, or nobody minds")
		}
		s.resend, s.server[1][2].want = true, packet(0x32, field("pub/qos1/test"), "\x00\x01message")
		if err := s.playVirtual(t); err == nil {
			t.Error("a missing DUP is not seen")
		}
	}
}
