package pcaps

import (
	"bytes"
	"fmt"
)

// This file turns the body of one pcapng block into a Record. Each function
// returns what is wrong with the block, or "".

// block decodes the body of a block of any type but a section header.
func (r *Reader) block(body []byte) string {
	if r.record.Type != BlockSectionHeader && r.section == nil {
		return "stands before the first section header"
	}
	switch r.record.Type {
	case BlockSectionHeader:
		return r.sectionBlock(body)
	case BlockInterface:
		return r.interfaceBlock(body)
	case BlockEnhancedPacket, BlockObsoletePacket:
		return r.packetBlock(body)
	case BlockSimplePacket:
		return r.simpleBlock(body)
	case BlockNames:
		return r.namesBlock(body)
	case BlockStatistics:
		return r.statisticsBlock(body)
	case BlockSecrets:
		return r.secretsBlock(body)
	case BlockCustom, BlockCustomNoCopy:
		if len(body) < 4 {
			return "is too short for an enterprise number"
		}
		r.custom = Custom{r.record.Type == BlockCustomNoCopy, r.order.u32(body), body[4:]}
		r.record.Custom = &r.custom
	case BlockJournal:
		r.record.Body = trimPadding(body)
	default:
		r.record.Body = body
	}
	return ""
}

// trimPadding removes the up to three NULs with which a journal entry, whose
// length the format does not store, was padded. Entries end with a newline.
func trimPadding(body []byte) []byte {
	for range 3 {
		body = bytes.TrimSuffix(body, []byte{0})
	}
	return body
}

// options returns the option walk over body[at:].
func (r *Reader) options(body []byte, at int) *optionList {
	r.list = optionList{order: r.order, rest: body[at:], at: at}
	return &r.list
}

// hold accounts for metadata that the Reader keeps; false when there is too much.
func (r *Reader) hold(body []byte) bool {
	const overhead = 512 // of our own structures
	if r.held+len(body)+overhead > r.config.MaxMetadata {
		return false
	}
	r.held += len(body) + overhead
	return true
}

func (r *Reader) sectionBlock(body []byte) string {
	if len(body) < 16 {
		return "is too short"
	}
	s := &Section{
		BigEndian: r.order.big,
		Major:     r.order.u16(body[4:]),
		Minor:     r.order.u16(body[6:]),
		Length:    int64(r.order.u64(body[8:])),
	}
	// 1.2 was written by mistake by some tools and means 1.0 (specification,
	// section header block).
	if s.Major != 1 || (s.Minor != 0 && s.Minor != 2) {
		return fmt.Sprintf("version %d.%d is not known, only 1.0 is", s.Major, s.Minor)
	}
	l := r.options(body, 16)
	decodeSection(l, s)
	if l.bad != "" {
		return l.bad
	}
	r.section, r.interfaces, r.clocks = s, nil, r.clocks[:0]
	r.held -= r.heldBySection
	r.heldBySection = 0
	r.sections++
	r.record.Section = s
	return ""
}

func (r *Reader) interfaceBlock(body []byte) string {
	if len(body) < 8 {
		return "is too short"
	}
	before := r.held
	if len(r.interfaces) >= r.config.MaxInterfaces || !r.hold(body) {
		return fmt.Sprintf("more than %d interfaces or %d bytes of metadata in a section", r.config.MaxInterfaces, r.config.MaxMetadata)
	}
	r.heldBySection += r.held - before
	i := &Interface{LinkType: LinkType(r.order.u16(body)), SnapLen: r.order.u32(body[4:])}
	l := r.options(body, 8)
	decodeInterface(l, i)
	if l.bad != "" {
		return l.bad
	}
	r.interfaces = append(r.interfaces, i)
	r.clocks = append(r.clocks, newClock(i.Resolution, i.Offset))
	r.record.Interface = i
	return ""
}

// resetPacket prepares the reused packet, keeping its slices' room.
func (r *Reader) resetPacket() *Packet {
	p := &r.packet
	*p = Packet{
		Block: r.record.Type, Hashes: p.Hashes[:0], Verdicts: p.Verdicts[:0],
		Comments: p.Comments[:0], Options: p.Options[:0],
	}
	return p
}

// packetBlock decodes the enhanced and the obsolete packet block: 20 bytes, of
// which only the first 4 differ.
func (r *Reader) packetBlock(body []byte) string {
	if len(body) < 20 {
		return "is too short"
	}
	p := r.resetPacket()
	if p.Block == BlockEnhancedPacket {
		if id := r.order.u32(body); int64(id) < int64(len(r.interfaces)) {
			p.Interface = int(id)
		} else {
			return r.noInterface(id)
		}
	} else {
		p.Interface = int(r.order.u16(body))
		if p.Interface >= len(r.interfaces) {
			return r.noInterface(uint32(p.Interface))
		}
		if drops := r.order.u16(body[2:]); drops != obsoleteDropsUnknown {
			p.Fields, p.DropCount = FieldDropCount, uint64(drops)
		}
	}
	captured := r.order.u32(body[12:])
	if int64(captured) > int64(len(body)-20) {
		return fmt.Sprintf("captured length %d exceeds the %d bytes of the block", captured, len(body)-20)
	}
	if int64(captured) > int64(r.config.MaxPacket) {
		return fmt.Sprintf("captured length %d exceeds the limit of %d", captured, r.config.MaxPacket)
	}
	p.LinkType = r.interfaces[p.Interface].LinkType
	p.Ticks = r.order.ticks(body[4:])
	p.Time = r.clocks[p.Interface].stamp(p.Ticks)
	p.Data = body[20 : 20+captured]
	p.OriginalLen = originalLength(r.order.u32(body[16:]), captured)
	l := r.options(body, min(20+pad4(int(captured)), len(body)))
	decodePacket(l, p)
	r.record.Packet = p
	return l.bad
}

// originalLength reads a length on the wire of 0 beside captured bytes, which some
// tools write for "not known", as the captured length.
func originalLength(stated, captured uint32) int {
	if stated == 0 {
		return int(captured)
	}
	return int(stated)
}

const obsoleteDropsUnknown = 0xFFFF

func (r *Reader) noInterface(id uint32) string {
	return fmt.Sprintf("names interface %d, the section has %d", id, len(r.interfaces))
}

func (r *Reader) simpleBlock(body []byte) string {
	if len(body) < 4 {
		return "is too short"
	}
	if len(r.interfaces) == 0 {
		return r.noInterface(0)
	}
	p := r.resetPacket()
	original := int64(r.order.u32(body))
	captured := original
	if snap := r.interfaces[0].SnapLen; snap != 0 {
		captured = min(captured, int64(snap))
	}
	if captured > int64(len(body)-4) {
		return fmt.Sprintf("captured length %d exceeds the %d bytes of the block", captured, len(body)-4)
	}
	if captured > int64(r.config.MaxPacket) {
		return fmt.Sprintf("captured length %d exceeds the limit of %d", captured, r.config.MaxPacket)
	}
	p.LinkType = r.interfaces[0].LinkType
	p.Data, p.OriginalLen = body[4:4+captured], int(original)
	r.record.Packet = p
	return ""
}

func (r *Reader) statisticsBlock(body []byte) string {
	if len(body) < 12 {
		return "is too short"
	}
	id := r.order.u32(body)
	if int64(id) >= int64(len(r.interfaces)) {
		return r.noInterface(id)
	}
	c := &r.clocks[id]
	s := &Statistics{Interface: int(id), Ticks: r.order.ticks(body[4:])}
	s.Time = c.stamp(s.Ticks)
	l := r.options(body, 12)
	for l.next() {
		if l.code == optComment {
			s.Comments = append(s.Comments, string(l.value))
		} else if !decodeStatistic(l, s, c) {
			s.Options = append(s.Options, l.raw(true))
		}
	}
	r.record.Statistics = s
	return l.bad
}

func decodeStatistic(l *optionList, s *Statistics, c *clock) bool {
	counters := [...]struct {
		field Fields
		value *uint64
	}{
		optISBStart:        {FieldStartTime, &s.StartTicks},
		optISBEnd:          {FieldEndTime, &s.EndTicks},
		optISBIfRecv:       {FieldIfRecv, &s.IfRecv},
		optISBIfDrop:       {FieldIfDrop, &s.IfDrop},
		optISBFilterAccept: {FieldFilterAccept, &s.FilterAccept},
		optISBOSDrop:       {FieldOSDrop, &s.OSDrop},
		optISBUsrDeliv:     {FieldUsrDeliv, &s.UsrDeliv},
	}
	if l.code < optISBStart || int(l.code) >= len(counters) || !s.Fields.take(counters[l.code].field, len(l.value) == 8) {
		return false
	}
	switch l.code {
	case optISBStart: // two 32-bit words, unlike the counters
		s.StartTicks = l.order.ticks(l.value)
		s.StartTime = c.stamp(s.StartTicks)
	case optISBEnd:
		s.EndTicks = l.order.ticks(l.value)
		s.EndTime = c.stamp(s.EndTicks)
	default:
		*counters[l.code].value = l.order.u64(l.value)
	}
	return true
}

func (r *Reader) namesBlock(body []byte) string {
	n := &Names{}
	rest, count := body, 0
	for {
		if len(rest) < 4 {
			return "its records do not end with nrb_record_end"
		}
		kind, size := r.order.u16(rest), int(r.order.u16(rest[2:]))
		if kind == 0 {
			rest = rest[4:]
			break
		}
		if 4+pad4(size) > len(rest) {
			return fmt.Sprintf("a record has %d bytes, only %d are left in the block", size, len(rest)-4)
		}
		value := rest[4 : 4+size]
		rest = rest[4+pad4(size):]
		record, bad := decodeName(kind, value)
		if bad != "" {
			return bad
		}
		if count += 1 + len(record.Names); count > maxNameRecords {
			return fmt.Sprintf("more than %d names", maxNameRecords)
		}
		n.Records = append(n.Records, record)
	}
	l := r.options(body, len(body)-len(rest))
	for l.next() {
		ok := false
		switch l.code {
		case optComment:
			n.Comments, ok = append(n.Comments, string(l.value)), true
		case optNSDNSName:
			ok = text(&n.DNSName, l.value)
		case optNSDNSIPv4:
			ok = fixedBytes(&n.DNSIPv4, l.value, 4)
		case optNSDNSIPv6:
			ok = fixedBytes(&n.DNSIPv6, l.value, 16)
		}
		if !ok {
			n.Options = append(n.Options, l.raw(true))
		}
	}
	if l.bad != "" {
		return l.bad
	}
	r.record.Names = n
	if r.hold(body) {
		r.names = append(r.names, n)
	} else {
		r.unheld++
	}
	return ""
}

func decodeName(kind uint16, value []byte) (NameRecord, string) {
	n := addressLength(kind)
	if n == 0 {
		return NameRecord{Kind: kind, Addr: bytes.Clone(value)}, ""
	}
	if len(value) <= n || value[len(value)-1] != 0 {
		return NameRecord{}, fmt.Sprintf("a record of kind %d holds no address with a NUL-terminated name", kind)
	}
	record := NameRecord{Kind: kind, Addr: bytes.Clone(value[:n])}
	for rest := value[n:]; len(rest) > 0; {
		end := bytes.IndexByte(rest, 0)
		record.Names = append(record.Names, string(rest[:end]))
		rest = rest[end+1:]
	}
	return record, ""
}

func (r *Reader) secretsBlock(body []byte) string {
	if len(body) < 8 {
		return "is too short"
	}
	size := r.order.u32(body[4:])
	if int64(size) > int64(len(body)-8) {
		return fmt.Sprintf("secrets length %d exceeds the %d bytes of the block", size, len(body)-8)
	}
	s := &Secrets{Kind: r.order.u32(body), Data: bytes.Clone(body[8 : 8+size])}
	l := r.options(body, min(8+pad4(int(size)), len(body)))
	for l.next() {
		if l.code == optComment {
			s.Comments = append(s.Comments, string(l.value))
		} else {
			s.Options = append(s.Options, l.raw(true))
		}
	}
	if l.bad != "" {
		return l.bad
	}
	r.record.Secrets = s
	if r.hold(body) {
		r.secrets = append(r.secrets, s)
	} else {
		r.unheld++
	}
	return ""
}
