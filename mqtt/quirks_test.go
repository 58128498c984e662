package mqtt_test

import (
	"fmt"
	"strings"
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// quirkCases show every quirk with the bug and without it: what each plays ends
// in a transcript that must differ as stated.
var quirkCases = map[string]struct {
	o       options
	play    func(w *wire)
	on, off string // transcripts, "|" between lines
}{
	"unread_leak": {
		play: func(w *wire) {
			w.connected0(0, true)
			w.at(10, func() {
				w.mutely(func() {
					w.deliver(publish("t", "1", 0, 0))
					w.deliver(publish("t", "2", 0, 0))
					w.deliver(publish("t", "3", 0, 0))
				})
			})
			w.at(20, func() {
				w.app(func(*rtos.Thread) { w.mutely(func() { w.c.Disconnect() }); w.say("free %d", w.pool.Free()) })
			})
			w.at(30, func() {
				w.app(func(*rtos.Thread) {
					w.mutely(func() { w.connect(0, true); w.deliver(publish("t", "4", 0, 0)) })
					w.mutely(func() { w.c.Delete() })
					w.say("free %d", w.pool.Free())
				})
			})
		},
		on:  "20 free 13|32 free 12",
		off: "20 free 16|32 free 16",
	},
	"malformed_publish_leak": {
		play: func(w *wire) {
			w.connected0(0, true)
			for i, bad := range [][]byte{
				{0x30, 1, 0},                      // remaining length 1
				{0x30, 4, 0, 9, 'a', 'b'},         // topic longer than the message
				{0x32, 5, 0, 3, 'a', 'b', 'c'},    // no room for the identifier
				{0x30, 0x80, 0x80, 0x80, 0x80, 1}, // length of 5 bytes: dropped, not leaked
			} {
				w.at(float64(10*i+10), func() {
					w.mutely(func() { w.segment(bad) })
				})
				w.at(float64(10*i+15), func() { w.say("free %d", w.pool.Free()) })
			}
			w.at(60, func() {
				w.mutely(func() { w.segment(append([]byte{0x30, 1, 0}, publish("t", "behind", 0, 0)...)) })
				w.app(func(*rtos.Thread) { w.read(); w.say("free %d", w.pool.Free()) })
			})
		},
		on:  "15 free 15|25 free 14|35 free 13|45 free 13|60 message_get NXD_MQTT_NO_MESSAGE|60 free 12",
		off: "15 free 16|25 free 16|35 free 16|45 free 16|60 message_get t behind|60 free 16",
	},
	"connack_alone": {
		play: func(w *wire) {
			w.connack = append(codec.AppendConnack(nil, codec.Connack{}), publish("t", "queued", 1, 7)...)
			w.mutely(func() {
				w.app(func(*rtos.Thread) {
					w.say("connect %v", w.c.Connect(server, 0, false, 100))
					w.read()
				})
			})
		},
		on: "0 tcp connect 10.0.0.1:1883 wait 100|1 D CONNECT dev keepalive=0s|2 B CONNACK accepted|2 B PUBLISH q1 id=7 t 6 B|" +
			"2 cb connect_notify NXD_MQTT_SERVER_MESSAGE_FAILURE|2 tcp RST|2 connect NXD_MQTT_SERVER_MESSAGE_FAILURE|2 message_get NXD_MQTT_NO_MESSAGE",
		off: "0 tcp connect 10.0.0.1:1883 wait 100|1 D CONNECT dev keepalive=0s|2 B CONNACK accepted|2 B PUBLISH q1 id=7 t 6 B|" +
			"2 cb connect_notify NX_SUCCESS|2 D PUBACK id=7|2 connect NX_SUCCESS|2 message_get t queued",
	},
	"connack_race": {
		play: func(w *wire) {
			w.c.ConnectNotify = func(*mqtt.Client, mqtt.Status) { w.deliver(publish("t", "early", 0, 0)) }
			w.app(func(*rtos.Thread) { w.quiet = true; w.connect(0, false); w.quiet = false; w.read() })
			w.at(50, func() { w.deliver(publish("t", "next", 0, 0)) })
			w.at(60, func() { w.app(func(*rtos.Thread) { w.read(); w.read() }) })
		},
		on:  "2 message_get NXD_MQTT_NO_MESSAGE|50 B PUBLISH q0 t 4 B|60 message_get t early|60 message_get t next",
		off: "2 message_get t early|50 B PUBLISH q0 t 4 B|60 message_get t next|60 message_get NXD_MQTT_NO_MESSAGE",
	},
	"half_open_retransmit": {
		play: func(w *wire) {
			w.unackedPublish()
			w.at(100, func() {
				w.app(func(*rtos.Thread) {
					w.onSend = func(byte) { w.sendStatus = nic.WindowOverflow }
					w.say("connect %v", w.c.Connect(server, 0, false, 100))
					w.say("state %v", w.c.State())
				})
			})
		},
		on: "100 tcp connect 10.0.0.1:1883 wait 100|101 D CONNECT dev keepalive=0s|102 B CONNACK accepted|102 cb connect_notify NX_SUCCESS|" +
			"102 tcp send NX_WINDOW_OVERFLOW, wait 100|102 connect NXD_MQTT_COMMUNICATION_FAILURE|102 state connected",
		off: "100 tcp connect 10.0.0.1:1883 wait 100|101 D CONNECT dev keepalive=0s|102 B CONNACK accepted|102 cb connect_notify NX_SUCCESS|" +
			"102 tcp send NX_WINDOW_OVERFLOW, wait 100|102 tcp RST|102 connect NXD_MQTT_COMMUNICATION_FAILURE|102 state idle",
	},
	"no_establish_notify": {
		play: func(w *wire) {
			w.app(func(th *rtos.Thread) {
				w.c.Connect(server, 0, true, rtos.NoWait)
				th.Sleep(300)
				w.say("state %v, again %v", w.c.State(), w.c.Connect(server, 0, true, rtos.NoWait))
				w.say("disconnect %v", w.c.Disconnect())
			})
		},
		on: "0 tcp connect 10.0.0.1:1883 wait 0|3000 state connecting, again NXD_MQTT_CONNECTING|3000 D DISCONNECT|3000 tcp FIN, wait -1|" +
			"3000 cb connect_notify NXD_MQTT_CONNECT_FAILURE|3000 disconnect NX_SUCCESS",
		off: "0 tcp connect 10.0.0.1:1883 wait 0|1 D CONNECT dev clean keepalive=0s|2 B CONNACK accepted|2 cb connect_notify NX_SUCCESS|" +
			"3000 state connected, again NXD_MQTT_ALREADY_CONNECTED|3000 D DISCONNECT|3000 tcp FIN, wait -1|3000 cb disconnect_notify|3000 disconnect NX_SUCCESS",
	},
	"silent_connect_failure": {
		play: func(w *wire) {
			w.tcp = nic.NotConnected
			w.app(func(th *rtos.Thread) {
				w.c.Connect(server, 4, true, rtos.NoWait)
				th.Sleep(200)
				w.say("state %v", w.c.State())
				w.c.Disconnect()
			})
		},
		on:  "0 tcp connect 10.0.0.1:1883 wait 0|2000 state connecting|2000 cb connect_notify NXD_MQTT_CONNECT_FAILURE",
		off: "0 tcp connect 10.0.0.1:1883 wait 0|1 cb connect_notify NXD_MQTT_CONNECT_FAILURE|2000 state idle",
	},
	"delete_connecting_hang": {
		play: func(w *wire) {
			w.tcp = nic.NotConnected
			w.app(func(th *rtos.Thread) {
				w.c.Connect(server, 4, true, rtos.NoWait)
				th.Sleep(100)
				w.say("delete")
				w.say("deleted %v", w.c.Delete())
			})
		},
		on:  "0 tcp connect 10.0.0.1:1883 wait 0|1000 delete",
		off: "0 tcp connect 10.0.0.1:1883 wait 0|1000 delete|1000 cb connect_notify NXD_MQTT_CONNECT_FAILURE|1000 deleted NX_SUCCESS",
	},
	"delete_without_disconnect": {
		play: func(w *wire) {
			w.connected0(0, true)
			w.at(10, func() { w.app(func(*rtos.Thread) { w.say("delete %v", w.c.Delete()) }) })
		},
		on:  "10 tcp FIN, wait -1|10 cb disconnect_notify|10 delete NX_SUCCESS",
		off: "10 D DISCONNECT|10 tcp FIN, wait -1|10 cb disconnect_notify|10 delete NX_SUCCESS",
	},
	"pool_deadlock": {
		o: options{payload: 256, packets: 4},
		play: func(w *wire) {
			w.connected0(0, true)
			for i := range 4 {
				w.at(float64(10+i), func() { w.mutely(func() { w.deliver(publish("t", fmt.Sprint(i), uint8(i/3), 9)) }) })
			}
			w.at(1000, func() { w.app(func(*rtos.Thread) { w.say("message_get ..."); w.read(); w.read() }) })
		},
		on:  "1000 message_get ...", // and never again
		off: "1000 message_get ...|1000 message_get t 0|1000 message_get t 1|1010 D PUBACK id=9",
	},
	"copy_drop": {
		o: options{payload: 256, packets: 4},
		play: func(w *wire) {
			w.connected0(0, true)
			w.at(10, func() {
				var all []byte
				for i := range 6 {
					all = append(all, publish("t", fmt.Sprint(i), 0, 0)...)
				}
				w.segment(all)
			})
			w.at(1000, func() {
				w.app(func(th *rtos.Thread) {
					for range 7 {
						w.read()
						th.Sleep(1)
					}
				})
			})
		},
		on:  "1000 message_get t 0|1010 message_get t 1|1020 message_get t 2|1030 message_get t 5|1040 message_get NXD_MQTT_NO_MESSAGE|1050 message_get NXD_MQTT_NO_MESSAGE|1060 message_get NXD_MQTT_NO_MESSAGE",
		off: "1000 message_get t 0|1010 message_get t 1|1020 message_get t 2|1030 message_get t 3|1040 message_get t 4|1050 message_get t 5|1060 message_get NXD_MQTT_NO_MESSAGE",
	},
	"copy_whole_rest": {
		o: options{payload: 128, packets: 16},
		play: func(w *wire) {
			w.connected0(0, true)
			w.at(10, func() { // 56+5+205 bytes: 3 packets
				w.segment(append(publish("t", "1", 0, 0), publish("t", strings.Repeat("2", 200), 0, 0)...))
			})
			w.at(20, func() { w.say("free %d", w.pool.Free()) })
		},
		on:  "20 free 10", // 3 that came, 3 for the copy of 6 bytes
		off: "20 free 12",
	},
	"chain_tail_lost": {
		o: options{payload: 128, packets: 16},
		play: func(w *wire) {
			w.connected0(0, true)
			long := publish("t", strings.Repeat("x", 300), 0, 0)
			w.at(10, func() { // the rest behind the first message begins in the second packet
				w.segment(append(publish("t", strings.Repeat("y", 80), 0, 0), long[:200]...))
			})
			w.at(20, func() { w.segment(long[200:]) })
			w.at(30, func() {
				w.app(func(*rtos.Thread) { w.read(); w.read(); w.say("free %d", w.pool.Free()) })
			})
		},
		on:  "30 message_get t 80 B|30 message_get t 300 B with a hole|30 free 15",
		off: "30 message_get t 80 B|30 message_get t 300 B|30 free 16",
	},
	"pubcomp_stale_id": {
		play: func(w *wire) {
			w.connected0(0, true)
			w.at(10, func() { w.mutely(func() { w.deliver(publish("t", "x", 2, 0x0102)) }) })
			w.at(20, func() { w.deliver(codec.AppendAck(nil, codec.PUBREL, 0x0102)) })
		},
		on:  "10 D PUBREC id=258|20 B PUBREL id=258|20 D PUBCOMP id=2|20 cb ack 6 id=258",
		off: "10 D PUBREC id=258|20 B PUBREL id=258|20 D PUBCOMP id=258|20 cb ack 6 id=258",
	},
	"pubrec_queued_twice": {
		play: func(w *wire) {
			w.connected0(0, true)
			for i := range 3 {
				w.at(float64(10*i), func() { w.mutely(func() { w.deliver(publish("t", "x", 2, 5)) }) })
			}
			w.at(40, func() { w.mutely(func() { w.deliver(codec.AppendAck(nil, codec.PUBREL, 5)) }) })
			w.at(50, func() { w.app(func(*rtos.Thread) { w.read(); w.read(); w.say("free %d", w.pool.Free()) }) })
		},
		on:  "5 D PUBREC id=5|10 D PUBREC id=5|20 D PUBREC id=5|40 D PUBCOMP id=5|40 cb ack 6 id=5|50 message_get t x|50 message_get NXD_MQTT_NO_MESSAGE|50 free 14",
		off: "5 D PUBREC id=5|10 D PUBREC id=5|20 D PUBREC id=5|40 D PUBCOMP id=5|40 cb ack 6 id=5|50 message_get t x|50 message_get NXD_MQTT_NO_MESSAGE|50 free 16",
	},
	"keepalive_wrap": {
		play: func(w *wire) {
			w.connack = nil // late: after the keepalive time
			w.app(func(*rtos.Thread) { w.quiet = true; w.c.Connect(server, 2, true, 1000); w.quiet = false })
			w.at(5500, func() { w.segment(codec.AppendConnack(nil, codec.Connack{})) })
			w.at(6900, func() { w.quiet = true })
		},
		on:  "",
		off: "6000 D PINGREQ|6001 B PINGRESP",
	},
	"short_ping_timeout": {
		play: func(w *wire) {
			w.connected0(4, true)
			w.mute[12] = true
			w.at(5500, func() { w.mutely(func() { w.deliver(codec.AppendEmpty(nil, codec.PINGRESP)) }) })
			w.at(5900, func() { w.say("state %v", w.c.State()); w.quiet = true })
		},
		on:  "3000 D PINGREQ|4000 tcp FIN, wait -1|4000 cb disconnect_notify|5900 state idle",
		off: "3000 D PINGREQ|5900 state connected",
	},
	"disconnect_forever": {
		play: func(w *wire) {
			w.connected0(0, true)
			w.closeTakes = -1
			w.at(10, func() { w.app(func(*rtos.Thread) { w.say("disconnect %v", w.c.Disconnect()) }) })
		},
		on:  "10 D DISCONNECT|10 tcp FIN, wait -1",
		off: "10 D DISCONNECT|10 tcp FIN, wait 500|5010 cb disconnect_notify|5010 disconnect NX_SUCCESS",
	},
	"credentials_cleared": {
		play: func(w *wire) {
			w.app(func(*rtos.Thread) {
				w.quiet = true
				w.c.LoginSet([]byte("u"), []byte("p"))
				w.c.WillMessageSet([]byte("w"), []byte("m"), true, 1)
				w.connect(0, true)
				w.c.Disconnect()
				w.quiet, w.holdTCP = false, true
				w.c.ConnectNotify = nil
				w.mute[1] = true
				w.c.Connect(server, 0, true, 10)
			})
			w.onSend = func(kind byte) {
				if !w.quiet && kind == 1 {
					w.say("%d bytes", w.sent[0].Len())
				}
			}
		},
		on:  "2 tcp connect 10.0.0.1:1883 wait 10|3 D CONNECT dev clean keepalive=0s|3 17 bytes|100 tcp RST",
		off: "2 tcp connect 10.0.0.1:1883 wait 10|3 D CONNECT dev clean keepalive=0s user=u password will q1 retain w 1 B|3 29 bytes|100 tcp RST",
	},
	"will_flags_sticky": {
		play: func(w *wire) {
			w.holdTCP = true
			w.connack = nil
			w.app(func(*rtos.Thread) {
				w.c.WillMessageSet([]byte("w"), nil, true, 1)
				w.c.WillMessageSet([]byte("w"), nil, false, 0)
				w.mutely(func() { w.c.Connect(server, 0, true, 10) })
			})
			w.onSend = func(byte) { w.quiet = false; w.say("flags %#x", w.sent[0].Bytes()[9]); w.quiet = true }
		},
		on:  "1 flags 0x2e",
		off: "1 flags 0x6",
	},
	"id_restart": {
		play: func(w *wire) {
			w.unackedPublish()
			w.at(100, func() {
				w.app(func(*rtos.Thread) {
					w.connect(0, false)
					w.c.Publish("t", []byte("new"), false, 1, 10)
				})
			})
		},
		on: "100 tcp connect 10.0.0.1:1883 wait 500|101 D CONNECT dev keepalive=0s|102 B CONNACK accepted|102 cb connect_notify NX_SUCCESS|" +
			"102 D PUBLISH q1 dup id=1 t 3 B|102 connect NX_SUCCESS|102 D PUBLISH q1 id=1 t 3 B",
		off: "100 tcp connect 10.0.0.1:1883 wait 500|101 D CONNECT dev keepalive=0s|102 B CONNACK accepted|102 cb connect_notify NX_SUCCESS|" +
			"102 D PUBLISH q1 dup id=1 t 3 B|102 connect NX_SUCCESS|102 D PUBLISH q1 id=2 t 3 B",
	},
	"failed_publish_kept": {
		play: func(w *wire) {
			w.connected0(0, false)
			w.at(10, func() {
				w.app(func(*rtos.Thread) {
					w.sendStatus = nic.TxQueueDepth
					w.say("publish %v", w.c.Publish("t", []byte("x"), false, 1, 10))
					w.sendStatus = nic.Success
					w.say("depth %d, free %d", w.c.TransmitDepth(), w.pool.Free())
				})
			})
		},
		on:  "10 tcp send NX_TX_QUEUE_DEPTH, wait 10|10 publish NXD_MQTT_COMMUNICATION_FAILURE|10 depth 1, free 15",
		off: "10 tcp send NX_TX_QUEUE_DEPTH, wait 10|10 publish NXD_MQTT_COMMUNICATION_FAILURE|10 depth 0, free 16",
	},
	"suback_refusal_ignored": {
		play: func(w *wire) {
			w.connected0(0, true)
			w.mute[8] = true
			w.c.SubscribeRefusedNotify = func(_ *mqtt.Client, filter string, id uint16) { w.say("refused %s id=%d", filter, id) }
			w.at(10, func() { w.app(func(*rtos.Thread) { w.mutely(func() { w.c.Subscribe("secret", 1) }) }) })
			w.at(20, func() { w.segment([]byte{0x90, 3, 0, 1, 0x80}) })
			w.at(30, func() {
				e := w.kinds(trace.KindSubscribed)[0]
				w.say("%s code %#x status %v, %d queued", e.Topic, e.QoS, mqtt.Status(e.Status), w.c.TransmitDepth())
			})
		},
		on:  "20 cb ack 9 id=1|30 secret code 0x80 status NX_SUCCESS, 0 queued",
		off: "20 cb ack 9 id=1|20 refused secret id=1|30 secret code 0x80 status NXD_MQTT_SERVER_MESSAGE_FAILURE, 0 queued",
	},
	"small_buffer_blocks": {
		play: func(w *wire) {
			w.connected0(0, true)
			w.at(10, func() {
				w.mutely(func() { w.deliver(publish("topic", "123456", 0, 0)); w.deliver(publish("t", "x", 0, 0)) })
			})
			w.at(20, func() {
				w.app(func(*rtos.Thread) {
					for range 3 {
						topic, body := make([]byte, 4), make([]byte, 5)
						n, m, status := w.c.MessageGet(topic, body)
						w.say("%d %d %q %q %v, %d waiting", n, m, topic[:min(n, 4)], body[:min(m, 5)], status, w.c.ReceiveDepth())
					}
					w.say("free %d, %d drops", w.pool.Free(), len(w.kinds(trace.KindDrop)))
				})
			})
		},
		on: `20 0 0 "" "" NXD_MQTT_INSUFFICIENT_BUFFER_SPACE, 2 waiting|20 0 0 "" "" NXD_MQTT_INSUFFICIENT_BUFFER_SPACE, 2 waiting|` +
			`20 0 0 "" "" NXD_MQTT_INSUFFICIENT_BUFFER_SPACE, 2 waiting|20 free 14, 0 drops`,
		off: `20 5 6 "topi" "12345" NXD_MQTT_INSUFFICIENT_BUFFER_SPACE, 1 waiting|20 1 1 "t" "x" NX_SUCCESS, 0 waiting|` +
			`20 0 0 "" "" NXD_MQTT_NO_MESSAGE, 0 waiting|20 free 16, 1 drops`,
	},
	"qos3_accepted": {
		play: func(w *wire) {
			w.connected0(0, false)
			w.at(10, func() {
				w.app(func(*rtos.Thread) { w.say("publish %v", w.c.Publish("t", []byte("x"), false, 3, 10)) })
			})
		},
		on:  "10 D PUBLISH malformed: QoS 3 at offset 0 [MQTT-3.3.1-4]|10 publish NX_SUCCESS",
		off: "10 publish NXD_MQTT_INVALID_PARAMETER",
	},
}

func TestEveryQuirkBothWays(t *testing.T) {
	for _, quirk := range mqtt.QuirkList() {
		tc, ok := quirkCases[quirk.Name]
		if !ok {
			t.Errorf("%s is shown by no case", quirk.Name)
			continue
		}
		for _, on := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", quirk.Name, on), func(t *testing.T) {
				q := mqtt.NetX642()
				want := tc.on
				if !on {
					q = *without(quirk.Name)
					want = tc.off
				}
				o := tc.o
				o.quirks = &q
				w := newWire(t, o)
				tc.play(w)
				w.run(60)
				if got := strings.Join(w.lines, "|"); got != want {
					t.Errorf("transcript\n%s\nwant\n%s", strings.ReplaceAll(got, "|", "\n"), strings.ReplaceAll(want, "|", "\n"))
				}
			})
		}
	}
	if len(quirkCases) != len(mqtt.QuirkList()) {
		t.Error("a case without a quirk")
	}
}
