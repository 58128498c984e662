package broker_test

import (
	"fmt"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
	"hilnet/sim"
)

// The owner tells the broker what happened on its connections and does what
// Outputs asks for. Here the connections are numbers and the clock is a
// variable.
func Example() {
	b, err := broker.New(broker.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var now sim.Time
	show := func() {
		for _, o := range b.Outputs() {
			if o.Close || o.Abort {
				fmt.Println(now, "connection", o.Conn, "close")
			} else {
				fmt.Println(now, "connection", o.Conn, codec.Summary(o.Data))
			}
		}
	}
	b.Open(now, 1, "10.0.0.2:49152")
	b.Data(now, 1, codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("meter"), CleanSession: true, KeepAlive: 10}))
	b.Data(now, 1, codec.AppendSubscribe(nil, 1, []codec.Subscription{{Filter: []byte("cmd/#"), QoS: 1}}))
	b.Data(now, 1, codec.AppendPublish(nil, &codec.Publish{Topic: []byte("cmd/led"), Payload: []byte("on"), QoS: 1, ID: 2}))
	show()

	for end := now.Add(time.Minute); ; { // the client says nothing more
		at, ok := b.NextTimeout()
		if !ok || at > end {
			break
		}
		now = at
		b.Timeout(now)
		show()
	}
	// Output:
	// 0.000000000s connection 1 CONNACK accepted
	// 0.000000000s connection 1 SUBACK id=1 q1
	// 0.000000000s connection 1 PUBLISH q1 id=1 cmd/led 2 B
	// 0.000000000s connection 1 PUBACK id=2
	// 15.000000000s connection 1 close
}
