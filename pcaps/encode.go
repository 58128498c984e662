package pcaps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// encoder appends to buf in one byte order. The first thing that cannot be
// expressed is kept in bad and makes the block fail as a whole.
type encoder struct {
	big   bool
	buf   []byte
	start int // of the block in buf
	opts  int // options in the block
	bad   error
}

// on continues with another buffer.
func (e *encoder) on(buf []byte) *encoder {
	e.buf = buf
	return e
}

func (e *encoder) u16(v uint16) {
	if e.big {
		v = bits.ReverseBytes16(v)
	}
	e.buf = binary.LittleEndian.AppendUint16(e.buf, v)
}

func (e *encoder) u32(v uint32) {
	if e.big {
		v = bits.ReverseBytes32(v)
	}
	e.buf = binary.LittleEndian.AppendUint32(e.buf, v)
}

func (e *encoder) u64(v uint64) {
	if e.big {
		v = bits.ReverseBytes64(v)
	}
	e.buf = binary.LittleEndian.AppendUint64(e.buf, v)
}

// ticks writes a timestamp, the high word first in either byte order.
func (e *encoder) ticks(v uint64) {
	if e.big {
		v = bits.ReverseBytes64(v)
	} else {
		v = bits.RotateLeft64(v, 32)
	}
	e.buf = binary.LittleEndian.AppendUint64(e.buf, v)
}

var padding [4]byte

// pad fills the block up to a multiple of 4 bytes.
func (e *encoder) pad() {
	e.buf = append(e.buf, padding[:-(len(e.buf)-e.start)&3]...)
}

func (e *encoder) fail(format string, args ...any) {
	if e.bad == nil {
		e.bad = fmt.Errorf(format, args...)
	}
}

// begin starts a block in buf.
func (e *encoder) begin(buf []byte, t BlockType) {
	e.buf, e.start, e.opts, e.bad = buf, len(buf), 0, nil
	if e.big {
		t = BlockType(bits.ReverseBytes32(uint32(t)))
	}
	e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(t)) // and room for the length
}

// end completes the block's lengths and returns why it may not be written, if so.
func (e *encoder) end(t BlockType) error {
	if e.opts > 0 {
		e.u32(optEnd)
	}
	if e.opts > maxOptions {
		e.fail("has %d options, more than %d", e.opts, maxOptions)
	}
	e.pad()
	total := len(e.buf) - e.start + 4
	if total > DefaultMaxBlock {
		e.fail("is %d bytes long, more than %d", total, DefaultMaxBlock)
	}
	if e.bad != nil {
		return fmt.Errorf("pcaps: %v block: %w", t, e.bad)
	}
	e.u32(uint32(total))
	if e.big {
		binary.BigEndian.PutUint32(e.buf[e.start+4:], uint32(total))
	} else {
		binary.LittleEndian.PutUint32(e.buf[e.start+4:], uint32(total))
	}
	return nil
}

// option writes the header of an option whose value of n bytes follows.
func (e *encoder) option(code uint16, n int) bool {
	if n > math.MaxUint16 {
		e.fail("option %d has %d bytes, more than 65535", code, n)
		return false
	}
	e.opts++
	head := uint32(n)<<16 | uint32(code)
	if e.big {
		head = bits.ReverseBytes32(uint32(code)<<16 | uint32(n))
	}
	e.buf = binary.LittleEndian.AppendUint32(e.buf, head)
	return true
}

func (e *encoder) bytes(code uint16, value []byte) {
	if e.option(code, len(value)) {
		e.buf = append(e.buf, value...)
		e.pad()
	}
}

// text writes a string option; the empty string is an absent one.
func (e *encoder) text(code uint16, value string) {
	if value != "" {
		e.anyText(code, value)
	}
}

func (e *encoder) anyText(code uint16, value string) {
	if e.option(code, len(value)) {
		e.buf = append(e.buf, value...)
		e.pad()
	}
}

func (e *encoder) comments(comments []string) {
	for _, c := range comments {
		e.anyText(optComment, c)
	}
}

// sized writes a value that must have n bytes, or nothing for none.
func (e *encoder) sized(code uint16, value []byte, n int) {
	if len(value) == 0 {
		return
	}
	if len(value) != n {
		e.fail("option %d has %d bytes, want %d", code, len(value), n)
		return
	}
	e.bytes(code, value)
}

// number writes a 64-bit option; 0 is an absent one.
func (e *encoder) number(code uint16, value uint64) {
	if value != 0 {
		e.option(code, 8)
		e.u64(value)
	}
}

func (e *encoder) byteOption(code uint16, value byte) {
	e.option(code, 1)
	e.buf = append(e.buf, value, 0, 0, 0)
}

var errOptionZero = errors.New("an option with code 0 would end the list")

// raw writes options that have no field of their own.
func (e *encoder) raw(options []Option) {
	for i := range options {
		o := &options[i]
		switch {
		case o.Code == optEnd:
			if e.bad == nil {
				e.bad = errOptionZero
			}
		case isCustomOption(o.Code):
			if e.option(o.Code, 4+len(o.Value)) {
				e.u32(o.PEN)
				e.buf = append(e.buf, o.Value...)
				e.pad()
			}
		default:
			e.bytes(o.Code, o.Value)
		}
	}
}

func (e *encoder) section(s *Section) {
	e.u32(byteOrderMagic)
	e.u16(1)
	e.u16(0)
	e.u64(math.MaxUint64) // length unknown: the file is written as a stream
	e.comments(s.Comments)
	e.text(optSHBHardware, s.Hardware)
	e.text(optSHBOS, s.OS)
	e.text(optSHBUserAppl, s.UserAppl)
	e.raw(s.Options)
}

func (e *encoder) iface(i *Interface) {
	e.u16(uint16(i.LinkType))
	e.u16(0)
	e.u32(i.SnapLen)
	e.comments(i.Comments)
	e.text(optIfName, i.Name)
	e.text(optIfDesc, i.Description)
	for _, n := range i.IPv4 {
		e.option(optIfIPv4, 8)
		e.buf = append(append(e.buf, n.Addr[:]...), n.Mask[:]...)
	}
	for _, n := range i.IPv6 {
		e.option(optIfIPv6, 17)
		e.buf = append(append(e.buf, n.Addr[:]...), n.Prefix, 0, 0, 0)
	}
	e.sized(optIfMAC, i.MAC, 6)
	e.sized(optIfEUI, i.EUI, 8)
	e.number(optIfSpeed, i.Speed)
	if i.Resolution != 0 {
		e.byteOption(optIfResolution, byte(i.Resolution))
	}
	if i.TimeZone != 0 {
		e.option(optIfTimeZone, 4)
		e.u32(i.TimeZone)
	}
	if i.Filter != "" {
		if e.option(optIfFilter, 1+len(i.Filter)) {
			e.buf = append(append(e.buf, i.FilterKind), i.Filter...)
			e.pad()
		}
	}
	e.text(optIfOS, i.OS)
	if i.HasFCSLen {
		e.byteOption(optIfFCSLen, i.FCSLen)
	}
	e.number(optIfOffset, uint64(i.Offset))
	e.text(optIfHardware, i.Hardware)
	e.number(optIfTxSpeed, i.TxSpeed)
	e.number(optIfRxSpeed, i.RxSpeed)
	e.text(optIfTZName, i.TimeZoneTZ)
	e.raw(i.Options)
}

// packetOptions writes the options of enhanced and obsolete packets.
func (e *encoder) packetOptions(p *Packet) {
	for _, c := range p.Comments {
		e.bytes(optComment, c)
	}
	if p.Fields&FieldFlags != 0 {
		e.option(optFlags, 4)
		e.u32(p.Flags)
	}
	for i := range p.Hashes {
		if h := &p.Hashes[i]; e.option(optHash, 1+len(h.Value)) {
			e.buf = append(append(e.buf, h.Algorithm), h.Value...)
			e.pad()
		}
	}
	if p.Block != BlockObsoletePacket {
		e.enhancedOptions(p)
	}
	e.raw(p.Options)
}

func (e *encoder) enhancedOptions(p *Packet) {
	if p.Fields&FieldDropCount != 0 {
		e.option(optEPBDropCount, 8)
		e.u64(p.DropCount)
	}
	if p.Fields&FieldPacketID != 0 {
		e.option(optEPBPacketID, 8)
		e.u64(p.PacketID)
	}
	if p.Fields&FieldQueue != 0 {
		e.option(optEPBQueue, 4)
		e.u32(p.Queue)
	}
	for i := range p.Verdicts {
		v := &p.Verdicts[i]
		if v.Kind == VerdictTC || v.Kind == VerdictXDP {
			e.option(optEPBVerdict, 9)
			e.buf = append(e.buf, v.Kind)
			e.u64(v.Result)
			e.pad()
		} else if e.option(optEPBVerdict, 1+len(v.Data)) {
			e.buf = append(append(e.buf, v.Kind), v.Data...)
			e.pad()
		}
	}
	if p.Fields&FieldThread != 0 {
		e.option(optEPBThread, 8)
		e.u32(uint32(p.Thread >> 32))
		e.u32(uint32(p.Thread))
	}
}
