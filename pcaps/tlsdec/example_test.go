package tlsdec_test

import (
	"fmt"
	"strings"

	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
)

// Keys of a key log, for the streams that package flow follows.
func Example() {
	keys := new(tlsdec.Keys)
	keys.Add([]byte("CLIENT_RANDOM " + strings.Repeat("2a", 32) + " " + strings.Repeat("07", 48) + "\n"))
	table, err := flow.New(flow.Config{Secure: keys.Open}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer table.Close()
	fmt.Println(keys.Len(), "secret")
	// Output: 1 secret
}
