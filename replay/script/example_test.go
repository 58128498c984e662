package script_test

import (
	"fmt"
	"os"

	"hilnet/replay/script"
)

// What the client of a captured conversation sent, and why.
func ExampleRead() {
	file, err := os.Open("../testdata/mqtt/suricata-mqtt311-pub-qos1.pcap")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	s, err := script.Read(file, script.Limits{}, nil)
	if err != nil {
		panic(err)
	}
	for _, c := range s.Conversations {
		for i := range c.Events {
			if e := &c.Events[i]; e.From == script.Client {
				fmt.Printf("%s: %v, %v after its cause\n", e.Label(), e.Rule, e.Gap)
			}
		}
	}
	// Output:
	// CONNECT: sequence, 98µs after its cause
	// PUBLISH 1: answer, 92µs after its cause
	// DISCONNECT: answer, 43µs after its cause
	// FIN: sequence, 36µs after its cause
}
