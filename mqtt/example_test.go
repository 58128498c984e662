package mqtt_test

import (
	"fmt"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/sim/rtos"
)

// firmware is the application thread of a device: connect, subscribe, report
// every second, obey, and connect again when the session is lost.
func firmware(th *rtos.Thread, c *mqtt.Client) {
	const second rtos.Ticks = 100
	lost := rtos.NewEventFlags(th.Kernel(), "lost")
	c.DisconnectNotifySet(func(*mqtt.Client) { lost.Set(1) })
	c.ReceiveNotifySet(func(c *mqtt.Client, _ int) {
		topic, payload := make([]byte, 32), make([]byte, 64)
		if n, m, status := c.MessageGet(topic, payload); status.OK() {
			fmt.Printf("%v got %s: %s\n", th.Task().Now(), topic[:n], payload[:m])
		}
	})
	for attempt := 1; ; attempt++ {
		if status := c.Connect(server, 10, false, 5*second); !status.OK() {
			fmt.Printf("%v attempt %d: %v\n", th.Task().Now(), attempt, status)
			th.Sleep(2 * second)
			continue
		}
		fmt.Printf("%v connected\n", th.Task().Now())
		c.Subscribe("valve", 1)
		for n := 1; ; n++ {
			if _, gone := lost.Get(1, true, true, second); gone {
				break
			}
			c.Publish("level", fmt.Appendf(nil, "%d", n), false, 1, second)
		}
		fmt.Printf("%v session lost, %d unacknowledged\n", th.Task().Now(), c.TransmitDepth())
	}
}

// The socket here is one whose other side the example plays; in a scenario it
// is a TCP connection to a broker.
func Example() {
	w, err := makeWire(options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.loop.Close()
	w.kernel.NewThread("app", 10, func(th *rtos.Thread) { firmware(th, w.c) })
	w.at(1500, func() { w.deliver(publish("valve", "open", 1, 1)) })
	w.at(2500, func() { w.mute[byte(codec.PUBLISH)] = true }) // the broker goes deaf
	w.at(4500, func() { w.reset(); w.mute[byte(codec.PUBLISH)] = false })
	if err := w.loop.Run(sim.Time(6e9)); err != nil {
		fmt.Println(err)
	}
	fmt.Println(w.c.TransmitDepth(), "unacknowledged,", w.pool.Free(), "packets free")
	// Output:
	// 0.002000000s connected
	// 1.500000000s got valve: open
	// 4.500000000s session lost, 2 unacknowledged
	// 4.502000000s connected
	// 0 unacknowledged, 16 packets free
}
