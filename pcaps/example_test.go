package pcaps_test

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"hilnet/pcaps"
	"hilnet/sim"
)

// A frame leaves the device at 1 ms and is lost; the next one arrives.
func Example() {
	var device, peer bytes.Buffer
	rec, err := pcaps.NewRecorder(pcaps.RecorderConfig{Run: pcaps.RunInfo{Version: "0.1.0", Seed: 42}})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, _ := rec.Point("device", &device, pcaps.PointConfig{})
	p, _ := rec.Point("peer", &peer, pcaps.PointConfig{})

	ms := sim.Time(time.Millisecond)
	_ = d.Capture(1*ms, 1, pcaps.Outbound, []byte("first frame"), pcaps.FatePending)
	_ = rec.Fate(1, pcaps.Fate{Kind: pcaps.Dropped, Stage: "loss", Reason: "random_loss", Ordinal: 1})
	_ = d.Capture(2*ms, 2, pcaps.Outbound, []byte("second frame"), pcaps.FatePending)
	_ = p.Capture(27*ms, 2, pcaps.Inbound, []byte("second frame"), pcaps.FateFinal)
	_ = rec.Fate(2, pcaps.Fate{Kind: pcaps.Delivered})
	if err := rec.Close(30 * ms); err != nil {
		fmt.Println(err)
		return
	}

	r, err := pcaps.NewReader(&device, pcaps.ReaderConfig{})
	for err == nil {
		var record *pcaps.Record
		if record, err = r.Next(); err == nil && record.Packet != nil {
			fmt.Printf("%v %s %s\n", record.Packet.Time, record.Packet.Data, record.Packet.Comments)
		}
	}
	fmt.Println(err == io.EOF)
	// Output:
	// 2026-01-01T00:00:00.001Z first frame [dropped: stage=loss reason=random_loss seed=42 ordinal=1]
	// 2026-01-01T00:00:00.002Z second frame []
	// true
}
