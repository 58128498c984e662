package pcaps

import (
	"fmt"
	"io"
	"os"
)

const defaultWriteBuffer = 64 << 10

// A Truncater is what a Writer uses, if its underlying writer has it, to cut an
// incomplete block off after a failed write. The size counts from the first
// byte that the Writer wrote.
type Truncater interface {
	Truncate(size int64) error
}

// boundary returns the length of the first whole piece in b, which is never
// empty, and whether it is a packet.
type boundary func(b []byte, atStart bool) (n int, packet bool)

// output buffers whole blocks, so that a file that was cut by the end of the
// process ends with a whole one, and repairs the end after a failed write.
type output struct {
	w        io.Writer
	name     string
	limit    int
	boundary boundary
	buf      []byte
	size     int64  // bytes handed to w
	packets  uint64 // whole packets in size
	pending  uint64 // whole packets in buf
	err      error
}

func newOutput(w io.Writer, bufferSize int, b boundary) output {
	if bufferSize <= 0 {
		bufferSize = defaultWriteBuffer
	}
	name := "output"
	if named, ok := w.(interface{ Name() string }); ok {
		name = named.Name()
	}
	return output{w: w, name: name, limit: bufferSize, boundary: b, buf: make([]byte, 0, bufferSize+2048)}
}

// commit takes buf, the old o.buf with one whole piece appended.
func (o *output) commit(buf []byte, packet bool) error {
	o.buf = buf
	if packet {
		o.pending++
	}
	if len(o.buf) < o.limit {
		return nil
	}
	return o.flush()
}

func (o *output) flush() error {
	if o.err != nil || len(o.buf) == 0 {
		return o.err
	}
	n, err := o.w.Write(o.buf)
	if err == nil && n < len(o.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.fail(max(0, min(n, len(o.buf))), err)
		return o.err
	}
	o.size += int64(n)
	o.packets += o.pending
	o.pending = 0
	o.buf = o.buf[:0]
	if cap(o.buf) > 4*o.limit { // one huge block must not stay for ever
		o.buf = make([]byte, 0, o.limit+2048)
	}
	return nil
}

// fail cuts the output after the last whole piece of the n bytes that arrived.
func (o *output) fail(n int, cause error) {
	good, packets := 0, o.packets
	for good < n {
		size, packet := o.boundary(o.buf[good:], o.size == 0 && good == 0)
		if good+size > n {
			break
		}
		good += size
		if packet {
			packets++
		}
	}
	readable := good == n
	if t, ok := o.w.(Truncater); ok && !readable {
		readable = t.Truncate(o.size+int64(good)) == nil
	}
	o.size += int64(good)
	o.packets, o.buf = packets, nil
	o.err = &WriteError{Name: o.name, Packets: packets, Readable: readable, Err: cause}
}

// A File is a capture file being written: a Writer and the file it writes.
type File struct {
	*Writer
	file *os.File
}

// Create makes or empties a file and starts a pcapng file with s as its section
// header in it. Close it.
func Create(path string, s Section, config WriterConfig) (*File, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(f, s, config)
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, err
	}
	return &File{w, f}, nil
}

func createFile(path string) (*os.File, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("pcaps: %w", err)
	}
	return f, nil
}

// Close flushes and closes the file.
func (f *File) Close() error {
	err := f.Flush()
	if closeErr := f.file.Close(); err == nil && closeErr != nil {
		err = &WriteError{Name: f.file.Name(), Packets: f.out.packets, Err: closeErr}
	}
	return err
}
