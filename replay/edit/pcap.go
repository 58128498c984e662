package edit

import (
	"fmt"
	"math"

	"hilnet/pcaps"
)

// A pcapWriter writes classic pcap.
type pcapWriter struct {
	*copier
	w      *pcaps.PcapWriter
	config pcaps.PcapConfig
	iface  int // that of the file header, -1 in other sections
}

// record counts what the format has no room for.
func (w *pcapWriter) record(r *pcaps.Record) error {
	k, n := OtherBlocks, 1
	switch {
	case r.Section != nil:
		s := r.Section
		k, n = SectionTexts, len(s.Comments)+len(s.Options)
		for _, text := range []string{s.Hardware, s.OS, s.UserAppl} {
			n += present(text != "")
		}
		w.iface = -1 // interfaces count anew
	case r.Interface != nil:
		k, n = Interfaces, present(!plain(r.Interface))
	case r.Statistics != nil:
		k = StatisticsBlocks
	case r.Names != nil:
		k = NameBlocks
	case r.Secrets != nil:
		k = SecretsBlocks
	case r.Type == pcaps.BlockCustomNoCopy:
		k = NoCopyBlocks
	case r.Custom != nil:
		k = CustomBlocks
	}
	w.report.lose(k, n)
	return nil
}

// plain reports whether an interface says no more than a classic header does.
func plain(i *pcaps.Interface) bool {
	texts := i.Name + i.Description + i.Hardware + i.OS + i.TimeZoneTZ + i.Filter
	lists := len(i.IPv4) + len(i.IPv6) + len(i.MAC) + len(i.EUI) + len(i.Comments) + len(i.Options)
	return texts == "" && lists == 0 && i.Speed|i.TxSpeed|i.RxSpeed == 0 && i.TimeZone == 0 && i.Offset == 0 && i.FCSLen%16 == 0
}

// begin writes the file header, which is that of one interface.
func (w *pcapWriter) begin(n int) (err error) {
	i := w.in.Interfaces()[n]
	w.iface = n
	w.config = pcaps.PcapConfig{
		LinkType: i.LinkType, SnapLen: i.SnapLen, BigEndian: w.target.Order.big(w.in.BigEndian()),
		HasFCSLen: i.HasFCSLen && i.FCSLen%16 == 0, FCSLen: i.FCSLen,
		Microseconds: w.target.Precision == pcaps.Microseconds,
	}
	if w.target.Precision == 0 {
		w.config.Microseconds = !fine(i.Resolution)
	}
	w.w, err = pcaps.NewPcapWriter(w.out, w.config)
	return err
}

// fine reports whether a resolution needs more digits than microseconds have.
func fine(r pcaps.Resolution) bool {
	return r > pcaps.Microseconds && r != pcaps.Seconds
}

func (w *pcapWriter) packet(p *pcaps.Packet, at pcaps.Stamp) error {
	if w.w == nil {
		if err := w.begin(p.Interface); err != nil {
			return err
		}
	}
	i := w.in.Interfaces()[p.Interface]
	if i.LinkType != w.config.LinkType || i.HasFCSLen && i.FCSLen != w.config.FCSLen {
		return &UnfitError{w.report.Read, fmt.Sprintf("pcap has one link type: that of this frame, %d, is not that of the frames before, %d "+
			"(replay cut --filter 'interface N' chooses those of one interface)", i.LinkType, w.config.LinkType)}
	}
	if p.Interface != w.iface {
		w.report.lose(InterfaceOf, 1)
	}
	if at < 0 || int64(at)/1e9 > math.MaxUint32 {
		w.report.lose(PacketTime, 1)
		return nil
	}
	if w.in.Format() == pcaps.FormatPcapng {
		w.report.losePacket(p)
	}
	if p.Block == pcaps.BlockSimplePacket {
		w.report.lose(NoTime, 1)
	} else {
		unit := pcaps.Nanoseconds
		if w.config.Microseconds {
			unit = pcaps.Microseconds
		}
		w.report.lose(TimeDigits, digits(p, i.Resolution, unit))
	}
	if err := w.w.WritePacket(at, p.Data, max(p.OriginalLen, len(p.Data))); err != nil {
		return err
	}
	w.report.Written++
	return nil
}

func (w *pcapWriter) close() error {
	if w.w == nil {
		if len(w.in.Interfaces()) == 0 {
			return &UnfitError{Text: "the capture has neither a packet nor an interface, and pcap needs a link type"}
		}
		if err := w.begin(0); err != nil {
			return err
		}
	}
	return w.w.Flush()
}
