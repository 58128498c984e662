package pcaps

import (
	"io"
	"math"
	"strings"
)

// A WriterConfig tunes a Writer; the zero value is the default.
type WriterConfig struct {
	BufferSize int // bytes collected before a write, default 64 KiB
}

// A Writer writes pcapng. It hands the underlying writer whole blocks only;
// when that fails in the middle of one, the Writer cuts the incomplete block off
// if the underlying writer is a [Truncater], as *os.File is, and returns a
// *[WriteError] from then on. A block that cannot be expressed (an option
// over 65,535 bytes, a packet on an unknown interface) is an error too, but not
// a final one: nothing of it is written.
//
// In steady state writing a packet does not allocate.
type Writer struct {
	out        output
	enc        encoder
	interfaces []ifaceState
}

type ifaceState struct {
	clock   clock
	snapLen uint32
}

// NewWriter starts a file with a section header.
func NewWriter(w io.Writer, s Section, config WriterConfig) (*Writer, error) {
	pw := &Writer{}
	pw.out = newOutput(w, config.BufferSize, pw.boundary)
	return pw, pw.StartSection(s)
}

// boundary is the walk over buffered blocks, which are of the current section.
func (w *Writer) boundary(b []byte, _ bool) (int, bool) {
	o := order{w.enc.big}
	switch BlockType(o.u32(b)) {
	case BlockEnhancedPacket, BlockSimplePacket, BlockObsoletePacket:
		return int(o.u32(b[4:])), true
	}
	return int(o.u32(b[4:])), false
}

// StartSection begins another section, which has no interfaces yet. Its byte
// order may differ.
func (w *Writer) StartSection(s Section) error {
	if err := w.Flush(); err != nil { // what is buffered has one byte order
		return err
	}
	before := w.enc.big
	w.enc.big = s.BigEndian
	w.enc.begin(w.out.buf, BlockSectionHeader)
	w.enc.section(&s)
	if err := w.finish(BlockSectionHeader); err != nil {
		w.enc.big = before
		return err
	}
	w.interfaces = w.interfaces[:0]
	return nil
}

// finish ends the block and commits it, or drops it as a whole.
func (w *Writer) finish(t BlockType) error {
	if w.out.err != nil {
		return w.out.err
	}
	if err := w.enc.end(t); err != nil {
		return err
	}
	return w.out.commit(w.enc.buf, t == BlockEnhancedPacket || t == BlockSimplePacket || t == BlockObsoletePacket)
}

// AddInterface adds an interface to the section and returns its index.
func (w *Writer) AddInterface(i Interface) (int, error) {
	w.enc.begin(w.out.buf, BlockInterface)
	w.enc.iface(&i)
	if len(w.interfaces) >= DefaultMaxInterfaces {
		w.enc.fail("is one more than %d", DefaultMaxInterfaces)
	}
	if err := w.finish(BlockInterface); err != nil {
		return 0, err
	}
	w.interfaces = append(w.interfaces, ifaceState{newClock(i.Resolution, i.Offset), i.SnapLen})
	return len(w.interfaces) - 1, nil
}

// WritePacket appends a packet. It keeps nothing of p.
func (w *Writer) WritePacket(p *Packet) error {
	t := p.Block
	if t == 0 {
		t = BlockEnhancedPacket
	}
	e := &w.enc
	e.begin(w.out.buf, t)
	if p.Interface < 0 || p.Interface >= len(w.interfaces) {
		e.fail("names interface %d, the section has %d", p.Interface, len(w.interfaces))
		return w.finish(t)
	}
	original := p.OriginalLen
	if original == 0 {
		original = len(p.Data)
	}
	if len(p.Data) > DefaultMaxPacket || original < 0 || int64(original) > math.MaxUint32 {
		e.fail("has %d captured bytes of %d; at most %d may be captured", len(p.Data), original, DefaultMaxPacket)
	}
	switch t {
	case BlockEnhancedPacket:
		e.u32(uint32(p.Interface))
		w.packetBody(p, original)
	case BlockObsoletePacket:
		w.obsoletePrefix(p)
		w.packetBody(p, original)
	case BlockSimplePacket:
		w.simpleBody(p, original)
	default:
		e.fail("is not a packet block")
	}
	return w.finish(t)
}

// packetBody is what enhanced and obsolete packets have in common.
func (w *Writer) packetBody(p *Packet, original int) {
	e := &w.enc
	e.ticks(w.ticks(p.Interface, p.Time, p.Ticks))
	e.u32(uint32(len(p.Data)))
	e.u32(uint32(original))
	e.buf = append(e.buf, p.Data...)
	e.pad()
	e.packetOptions(p)
}

// ticks returns raw when it denotes the same nanosecond as at.
func (w *Writer) ticks(iface int, at Stamp, raw uint64) uint64 {
	c := &w.interfaces[iface].clock
	if c.stamp(raw) == at {
		return raw
	}
	ticks, ok := c.ticks(at)
	if !ok {
		w.enc.fail("interface %d cannot express the time %v", iface, at)
	}
	return ticks
}

func (w *Writer) obsoletePrefix(p *Packet) {
	drops := uint64(obsoleteDropsUnknown)
	if p.Fields&FieldDropCount != 0 {
		drops = p.DropCount
	}
	if p.Interface > math.MaxUint16 || (drops >= obsoleteDropsUnknown && p.Fields&FieldDropCount != 0) {
		w.enc.fail("cannot express interface %d with %d drops", p.Interface, drops)
	}
	if p.Fields&(FieldPacketID|FieldQueue|FieldThread) != 0 || len(p.Verdicts) > 0 {
		w.enc.fail("cannot hold a packet id, queue, thread or verdict")
	}
	w.enc.u16(uint16(p.Interface))
	w.enc.u16(uint16(drops))
}

func (w *Writer) simpleBody(p *Packet, original int) {
	e := &w.enc
	if p.Fields != 0 || len(p.Hashes)+len(p.Verdicts)+len(p.Comments)+len(p.Options) > 0 || p.Interface != 0 || p.Time != 0 {
		e.fail("cannot hold a time, options or another interface than 0")
	}
	// Readers compute the captured length, so it must be what they will find.
	captured := original
	if snap := w.interfaces[0].snapLen; snap != 0 && int64(captured) > int64(snap) {
		captured = int(snap)
	}
	if len(p.Data) != captured {
		e.fail("has %d captured bytes of %d, readers would expect %d", len(p.Data), original, captured)
	}
	e.u32(uint32(original))
	e.buf = append(e.buf, p.Data...)
}

// WriteStatistics appends an interface statistics block.
func (w *Writer) WriteStatistics(s *Statistics) error {
	e := &w.enc
	e.begin(w.out.buf, BlockStatistics)
	if s.Interface < 0 || s.Interface >= len(w.interfaces) {
		e.fail("names interface %d, the section has %d", s.Interface, len(w.interfaces))
		return w.finish(BlockStatistics)
	}
	e.u32(uint32(s.Interface))
	e.ticks(w.ticks(s.Interface, s.Time, s.Ticks))
	e.comments(s.Comments)
	for _, o := range []struct {
		field Fields
		code  uint16
		at    Stamp
		raw   uint64
	}{{FieldStartTime, optISBStart, s.StartTime, s.StartTicks}, {FieldEndTime, optISBEnd, s.EndTime, s.EndTicks}} {
		if s.Fields&o.field != 0 {
			e.option(o.code, 8)
			e.ticks(w.ticks(s.Interface, o.at, o.raw))
		}
	}
	for _, o := range []struct {
		field Fields
		code  uint16
		value uint64
	}{
		{FieldIfRecv, optISBIfRecv, s.IfRecv},
		{FieldIfDrop, optISBIfDrop, s.IfDrop},
		{FieldFilterAccept, optISBFilterAccept, s.FilterAccept},
		{FieldOSDrop, optISBOSDrop, s.OSDrop},
		{FieldUsrDeliv, optISBUsrDeliv, s.UsrDeliv},
	} {
		if s.Fields&o.field != 0 {
			e.option(o.code, 8)
			e.u64(o.value)
		}
	}
	e.raw(s.Options)
	return w.finish(BlockStatistics)
}

// WriteNames appends a name resolution block.
func (w *Writer) WriteNames(n *Names) error {
	e := &w.enc
	e.begin(w.out.buf, BlockNames)
	count := 0
	for i := range n.Records {
		w.nameRecord(&n.Records[i])
		count += 1 + len(n.Records[i].Names)
	}
	if count > maxNameRecords {
		e.fail("has more than %d names", maxNameRecords)
	}
	e.u32(0) // nrb_record_end
	e.comments(n.Comments)
	e.text(optNSDNSName, n.DNSName)
	e.sized(optNSDNSIPv4, n.DNSIPv4, 4)
	e.sized(optNSDNSIPv6, n.DNSIPv6, 16)
	e.raw(n.Options)
	return w.finish(BlockNames)
}

func (w *Writer) nameRecord(r *NameRecord) {
	e := &w.enc
	want := addressLength(r.Kind)
	if r.Kind == 0 || (want != 0 && (len(r.Addr) != want || len(r.Names) == 0)) || (want == 0 && len(r.Names) > 0) {
		e.fail("record of kind %d with an address of %d bytes and %d names", r.Kind, len(r.Addr), len(r.Names))
		return
	}
	size := len(r.Addr)
	for _, name := range r.Names {
		if strings.IndexByte(name, 0) >= 0 {
			e.fail("name %q holds a NUL", name)
		}
		size += len(name) + 1
	}
	if size > math.MaxUint16 {
		e.fail("record of %d bytes, more than 65535", size)
		return
	}
	e.u16(r.Kind)
	e.u16(uint16(size))
	e.buf = append(e.buf, r.Addr...)
	for _, name := range r.Names {
		e.buf = append(append(e.buf, name...), 0)
	}
	e.pad()
}

// WriteSecrets appends a decryption secrets block.
func (w *Writer) WriteSecrets(s *Secrets) error {
	e := &w.enc
	e.begin(w.out.buf, BlockSecrets)
	e.u32(s.Kind)
	e.u32(uint32(len(s.Data)))
	e.buf = append(e.buf, s.Data...)
	e.pad()
	e.comments(s.Comments)
	e.raw(s.Options)
	return w.finish(BlockSecrets)
}

// WriteCustom appends a custom block.
func (w *Writer) WriteCustom(c *Custom) error {
	t := BlockCustom
	if c.NoCopy {
		t = BlockCustomNoCopy
	}
	w.enc.begin(w.out.buf, t)
	w.enc.u32(c.PEN)
	w.enc.buf = append(w.enc.buf, c.Data...)
	return w.finish(t)
}

// WriteBody appends a block of a type that has no method of its own, such as
// BlockJournal, with body padded to 4 bytes.
func (w *Writer) WriteBody(t BlockType, body []byte) error {
	w.enc.begin(w.out.buf, t)
	if _, known := blockNames[t]; known && t != BlockJournal {
		w.enc.fail("has a method of its own")
	}
	w.enc.buf = append(w.enc.buf, body...)
	return w.finish(t)
}

// Write appends a record as a Reader returns it: it copies a file block by block.
func (w *Writer) Write(r *Record) error {
	switch {
	case r.Section != nil:
		return w.StartSection(*r.Section)
	case r.Interface != nil:
		_, err := w.AddInterface(*r.Interface)
		return err
	case r.Packet != nil:
		return w.WritePacket(r.Packet)
	case r.Statistics != nil:
		return w.WriteStatistics(r.Statistics)
	case r.Names != nil:
		return w.WriteNames(r.Names)
	case r.Secrets != nil:
		return w.WriteSecrets(r.Secrets)
	case r.Custom != nil:
		return w.WriteCustom(r.Custom)
	}
	return w.WriteBody(r.Type, r.Body)
}

// Flush hands what is buffered to the underlying writer.
func (w *Writer) Flush() error { return w.out.flush() }

// Packets returns how many packets were written, buffered ones included.
func (w *Writer) Packets() uint64 { return w.out.packets + w.out.pending }

// SplitText cuts text into pieces of at most limit bytes, never inside a
// UTF-8 sequence: an option value holds at most 65,535 bytes.
func SplitText(text string, limit int) []string {
	var pieces []string
	for len(text) > limit {
		cut := limit
		for cut > limit-4 && cut > 1 && !startsRune(text[cut]) {
			cut--
		}
		pieces, text = append(pieces, text[:cut]), text[cut:]
	}
	return append(pieces, text)
}

func startsRune(b byte) bool { return b&0xC0 != 0x80 }
