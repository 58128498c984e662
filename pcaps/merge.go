package pcaps

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Merged counts what a merge did.
type Merged struct {
	Packets uint64
	// NotCopied is how many custom blocks were left out because their type
	// forbids copying.
	NotCopied int
}

// Merge writes the packets of several captures into one pcapng file in the
// order of their time; of equal times the earlier path comes first. Every input
// keeps its interfaces, names, secrets and statistics. Inputs need not be in
// order themselves, but a packet out of order stays behind the one before it.
// The header is the first file's with the comments that only others have.
//
// Wireshark takes the second sight of a packet at another interface for a
// retransmission: a merged file is for reading along, not for its TCP analysis.
func Merge(w io.Writer, paths ...string) (m Merged, err error) {
	var inputs []*mergeInput
	defer func() {
		for _, in := range inputs {
			_ = in.close() // only read from
		}
	}()
	header := Section{UserAppl: "hilnet merge"}
	for n, path := range paths {
		in := &mergeInput{path: path}
		if in.reader, in.close, err = Open(path, ReaderConfig{}); err != nil {
			return m, err
		}
		inputs = append(inputs, in)
		if in.reader.Format() == FormatPcap {
			continue
		}
		record, err := in.reader.Next()
		if err != nil {
			return m, fmt.Errorf("%w (in %s)", err, path)
		}
		if n == 0 {
			header = *record.Section
			continue
		}
		for _, c := range record.Section.Comments {
			if !slices.Contains(header.Comments, c) {
				header.Comments = append(slices.Clip(header.Comments), c)
			}
		}
	}
	header.BigEndian = false
	out, err := NewWriter(w, header, WriterConfig{})
	if err != nil {
		return m, err
	}
	for _, in := range inputs {
		if err := in.advance(out, &m); err != nil {
			return m, err
		}
	}
	for {
		next := earliest(inputs)
		if next == nil {
			return m, out.Flush()
		}
		if err := out.WritePacket(next.packet); err != nil {
			return m, err
		}
		m.Packets++
		if err := next.advance(out, &m); err != nil {
			return m, err
		}
	}
}

func earliest(inputs []*mergeInput) *mergeInput {
	var next *mergeInput
	for _, in := range inputs {
		if in.packet != nil && (next == nil || in.at < next.at) {
			next = in
		}
	}
	return next
}

// A mergeInput is one file and its next packet.
type mergeInput struct {
	path       string
	reader     *Reader
	close      func() error
	interfaces []int   // index in the output by index in the input
	packet     *Packet // nil at the end
	at         Stamp   // of packet; a simple packet has the time of the one before
}

// advance copies blocks up to the next packet, which it keeps.
func (in *mergeInput) advance(out *Writer, m *Merged) error {
	in.packet = nil
	if in.reader.Format() == FormatPcap && in.interfaces == nil {
		if err := in.add(out, in.reader.Interfaces()[0]); err != nil {
			return err
		}
	}
	for {
		record, err := in.reader.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w (in %s)", err, in.path)
		}
		switch {
		case record.Packet != nil:
			in.take(record.Packet)
			return nil
		case record.Section != nil:
			return fmt.Errorf("pcaps: merge: %s: byte %d: the file has several sections, only one can be merged", in.path, record.Offset)
		case record.Interface != nil:
			err = in.add(out, record.Interface)
		case record.Type == BlockCustomNoCopy:
			m.NotCopied++
		case record.Statistics != nil:
			record.Statistics.Interface = in.interfaces[record.Statistics.Interface]
			err = out.WriteStatistics(record.Statistics)
		default:
			err = out.Write(record)
		}
		if err != nil {
			return err
		}
	}
}

func (in *mergeInput) add(out *Writer, i *Interface) error {
	id, err := out.AddInterface(*i)
	in.interfaces = append(in.interfaces, id)
	return err
}

// take keeps p, which is the reader's own and may be changed until its next block.
func (in *mergeInput) take(p *Packet) {
	in.packet = p
	if p.Block == BlockSimplePacket {
		// It means interface 0 and has no time: only an enhanced packet can say
		// so for another interface.
		p.Block, p.Time, p.Ticks = BlockEnhancedPacket, in.at, 0
	}
	p.Interface = in.interfaces[p.Interface]
	in.at = p.Time
}
