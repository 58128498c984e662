package page_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"hilnet/emu"
	"hilnet/report/page"
	"hilnet/scenarios"
)

func Example() {
	dir, err := os.MkdirTemp("", "page")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	sc, err := scenarios.Open("idle-sensor")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := emu.Run(context.Background(), sc, emu.Options{Out: dir, Samples: true}); err != nil {
		fmt.Println(err)
		return
	}
	source := page.Beside(filepath.Join(dir, "idle-sensor.device.pcapng"))
	b, err := source.Read()
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := os.Create(filepath.Join(dir, "idle-sensor.html"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Write(out), out.Close())
	fmt.Println(len(b.Missing()), "things missing")
	// Output:
	// <nil> <nil>
	// 0 things missing
}
