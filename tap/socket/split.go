package socket

import (
	"encoding/binary"
	"fmt"
)

// lengthBytes is the length in front of a frame, big-endian (QEMU net/net.c,
// net_fill_rstate).
const lengthBytes = 4

// A Splitter cuts what a stream carries into frames. Its zero value is ready. It
// holds at most one frame.
type Splitter struct {
	held []byte // of the length and the frame, what has come
}

// Feed takes what was read and calls frame for each whole frame in it; frame does
// not keep its argument. After an error the stream cannot be read any further.
func (s *Splitter) Feed(data []byte, frame func([]byte)) error {
	for len(data) > 0 {
		if len(s.held) == 0 && len(data) >= lengthBytes { // the common case: nothing is copied
			n, err := length(data)
			if err != nil {
				return err
			}
			if len(data) >= lengthBytes+n {
				frame(data[lengthBytes : lengthBytes+n])
				data = data[lengthBytes+n:]
				continue
			}
		}
		want := lengthBytes
		if len(s.held) >= lengthBytes {
			n, err := length(s.held)
			if err != nil {
				return err
			}
			want += n
		}
		k := min(want-len(s.held), len(data))
		s.held = append(s.held, data[:k]...)
		data = data[k:]
		if len(s.held) == want && want > lengthBytes {
			frame(s.held[lengthBytes:])
			s.held = s.held[:0]
		}
	}
	if len(s.held) >= lengthBytes {
		_, err := length(s.held) // at once, not when more comes
		return err
	}
	return nil
}

func length(b []byte) (int, error) {
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > MaxFrame {
		return 0, fmt.Errorf("a frame of %d bytes, which is not 1 to %d: the other side does not speak QEMU's -netdev stream", n, MaxFrame)
	}
	return int(n), nil
}
