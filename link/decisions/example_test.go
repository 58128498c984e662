package decisions_test

import (
	"fmt"
	"strings"

	"hilnet/link"
	"hilnet/link/decisions"
	"hilnet/sim"
)

func Example() {
	list, err := decisions.Read("drops.jsonl", strings.NewReader(`{"link":"link","dir":"up","frame":2}`))
	if err != nil {
		fmt.Println(err)
		return
	}
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
	replay := list.NewReplay(func(error) { loop.Stop() })
	if err := replay.Attach(l.Up.Direction); err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		l.Up.Put(link.NewFrame(60))
	}
	if err := loop.Run(1); err != nil {
		fmt.Println(err)
	}
	// Output:
	// frame 1 arrives
	// frame 3 arrives
}
