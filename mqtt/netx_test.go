package mqtt_test

// Tests named after the cases of NetX Duo's own regression tests,
// test/regression/mqtt_test/netx_mqtt_NAME_test.c.

import (
	"net/netip"
	"strings"
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
)

func TestAPI(t *testing.T) {
	w := newWire(t, options{})
	w.quiet = true
	w.app(func(*rtos.Thread) {
		c, b := w.c, make([]byte, 8)
		get := func(topic, message []byte) mqtt.Status { _, _, s := c.MessageGet(topic, message); return s }
		for _, tc := range []struct {
			call string
			got  mqtt.Status
			want mqtt.Status
		}{
			{"connect without address", c.Connect(netip.AddrPort{}, 0, true, 1), mqtt.InvalidParameter},
			{"connect to port 0", c.Connect(netip.MustParseAddrPort("10.0.0.1:0"), 0, true, 1), nic.InvalidPort},
			{"will without topic", c.WillMessageSet(nil, b, true, 0), mqtt.InvalidParameter},
			{"will with QoS 3", c.WillMessageSet(b, b, true, 3), mqtt.InvalidParameter},
			{"will with QoS 2", c.WillMessageSet(b, b, true, 2), mqtt.QoS2NotSupported},
			{"publish without topic", c.Publish("", b, false, 0, 1), mqtt.InvalidParameter},
			{"publish an empty message", c.Publish("t", []byte{}, false, 0, 1), mqtt.InvalidParameter},
			{"publish with QoS 4", c.Publish("t", b, false, 4, 1), mqtt.InvalidParameter},
			{"publish with QoS 2", c.Publish("t", b, false, 2, 1), mqtt.QoS2NotSupported},
			{"subscribe to nothing", c.Subscribe("", 0), mqtt.InvalidParameter},
			{"subscribe with QoS 3", c.Subscribe("t", 3), mqtt.InvalidParameter},
			{"subscribe with QoS 2", c.Subscribe("t", 2), mqtt.QoS2NotSupported},
			{"unsubscribe from nothing", c.Unsubscribe(""), mqtt.InvalidParameter},
			{"receive_notify_set(NULL)", c.ReceiveNotifySet(nil), nic.PtrError},
			{"message_get without topic buffer", get(nil, b), mqtt.InvalidParameter},
			{"message_get without message buffer", get(b, nil), mqtt.InvalidParameter},
			{"message_get of nothing", get(b, b), mqtt.NoMessage},
			{"TLS without a set-up callback", c.SecureConnect(server, nil, 0, true, 1), nic.PtrError},
			{"websocket", c.WebsocketSet("host", "/mqtt"), nic.NotSupported},
			// An idle client can be disconnected.
			{"disconnect", c.Disconnect(), mqtt.Success},
		} {
			if tc.got != tc.want {
				t.Errorf("%s: %v, want %v", tc.call, tc.got, tc.want)
			}
		}
		if _, status := mqtt.CloudCreate(mqtt.Config{}); status != nic.NotSupported {
			t.Errorf("cloud: %v", status)
		}
	})
	w.run(1)
	w.free(16)
	for _, cfg := range []mqtt.Config{
		{}, {Kernel: w.kernel}, {Kernel: w.kernel, Pool: w.pool},
		{Kernel: w.kernel, Pool: w.pool, Socket: w, TransmitQueueDepth: -1},
	} {
		if _, err := mqtt.Create(cfg); err == nil {
			t.Errorf("created %+v", cfg)
		}
	}
}

func TestBranchStates(t *testing.T) {
	w := newWire(t, options{})
	w.connack = nil
	w.app(func(th *rtos.Thread) { w.connect(0, true) })
	w.kernel.NewThread("other", 11, func(th *rtos.Thread) {
		th.Sleep(1)
		w.say("second connect %v", w.c.Connect(server, 0, true, 500))
		w.deliver(codec.AppendConnack(nil, codec.Connack{}))
		th.Sleep(1)
		w.say("third connect %v", w.c.Connect(server, 0, true, 500))
		w.c.Disconnect()
		w.say("delete %v", w.c.Delete())
		w.say("after delete: connect %v, subscribe %v, disconnect %v, login %v", w.c.Connect(server, 0, true, 1),
			w.c.Subscribe("t", 0), w.c.Disconnect(), w.c.LoginSet(nil, nil))
	})
	w.want(
		"0 tcp connect 10.0.0.1:1883 wait 500",
		"1 D CONNECT dev clean keepalive=0s",
		"10 second connect NXD_MQTT_CONNECTING",
		"10 B CONNACK accepted",
		"10 cb connect_notify NX_SUCCESS",
		"10 connect NX_SUCCESS",
		"20 third connect NXD_MQTT_ALREADY_CONNECTED",
		"20 D DISCONNECT", "20 tcp FIN, wait -1", "20 cb disconnect_notify",
		// The client's thread has the higher priority and is done before delete()
		// looks for the first time, so it need not sleep.
		"20 delete NX_SUCCESS",
		"20 after delete: connect NXD_MQTT_MUTEX_FAILURE, subscribe NXD_MQTT_MUTEX_FAILURE, disconnect NXD_MQTT_MUTEX_FAILURE, login NXD_MQTT_MUTEX_FAILURE")
	if n := len(w.kernel.Threads()); n != 0 {
		t.Errorf("%d threads left", n)
	}
}

func TestConnackError(t *testing.T) {
	for code := byte(1); code <= 6; code++ {
		w := newWire(t, options{})
		w.connack = []byte{0x20, 2, 0, code}
		var status mqtt.Status
		w.app(func(*rtos.Thread) { status = w.c.Connect(server, 60, false, 500) })
		w.run(5)
		want := mqtt.ErrorConnectReturnCode + mqtt.Status(code)
		if code == 6 {
			want = mqtt.ServerMessageFailure
		}
		if status != want || w.c.State() != mqtt.StateIdle || !strings.HasSuffix(w.lines[len(w.lines)-1], "tcp RST") {
			t.Errorf("code %d: %v, state %v, %v", code, status, w.c.State(), w.lines)
		}
		w.free(16)
	}
}

func TestConnect(t *testing.T) {
	w := newWire(t, options{})
	var sent []byte
	w.app(func(*rtos.Thread) {
		w.holdTCP = true
		w.connect(5, true)
		sent = w.sent[0].AppendTo(nil)
		w.ackTCP()
		w.say("disconnect %v, state %v", w.c.Disconnect(), w.c.State())
	})
	w.want(
		"0 tcp connect 10.0.0.1:1883 wait 500", "1 D CONNECT dev clean keepalive=5s", "2 B CONNACK accepted",
		"2 cb connect_notify NX_SUCCESS", "2 connect NX_SUCCESS",
		"2 D DISCONNECT", "2 tcp FIN, wait -1", "2 cb disconnect_notify", "2 disconnect NX_SUCCESS, state idle")
	if want := "\x10\x0f\x00\x04MQTT\x04\x02\x00\x05\x00\x03dev"; string(sent) != want {
		t.Errorf("CONNECT %x, want %x", sent, want)
	}
	w.free(16)
}

func TestConnectV6(t *testing.T) {
	w := newWire(t, options{payload: 110, packets: 4})
	w.app(func(*rtos.Thread) {
		w.holdTCP = true
		w.c.Connect(netip.MustParseAddrPort("[fd00::1]:1883"), 0, true, 500)
		if n := len(w.sent[0].Headroom()); n != int(nic.IPv6TCP) {
			t.Errorf("headroom %d", n)
		}
	})
	w.run(1)
}

func TestConnectAuthWill(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(c *mqtt.Client) mqtt.Status
		want string
	}{
		{"connect_auth", func(c *mqtt.Client) mqtt.Status { return c.LoginSet([]byte("u"), []byte("pw")) }, "\x10\x16\x00\x04MQTT\x04\xc0\x00\x00\x00\x03dev\x00\x01u\x00\x02pw"},
		{"null_password", func(c *mqtt.Client) mqtt.Status { return c.LoginSet([]byte("u"), nil) }, "\x10\x12\x00\x04MQTT\x04\x80\x00\x00\x00\x03dev\x00\x01u"},
		{"password without user", func(c *mqtt.Client) mqtt.Status { return c.LoginSet(nil, []byte("pw")) }, "\x10\x0f\x00\x04MQTT\x04\x00\x00\x00\x00\x03dev"},
		{"connect_auth_empty", func(c *mqtt.Client) mqtt.Status { return c.LoginSet([]byte{}, []byte{}) }, "\x10\x13\x00\x04MQTT\x04\xc0\x00\x00\x00\x03dev\x00\x00\x00\x00"},
		{"connect_will_message", func(c *mqtt.Client) mqtt.Status { return c.WillMessageSet([]byte("w"), []byte("bye"), true, 1) }, "\x10\x17\x00\x04MQTT\x04\x2c\x00\x00\x00\x03dev\x00\x01w\x00\x03bye"},
		{"connect_will_topic_only", func(c *mqtt.Client) mqtt.Status { return c.WillMessageSet([]byte("w"), nil, false, 0) }, "\x10\x14\x00\x04MQTT\x04\x04\x00\x00\x00\x03dev\x00\x01w\x00\x00"},
		{"connect_with_auth_will", func(c *mqtt.Client) mqtt.Status {
			c.LoginSet([]byte("u"), []byte("p"))
			return c.WillMessageSet([]byte("w"), []byte("m"), false, 1)
		}, "\x10\x1b\x00\x04MQTT\x04\xcc\x00\x00\x00\x03dev\x00\x01w\x00\x01m\x00\x01u\x00\x01p"},
	} {
		w := newWire(t, options{})
		w.holdTCP = true
		w.app(func(*rtos.Thread) {
			if status := tc.set(w.c); !status.OK() {
				t.Errorf("%s: %v", tc.name, status)
			}
			w.c.Connect(server, 0, false, 500)
		})
		w.run(1)
		if got := string(w.sent[0].AppendTo(nil)); got != tc.want {
			t.Errorf("%s: CONNECT\n%x, want\n%x", tc.name, got, tc.want)
		}
	}
}

func TestConnectWithoutConnackTimesOutWithReset(t *testing.T) {
	w := newWire(t, options{})
	w.connack = nil
	w.app(func(th *rtos.Thread) {
		w.connect(60, false)
		w.say("state %v, priority %d", w.c.State(), th.Priority())
	})
	w.want("0 tcp connect 10.0.0.1:1883 wait 500", "1 D CONNECT dev keepalive=60s",
		// 500 ticks from 1 ms: the tick grid.
		"5000 tcp RST", "5000 connect NXD_MQTT_COMMUNICATION_FAILURE", "5000 state idle, priority 10")
	w.free(16)
}

func TestConnectRefusedByTCP(t *testing.T) {
	w := newWire(t, options{})
	w.tcp = nic.NotConnected
	w.app(func(*rtos.Thread) { w.connect(60, false) })
	w.want("0 tcp connect 10.0.0.1:1883 wait 500", "1 connect NXD_MQTT_CONNECT_FAILURE")
	if w.bound {
		t.Error("the port is still bound")
	}
}

func TestConnectPacketSendFailure(t *testing.T) {
	w := newWire(t, options{})
	w.sendStatus = nic.WindowOverflow
	w.app(func(*rtos.Thread) { w.connect(0, false) })
	w.want("0 tcp connect 10.0.0.1:1883 wait 500", "1 tcp send NX_WINDOW_OVERFLOW, wait 500", "1 tcp RST", "1 connect NXD_MQTT_CONNECT_FAILURE")
	w.free(16)
}

func TestConnectSessionPresentAfterCleanSessionIsRefused(t *testing.T) {
	w := newWire(t, options{})
	w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: true})
	w.app(func(*rtos.Thread) {
		w.quiet = true
		w.connect(0, false)
		w.c.Disconnect()
		w.quiet = false
		w.connect(0, true)
	})
	w.want("2 tcp connect 10.0.0.1:1883 wait 500", "3 D CONNECT dev clean keepalive=0s", "4 B CONNACK session-present accepted",
		"4 cb connect_notify NXD_MQTT_SERVER_MESSAGE_FAILURE", "4 tcp RST", "4 connect NXD_MQTT_SERVER_MESSAGE_FAILURE")
}

func TestConnectNonBlock(t *testing.T) {
	w := newWire(t, options{quirks: without("no_establish_notify")})
	w.app(func(th *rtos.Thread) {
		w.say("connect %v", w.c.Connect(server, 4, true, rtos.NoWait))
		th.Sleep(10)
		w.say("state %v", w.c.State())
		w.c.Publish("t", []byte("x"), false, 1, 10)
	})
	w.run(0.5)
	w.check("0 tcp connect 10.0.0.1:1883 wait 0", "0 connect NX_IN_PROGRESS", "1 D CONNECT dev clean keepalive=4s",
		"2 B CONNACK accepted", "2 cb connect_notify NX_SUCCESS", "100 state connected",
		"100 D PUBLISH q1 id=1 t 1 B", "101 B PUBACK id=1", "101 cb ack 4 id=1")
}

func TestConnectNonBlock2ServerCloses(t *testing.T) {
	w := newWire(t, options{quirks: without("no_establish_notify")})
	w.connack = nil
	w.app(func(*rtos.Thread) { w.say("connect %v", w.c.Connect(server, 0, true, rtos.NoWait)) })
	w.at(50, w.reset)
	w.want("0 tcp connect 10.0.0.1:1883 wait 0", "0 connect NX_IN_PROGRESS", "1 D CONNECT dev clean keepalive=0s",
		"50 B RST", "50 cb connect_notify NXD_MQTT_CONNECT_FAILURE")
	if w.c.State() != mqtt.StateIdle {
		t.Errorf("state %v", w.c.State())
	}
	w.free(16)
}
