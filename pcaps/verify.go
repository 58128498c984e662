package pcaps

import (
	"fmt"
	"io"
	"math"
)

// Verify checks a closed file of a [Recorder]: it is read to a clean end, its
// records stand in the order of their time, and their number equals the
// counter in its final statistics block. So a lost or moved record is found
// without another source to compare with.
func Verify(path string) error {
	r, closeFile, err := Open(path, ReaderConfig{})
	if err != nil {
		return err
	}
	defer closeFile() // only read from
	var final *Statistics
	packets, last := uint64(0), Stamp(math.MinInt64)
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		final = record.Statistics
		p := record.Packet
		if p == nil {
			continue
		}
		packets++
		if p.Fields&FieldPacketID == 0 {
			return fmt.Errorf("pcaps: verify %s: byte %d: record %d has no packet id", path, record.Offset, packets)
		}
		if p.Time < last {
			return fmt.Errorf("pcaps: verify %s: byte %d: record %d at %v stands after one at %v", path, record.Offset, packets, p.Time, last)
		}
		last = p.Time
	}
	if final == nil || final.Fields&FieldIfRecv == 0 {
		return fmt.Errorf("pcaps: verify %s: the file does not end with the statistics of a closed recording", path)
	}
	if final.IfRecv != packets {
		return fmt.Errorf("pcaps: verify %s: %d records, but %d frames were captured", path, packets, final.IfRecv)
	}
	return nil
}
