package pcaps

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Limits that keep a hostile block from growing far beyond its size in memory.
const (
	maxOptions     = 8192    // in one block
	maxNameRecords = 1 << 18 // names and records in one block
)

// Option codes by block. 0 and 1 mean the same in every block.
const (
	optEnd     = 0
	optComment = 1

	optSHBHardware = 2
	optSHBOS       = 3
	optSHBUserAppl = 4

	optIfName       = 2
	optIfDesc       = 3
	optIfIPv4       = 4
	optIfIPv6       = 5
	optIfMAC        = 6
	optIfEUI        = 7
	optIfSpeed      = 8
	optIfResolution = 9
	optIfTimeZone   = 10
	optIfFilter     = 11
	optIfOS         = 12
	optIfFCSLen     = 13
	optIfOffset     = 14
	optIfHardware   = 15
	optIfTxSpeed    = 16
	optIfRxSpeed    = 17
	optIfTZName     = 18

	optFlags        = 2 // EPB and obsolete packet
	optHash         = 3 // EPB and obsolete packet
	optEPBDropCount = 4
	optEPBPacketID  = 5
	optEPBQueue     = 6
	optEPBVerdict   = 7
	optEPBThread    = 8

	optNSDNSName = 2
	optNSDNSIPv4 = 3
	optNSDNSIPv6 = 4

	optISBStart        = 2
	optISBEnd          = 3
	optISBIfRecv       = 4
	optISBIfDrop       = 5
	optISBFilterAccept = 6
	optISBOSDrop       = 7
	optISBUsrDeliv     = 8
)

// order reads numbers of one section.
type order struct{ big bool }

func (o order) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if o.big {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (o order) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if o.big {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (o order) u64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if o.big {
		v = bits.ReverseBytes64(v)
	}
	return v
}

// ticks reads a timestamp: two 32-bit words, the high one first in either byte order.
func (o order) ticks(b []byte) uint64 {
	return uint64(o.u32(b))<<32 | uint64(o.u32(b[4:]))
}

func pad4(n int) int { return (n + 3) &^ 3 }

func isCustomOption(code uint16) bool {
	switch code {
	case OptionCustomText, OptionCustomBinary, OptionCustomTextNoCopy, OptionCustomBinaryNoCopy:
		return true
	}
	return false
}

// An optionList walks the options of a block.
type optionList struct {
	order order
	rest  []byte
	at    int // offset of rest in the block's body
	count int
	code  uint16
	value []byte
	bad   string // why the walk stopped early
}

func (l *optionList) next() bool {
	if len(l.rest) < 4 {
		if len(l.rest) > 0 {
			l.bad = fmt.Sprintf("%d bytes are too few for an option", len(l.rest))
		}
		return false
	}
	l.code = l.order.u16(l.rest)
	if l.code == optEnd {
		return false
	}
	n := int(l.order.u16(l.rest[2:]))
	if n > len(l.rest)-4 {
		l.bad = fmt.Sprintf("option %d has %d bytes, only %d are left in the block", l.code, n, len(l.rest)-4)
		return false
	}
	if l.count++; l.count > maxOptions {
		l.bad = fmt.Sprintf("more than %d options", maxOptions)
		return false
	}
	l.value = l.rest[4 : 4+n]
	if n < 4 && isCustomOption(l.code) {
		l.bad = fmt.Sprintf("custom option %d has %d bytes, too few for its enterprise number", l.code, n)
		return false
	}
	step := min(4+pad4(n), len(l.rest))
	l.rest, l.at = l.rest[step:], l.at+step
	return true
}

// raw returns the current option for a field of type []Option; its value is
// copied when keep is set and points into the block otherwise.
func (l *optionList) raw(keep bool) Option {
	o := Option{Code: l.code, Value: l.value}
	if isCustomOption(l.code) {
		o.PEN, o.Value = l.order.u32(l.value), l.value[4:]
	}
	if keep {
		o.Value = append(make([]byte, 0, len(o.Value)), o.Value...)
	}
	return o
}

// text stores a string option that may stand once; false when it is taken or
// empty, so that the caller keeps the option raw.
func text(field *string, value []byte) bool {
	if *field != "" || len(value) == 0 {
		return false
	}
	*field = string(value)
	return true
}

func (l *optionList) number64(field *uint64) bool {
	if *field != 0 || len(l.value) != 8 || l.order.u64(l.value) == 0 {
		return false
	}
	*field = l.order.u64(l.value)
	return true
}

func fixedBytes(field *[]byte, value []byte, n int) bool {
	if *field != nil || len(value) != n {
		return false
	}
	*field = append([]byte(nil), value...)
	return true
}

func decodeSection(l *optionList, s *Section) {
	for l.next() {
		ok := false
		switch l.code {
		case optComment:
			s.Comments, ok = append(s.Comments, string(l.value)), true
		case optSHBHardware:
			ok = text(&s.Hardware, l.value)
		case optSHBOS:
			ok = text(&s.OS, l.value)
		case optSHBUserAppl:
			ok = text(&s.UserAppl, l.value)
		}
		if !ok {
			s.Options = append(s.Options, l.raw(true))
		}
	}
}

func decodeInterface(l *optionList, i *Interface) {
	for l.next() {
		ok := false
		switch l.code {
		case optComment:
			i.Comments, ok = append(i.Comments, string(l.value)), true
		case optIfName:
			ok = text(&i.Name, l.value)
		case optIfDesc:
			ok = text(&i.Description, l.value)
		case optIfOS:
			ok = text(&i.OS, l.value)
		case optIfHardware:
			ok = text(&i.Hardware, l.value)
		case optIfTZName:
			ok = text(&i.TimeZoneTZ, l.value)
		case optIfMAC:
			ok = fixedBytes(&i.MAC, l.value, 6)
		case optIfEUI:
			ok = fixedBytes(&i.EUI, l.value, 8)
		case optIfSpeed:
			ok = l.number64(&i.Speed)
		case optIfTxSpeed:
			ok = l.number64(&i.TxSpeed)
		case optIfRxSpeed:
			ok = l.number64(&i.RxSpeed)
		default:
			ok = decodeInterfaceClock(l, i)
		}
		if !ok {
			i.Options = append(i.Options, l.raw(true))
		}
	}
}

// decodeInterfaceClock handles the remaining interface options.
func decodeInterfaceClock(l *optionList, i *Interface) bool {
	v := l.value
	switch {
	case l.code == optIfIPv4 && len(v) == 8:
		i.IPv4 = append(i.IPv4, IPv4Net{[4]byte(v[:4]), [4]byte(v[4:])})
	case l.code == optIfIPv6 && len(v) == 17:
		i.IPv6 = append(i.IPv6, IPv6Net{[16]byte(v[:16]), v[16]})
	case l.code == optIfResolution && len(v) == 1 && i.Resolution == 0:
		i.Resolution = Resolution(v[0])
		if v[0] == 0 {
			i.Resolution = Seconds
		}
	case l.code == optIfTimeZone && len(v) == 4 && i.TimeZone == 0 && l.order.u32(v) != 0:
		i.TimeZone = l.order.u32(v)
	case l.code == optIfFilter && len(v) > 1 && i.Filter == "":
		i.FilterKind, i.Filter = v[0], string(v[1:])
	case l.code == optIfFCSLen && len(v) == 1 && !i.HasFCSLen:
		i.HasFCSLen, i.FCSLen = true, v[0]
	case l.code == optIfOffset && len(v) == 8 && i.Offset == 0 && l.order.u64(v) != 0:
		i.Offset = int64(l.order.u64(v))
	default:
		return false
	}
	return true
}

// take marks an optional number as present; false when it was already.
func (f *Fields) take(field Fields, lengthOK bool) bool {
	if *f&field != 0 || !lengthOK {
		return false
	}
	*f |= field
	return true
}

// decodePacket handles the options of enhanced and obsolete packets; every
// slice it fills points into the block.
func decodePacket(l *optionList, p *Packet) {
	for l.next() {
		v, ok := l.value, false
		switch l.code {
		case optComment:
			p.Comments, ok = append(p.Comments, v), true
		case optFlags:
			if ok = p.Fields.take(FieldFlags, len(v) == 4); ok {
				p.Flags = l.order.u32(v)
			}
		case optHash:
			if ok = len(v) > 0; ok {
				p.Hashes = append(p.Hashes, Hash{v[0], v[1:]})
			}
		default:
			ok = p.Block == BlockEnhancedPacket && decodeEnhanced(l, p)
		}
		if !ok {
			p.Options = append(p.Options, l.raw(false))
		}
	}
}

func decodeEnhanced(l *optionList, p *Packet) (ok bool) {
	v := l.value
	switch l.code {
	case optEPBDropCount:
		if ok = p.Fields.take(FieldDropCount, len(v) == 8); ok {
			p.DropCount = l.order.u64(v)
		}
	case optEPBPacketID:
		if ok = p.Fields.take(FieldPacketID, len(v) == 8); ok {
			p.PacketID = l.order.u64(v)
		}
	case optEPBQueue:
		if ok = p.Fields.take(FieldQueue, len(v) == 4); ok {
			p.Queue = l.order.u32(v)
		} else if len(v) == 9 && (v[0] == VerdictTC || v[0] == VerdictXDP) {
			// editcap and mergecap 4.0 copy a verdict with the queue's code.
			p.Verdicts, ok = append(p.Verdicts, Verdict{Kind: v[0], Result: l.order.u64(v[1:])}), true
		}
	case optEPBThread:
		if ok = p.Fields.take(FieldThread, len(v) == 8); ok {
			p.Thread = uint64(l.order.u32(v))<<32 | uint64(l.order.u32(v[4:]))
		}
	case optEPBVerdict:
		switch {
		case len(v) == 0:
		case v[0] != VerdictTC && v[0] != VerdictXDP:
			p.Verdicts, ok = append(p.Verdicts, Verdict{Kind: v[0], Data: v[1:]}), true
		case len(v) == 9:
			p.Verdicts, ok = append(p.Verdicts, Verdict{Kind: v[0], Result: l.order.u64(v[1:])}), true
		}
	}
	return ok
}
