package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"hilnet/mqtt/codec"
)

// FuzzDecode: no input panics; an error is an *Error within the input; what
// decodes encodes to a packet that decodes to the same, in no more bytes.
func FuzzDecode(f *testing.F) {
	for _, c := range validPackets {
		f.Add(unhex(f, c.hex))
	}
	for _, c := range malformedPackets {
		f.Add(unhex(f, c.hex))
	}
	_, recorded := recordedPackets(f)
	for _, b := range recorded {
		f.Add(b)
	}
	for _, row := range mochiPackets(f) {
		f.Add(row.frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := codec.Frame(b, 0)
		if n < 0 || n > len(b) {
			t.Fatalf("frame of %d bytes in %d", n, len(b))
		}
		if err == nil && n > 0 {
			b = b[:n]
		}
		_ = codec.Summary(b)
		var p codec.Packet
		if err := p.Decode(b); err != nil {
			var e *codec.Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(b) || e.Clause == "" {
				t.Fatalf("%x: %#v", b, err)
			}
			return
		}
		if n != len(b) {
			t.Fatalf("%x decodes, but Frame says %d, %v", b, n, err)
		}
		again := p.Append(nil)
		if len(again) > len(b) {
			t.Fatalf("%x: encoded again %x", b, again)
		}
		var q codec.Packet
		if err := q.Decode(again); err != nil {
			t.Fatalf("%x: encoded again %x: %v", b, again, err)
		}
		if p.String() != q.String() || !bytes.Equal(q.Append(nil), again) {
			t.Fatalf("%x: %v, again %v", b, &p, &q)
		}
		// With the shortest remaining length there is one way to write it.
		h, _, _ := codec.ParseHeader(b)
		short, _, _ := codec.ParseHeader(again)
		if h.Size == short.Size && !bytes.Equal(again, b) {
			t.Fatalf("%x: encoded again %x", b, again)
		}
	})
}
