package edit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hilnet/pcaps"
)

// An Order is a byte order.
type Order uint8

// The byte orders.
const (
	SameOrder Order = iota
	LittleEndian
	BigEndian
)

// big reports whether what was read in one order is written big-endian.
func (o Order) big(as bool) bool { return o == BigEndian || o == SameOrder && as }

// A Target says how a capture is written. The zero value is: as it was.
type Target struct {
	Format pcaps.Format // 0: that of the input
	// Precision of times, pcaps.Microseconds or pcaps.Nanoseconds. 0: that of the
	// input, and in classic pcap the one of the two that holds it.
	Precision pcaps.Resolution
	Order     Order
	// Application is the name in the section header where the input, a classic pcap,
	// has none.
	Application string
}

// Validate returns an error for a target that is none.
func (t *Target) Validate() error {
	switch {
	case t.Format > pcaps.FormatPcap:
		return fmt.Errorf("edit: format %d", t.Format)
	case t.Precision != 0 && t.Precision != pcaps.Microseconds && t.Precision != pcaps.Nanoseconds:
		return fmt.Errorf("edit: precision %d is neither microseconds nor nanoseconds", t.Precision)
	case t.Order > BigEndian:
		return fmt.Errorf("edit: byte order %d", t.Order)
	}
	return nil
}

// An UnfitError says that a capture cannot be written in the format asked for.
type UnfitError struct {
	Frame uint64
	Text  string
}

func (e *UnfitError) Error() string { return fmt.Sprintf("frame %d: %s", e.Frame, e.Text) }

// A writer takes the blocks of a capture.
type writer interface {
	record(*pcaps.Record) error // all but packets
	packet(p *pcaps.Packet, at pcaps.Stamp) error
	close() error
}

// A copier copies one capture.
type copier struct {
	in     *pcaps.Reader
	out    io.Writer
	target Target
	report *Report
}

// Copy copies the packets of in that sel chooses, and all other blocks, to out as
// target says. An error means that out is not to be used: the output failed, the
// context ended, or it is an *[UnfitError].
func Copy(ctx context.Context, out io.Writer, in *pcaps.Reader, target Target, sel Selection) (*Report, error) {
	if err := target.Validate(); err != nil {
		return nil, err
	}
	if target.Format == 0 {
		target.Format = in.Format()
	}
	c := &copier{in: in, out: out, target: target, report: &Report{Losses: []Loss{}}}
	var w writer = &pcapngWriter{copier: c}
	if target.Format == pcaps.FormatPcap {
		w = &pcapWriter{copier: c}
	}
	if err := c.run(ctx, w, newSelector(sel)); err != nil {
		return c.report, err
	}
	return c.report, w.close()
}

func (c *copier) run(ctx context.Context, w writer, sel *selector) error {
	base, known := 0, 0 // interfaces of earlier sections
	var at pcaps.Stamp  // of the packet; a simple one has that of the one before
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		record, err := c.in.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return c.broken(err, n)
		}
		if record.Section != nil {
			base, known = base+known, 0
		}
		known = len(c.in.Interfaces())
		p := record.Packet
		if p == nil {
			if err := w.record(record); err != nil {
				return err
			}
			continue
		}
		c.report.Read++
		if p.Block != pcaps.BlockSimplePacket {
			at = p.Time
		}
		if !sel.chosen(p, at, c.report.Read, base+p.Interface) {
			c.report.NotChosen++
			continue
		}
		if err := w.packet(p, at); err != nil {
			return err
		}
	}
}

// broken notes where a capture is cut or damaged. Other errors are those of the input
// itself; a file that has no whole block is no capture.
func (c *copier) broken(err error, records int) error {
	var cut *pcaps.TruncatedError
	var damaged *pcaps.FormatError
	if !errors.As(err, &cut) && !errors.As(err, &damaged) || records == 0 && c.in.Format() == pcaps.FormatPcapng {
		return err
	}
	c.report.Problem = err
	return nil
}

// digits returns 1 when the unit has no room for the time of p.
func digits(p *pcaps.Packet, was, unit pcaps.Resolution) int {
	const micro = 1000
	if unit == pcaps.Microseconds && p.Time%micro != 0 {
		return 1
	}
	return present(finer(was, p.Ticks))
}

// finer reports whether ticks of resolution r are no whole nanoseconds.
func finer(r pcaps.Resolution, ticks uint64) bool {
	const binary = 0x80
	n := uint(r &^ binary)
	switch {
	case r&binary != 0:
		return n > 9 && ticks != 0 && ticks<<(64-min(n-9, 64)) != 0
	case n <= 9:
		return false
	}
	unit := uint64(1)
	for range min(n-9, 19) {
		unit *= 10
	}
	return ticks%unit != 0
}
