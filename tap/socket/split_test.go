package socket_test

import (
	"bytes"
	"testing"

	"hilnet/tap/socket"
)

func FuzzSplitter(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 2, 0, 0, 0, 1, 3}, uint8(3))
	f.Add([]byte{0, 1, 255, 255}, uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(5))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		var whole, parts [][]byte
		var a, b socket.Splitter
		errA := a.Feed(data, func(p []byte) { whole = append(whole, bytes.Clone(p)) })
		var errB error
		for rest := data; len(rest) > 0 && errB == nil; {
			k := min(int(step)+1, len(rest))
			errB = b.Feed(rest[:k], func(p []byte) { parts = append(parts, bytes.Clone(p)) })
			rest = rest[k:]
		}
		if (errA == nil) != (errB == nil) || len(whole) != len(parts) {
			t.Fatalf("at once %d frames, %v; in parts %d frames, %v", len(whole), errA, len(parts), errB)
		}
		var again []byte
		for i, p := range whole {
			if !bytes.Equal(p, parts[i]) || len(p) == 0 || len(p) > socket.MaxFrame {
				t.Fatalf("frame %d: %x and %x", i, p, parts[i])
			}
			again = append(again, byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p)))
			again = append(again, p...)
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("%x is not what %x begins with", again, data)
		}
	})
}
