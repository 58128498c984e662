package flow_test

import (
	"fmt"
	"net/netip"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// printer prints messages.
type printer struct{}

func (printer) Data(*flow.Chunk)    {}
func (printer) Notice(*flow.Notice) {}
func (printer) Message(m *flow.Message) {
	fmt.Printf("%v from %v: %d bytes, frames %d to %d\n", m.Type, m.Conversation.Half(m.Side).Addr, m.Len, m.FirstFrame, m.LastFrame)
}

// A CONNECT in two frames: the SYN comes first.
func ExampleTable() {
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	table, err := flow.New(flow.Config{}, printer{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, s := range []struct {
		flags   wire.TCPFlags
		seq     uint32
		payload string
	}{
		{wire.TCPSyn, 999, ""},
		{wire.TCPAck, 1000, "\x10\x0d\x00\x04MQTT\x04\x02"},
		{wire.TCPAck, 1010, "\x00\x3c\x00\x01d"},
	} {
		frame := make([]byte, 54+len(s.payload))
		wire.PutEthernet(frame, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv4)
		wire.PutIPv4(frame[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: src, Dst: dst}, 20+len(s.payload))
		copy(frame[54:], s.payload)
		wire.PutTCP(frame[34:], wire.TCPFields{SrcPort: 49152, DstPort: 1883, Seq: s.seq, Flags: s.flags}, src, dst, len(s.payload))
		result := table.Feed(flow.Frame{Data: frame, Link: flow.LinkEthernet, At: sim.Time(i), Number: uint64(i + 1)})
		if result.Ignored != flow.NoReason {
			fmt.Println(result.Ignored)
		}
	}
	for c := range table.Each {
		fmt.Println(c)
	}
	// Output:
	// CONNECT from 10.0.0.1:49152: 15 bytes, frames 2 to 3
	// #1 10.0.0.1:49152 -> 10.0.0.2:1883 MQTT, handshake partial, end open, 3+0 frames, 15+0 bytes, 1+0 messages, 0+0 bytes in gaps
}
