package nic_test

import (
	"fmt"

	"hilnet/nic"
	"hilnet/sim/rtos"
)

func Example() {
	// 2,528 bytes of RAM for packets of 256 bytes, as firmware would write
	// nx_packet_pool_create(&pool, "pool", 256, memory, 2528).
	pool, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 256, Memory: 2528})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pool.Total(), "packets")

	p, _ := pool.Allocate(nic.IPv4TCP, rtos.NoWait)
	p.Append(make([]byte, 1000), pool, rtos.NoWait)
	fmt.Println("1000 bytes take", p.Packets(), "packets;", pool.Free(), "free")

	_, status := p.Copy(pool, rtos.NoWait)
	fmt.Println("a copy:", status)
	p.Release()
	fmt.Printf("%+v\n", pool.Stats())
	// Output:
	// 8 packets
	// 1000 bytes take 5 packets; 3 free
	// a copy: NX_NO_PACKET
	// {Total:8 Free:8 MinFree:0 Leaked:0 Waiting:0 EmptyRequests:1 EmptySuspensions:0 InvalidReleases:0}
}
