package play_test

import (
	"fmt"
	"os"

	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// A captured client, played against a live broker.
func ExampleNew() {
	file, err := os.Open("../testdata/mqtt/suricata-mqtt311-pub-qos1.pcap")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	s, err := script.Read(file, script.Limits{}, nil)
	if err != nil {
		panic(err)
	}
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		panic(err)
	}
	defer pacer.Close()
	loop := sim.NewLoop(sim.Config{Pacer: pacer})
	defer loop.Close()
	player, err := play.New(play.Config{
		Loop: loop, Script: s, As: script.Client, Network: play.NewHostNetwork(loop, "127.0.0.1:1"), // nobody is there
		Clock: pacer.Now, Done: loop.Stop,
	})
	if err != nil {
		panic(err)
	}
	if err := loop.StartPacer(); err != nil {
		panic(err)
	}
	if err := player.Start(); err != nil {
		panic(err)
	}
	if err := loop.Run(sim.Never); err != nil {
		panic(err)
	}
	r := player.Report()
	fmt.Printf("%s: %d of %d messages sent\n", r.Verdict, r.Sent.Sent, r.Sent.Recorded)
	// Output: diverged: 0 of 3 messages sent
}
