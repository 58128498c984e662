package gateway_test

import (
	"fmt"

	"hilnet/stack/gateway"
)

// Where a gateway may lead is written as host and port.
func Example() {
	for _, text := range []string{"broker.example:8883", "192.0.2.0/24", "192.0.2.7/24"} {
		if d, err := gateway.ParseDestination(text); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println(d)
		}
	}
	// Output:
	// broker.example:8883
	// 192.0.2.0/24
	// gateway: "192.0.2.7/24" is an address in a network: write 192.0.2.0/24
}
