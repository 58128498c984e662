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
	// HeaderTexts counts the comments, names and options of section headers that the one
	// header of the output does not have: those of later sections, and what is
	// not a comment of later files.
	HeaderTexts int
	// Problems say which files are cut or damaged, and where: each was merged up to there.
	Problems []error
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
		m.HeaderTexts += headerTexts(&header, record.Section, false)
	}
	header.BigEndian = false
	out, err := NewWriter(w, header, WriterConfig{})
	if err != nil {
		return m, err
	}
	for _, in := range inputs {
		if err := in.advance(out, &header, &m); err != nil {
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
		if err := next.advance(out, &header, &m); err != nil {
			return m, err
		}
	}
}

// headerTexts counts the texts of s that header does not have.
func headerTexts(header, s *Section, comments bool) int {
	n := len(s.Options)
	for _, t := range [...][2]string{{s.Hardware, header.Hardware}, {s.OS, header.OS}, {s.UserAppl, header.UserAppl}} {
		if t[0] != "" && t[0] != t[1] {
			n++
		}
	}
	if comments {
		for _, c := range s.Comments {
			if !slices.Contains(header.Comments, c) {
				n++
			}
		}
	}
	return n
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
func (in *mergeInput) advance(out *Writer, header *Section, m *Merged) error {
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
			err = fmt.Errorf("%w (in %s)", err, in.path)
			var cut *TruncatedError
			var damaged *FormatError
			if errors.As(err, &cut) || errors.As(err, &damaged) {
				m.Problems = append(m.Problems, err)
				return nil
			}
			return err
		}
		switch {
		case record.Packet != nil:
			in.take(record.Packet)
			return nil
		case record.Section != nil:
			in.interfaces = in.interfaces[:0]
			m.HeaderTexts += headerTexts(header, record.Section, true)
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
