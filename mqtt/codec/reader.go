package codec

import (
	"encoding/binary"
	"fmt"
)

// reader walks the body of one packet and keeps the first violation.
type reader struct {
	frame []byte // the whole packet
	off   int    // next byte, counted from the packet's first
	typ   Type
	err   error
}

func (r *reader) fail(clause string, offset int, text string) {
	if r.err == nil {
		r.err = &Error{Type: r.typ, Clause: clause, Offset: offset, Text: text}
	}
}

func (r *reader) left() int { return len(r.frame) - r.off }

// need reports whether n more bytes are there; clause is the rule broken if not.
func (r *reader) need(n int, clause, what string) bool {
	if r.err != nil {
		return false
	}
	if r.left() < n {
		r.fail(clause, len(r.frame), what+": packet ends too early")
		return false
	}
	return true
}

func (r *reader) byte(clause, what string) byte {
	if !r.need(1, clause, what) {
		return 0
	}
	b := r.frame[r.off]
	r.off++
	return b
}

func (r *reader) uint16(clause, what string) uint16 {
	if !r.need(2, clause, what) {
		return 0
	}
	v := binary.BigEndian.Uint16(r.frame[r.off:])
	r.off += 2
	return v
}

// packetID reads a packet identifier, which is never zero.
func (r *reader) packetID() uint16 {
	at := r.off
	id := r.uint16("[section 2.3.1]", "packet identifier")
	if r.err == nil && id == 0 {
		r.fail("[MQTT-2.3.1-1]", at, "packet identifier is zero")
	}
	return id
}

// binary reads a length-prefixed field that may hold any bytes.
func (r *reader) binary(clause, what string) []byte {
	n := int(r.uint16(clause, what))
	if !r.need(n, clause, what) {
		return nil
	}
	v := r.frame[r.off : r.off+n : r.off+n]
	r.off += n
	return v
}

// text reads a UTF-8 encoded string; clause is the rule that wants it there.
func (r *reader) text(clause, what string) []byte {
	v := r.binary(clause, what)
	if r.err != nil {
		return nil
	}
	if clause, at, text := checkText(v); clause != "" {
		r.fail(clause, r.off-len(v)+at, what+": "+text)
	}
	return v
}

// end refuses bytes after the last field.
func (r *reader) end(clause string) {
	if r.err == nil && r.left() > 0 {
		r.fail(clause, r.off, fmt.Sprintf("%d surplus bytes after the last field", r.left()))
	}
}

// appendField appends a length-prefixed string or binary field.
func appendField(dst, v []byte) []byte {
	if len(v) > MaxString {
		panic(fmt.Sprintf("codec: field of %d bytes", len(v)))
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v)))
	return append(dst, v...)
}
