package anonymize

import (
	"fmt"
	"io"
	"net/netip"

	"hilnet/pcaps"
	"hilnet/wire"
)

// An output takes the records of a capture, replaces them and writes them.
type output interface {
	record(*pcaps.Record) error
	flush() error
}

func (a *Anonymizer) newOutput(w io.Writer, in *pcaps.Reader) output {
	if in.Format() == pcaps.FormatPcap {
		return &classic{a: a, out: w, in: in}
	}
	return &blocks{a: a, out: w}
}

// A classic writes pcap.
type classic struct {
	a   *Anonymizer
	out io.Writer
	in  *pcaps.Reader
	w   *pcaps.PcapWriter
	fcs int
}

func (c *classic) record(r *pcaps.Record) (err error) {
	switch {
	case r.Interface != nil:
		i := r.Interface
		c.fcs = int(i.FCSLen) / 8
		c.w, err = pcaps.NewPcapWriter(c.out, pcaps.PcapConfig{
			LinkType: i.LinkType, SnapLen: i.SnapLen, BigEndian: c.in.BigEndian(), Microseconds: i.Resolution == pcaps.Microseconds,
			HasFCSLen: i.HasFCSLen, FCSLen: i.FCSLen,
		})
		return err
	case r.Packet != nil:
		p := r.Packet
		return c.w.WritePacket(p.Time, c.a.frame(p, c.fcs), max(p.OriginalLen, len(p.Data)))
	}
	return nil
}

func (c *classic) flush() error { return c.w.Flush() }

// blocks writes pcapng.
type blocks struct {
	a   *Anonymizer
	out io.Writer
	w   *pcaps.Writer
	fcs []int // by interface of the section
	n   int   // interfaces so far
}

const application = "hilnet replay anonymize"

func (b *blocks) record(r *pcaps.Record) (err error) {
	report := &b.a.report
	switch {
	case r.Section != nil:
		s := r.Section
		report.leftOut("comments", len(s.Comments))
		report.leftOut("names of programs, systems and hardware", named(s.Hardware, s.OS, s.UserAppl))
		report.leftOut("unknown and custom options", len(s.Options))
		b.fcs = b.fcs[:0]
		header := pcaps.Section{BigEndian: s.BigEndian, UserAppl: application}
		if b.w == nil {
			b.w, err = pcaps.NewWriter(b.out, header, pcaps.WriterConfig{})
			return err
		}
		return b.w.StartSection(header)
	case r.Interface != nil:
		return b.iface(r.Interface)
	case r.Packet != nil:
		return b.packet(r.Packet)
	case r.Statistics != nil:
		s := *r.Statistics
		report.leftOut("comments", len(s.Comments))
		report.leftOut("unknown and custom options", len(s.Options))
		s.Comments, s.Options = nil, nil
		return b.w.WriteStatistics(&s)
	case r.Names != nil:
		report.leftOut("blocks of names", 1)
	case r.Secrets != nil:
		report.leftOut("blocks of secrets", 1)
	case r.Type != 0:
		report.leftOut("custom and unknown blocks", 1)
	}
	return nil
}

func (b *blocks) flush() error { return b.w.Flush() }

// named counts the texts that there are.
func named(texts ...string) (n int) {
	for _, t := range texts {
		if t != "" {
			n++
		}
	}
	return n
}

func (b *blocks) iface(i *pcaps.Interface) error {
	report := &b.a.report
	report.leftOut("comments", len(i.Comments))
	report.leftOut("names, filters and other texts of interfaces", named(i.Name, i.Description, i.Hardware, i.OS, i.TimeZoneTZ, i.Filter))
	report.leftOut("unknown and custom options", len(i.Options))
	out := pcaps.Interface{
		LinkType: i.LinkType, SnapLen: i.SnapLen, Name: fmt.Sprintf("interface %d", b.n), Speed: i.Speed, TxSpeed: i.TxSpeed, RxSpeed: i.RxSpeed,
		Resolution: i.Resolution, Offset: i.Offset, HasFCSLen: i.HasFCSLen, FCSLen: i.FCSLen,
	}
	b.n++
	b.fcs = append(b.fcs, int(i.FCSLen)/8)
	for _, n := range i.IPv4 {
		out.IPv4 = append(out.IPv4, pcaps.IPv4Net{Addr: b.a.Addr(netip.AddrFrom4(n.Addr)).As4(), Mask: n.Mask})
	}
	for _, n := range i.IPv6 {
		out.IPv6 = append(out.IPv6, pcaps.IPv6Net{Addr: b.a.Addr(netip.AddrFrom16(n.Addr)).As16(), Prefix: n.Prefix})
	}
	if len(i.MAC) == 6 {
		m := b.a.MAC(wire.MAC(i.MAC))
		out.MAC = m[:]
	}
	report.leftOut("EUI-64 addresses of interfaces", len(i.EUI)/8)
	_, err := b.w.AddInterface(out)
	return err
}

func (b *blocks) packet(p *pcaps.Packet) error {
	report := &b.a.report
	report.leftOut("comments", len(p.Comments))
	report.leftOut("hashes of packets", len(p.Hashes))
	report.leftOut("unknown and custom options", len(p.Options))
	out := *p
	out.Data = b.a.frame(p, b.fcs[p.Interface])
	out.Comments, out.Hashes, out.Options, out.Verdicts = nil, nil, nil, nil
	if p.Fields&pcaps.FieldThread != 0 {
		report.leftOut("processes and threads of packets", 1)
		out.Fields &^= pcaps.FieldThread
	}
	for _, v := range p.Verdicts {
		if v.Kind == pcaps.VerdictTC || v.Kind == pcaps.VerdictXDP {
			out.Verdicts = append(out.Verdicts, v)
		} else {
			report.leftOut("verdicts of hardware", 1)
		}
	}
	return b.w.WritePacket(&out)
}
