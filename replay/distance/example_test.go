package distance_test

import (
	"context"
	"fmt"

	"hilnet/pcaps"
	"hilnet/replay/distance"
)

func ExampleCompare() {
	read := func(name string) *distance.Capture {
		in, done, err := pcaps.Open("../../pcaps/golden/netx/"+name, pcaps.ReaderConfig{})
		if err != nil {
			panic(err)
		}
		defer done() //nolint:errcheck // only read from
		c, err := distance.Read(context.Background(), in, distance.Config{})
		if err != nil {
			panic(err)
		}
		return c
	}
	a, b := read("2a-dead-link-8s.pcap"), read("2a-dead-link-8s.pcap")
	r, err := distance.Compare(a, b, distance.Config{})
	fmt.Println(r.Distance, a.Of(distance.Retries), err)
	// Output: 0 8 <nil>
}
