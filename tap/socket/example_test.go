//go:build unix

package socket_test

import (
	"fmt"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/tap/socket"
)

// Frames that QEMU sends are printed for a minute. QEMU is started with
// -netdev stream,id=net0,server=off,addr.type=unix,addr.path=/tmp/qemu.sock
func Example() {
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	loop := sim.NewLoop(sim.Config{Pacer: pacer})
	defer loop.Close()
	if err := loop.StartPacer(); err != nil {
		fmt.Println(err)
		return
	}
	s, err := socket.Open(socket.Config{Mode: socket.Stream, Path: "/tmp/qemu.sock", Loop: loop, Clock: pacer.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = s.Start(link.SinkFunc(func(f *link.Frame) {
		fmt.Printf("%v %x\n", loop.Now(), f.Data)
		f.Release()
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := loop.Run(sim.Time(time.Minute)); err != nil {
		fmt.Println(err)
	}
}
