package wire

import (
	"encoding/binary"
	"errors"
	"strings"
)

// DNSPort is the UDP port of name servers.
const DNSPort uint16 = 53

// DNSHeaderLen is the length of a message's header; DNSMaxMessage is the longest
// message over UDP without EDNS (RFC 1035 4.2.1).
const (
	DNSHeaderLen  = 12
	DNSMaxMessage = 512
)

// Limits of names (RFC 1035 2.3.4), and of the compression pointers that a name
// is followed through.
const (
	DNSMaxLabel    = 63
	DNSMaxName     = 255
	dnsMaxPointers = 16
)

// Types and classes of records (RFC 1035 3.2.2, RFC 3596).
const (
	DNSTypeA     uint16 = 1
	DNSTypeCNAME uint16 = 5
	DNSTypeSOA   uint16 = 6
	DNSTypePTR   uint16 = 12
	DNSTypeAAAA  uint16 = 28
	DNSTypeOPT   uint16 = 41
	DNSTypeANY   uint16 = 255
	DNSClassIN   uint16 = 1
)

// Flags of a header (RFC 1035 4.1.1).
const (
	DNSResponse           uint16 = 0x8000
	DNSOpcode             uint16 = 0x7800
	DNSAuthoritative      uint16 = 0x0400
	DNSTruncated          uint16 = 0x0200
	DNSRecursionDesired   uint16 = 0x0100
	DNSRecursionAvailable uint16 = 0x0080
	DNSRcode              uint16 = 0x000f
)

// Response codes.
const (
	DNSNoError  uint16 = 0
	DNSFormErr  uint16 = 1
	DNSServFail uint16 = 2
	DNSNXDomain uint16 = 3
	DNSNotImp   uint16 = 4
	DNSRefused  uint16 = 5
)

// The reasons for which a name or message is refused, beside ErrShort.
var (
	// ErrDNSName: a name with an unknown kind of label, longer than 255 bytes, or
	// with pointers that do not lead to an end.
	ErrDNSName = errors.New("wire: malformed domain name")
)

// DNS is a message of the domain name system.
type DNS []byte

// ParseDNS checks that there is a header.
func ParseDNS(b []byte) (DNS, error) {
	if len(b) < DNSHeaderLen {
		return nil, ErrShort
	}
	return DNS(b), nil
}

// ID is the query's number.
func (m DNS) ID() uint16 { return binary.BigEndian.Uint16(m) }

// Flags are the flags, opcode and response code.
func (m DNS) Flags() uint16 { return binary.BigEndian.Uint16(m[2:]) }

// Counts returns how many entries the four sections have, as the header says.
func (m DNS) Counts() (questions, answers, authority, additional int) {
	n := func(at int) int { return int(binary.BigEndian.Uint16(m[at:])) }
	return n(4), n(6), n(8), n(10)
}

// A DNSQuestion is one entry of the question section.
type DNSQuestion struct {
	Name  string // without the dot at its end, as it was written; "" is the root
	Type  uint16
	Class uint16
}

// Question reads the question that begins at offset at, and returns the offset
// behind it.
func (m DNS) Question(at int) (q DNSQuestion, next int, err error) {
	if q.Name, next, err = m.Name(at); err != nil {
		return DNSQuestion{}, 0, err
	}
	if len(m) < next+4 {
		return DNSQuestion{}, 0, ErrShort
	}
	q.Type, q.Class = binary.BigEndian.Uint16(m[next:]), binary.BigEndian.Uint16(m[next+2:])
	return q, next + 4, nil
}

// A DNSRecord is a resource record. Data is a part of the message.
type DNSRecord struct {
	Name  string
	Type  uint16
	Class uint16
	TTL   uint32
	Data  []byte
}

// Record reads the record that begins at offset at, and returns the offset
// behind it.
func (m DNS) Record(at int) (r DNSRecord, next int, err error) {
	if r.Name, next, err = m.Name(at); err != nil {
		return DNSRecord{}, 0, err
	}
	if len(m) < next+10 {
		return DNSRecord{}, 0, ErrShort
	}
	b := m[next:]
	n := int(binary.BigEndian.Uint16(b[8:]))
	if len(b) < 10+n {
		return DNSRecord{}, 0, ErrShort
	}
	r.Type, r.Class, r.TTL = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	r.Data = b[10 : 10+n : 10+n]
	return r, next + 10 + n, nil
}

// Name reads the name that begins at offset at, following compression pointers
// (RFC 1035 4.1.4), and returns the offset behind it.
func (m DNS) Name(at int) (name string, next int, err error) {
	var b strings.Builder
	pointers := 0
	for {
		if at < 0 || at >= len(m) {
			return "", 0, ErrShort
		}
		n := int(m[at])
		switch {
		case n == 0:
			if pointers == 0 {
				next = at + 1
			}
			return b.String(), next, nil
		case n&0xc0 == 0xc0:
			if at+1 >= len(m) {
				return "", 0, ErrShort
			}
			if pointers == 0 {
				next = at + 2
			}
			if pointers++; pointers > dnsMaxPointers {
				return "", 0, ErrDNSName
			}
			at = int(binary.BigEndian.Uint16(m[at:]) & 0x3fff)
		case n > DNSMaxLabel:
			return "", 0, ErrDNSName
		case at+1+n > len(m):
			return "", 0, ErrShort
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			if b.Len()+n+2 > DNSMaxName { // the first length and the root are bytes too
				return "", 0, ErrDNSName
			}
			b.Write(m[at+1 : at+1+n])
			at += 1 + n
		}
	}
}

// AppendDNS appends a header.
func AppendDNS(b []byte, id, flags uint16, questions, answers, authority, additional int) []byte {
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, flags)
	for _, n := range [...]int{questions, answers, authority, additional} {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return b
}

// AppendDNSName appends a name, written with dots, without compression. It
// reports false, and appends nothing, for one that no message can carry.
func AppendDNSName(b []byte, name string) (_ []byte, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name)+2 > DNSMaxName {
		return b, false
	}
	start := len(b)
	for rest := name; rest != ""; {
		label, tail, more := strings.Cut(rest, ".")
		if label == "" || len(label) > DNSMaxLabel || more && tail == "" {
			return b[:start], false
		}
		b = append(append(b, byte(len(label))), label...)
		rest = tail
	}
	return append(b, 0), true
}

// AppendDNSQuestion appends an entry of the question section.
func AppendDNSQuestion(b []byte, q DNSQuestion) (_ []byte, ok bool) {
	b, ok = AppendDNSName(b, q.Name)
	if !ok {
		return b, false
	}
	b = binary.BigEndian.AppendUint16(b, q.Type)
	return binary.BigEndian.AppendUint16(b, q.Class), true
}

// AppendDNSRecord appends a record whose name stands at offset at of its message.
func AppendDNSRecord(b []byte, at int, typ uint16, ttl uint32, data ...byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0xc000|uint16(at))
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, DNSClassIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

var dnsTypeNames = map[uint16]string{
	DNSTypeA: "A", DNSTypeCNAME: "CNAME", DNSTypeSOA: "SOA", DNSTypePTR: "PTR", DNSTypeAAAA: "AAAA", DNSTypeOPT: "OPT", DNSTypeANY: "ANY",
}

// DNSTypeName returns the name of a type of record, or "" of one that is not
// known here.
func DNSTypeName(typ uint16) string { return dnsTypeNames[typ] }
