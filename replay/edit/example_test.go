package edit_test

import (
	"bytes"
	"context"
	"fmt"

	"hilnet/pcaps"
	"hilnet/replay/edit"
)

func ExampleCopy() {
	var capture bytes.Buffer
	w, _ := pcaps.NewWriter(&capture, pcaps.Section{}, pcaps.WriterConfig{})
	_, _ = w.AddInterface(pcaps.Interface{LinkType: pcaps.LinkTypeEthernet, Resolution: pcaps.Nanoseconds})
	for i := range 3 {
		_ = w.WritePacket(&pcaps.Packet{Time: pcaps.Stamp(i), Data: []byte("frame"), Comments: [][]byte{[]byte("lost")}})
	}
	_ = w.Flush()

	in, _ := pcaps.NewReader(&capture, pcaps.ReaderConfig{})
	var out bytes.Buffer
	report, err := edit.Copy(context.Background(), &out, in, edit.Target{Format: pcaps.FormatPcap}, edit.Selection{Last: 2})
	fmt.Println(report.Written, "of", report.Read, "frames", err)
	for _, l := range report.Losses {
		fmt.Println("not kept:", l.N, l.What)
	}
	// Output:
	// 2 of 3 frames <nil>
	// not kept: 2 comments of packets
}
