package edit

import (
	"hilnet/pcaps"
)

// A pcapngWriter writes pcapng, block by block.
type pcapngWriter struct {
	*copier
	w           *pcaps.Writer
	resolutions []pcaps.Resolution // of the input, by interface of the section
}

// begin starts the file or a section in it.
func (w *pcapngWriter) begin(s pcaps.Section) (err error) {
	s.BigEndian = w.target.Order.big(w.in.BigEndian())
	w.resolutions = w.resolutions[:0]
	if w.w == nil {
		w.w, err = pcaps.NewWriter(w.out, s, pcaps.WriterConfig{})
		return err
	}
	return w.w.StartSection(s)
}

// classic starts a file that was a classic pcap.
func (w *pcapngWriter) classic() error {
	if w.w != nil || w.in.Format() != pcaps.FormatPcap {
		return nil
	}
	if err := w.begin(pcaps.Section{UserAppl: w.target.Application}); err != nil {
		return err
	}
	return w.iface(*w.in.Interfaces()[0])
}

func (w *pcapngWriter) iface(i pcaps.Interface) error {
	w.resolutions = append(w.resolutions, i.Resolution)
	if w.target.Precision != 0 {
		i.Resolution = w.target.Precision
	}
	_, err := w.w.AddInterface(i)
	return err
}

func (w *pcapngWriter) record(r *pcaps.Record) error {
	switch {
	case r.Section != nil:
		return w.begin(*r.Section)
	case r.Interface != nil:
		return w.iface(*r.Interface)
	case r.Type == pcaps.BlockCustomNoCopy:
		w.report.lose(NoCopyBlocks, 1)
		return nil
	}
	return w.w.Write(r)
}

func (w *pcapngWriter) packet(p *pcaps.Packet, _ pcaps.Stamp) error {
	if err := w.classic(); err != nil {
		return err
	}
	if w.target.Precision != 0 && p.Block != pcaps.BlockSimplePacket {
		w.report.lose(TimeDigits, digits(p, w.resolutions[p.Interface], w.target.Precision))
	}
	if err := w.w.WritePacket(p); err != nil {
		return err
	}
	w.report.Written++
	return nil
}

func (w *pcapngWriter) close() error {
	if err := w.classic(); err != nil {
		return err
	}
	if w.w == nil {
		return &UnfitError{Text: "the capture is cut before its first block ends"}
	}
	return w.w.Flush()
}
