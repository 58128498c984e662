package stack_test

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/wire"
)

// Two hosts on a wire of 5 ms: one listens and greets, the other dials.
func Example() {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	defer loop.Close()
	var client, server *stack.Host
	wireTo := func(h **stack.Host) link.Sink {
		return link.SinkFunc(func(f *link.Frame) { loop.After(5*time.Millisecond, func() { (*h).Put(f) }) })
	}
	client, err := stack.New(loop, nil, stack.Config{
		Node: "client", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: netip.MustParsePrefix("10.0.0.1/24"),
	}, wireTo(&server))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	server, err = stack.New(loop, nil, stack.Config{
		Node: "server", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: netip.MustParsePrefix("10.0.0.2/24"),
	}, wireTo(&client))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	if _, err := server.Listen(7, 0, func(c *stack.Conn) {
		c.Write([]byte("hello"))
		c.Close()
	}); err != nil {
		fmt.Println(err)
		return
	}
	c, err := client.Dial(netip.MustParseAddrPort("10.0.0.2:7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	c.OnConnected(func() { fmt.Println(loop.Now(), "connected to", c.Remote()) })
	c.OnData(func(data []byte) { fmt.Printf("%v %s\n", loop.Now(), data) })
	c.OnClosed(func(err error) {
		fmt.Println(loop.Now(), err)
		c.Close()
	})
	if err := loop.Run(sim.Time(time.Second)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0.020000000s connected to 10.0.0.2:7
	// 0.030000000s hello
	// 0.030000000s EOF
}
