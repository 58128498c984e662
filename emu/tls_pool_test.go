package emu

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/trace"
)

// A starved run: a TLS record finds no packet.
type starved struct {
	name, quirks, world string
	failed              []string // tls.failed: when, where, cause, status
	connects            int
	errors              int   // publishes that failed
	received            int   // by the application
	requests            int64 // of packets, in vain
	drops               int   // at the NIC, for want of a packet
}

const (
	sendsHandshake = `
devices: [{pool: {packets: 16}, mqtt: {wait: 2s, tls: {handshake_time: 500ms}}, steps: [connect], reconnect: 8s}]
timeline: [{at: 300ms, do: leak, packets: 16, for: 5s}] # the device calculates
`
	hearsHandshake = `
devices: [{pool: {packets: 16}, mqtt: {tls: {}}, steps: [connect]}]
timeline: [{at: 45ms, do: leak, packets: 16, for: 1s}] # the answer to ClientHello is under way
`
	sendsData = `
devices:
  - pool: {packets: 16, payload: 256B}
    mqtt: {wait: 50ms, tls: {}}
    steps: [connect, sleep: 2s, publish: {topic: t, size: 150B, qos: 0}, sleep: 3s, publish: {topic: t, size: 150B, qos: 1}]
timeline: [{at: 1500ms, do: leak, packets: 15, for: 2s}] # one is left, and the record needs two
`
	losesData = `
devices:
  - pool: {packets: 64, payload: 512B}
    mqtt: {wait: 50ms, tls: {}}
    reconnect: 1s
    steps:
      - connect
      - sleep: 2s
      - every: {period: 100ms, count: 25, do: [publish: {topic: t, size: 150B, qos: 0}]}
      - sleep: 3s
      - publish: {topic: t, size: 150B, qos: 0}
timeline: [{at: 2200ms, do: blackhole, for: 3s}]
`
	hearsData = `
devices:
  - pool: {packets: 16, payload: 256B}
    mqtt: {tls: {}}
    reconnect: 1s
    steps: [connect, subscribe: {topic: a, qos: 0}, sleep: 8s, message_get: all]
timeline:
  - {at: 1500ms, do: leak, packets: 6, for: 2s}
  - {at: 2s, do: broker_publish, topic: a, size: 1400B} # seven packets as it comes, six of what it carries
`
)

// lost are the failures of records that TCP did not take, every 100 ms.
func lost(from, to int) (all []string) {
	for t := from; t <= to; t += 100 {
		all = append(all, fmt.Sprintf("%d.%03d000000s device record_lost NX_SECURE_TLS_TCP_SEND_FAILED", t/1000, t%1000))
	}
	return all
}

// What becomes of TLS where the pool is empty, or TCP is full: to the packet.
func TestARecordWithoutAPacket(t *testing.T) {
	for _, tc := range []starved{
		// ClientKeyExchange waits for a packet as long as the call may, and the RST finds none either.
		{name: "sent in the handshake", quirks: "default", world: sendsHandshake, connects: 1, requests: 2,
			failed: []string{"2.560000000s device no_packet NX_SECURE_TLS_ALLOCATE_PACKET_FAILED"}},
		// The broker sends its two segments, and the first of them three times more: the fifth is in time.
		{name: "arriving in the handshake", quirks: "default", world: hearsHandshake, connects: 1, requests: 5, drops: 5},
		// Nothing was encrypted yet: the session lives, and the next message is acknowledged.
		{name: "sent", quirks: "default", world: sendsData, connects: 1, errors: 1, requests: 1},
		// TCP takes twenty; of the eleven behind them none arrives, and what is sent then cannot be verified.
		{name: "sent, not taken by TCP", quirks: "default", world: losesData, connects: 2, errors: 11, failed: slices.Concat(
			lost(3550, 4550),
			[]string{"7.560000000s broker bad_record NX_SUCCESS", "7.570000000s device bad_record NX_SECURE_TLS_ALERT_RECEIVED"},
		)},
		// This client ends the session by itself, and the message at the end finds it not back yet.
		{name: "sent, not taken by TCP, without quirks", quirks: "none", world: losesData, connects: 2, errors: 12,
			failed: []string{"3.550000000s device record_lost NX_SECURE_TLS_TCP_SEND_FAILED"}},
		{name: "arriving", quirks: "default", world: hearsData, connects: 2, requests: 1,
			failed: []string{"2.010000000s device no_packet NX_SECURE_TLS_ALLOCATE_PACKET_FAILED"}},
		// This one looks again with each tick, from 2.01 s to 3.49 s.
		{name: "arriving, without quirks", quirks: "none", world: hearsData, connects: 1, received: 1, requests: 150},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := load(t, "version: 1\nname: starved\nduration: 20s\nlinks: [{delay: 10ms}]\nbroker: {tls: {}}"+tc.world)
			if err := sc.Devices[0].Quirks.UnmarshalText([]byte(tc.quirks)); err != nil {
				t.Fatal(err)
			}
			r := record(t, sc, Options{})
			got := starved{
				name: tc.name, quirks: tc.quirks, world: tc.world, connects: r.Outcome.Connects, errors: r.Outcome.PublishErrors,
				received: r.Outcome.Received, requests: counter(t, r, "pool", "empty_requests"), drops: r.Outcome.Drops.Reason["rx_pool_empty"],
			}
			for i := range r.events {
				if e := &r.events[i]; e.Kind == trace.KindTLSFailed {
					got.failed = append(got.failed, strings.TrimSpace(fmt.Sprintf("%v %s %s %v", e.T, e.Node, e.Stage, nic.Status(e.Status))))
				}
			}
			if !reflect.DeepEqual(got, tc) {
				t.Errorf("got  %+v\nwant %+v", got, tc)
			}
			if free, total := counter(t, r, "pool", "free"), counter(t, r, "pool", "total"); free != total || len(r.Outcome.ConservationErrors) > 0 {
				t.Errorf("%d of %d packets are free at the end, %v", free, total, r.Outcome.ConservationErrors)
			}
		})
	}
}
