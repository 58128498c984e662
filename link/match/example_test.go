package match_test

import (
	"fmt"

	"hilnet/link"
	"hilnet/link/match"
	"hilnet/sim"
)

func Example() {
	loop := sim.NewLoop(sim.Config{})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		fmt.Println(err)
		return
	}
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		fmt.Println("frame", f.Ordinal, "arrives")
		f.Release()
	}))
	m, err := match.New(match.Config{Loop: loop, Rules: []match.Rule{{Do: match.Drop, Frame: 2, Up: true}}})
	if err == nil {
		err = m.Attach(l)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		l.Up.Put(link.NewFrame(60))
	}
	if err := loop.Run(1); err != nil {
		fmt.Println(err)
	}
	fmt.Println(m.Finish())
	// Output:
	// frame 1 arrives
	// frame 3 arrives
	// []
}
