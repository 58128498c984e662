package pcaps

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Default limits of a [ReaderConfig].
const (
	DefaultMaxBlock      = 16 << 20
	DefaultMaxPacket     = 1 << 20
	DefaultMaxInterfaces = 1 << 16
	DefaultMaxMetadata   = 64 << 20
)

// A ReaderConfig limits what a Reader accepts; the zero value means the defaults.
type ReaderConfig struct {
	MaxBlock      int // total length of a block, default 16 MiB
	MaxPacket     int // captured length of a packet, default 1 MiB
	MaxInterfaces int // in one section, default 65,536
	// MaxMetadata bounds the bytes of interfaces, secrets and names that the
	// Reader keeps, default 64 MiB. Too many interfaces are an error; secrets
	// and names beyond it are delivered by Next but not collected: see Uncollected.
	MaxMetadata int
}

func (c *ReaderConfig) setDefaults() error {
	for _, limit := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"MaxBlock", &c.MaxBlock, DefaultMaxBlock},
		{"MaxPacket", &c.MaxPacket, DefaultMaxPacket},
		{"MaxInterfaces", &c.MaxInterfaces, DefaultMaxInterfaces},
		{"MaxMetadata", &c.MaxMetadata, DefaultMaxMetadata},
	} {
		if *limit.value < 0 || int64(*limit.value) > 1<<31-1 {
			return fmt.Errorf("pcaps: ReaderConfig.%s is %d, want 0 to 2147483647", limit.name, *limit.value)
		}
		if *limit.value == 0 {
			*limit.value = limit.fallback
		}
	}
	return nil
}

// A Format is a kind of capture file.
type Format uint8

// The formats a Reader knows.
const (
	FormatPcapng Format = 1 + iota
	FormatPcap
)

// String returns the format's name.
func (f Format) String() string {
	switch f {
	case FormatPcapng:
		return "pcapng"
	case FormatPcap:
		return "pcap"
	}
	return "none"
}

// A Reader reads a pcapng or classic pcap stream. Its memory does not depend on
// the length of the stream: it holds one block, and the metadata that
// [ReaderConfig] bounds.
type Reader struct {
	input  *bufio.Reader
	config ReaderConfig
	format Format
	offset int64 // of the next block
	unread int   // bytes of the current block still to be discarded from input
	large  []byte
	err    error // sticky

	order         order
	section       *Section
	sections      int
	interfaces    []*Interface
	clocks        []clock
	secrets       []*Secrets
	names         []*Names
	unheld        int
	held          int // bytes of metadata
	heldBySection int

	classic classicHeader
	record  Record
	packet  Packet
	custom  Custom
	list    optionList
}

const readBuffer = 64 << 10

// NewReader finds out the format and, for classic pcap, reads the file header.
// It reads ahead; nobody else may use input afterwards.
func NewReader(input io.Reader, config ReaderConfig) (*Reader, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	r := &Reader{input: bufio.NewReaderSize(input, readBuffer), config: config}
	magic, err := r.peek(4)
	if err != nil {
		return nil, err
	}
	if BlockType(binary.LittleEndian.Uint32(magic)) == BlockSectionHeader {
		r.format = FormatPcapng
		return r, nil
	}
	r.format = FormatPcap
	return r, r.readClassicHeader(magic)
}

// Format returns the format of the input.
func (r *Reader) Format() Format { return r.format }

// BigEndian reports the byte order of the current section or, in classic pcap, of
// the file.
func (r *Reader) BigEndian() bool { return r.order.big }

// Section returns the current section's header: nil before the first Next and
// in classic pcap.
func (r *Reader) Section() *Section { return r.section }

// Interfaces returns the interfaces of the current section read so far; a
// packet's Interface indexes it. Classic pcap has one.
func (r *Reader) Interfaces() []*Interface { return r.interfaces }

// Secrets returns the secrets read so far, in all sections.
func (r *Reader) Secrets() []*Secrets { return r.secrets }

// Names returns the name blocks read so far, in all sections.
func (r *Reader) Names() []*Names { return r.names }

// Uncollected returns how many secrets and name blocks did not fit MaxMetadata.
func (r *Reader) Uncollected() int { return r.unheld }

// Offset returns the position behind the last good block.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next block or, in classic pcap, the next packet. It returns
// io.EOF at a clean end, a *[TruncatedError] when the input ends in the middle
// of a block, a *[FormatError] when it is damaged, and the input's own error,
// wrapped, when reading failed. Errors are final. See [Record] for how long
// what it returns stays valid.
func (r *Reader) Next() (*Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	var err error
	if r.format == FormatPcap {
		err = r.nextClassic()
	} else {
		err = r.nextBlock()
	}
	if err != nil {
		r.err = err
		return nil, err
	}
	return &r.record, nil
}

func (r *Reader) nextBlock() error {
	r.pass()
	head, err := r.peek(12)
	if err != nil {
		return err
	}
	r.record = Record{Type: BlockType(r.order.u32(head)), Offset: r.offset}
	if r.record.Type == BlockSectionHeader { // reads the same in either order
		switch binary.LittleEndian.Uint32(head[8:]) {
		case byteOrderMagic:
			r.order.big = false
		case byteOrderMagicSwapped:
			r.order.big = true
		default:
			return r.bad("byte-order magic is %#08x", binary.LittleEndian.Uint32(head[8:]))
		}
	}
	total := r.order.u32(head[4:])
	switch {
	case total < 12:
		return r.bad("total length %d is less than 12", total)
	case total%4 != 0:
		return r.bad("total length %d is not a multiple of 4", total)
	case int64(total) > int64(r.config.MaxBlock):
		return r.bad("total length %d exceeds the limit of %d", total, r.config.MaxBlock)
	}
	block, err := r.peek(int(total))
	if err != nil {
		return err
	}
	if again := r.order.u32(block[total-4:]); again != total {
		return r.bad("total length is %d at its start and %d at its end", total, again)
	}
	if reason := r.block(block[8 : total-4]); reason != "" {
		return r.bad("%s", reason)
	}
	r.done(int(total))
	return nil
}

const (
	byteOrderMagic        = 0x1A2B3C4D
	byteOrderMagicSwapped = 0x4D3C2B1A
)

func (r *Reader) bad(format string, args ...any) error {
	return &FormatError{Offset: r.offset, Block: r.record.Type, Reason: fmt.Sprintf(format, args...)}
}

// done marks the n bytes of the current block as good. They stay valid until pass.
func (r *Reader) done(n int) {
	r.offset += int64(n)
	if n <= readBuffer { // peek took longer ones out of the input
		r.unread = n
	}
}

// pass gives up the bytes of the block before.
func (r *Reader) pass() {
	_, _ = r.input.Discard(r.unread) // buffered, cannot fail
	r.unread = 0
}

// peek returns the next n bytes. It takes them out of the input if they are
// more than readBuffer.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.input.Peek(min(n, readBuffer))
	if err != nil {
		return nil, r.ended(len(b), err)
	}
	if n <= readBuffer {
		return b, nil
	}
	// A block larger than the buffer. Room grows with what really arrives, so
	// that a short file that claims a long block costs nothing.
	r.large = r.large[:0]
	for len(r.large) < n {
		chunk := min(n-len(r.large), max(readBuffer, len(r.large)))
		have := len(r.large)
		if cap(r.large) < have+chunk {
			grown := make([]byte, have, have+chunk)
			copy(grown, r.large)
			r.large = grown
		}
		r.large = r.large[:have+chunk]
		got, err := io.ReadFull(r.input, r.large[have:])
		if err != nil {
			return nil, r.ended(have+got, err)
		}
	}
	return r.large, nil
}

// ended turns a failed read, after got bytes of the current block, into an error.
func (r *Reader) ended(got int, err error) error {
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if got == 0 && r.offset > 0 {
			return io.EOF
		}
		return &TruncatedError{Offset: r.offset, Ignored: int64(got)}
	default:
		return fmt.Errorf("pcaps: read at byte %d: %w", r.offset+int64(got), err)
	}
}

// Open returns a Reader of a file and a function that closes the file.
func Open(path string, config ReaderConfig) (*Reader, func() error, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("pcaps: %w", err)
	}
	r, err := NewReader(f, config)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return r, f.Close, nil
}

// Packets returns the packets of a file of either format. A packet is valid
// during its iteration step only; use [Packet.Clone] to keep it. The last pair
// is (nil, error) when the file could not be read to a clean end.
func Packets(path string) iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		r, closeFile, err := Open(path, ReaderConfig{})
		if err != nil {
			yield(nil, err)
			return
		}
		defer closeFile() // only read from
		for {
			record, err := r.Next()
			if err != nil {
				if err != io.EOF {
					yield(nil, err)
				}
				return
			}
			if record.Packet != nil && !yield(record.Packet, nil) {
				return
			}
		}
	}
}
