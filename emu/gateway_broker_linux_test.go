package emu_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/emu"
	"hilnet/trace"
)

// The broker is killed while a hundred devices talk to it, and started again:
// every message is acknowledged and has been with one of the two brokers, and
// nothing is left.
func TestTheBrokerIsKilledAndEverythingArrives(t *testing.T) {
	realTimeFleet(t)
	t.Parallel()
	first, port := loopbackMosquitto(t, 0)
	var publishes strings.Builder
	const each = 8
	for n := 1; n <= each; n++ {
		fmt.Fprintf(&publishes, "\n      - publish: {topic: \"d/{i}/m%d.\", qos: 1}\n      - sleep: 400ms", n)
	}
	world, err := emu.New(scenario(t, fmt.Sprintf(`
version: 1
name: killed-broker
clock: real
duration: 40s
capture: [broker]
devices:
  - name: device-{i}
    count: 100
    start_spread: 500ms
    quirks: none
    pool: {packets: 64}
    mqtt: {clean_session: false, wait: 3s, offline_queue: 10, keepalive: 5s}
    reconnect: 300ms
    backoff: {max: 1s, jitter: 20%%}
    steps:
      - connect
      - wait_for: {event: connected, timeout: 10s}%s
broker: {kind: gateway, gateway: {to: "127.0.0.1:%d"}}
`, publishes.String(), port)), emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	events := world.Observe(1 << 16).Events()
	connected := make(chan struct{})
	go func() {
		open, acked := 0, 0
		for e := range events {
			switch e.Kind {
			case trace.KindConnected:
				if e.Status == 0 {
					if open++; open == 100 {
						close(connected)
					}
				}
			case trace.KindAcked:
				if acked++; acked == 100*each {
					time.AfterFunc(200*time.Millisecond, func() { cancel(errThrough) })
				}
			}
		}
	}()
	finished := make(chan struct{})
	var result *emu.Result
	go func() {
		defer close(finished)
		result, err = world.Run(ctx)
	}()
	select {
	case <-connected:
	case <-finished:
		t.Fatalf("they never connected: %v", err)
	}
	first.Kill(t)
	time.Sleep(700 * time.Millisecond) // while nobody is there
	second, _ := loopbackMosquitto(t, port)
	<-finished
	if !errors.Is(err, errThrough) {
		t.Errorf("%v: %d of %d acknowledged, %+v", err, result.Outcome.Acknowledged, 100*each, result.Outcome.Gateway)
	}
	o := result.Outcome
	log := first.Output() + second.Output()
	for i := 1; i <= 100; i++ {
		for n := 1; n <= each; n++ {
			if !strings.Contains(log, fmt.Sprintf("'d/%d/m%d.'", i, n)) {
				t.Errorf("message %d of device %d came to no broker", n, i)
			}
		}
	}
	if o.Published != 100*each || o.Reconnects < 50 || o.Gateway.Opened < 150 || len(o.ConservationErrors) > 0 {
		t.Errorf("%d published, %+v, %d reconnects, %v", o.Published, o.Gateway, o.Reconnects, o.ConservationErrors)
	}
}

// A broker that stands still stops its devices, and no more than the gateway's
// buffers wait for it; when it goes on, everything arrives.
func TestABrokerThatStandsStillHoldsItsDevicesUp(t *testing.T) {
	t.Parallel()
	broker, port := loopbackMosquitto(t, 0)
	world, err := emu.New(scenario(t, fmt.Sprintf(`
version: 1
name: still
clock: real
duration: 30s
capture: []
devices:
  - name: device-{i}
    count: 20
    profile: linux
    quirks: none
    pool: {packets: 400}
    mqtt: {keepalive: 60s, wait: 20s}
    steps:
      - connect
      - wait_for: {event: connected, timeout: 10s}
      - every: {period: 20ms, count: 100, do: [publish: {topic: t, size: 1200B, qos: 1}]}
broker: {kind: gateway, gateway: {to: "127.0.0.1:%d"}}
`, port)), emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	events := world.Observe(1 << 16).Events()
	go func() {
		acked := 0
		stop, cont := false, false
		for e := range events {
			if e.Kind == trace.KindAcked {
				acked++
			}
			if acked == 200 && !stop {
				stop = true
				_ = unix.Kill(broker.Pid(), unix.SIGSTOP) // the test fails if it is gone
			}
			if stop && !cont {
				cont = true
				time.AfterFunc(2*time.Second, func() { _ = unix.Kill(broker.Pid(), unix.SIGCONT) })
			}
			if acked == 2000 {
				cancel(errThrough)
			}
		}
	}()
	t.Cleanup(func() { _ = unix.Kill(broker.Pid(), unix.SIGCONT) }) // so that it can end
	result, err := world.Run(ctx)
	o := result.Outcome
	if !errors.Is(err, errThrough) || o.Acknowledged != 2000 || o.Gateway.Undelivered != 0 {
		t.Errorf("%v: %d acknowledged, %+v", err, o.Acknowledged, o.Gateway)
	}
	if o.LatencyMax < time.Second {
		t.Errorf("nobody waited for the broker: %v at most", o.LatencyMax)
	}
}
