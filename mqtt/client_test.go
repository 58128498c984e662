package mqtt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

func TestRetransmissionAfterReconnectKeepsOrderAndIdentifiers(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(0, false)
	w.mute[3] = true
	w.app(func(*rtos.Thread) {
		w.mutely(func() {
			w.c.Subscribe("s", 1)
			w.c.Publish("t", []byte("one"), false, 1, 10)
			w.c.Publish("t", []byte("zero"), false, 0, 10)
			w.c.Publish("t", []byte("two"), true, 1, 10)
		})
	})
	w.run(0.005)
	w.lines = nil
	w.at(50, w.reset)
	w.at(60, func() { w.free(14) }) // PUBLISH copies stay queued, SUBSCRIBE's is gone
	w.at(100, func() {
		w.app(func(*rtos.Thread) {
			w.mute[3] = false
			w.connect(0, false)
			w.say("publish %v", w.c.Publish("t", []byte("new"), false, 1, 10))
		})
	})
	w.want("50 B RST", "50 cb disconnect_notify",
		"100 tcp connect 10.0.0.1:1883 wait 500", "101 D CONNECT dev keepalive=0s", "102 B CONNACK accepted", "102 cb connect_notify NX_SUCCESS",
		"102 D PUBLISH q1 dup id=2 t 3 B", "102 D PUBLISH q1 dup retain id=3 t 3 B", "102 connect NX_SUCCESS",
		"102 D PUBLISH q1 id=1 t 3 B", "102 publish NX_SUCCESS",
		"103 B PUBACK id=2", "103 B PUBACK id=3", "103 B PUBACK id=1", "103 cb ack 4 id=2", "103 cb ack 4 id=3", "103 cb ack 4 id=1")
	w.free(16)
	if e := w.kinds(trace.KindRepublish); len(e) != 2 || e[0].Hash != trace.MessageHash("t", []byte("one")) || e[1].ID != 3 {
		t.Errorf("republished %+v", e)
	}
}

func TestCleanSessionForgetsUnacknowledgedMessages(t *testing.T) {
	w := newWire(t, options{})
	w.unackedPublish()
	w.free(15)
	w.app(func(*rtos.Thread) { w.quiet = true; w.connect(0, true) })
	w.want()
	w.free(16)
}

func TestOneSegmentWithoutItsAcknowledgementsStillCounts(t *testing.T) {
	// Two acknowledgements and a ping answer in one segment, one of them cut.
	w := newWire(t, options{})
	w.connected0(0, true)
	w.mute[3] = true
	w.app(func(*rtos.Thread) {
		w.mutely(func() { w.c.Publish("t", []byte("1"), false, 1, 10); w.c.Publish("t", []byte("2"), false, 1, 10) })
	})
	all := append(codec.AppendAck(nil, codec.PUBACK, 1), codec.AppendEmpty(nil, codec.PINGRESP)...)
	all = append(all, codec.AppendAck(nil, codec.PUBACK, 2)...)
	w.at(50, func() { w.lines = nil; w.segment(all[:8]) })
	w.at(60, func() { w.segment(all[8:]) })
	w.want("50 cb ack 4 id=1", "60 cb ack 4 id=2")
	w.free(16)
}

func TestMessageThatDoesNotFitBlocksTheQueue(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(0, true)
	w.at(10, func() {
		w.mutely(func() { w.deliver(publish("topic", "123456", 0, 0)); w.deliver(publish("t", "x", 0, 0)) })
	})
	w.at(20, func() {
		w.app(func(*rtos.Thread) {
			for _, size := range [][2]int{{4, 6}, {5, 5}, {5, 6}} {
				topic, body := make([]byte, size[0]), make([]byte, size[1])
				n, m, status := w.c.MessageGet(topic, body)
				w.say("%s %s %v, %d waiting", topic[:n], body[:m], status, w.c.ReceiveDepth())
			}
		})
	})
	w.want("20   NXD_MQTT_INSUFFICIENT_BUFFER_SPACE, 2 waiting", "20   NXD_MQTT_INSUFFICIENT_BUFFER_SPACE, 2 waiting",
		"20 topic 123456 NX_SUCCESS, 1 waiting")
}

func TestPacketReceiveNotifyMayTakeThePacket(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(0, true)
	w.c.PacketReceiveNotify = func(_ *mqtt.Client, p *nic.Packet) bool {
		if p.Len() < 8 {
			return false
		}
		w.say("took %d bytes", p.Len())
		p.Release()
		return true
	}
	w.at(10, func() {
		w.mutely(func() { w.deliver(publish("t", "long", 1, 1)); w.deliver(publish("t", "x", 0, 0)) })
	})
	w.at(20, func() { w.app(func(*rtos.Thread) { w.read(); w.read() }) })
	w.want("10 took 11 bytes", "20 message_get t x", "20 message_get NXD_MQTT_NO_MESSAGE")
	w.free(16)
}

func TestCallbackMayUseTheClient(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(0, true)
	w.app(func(*rtos.Thread) {
		w.c.ReceiveNotifySet(func(c *mqtt.Client, _ int) {
			w.read()
			w.say("publish %v", c.Publish("echo", []byte("x"), false, 1, 10))
		})
	})
	w.at(10, func() { w.mutely(func() { w.deliver(publish("t", "x", 1, 77)) }) })
	w.want("10 message_get t x", "10 D PUBLISH q1 id=1 echo 1 B", "10 publish NX_SUCCESS", "10 D PUBACK id=77", "11 B PUBACK id=1", "11 cb ack 4 id=1")
	w.free(16)
}

func TestCallbackThatWaitsKeepsEverybodyOut(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(0, true)
	w.app(func(*rtos.Thread) {
		w.c.ReceiveNotifySet(func(c *mqtt.Client, _ int) { w.kernel.Current().Sleep(50) })
	})
	w.at(10, func() { w.mutely(func() { w.deliver(publish("t", "x", 0, 0)) }) })
	w.at(20, func() { w.app(func(*rtos.Thread) { w.say("begin"); w.read() }) })
	w.want("20 begin", "510 message_get t x")
	var told []string
	for _, e := range w.kinds(trace.KindWait) {
		told = append(told, fmt.Sprintf("%s %s %dms", e.Stage, e.Text, e.Count/1e6))
	}
	if got := strings.Join(told, "; "); got != "mqtt in callback receive_notify, with the client's mutex held 500ms; app MessageGet waited for the client's mutex, held by mqtt 490ms" {
		t.Errorf("waits: %s", got)
	}
}

func TestWaitForAPacketWithTheMutexHeldIsToldWhenItBegins(t *testing.T) {
	w := newWire(t, options{payload: 256, packets: 2})
	w.connected0(3, true)
	w.pool.Leak(2)
	w.at(5000, func() { w.app(func(*rtos.Thread) { w.read(); w.say("not reached") }) })
	w.want()
	e := w.kinds(trace.KindWait)
	if len(e) != 1 || e[0].Stage != "mqtt" || !strings.Contains(e[0].Text, "begins to wait for a packet of pool with the client's mutex held") || e[0].T != 2e9 {
		t.Errorf("waits: %v", e)
	}
	if what, _ := w.kernel.Threads()[1].Waiting(); what != "mutex mqtt" {
		t.Errorf("the application waits for %q", what)
	}
}

func TestDisconnectOnADeadLinkNotifiesWhenTCPGivesUp(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(4, true)
	w.mute[12], w.mute[3] = true, true
	w.closeTakes = 4300e6
	w.at(1300, func() {
		w.app(func(*rtos.Thread) { w.c.Publish("golden/t2", []byte("payload!"), false, 1, 500) })
	})
	w.want("1300 D PUBLISH q1 id=1 golden/t2 8 B", "5000 D PINGREQ", "6000 tcp FIN, wait -1", "10300 cb disconnect_notify")
	w.free(15)
}

func TestServerDisconnectPacketEndsTheSession(t *testing.T) {
	w := newWire(t, options{})
	w.connected0(0, true)
	w.at(10, func() { w.deliver(codec.AppendEmpty(nil, codec.DISCONNECT)) })
	w.want("10 B DISCONNECT", "10 tcp FIN, wait -1", "10 cb disconnect_notify")
	w.free(16)
}

func TestPublishWaitsForAPacketAsLongAsTold(t *testing.T) {
	w := newWire(t, options{payload: 256, packets: 4})
	w.connected0(0, true)
	w.pool.Leak(4)
	w.at(10, func() {
		w.app(func(*rtos.Thread) {
			w.say("publish %v", w.c.Publish("t", nil, false, 0, 20))
			w.say("publish %v", w.c.Publish("t", nil, false, 0, rtos.WaitForever))
		})
	})
	w.at(1000, func() { w.pool.Restore(4) })
	w.want("210 publish NXD_MQTT_PACKET_POOL_FAILURE", "1000 D PUBLISH q0 t 0 B", "1000 publish NX_SUCCESS")
}

func TestCallsFromInterruptContextPanic(t *testing.T) {
	w := newWire(t, options{})
	for name, call := range map[string]func(){
		"Connect":    func() { w.c.Connect(server, 0, true, 1) },
		"Publish":    func() { w.c.Publish("t", nil, false, 0, 0) },
		"Subscribe":  func() { w.c.Subscribe("t", 0) },
		"MessageGet": func() { w.c.MessageGet(make([]byte, 1), make([]byte, 1)) },
		"Disconnect": func() { w.c.Disconnect() },
		"Delete":     func() { w.c.Delete() },
	} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, name+" called in interrupt context") {
					t.Errorf("%s: %s", name, r)
				}
			}()
			call()
		}()
	}
}

func TestQuirksByName(t *testing.T) {
	for _, quirk := range mqtt.QuirkList() {
		if quirk.Text == "" || quirk.Source == "" || !strings.Contains(quirk.Text, "; else ") {
			t.Errorf("%s is not described: %+v", quirk.Name, quirk)
		}
		q := mqtt.NoQuirks()
		if q.Has(quirk.Name) || !mqtt.NetX642().Has(quirk.Name) {
			t.Errorf("%s has the wrong default", quirk.Name)
		}
		if err := q.Set(quirk.Name, true); err != nil || !q.Has(quirk.Name) {
			t.Errorf("set %s: %v", quirk.Name, err)
		}
	}
	var q mqtt.Quirks
	if err := q.Set("nonsense", true); err == nil || q.Has("nonsense") {
		t.Error("an unknown quirk was set")
	}
}

// flood sends 40 messages down and 20 up through a small pool, and returns what
// the application read and how many of its own were acknowledged.
func flood(t *testing.T, packets int, quirks mqtt.Quirks) (w *wire, got []string, acked int) {
	t.Helper()
	w = newWire(t, options{payload: 128, packets: packets, quirks: &quirks})
	w.connected0(60, true)
	w.quiet, w.reliable = true, true
	w.at(10, func() {
		for i := range 40 {
			w.deliver(publish("t", fmt.Sprintf("message %d", i), uint8(i%2), uint16(i+1)))
		}
	})
	w.c.AckReceiveNotify = func(*mqtt.Client, uint8, uint16, *nic.Packet) { acked++ }
	w.app(func(th *rtos.Thread) {
		for range 400 {
			th.Sleep(7)
			topic, body := make([]byte, 9), make([]byte, 99)
			if _, n, status := w.c.MessageGet(topic, body); status.OK() {
				got = append(got, string(body[:n]))
			}
		}
	})
	w.kernel.NewThread("publisher", 11, func(th *rtos.Thread) {
		for sent := 0; sent < 20; th.Sleep(10) {
			if w.c.Publish("up", []byte("x"), false, 1, 10).OK() {
				sent++
			}
		}
	})
	w.run(58)
	return w, got, acked
}

func TestWithoutQuirksNothingIsLostInASmallPool(t *testing.T) {
	want := make([]string, 40)
	for i := range want {
		want[i] = fmt.Sprintf("message %d", i)
	}
	for packets := 5; packets <= 12; packets++ {
		w, got, acked := flood(t, packets, mqtt.NoQuirks())
		if !slices.Equal(got, want) || acked != 20 {
			t.Errorf("%d packets: %d of 20 acknowledged, received %v", packets, acked, got)
		}
		w.free(packets)
	}
	// The same with the quirks loses messages, or the test shows nothing.
	if _, got, _ := flood(t, 8, mqtt.NetX642()); slices.Equal(got, want) {
		t.Error("6.4.2 lost nothing in a pool of 8")
	}
}
