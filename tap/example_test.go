package tap_test

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/tap"
)

// Frames that the kernel sends to 192.0.2.0/24 are printed for a minute.
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
	t, err := tap.Open(tap.Config{
		Name: "hil0", Address: netip.MustParsePrefix("192.0.2.1/24"),
		Loop: loop, Clock: pacer.Now,
	})
	if err != nil {
		fmt.Println(err) // names the cause and the command that helps
		return
	}
	defer t.Close()
	err = t.Start(link.SinkFunc(func(f *link.Frame) {
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
