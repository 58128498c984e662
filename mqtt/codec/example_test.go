package codec_test

import (
	"fmt"

	"hilnet/mqtt/codec"
)

// A stream is cut into frames, and each frame is decoded into one Packet that
// is used again.
func Example() {
	stream := codec.AppendConnect(nil, &codec.Connect{CleanSession: true, KeepAlive: 60, ClientID: []byte("meter-1")})
	stream = codec.AppendPublish(stream, &codec.Publish{QoS: 1, ID: 3, Topic: []byte("sensors/t"), Payload: make([]byte, 64)})
	stream = append(stream, 0x36, 0x00) // a PUBLISH of QoS 3

	var p codec.Packet
	for len(stream) > 0 {
		n, err := codec.Frame(stream, 1024)
		if err != nil {
			fmt.Println(err)
			return
		}
		if n == 0 {
			return // the rest has not arrived yet
		}
		if err := p.Decode(stream[:n]); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(&p)
		stream = stream[n:]
	}
	// Output:
	// CONNECT meter-1 clean keepalive=60s
	// PUBLISH q1 id=3 sensors/t 64 B
	// codec: PUBLISH: QoS 3 at offset 0 [MQTT-3.3.1-4]
}

func ExampleMatch() {
	fmt.Println(codec.Match("sensors/+/temperature", "sensors/7/temperature"))
	fmt.Println(codec.Match("#", "$SYS/broker/uptime"))
	// Output:
	// true
	// false
}
