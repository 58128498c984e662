package wire

import (
	"encoding/binary"
	"time"
)

// NTPPort is the UDP port of time servers; NTPLen the length of a message
// without extensions.
const (
	NTPPort uint16 = 123
	NTPLen         = 48
)

// Modes of a message (RFC 5905 7.3).
const (
	NTPClient uint8 = 3
	NTPServer uint8 = 4
)

// Leap indicators (RFC 5905 7.3).
const (
	NTPLeapNone           uint8 = 0
	NTPLeapUnsynchronized uint8 = 3
)

// NTP is a message of NTP or SNTP, without what follows its fixed part.
type NTP []byte

// ParseNTP splits a message into its fixed part and what follows: extensions
// and the message authentication code.
func ParseNTP(b []byte) (NTP, []byte, error) {
	if len(b) < NTPLen {
		return nil, nil, ErrShort
	}
	return NTP(b[:NTPLen:NTPLen]), b[NTPLen:], nil
}

// NTPFields are the parts of a message that its sender chooses.
type NTPFields struct {
	Leap, Version, Mode, Stratum uint8
	Poll, Precision              int8 // log2 seconds
	RootDelay, RootDispersion    uint32
	Reference                    [4]byte // the kiss code, with stratum 0
	ReferenceTime, Originate     NTPTime
	Receive, Transmit            NTPTime
}

// PutNTP writes a message to the first NTPLen bytes of b.
func PutNTP(b []byte, f NTPFields) {
	_ = b[NTPLen-1]
	b[0] = f.Leap<<6 | f.Version&7<<3 | f.Mode&7
	b[1], b[2], b[3] = f.Stratum, byte(f.Poll), byte(f.Precision)
	binary.BigEndian.PutUint32(b[4:], f.RootDelay)
	binary.BigEndian.PutUint32(b[8:], f.RootDispersion)
	copy(b[12:], f.Reference[:])
	for i, t := range [...]NTPTime{f.ReferenceTime, f.Originate, f.Receive, f.Transmit} {
		binary.BigEndian.PutUint64(b[16+8*i:], uint64(t))
	}
}

// Leap is the leap indicator.
func (m NTP) Leap() uint8 { return m[0] >> 6 }

// Version is the protocol's version.
func (m NTP) Version() uint8 { return m[0] >> 3 & 7 }

// Mode says who sent the message.
func (m NTP) Mode() uint8 { return m[0] & 7 }

// Stratum is the distance from a reference clock; 0 is a kiss of death.
func (m NTP) Stratum() uint8 { return m[1] }

// Poll is the poll interval, log2 seconds.
func (m NTP) Poll() int8 { return int8(m[2]) }

// Reference is the reference identifier, or the kiss code.
func (m NTP) Reference() [4]byte { return [4]byte(m[12:16]) }

// Originate is when the client sent its request, by its clock.
func (m NTP) Originate() NTPTime { return NTPTime(binary.BigEndian.Uint64(m[24:])) }

// Receive is when the server got it, by its own.
func (m NTP) Receive() NTPTime { return NTPTime(binary.BigEndian.Uint64(m[32:])) }

// Transmit is when the message was sent, by its sender's clock.
func (m NTP) Transmit() NTPTime { return NTPTime(binary.BigEndian.Uint64(m[40:])) }

// An NTPTime is an NTP timestamp: seconds and fractions of 2^-32 s of an era,
// the first of which began in 1900 and ends in 2036 (RFC 5905 6).
type NTPTime uint64

// ntpUnix is the number of seconds from 1900 to 1970.
const ntpUnix = 2_208_988_800

// NTPTimeOf returns the timestamp of a moment, in whatever era it is.
func NTPTimeOf(t time.Time) NTPTime {
	seconds := uint64(t.Unix()+ntpUnix) & (1<<32 - 1)
	return NTPTime(seconds<<32 | uint64(t.Nanosecond())<<32/1e9)
}

// Time returns the moment that the timestamp stands for, from 1968 to 2104 (RFC
// 4330 3), in UTC.
func (t NTPTime) Time() time.Time {
	seconds := int64(t >> 32)
	if t>>63 == 0 {
		seconds += 1 << 32 // the next era
	}
	nanoseconds := int64((uint64(t)&(1<<32-1)*1e9 + 1<<31) >> 32)
	return time.Unix(seconds-ntpUnix, nanoseconds).UTC()
}
