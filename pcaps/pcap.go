package pcaps

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// Magic numbers of classic pcap and of its relatives that we name in errors.
const (
	magicMicros   = 0xA1B2C3D4
	magicNanos    = 0xA1B23C4D
	magicModified = 0xA1B2CD34 // Kuznetzov's patched libpcap: 8 more bytes in each record
	magicIXIAHW   = 0x1C0001AC
	magicIXIASW   = 0x1C0001AB
)

const (
	classicFileHeader   = 24
	classicRecordHeader = 16
)

type classicHeader struct {
	minor   uint16
	perTick uint64 // nanoseconds
}

func hintForMagic(m uint32) string {
	switch m {
	case magicModified, bits.ReverseBytes32(magicModified):
		return "modified pcap (Kuznetzov's patched libpcap) is not read; convert it: editcap -F pcapng IN OUT"
	case magicIXIAHW, bits.ReverseBytes32(magicIXIAHW), magicIXIASW, bits.ReverseBytes32(magicIXIASW):
		return "the pcap variant of Ixia's lcap is not read; convert it: editcap -F pcapng IN OUT"
	}
	if m&0xFFFF == 0x8B1F {
		return "the file is compressed with gzip; decompress it first"
	}
	return fmt.Sprintf("neither pcapng nor pcap (magic number %#08x)", m)
}

func (r *Reader) readClassicHeader(magic []byte) error {
	m := binary.LittleEndian.Uint32(magic)
	switch m {
	case magicMicros, magicNanos:
	case bits.ReverseBytes32(magicMicros), bits.ReverseBytes32(magicNanos):
		r.order.big = true
	default:
		return r.bad("%s", hintForMagic(m))
	}
	b, err := r.peek(classicFileHeader)
	if err != nil {
		return err
	}
	i := &Interface{Resolution: Microseconds, SnapLen: r.order.u32(b[16:])}
	r.classic = classicHeader{minor: r.order.u16(b[6:]), perTick: 1000}
	if r.order.u32(b) == magicNanos {
		i.Resolution, r.classic.perTick = Nanoseconds, 1
	}
	if major := r.order.u16(b[4:]); major != 2 {
		return r.bad("pcap version %d.%d is not known, only 2 is", major, r.classic.minor)
	}
	// Bits 28-31: length of the frame check sequence in 16-bit words, when bit 26 is set.
	link := r.order.u32(b[20:])
	if reserved := link & 0x03FF0000; reserved != 0 {
		return r.bad("reserved bits %#08x of the link type are set", reserved)
	}
	i.LinkType = LinkType(link)
	if link&(1<<26) != 0 {
		i.HasFCSLen, i.FCSLen = true, uint8(link>>28)*16
	}
	r.interfaces = []*Interface{i}
	r.done(classicFileHeader)
	return nil
}

func (r *Reader) nextClassic() error {
	r.pass()
	head, err := r.peek(classicRecordHeader)
	if err != nil {
		return err
	}
	r.record = Record{Offset: r.offset} // the type is set when it is good: classic errors name none
	captured, original := r.order.u32(head[8:]), r.order.u32(head[12:])
	// Files before 2.3, and some of 2.3, have the two lengths the other way round.
	if r.classic.minor < 3 || (r.classic.minor == 3 && captured > original) {
		captured, original = original, captured
	}
	if int64(captured) > int64(r.config.MaxPacket) {
		return r.bad("captured length %d exceeds the limit of %d", captured, r.config.MaxPacket)
	}
	total := classicRecordHeader + int(captured)
	b, err := r.peek(total)
	if err != nil {
		return err
	}
	r.record.Type = BlockEnhancedPacket
	p := r.resetPacket()
	p.LinkType = r.interfaces[0].LinkType
	seconds, fraction := uint64(r.order.u32(b)), uint64(r.order.u32(b[4:]))
	p.Time = Stamp(seconds*nanosPerSecond + fraction*r.classic.perTick) // < 2^63
	p.Ticks = uint64(p.Time) / r.classic.perTick
	p.Data, p.OriginalLen = b[classicRecordHeader:], originalLength(original, captured)
	r.record.Packet = p
	r.done(total)
	return nil
}

// A PcapConfig describes a classic pcap file; the zero value is a little-endian
// one with nanoseconds and the link type Null.
type PcapConfig struct {
	LinkType     LinkType
	SnapLen      uint32 // default 262144
	BigEndian    bool
	Microseconds bool
	HasFCSLen    bool  // FCSLen is written, which may be 0
	FCSLen       uint8 // bits of the frame check sequence, a multiple of 16
	BufferSize   int   // default 64 KiB
}

// A PcapWriter writes classic pcap, for tools that read nothing else: it
// cannot hold comments, directions or several interfaces.
type PcapWriter struct {
	out    output
	enc    encoder
	config PcapConfig
}

// NewPcapWriter writes the file header.
func NewPcapWriter(w io.Writer, config PcapConfig) (*PcapWriter, error) {
	if config.SnapLen == 0 {
		config.SnapLen = 262144
	}
	pw := &PcapWriter{out: newOutput(w, config.BufferSize, classicBoundary(config.BigEndian)), config: config}
	pw.enc.big = config.BigEndian
	magic := uint32(magicNanos)
	if config.Microseconds {
		magic = magicMicros
	}
	e := pw.enc.on(pw.out.buf)
	e.u32(magic)
	e.u16(2)
	e.u16(4)
	e.u32(0)
	e.u32(0)
	e.u32(config.SnapLen)
	link := uint32(config.LinkType)
	if config.HasFCSLen {
		if config.FCSLen%16 != 0 {
			return nil, fmt.Errorf("pcaps: pcap cannot express a frame check sequence of %d bits", config.FCSLen)
		}
		link |= 1<<26 | uint32(config.FCSLen/16)<<28
	}
	e.u32(link)
	return pw, pw.out.commit(e.buf, false)
}

// WritePacket appends a packet of originalLen bytes of which data was captured;
// originalLen 0 means all of it. It does not keep data.
func (w *PcapWriter) WritePacket(at Stamp, data []byte, originalLen int) error {
	if w.out.err != nil {
		return w.out.err
	}
	seconds, fraction := at/nanosPerSecond, at%nanosPerSecond
	if at < 0 || seconds > math.MaxUint32 {
		return fmt.Errorf("pcaps: packet: pcap cannot express the time %v", at)
	}
	if originalLen == 0 {
		originalLen = len(data)
	}
	if len(data) > DefaultMaxPacket || originalLen < len(data) || int64(originalLen) > math.MaxUint32 {
		return fmt.Errorf("pcaps: packet: %d captured bytes of %d, want at most %d and no more than there were", len(data), originalLen, DefaultMaxPacket)
	}
	if w.config.Microseconds {
		fraction /= 1000
	}
	e := w.enc.on(w.out.buf)
	e.u32(uint32(seconds))
	e.u32(uint32(fraction))
	e.u32(uint32(len(data)))
	e.u32(uint32(originalLen))
	e.buf = append(e.buf, data...)
	return w.out.commit(e.buf, true)
}

// Flush hands what is buffered to the underlying writer.
func (w *PcapWriter) Flush() error { return w.out.flush() }

// classicBoundary returns the walk over buffered records; the file header is
// the first of them.
func classicBoundary(big bool) boundary {
	o := order{big}
	return func(b []byte, atStart bool) (int, bool) {
		if atStart {
			return classicFileHeader, false
		}
		return classicRecordHeader + int(o.u32(b[8:])), true
	}
}
