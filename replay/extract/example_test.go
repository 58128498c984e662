package extract_test

import (
	"context"
	"fmt"
	"os"

	"hilnet/replay/extract"
)

func ExampleSingle() {
	file, err := os.Open("../../pcaps/golden/netx/2a-dead-link-8s.pcap")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	capture, err := extract.Read(context.Background(), file.Name(), file, extract.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	conditions, err := extract.Single(capture)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range conditions.Outages {
		fmt.Printf("%s: %.1f s to %.1f s\n", o.Dir, o.Start.Seconds(), o.End.Seconds())
	}
	// Output:
	// both: 1.2 s to 8.8 s
}
