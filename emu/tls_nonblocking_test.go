package emu

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// A hurried application connects over TLS and does not wait.
type hurried struct {
	world    *World
	sessions int
	told     []string // what connect_notify got, and when
}

const hurriedWorld = `
version: 1
name: hurried
duration: 20s
devices:
  - {app: app, quirks: default -no_establish_notify -delete_connecting_hang%s, mqtt: {tls: {}}}
links: [{delay: 10ms}]
broker: {tls: {%s}}
timeline: [%s]
`

// run runs an application on such a device.
func (h *hurried) run(t *testing.T, quirks, broker, timeline string, app func(*sim.Task, *mqtt.Client)) []trace.Event {
	t.Helper()
	sc := load(t, fmt.Sprintf(hurriedWorld, quirks, broker, timeline))
	w, err := New(sc, Options{Apps: map[string]App{"app": app}})
	if err != nil {
		t.Fatal(err)
	}
	h.world = w
	view := w.Observe(1 << 14)
	if _, err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var events []trace.Event
	for e := range view.Events() {
		events = append(events, e)
	}
	return events
}

// connect calls SecureConnect. The device's part of the key exchange takes 200 ms.
func (h *hurried) connect(t *testing.T, c *mqtt.Client) {
	t.Helper()
	h.sessions++
	c.ConnectNotify = func(_ *mqtt.Client, status mqtt.Status) {
		h.told = append(h.told, fmt.Sprintf("%v %v", time.Duration(c.Kernel().Loop().Now()).Round(10*time.Millisecond), status))
	}
	status := c.SecureConnect(netip.MustParseAddrPort("10.0.0.1:8883"), func(_ *mqtt.Client, s *mqtt.TLSSession) mqtt.Status {
		s.Rand, s.Time = taskconn.NewRand(1, fmt.Sprint("hurried/", h.sessions)), h.world.tls.now
		s.Trusted, s.HandshakeTime = []*x509.Certificate{h.world.tls.own.Certificate}, 200*time.Millisecond
		return mqtt.Success
	}, 0, true, rtos.NoWait)
	if status != nic.InProgress {
		t.Errorf("SecureConnect returns %v", status)
	}
}

func (h *hurried) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(h.told, want) {
		t.Errorf("connect_notify got %q, want %q", h.told, want)
	}
}

func TestANonBlockingSecureConnectGoesOnWithEachSegment(t *testing.T) {
	h := &hurried{}
	got := mqtt.Success
	events := h.run(t, "", "", "", func(task *sim.Task, c *mqtt.Client) {
		h.connect(t, c)
		task.Sleep(time.Second)
		got = c.Publish("t", []byte("x"), false, 1, 100)
	})
	h.want(t, "300ms NX_SUCCESS")
	acked := slices.ContainsFunc(events, func(e trace.Event) bool { return e.Kind == trace.KindAcked })
	if got != mqtt.Success || !acked {
		t.Errorf("publish: %v, acknowledged: %v", got, acked)
	}
}

// The application gets NetX Secure's own status then, which a blocking connect hides.
func TestANonBlockingSecureConnectTellsTheStatusOfTLS(t *testing.T) {
	h := &hurried{}
	h.run(t, "", "certificate: expired", "", func(*sim.Task, *mqtt.Client) {})
	h.run(t, "", "certificate: expired", "", func(_ *sim.Task, c *mqtt.Client) { h.connect(t, c) })
	h.want(t, "260ms NX_SECURE_X509_CERTIFICATE_EXPIRED")
}

// While it waits for the server, its thread is there for what else happens.
func TestEventsEndANonBlockingHandshake(t *testing.T) {
	const cut = "{at: 35ms, do: blackhole}" // between ClientHello and its answer
	t.Run("delete", func(t *testing.T) {
		h, deleted := &hurried{}, sim.Time(0)
		h.run(t, "", "", cut, func(task *sim.Task, c *mqtt.Client) {
			h.connect(t, c)
			task.Sleep(time.Second)
			c.Delete()
			deleted = task.Loop().Now()
		})
		if deleted == 0 || deleted > sim.Time(15*time.Second) {
			t.Errorf("deleted at %v", deleted)
		}
	})
	t.Run("disconnect, and connect again", func(t *testing.T) {
		h := &hurried{}
		h.run(t, "", "", "{at: 35ms, do: blackhole, for: 8s}", func(task *sim.Task, c *mqtt.Client) {
			h.connect(t, c)
			task.Sleep(time.Second)
			c.Disconnect()
			task.Sleep(8 * time.Second)
			h.connect(t, c)
		})
		if n := len(h.told); n != 2 || !strings.HasSuffix(h.told[0], "NXD_MQTT_CONNECT_FAILURE") || !strings.HasSuffix(h.told[1], "NX_SUCCESS") {
			t.Errorf("connect_notify got %q", h.told)
		}
	})
	t.Run("disconnect while the processor calculates, and connect again", func(t *testing.T) {
		h := &hurried{}
		h.run(t, "", "", "", func(task *sim.Task, c *mqtt.Client) {
			h.connect(t, c)
			task.Sleep(150 * time.Millisecond)
			c.Disconnect()
			h.connect(t, c)
		})
		if n := len(h.told); n != 2 || !strings.HasSuffix(h.told[0], "NXD_MQTT_CONNECT_FAILURE") || !strings.HasSuffix(h.told[1], "NX_SUCCESS") {
			t.Errorf("connect_notify got %q", h.told)
		}
	})
	for when, at := range map[string]string{"waits": "35ms", "calculates": "150ms"} {
		t.Run("the broker goes while the device "+when, func(t *testing.T) {
			h := &hurried{}
			events := h.run(t, "", "", "{at: "+at+", do: broker_crash, for: 1s}", func(_ *sim.Task, c *mqtt.Client) { h.connect(t, c) })
			var causes []string
			for _, e := range events {
				if e.Kind == trace.KindTLSFailed && e.Node == "device" {
					causes = append(causes, e.Stage)
				}
			}
			if n := len(h.told); n != 1 || strings.HasSuffix(h.told[0], "NX_SUCCESS") || !slices.Equal(causes, []string{string(taskconn.CauseClosed)}) {
				t.Errorf("connect_notify got %q, causes %q", h.told, causes)
			}
		})
	}
}
