package anonymize_test

import (
	"fmt"
	"net/netip"

	"hilnet/replay/anonymize"
)

func ExampleAnonymizer_Text() {
	a, err := anonymize.New(anonymize.Config{Key: []byte("sixteen bytes and more")})
	if err != nil {
		panic(err)
	}
	topic := a.Text("plant/line7/temperature")
	fmt.Println(len(topic), topic[5:6], topic == a.Text("plant/line7/temperature"))
	fmt.Println(a.Addr(netip.MustParseAddr("10.0.0.1")) == a.Addr(netip.MustParseAddr("10.0.0.2")))
	// Output:
	// 23 / true
	// false
}
