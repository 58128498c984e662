package pcaps

import (
	"context"
	"errors"
	"io"
	"iter"
)

// A Scan reads the frames of a capture as far as there are any. The zero value can be
// used, once.
type Scan struct {
	// Secrets, if set, is told of the lines of each TLS key log in the capture.
	Secrets func(lines []byte)
	// Problem is why the capture could not be read to its end: what was cut off or
	// damaged behind the last frame.
	Problem error
}

// A Scanned is a frame of a scan.
type Scanned struct {
	*Packet // until the next one
	// At is the frame's time. One without, of a simple packet block, has that of the
	// frame before it.
	At     Stamp
	Number uint64 // from 1
	Lane   int    // of the interface, among those of all sections
}

// scanned is after how many records a scan looks whether it is to end.
const scanned = 1024

// Frames yields the frames. An error is the last thing it yields: the context's, or
// one of a capture in which nothing can be read.
func (s *Scan) Frames(ctx context.Context, in *Reader) iter.Seq2[Scanned, error] {
	return func(yield func(Scanned, error) bool) {
		base, known := 0, 0
		var f Scanned
		for n := 0; ; n++ {
			if n%scanned == 0 && ctx.Err() != nil {
				yield(Scanned{}, ctx.Err())
				return
			}
			record, err := in.Next()
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil {
				var cut *TruncatedError
				var damaged *FormatError
				if (errors.As(err, &cut) || errors.As(err, &damaged)) && (n > 0 || in.Format() == FormatPcap) {
					s.Problem = err
				} else {
					yield(Scanned{}, err)
				}
				return
			}
			if record.Section != nil {
				base, known = base+known, 0
			}
			if k := record.Secrets; k != nil && k.Kind == SecretsTLS && s.Secrets != nil {
				s.Secrets(k.Data)
			}
			known = len(in.Interfaces())
			if f.Packet = record.Packet; f.Packet == nil {
				continue
			}
			if f.Block != BlockSimplePacket {
				f.At = f.Time
			}
			f.Number++
			f.Lane = base + f.Interface
			if !yield(f, nil) {
				return
			}
		}
	}
}
