package scenarios_test

import (
	"fmt"

	"hilnet/scenarios"
	"hilnet/trace"
)

func Example() {
	s, err := scenarios.Load("small.yaml", []byte(`
version: 1
name: small
devices:
  - steps: [connect, publish: {topic: t, payload: hello, qos: 1}]
broker: {}
expect: [lost == 0]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	tally := scenarios.NewTally(s) // package emu feeds it the events of the run
	tally.Add(&trace.Event{T: 5e6, Seq: 1, Kind: trace.KindPublish, Node: "device", Client: "device", Topic: "t", QoS: 1, ID: 1, Hash: 9})
	for _, v := range tally.Outcome().Judge(s) {
		fmt.Println(v.Text, v.Passed, v.Why)
	}
	// Output:
	// lost == 0 false expected lost == 0, got lost = 1; the message to t published with packet identifier 1 did not arrive; it was published at 5ms (event 1)
}

func ExampleLoad_error() {
	_, err := scenarios.Load("small.yaml", []byte(`version: 1
name: small
devices:
  - steps: [connect]
links:
  - dealy: 100ms
broker: {}
`))
	fmt.Println(err)
	// Output:
	// small.yaml:6:5: unknown key "dealy"
	//   hint: did you mean "delay"?
	//      3 | devices:
	//      4 |   - steps: [connect]
	//      5 | links:
	// >    6 |   - dealy: 100ms
	//        |     ^
}
