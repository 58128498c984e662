package analyze_test

import (
	"fmt"

	"hilnet/pcaps"
	"hilnet/pcaps/analyze"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// The time line of a capture.
func ExampleAnalyzer() {
	analyzer, err := analyze.New(analyze.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	number, first := uint64(0), pcaps.Stamp(0)
	for packet, err := range pcaps.Packets("../testdata/suricata-mqtt311-pub-qos1.pcap") {
		if err != nil {
			fmt.Println(err)
			return
		}
		if number++; number == 1 {
			first = packet.Time
		}
		analyzer.Feed(flow.Frame{Data: packet.Data, Link: flow.LinkType(packet.LinkType), At: sim.Time(packet.Time - first), Number: number})
	}
	for _, c := range analyzer.Report().Conversations {
		for _, m := range c.Messages {
			fmt.Println(m.Frame, m.From, m.Type, m.ID, m.Latency)
		}
	}
	// Output:
	// 4 client CONNECT 0 256µs
	// 6 server CONNACK 0 0s
	// 8 client PUBLISH 1 74µs
	// 9 server PUBACK 1 0s
	// 10 client DISCONNECT 0 0s
}
