package embedded_test

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack/embedded"
	"hilnet/wire"
)

// A socket is what the MQTT client needs below it.
var _ mqtt.Socket = (*embedded.TCPSocket)(nil)

// A device asks for a connection on a wire that leads nowhere: each SYN and ARP
// request is lost, and what waits for an answer holds packets of the pool.
func Example() {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	kernel := rtos.NewKernel(loop, rtos.Config{})
	pool, err := nic.NewPool(kernel, nil, nic.PoolConfig{Name: "pool", Payload: 1536, Packets: 16})
	if err != nil {
		fmt.Println(err)
		return
	}
	card, err := nic.New(loop, kernel, nil, nic.Config{MAC: [6]byte{2, 0, 0, 0, 0, 2}, RXPool: pool})
	if err != nil {
		fmt.Println(err)
		return
	}
	card.SetWire(link.SinkFunc(func(f *link.Frame) {
		fmt.Println(loop.Now(), wire.Summary(f.Data))
		f.Release()
	}))
	ip, err := embedded.New(loop, kernel, nil, embedded.Config{
		Addr: netip.MustParsePrefix("10.0.0.2/24"), Pool: pool, NIC: card,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	kernel.NewThread("app", 10, func(*rtos.Thread) {
		socket := ip.NewTCPSocket(embedded.SocketConfig{DontFragment: true})
		status := socket.Connect(netip.MustParseAddrPort("10.0.0.1:1883"), 500) // 5 s
		fmt.Println(loop.Now(), status, "with", pool.Free(), "packets free:", ip.Holdings())
	})
	if err := loop.Run(sim.Time(15 * time.Second)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0.000000000s ARP who has 10.0.0.1? tell 10.0.0.2 at 02:00:00:00:00:02
	// 5.000000000s NX_NOT_CONNECTED with 12 packets free: [{arp queue 4}]
	// 10.000000000s ARP who has 10.0.0.1? tell 10.0.0.2 at 02:00:00:00:00:02
}
