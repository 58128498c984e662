package emu_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"hilnet/emu"
	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
)

// A regression test of firmware logic: does it deliver its reading although the
// link is dead for the first eight seconds? In a test, check the error and the
// verdict instead of printing them.
func Example_regressionTest() {
	sc, err := scenarios.Load("reading.yaml", []byte(`
version: 1
name: reading
devices: [{app: firmware}]
links: [{delay: 100ms, loss: 2%}]
broker: {kind: model}
timeline: [{at: 0s, do: blackhole, for: 8s}]
expect: [delivered == 1, connect_errors > 0, last_ack_time < 15s]
`))
	if err != nil {
		panic(err)
	}
	firmware := func(task *sim.Task, client *mqtt.Client) {
		broker := netip.MustParseAddrPort("10.0.0.1:1883")
		for !client.Connect(broker, 60, true, 300).OK() { // 300 ticks: 3 s
			task.Sleep(1e9)
		}
		client.Publish("reading", []byte("21.5"), false, 1, 100)
	}
	result, err := emu.Run(context.Background(), sc, emu.Options{Apps: map[string]emu.App{"firmware": firmware}})
	fmt.Println(result.Verdict, err)
	// Output: pass <nil>
}

// Run a built-in scenario and look at what came of it.
func ExampleRun() {
	sc, err := scenarios.Open("clean-link")
	if err != nil {
		panic(err)
	}
	result, err := emu.Run(context.Background(), sc, emu.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Verdict, result.Outcome.Published, result.Outcome.Delivered, result.Outcome.LatencyMax)
	fmt.Println(result.Command())
	// Output:
	// pass 50 50 20ms
	// emu run clean-link --seed 1
}

// Watch a run's events: here after it, from another goroutine while it goes on.
func ExampleWorld_Observe() {
	sc, err := scenarios.Open("link-drop")
	if err != nil {
		panic(err)
	}
	world, err := emu.New(sc, emu.Options{})
	if err != nil {
		panic(err)
	}
	observation := world.Observe(10_000)
	if _, err := world.Run(context.Background()); err != nil {
		panic(err)
	}
	for e := range observation.Events() {
		if e.Kind == "action" {
			fmt.Println(time.Duration(e.T), e.Text)
		}
	}
	fmt.Println(observation.Dropped(), "events dropped")
	// Output:
	// 20s blackhole for 8s
	// 28s end of blackhole for 8s
	// 0 events dropped
}
