package wire

import "encoding/binary"

// Kinds of TCP options.
const (
	optEnd           = 0
	optNop           = 1
	optMSS           = 2
	optWindowScale   = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
)

// maxSACKBlocks is how many blocks fit 40 bytes of options (RFC 2018 section 3).
const maxSACKBlocks = 4

// SACKBlock is the half-open range [Start, End) of received sequence numbers.
type SACKBlock struct{ Start, End uint32 }

// TCPOptions are the options that this package knows; others are skipped.
type TCPOptions struct {
	MSS            uint16 // 0: absent
	WindowScale    uint8
	HasWindowScale bool
	SACKPermitted  bool
	HasTimestamps  bool
	TSVal, TSEcr   uint32
	sack           [maxSACKBlocks]SACKBlock
	sackLen        int
}

// SACK are the selective acknowledgement blocks, in the order of the wire.
func (o *TCPOptions) SACK() []SACKBlock { return o.sack[:o.sackLen] }

// Options reads the options. After an error the options in front of the bad one
// are filled in.
func (h TCP) Options() (TCPOptions, error) {
	var o TCPOptions
	b := h.RawOptions()
	for len(b) > 0 {
		switch b[0] {
		case optEnd:
			return o, nil
		case optNop:
			b = b[1:]
			continue
		}
		if len(b) < 2 || int(b[1]) < 2 || int(b[1]) > len(b) {
			return o, ErrOption
		}
		if !o.read(b[0], b[2:b[1]]) {
			return o, ErrOption
		}
		b = b[b[1]:]
	}
	return o, nil
}

// read stores one option and reports whether its length is right.
func (o *TCPOptions) read(kind byte, data []byte) bool {
	switch kind {
	case optMSS:
		if len(data) != 2 {
			return false
		}
		o.MSS = binary.BigEndian.Uint16(data)
	case optWindowScale:
		if len(data) != 1 {
			return false
		}
		o.WindowScale, o.HasWindowScale = data[0], true
	case optSACKPermitted:
		if len(data) != 0 {
			return false
		}
		o.SACKPermitted = true
	case optTimestamps:
		if len(data) != 8 {
			return false
		}
		o.TSVal, o.TSEcr, o.HasTimestamps = binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), true
	case optSACK:
		if len(data) == 0 || len(data)%8 != 0 || len(data)/8 > maxSACKBlocks {
			return false
		}
		o.sackLen = len(data) / 8
		for i := range o.sackLen {
			o.sack[i] = SACKBlock{binary.BigEndian.Uint32(data[8*i:]), binary.BigEndian.Uint32(data[8*i+4:])}
		}
	}
	return true
}

// AppendMSS appends a maximum segment size option (4 bytes).
func AppendMSS(b []byte, mss uint16) []byte {
	return append(b, optMSS, 4, byte(mss>>8), byte(mss))
}

// AppendWindowScale appends a window scale option behind a no-operation (4 bytes).
func AppendWindowScale(b []byte, shift uint8) []byte {
	return append(b, optNop, optWindowScale, 3, shift)
}

// AppendSACKPermitted appends that option behind two no-operations (4 bytes).
func AppendSACKPermitted(b []byte) []byte {
	return append(b, optNop, optNop, optSACKPermitted, 2)
}

// AppendTimestamps appends a timestamps option behind two no-operations (12
// bytes, RFC 7323 appendix A).
func AppendTimestamps(b []byte, val, ecr uint32) []byte {
	b = append(b, optNop, optNop, optTimestamps, 10)
	b = binary.BigEndian.AppendUint32(b, val)
	return binary.BigEndian.AppendUint32(b, ecr)
}

// AppendSACK appends at most four blocks behind two no-operations; three fit
// beside timestamps.
func AppendSACK(b []byte, blocks ...SACKBlock) []byte {
	blocks = blocks[:min(len(blocks), maxSACKBlocks)]
	b = append(b, optNop, optNop, optSACK, byte(2+8*len(blocks)))
	for _, s := range blocks {
		b = binary.BigEndian.AppendUint32(b, s.Start)
		b = binary.BigEndian.AppendUint32(b, s.End)
	}
	return b
}
