package scenarios

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseMAC reads an Ethernet address such as 02:00:00:00:00:02.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	parts := strings.Split(s, ":")
	if len(parts) != len(m) {
		return MAC{}, hint("write six pairs of hexadecimal digits, such as 02:00:00:00:00:02", "%q is not an Ethernet address", s)
	}
	for i, p := range parts {
		b, err := strconv.ParseUint(p, 16, 8)
		if err != nil || len(p) != 2 {
			return MAC{}, hint("write six pairs of hexadecimal digits, such as 02:00:00:00:00:02", "%q is not an Ethernet address", s)
		}
		m[i] = byte(b)
	}
	return m, nil
}

// String returns m as 02:00:00:00:00:02.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// UnmarshalText reads an Ethernet address.
func (m *MAC) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMAC(string(text))
	return err
}

// MarshalText writes m as String does.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads 0, 1 or 2.
func (q *QoS) UnmarshalText(text []byte) error {
	switch string(text) {
	case "0", "1", "2":
		*q = QoS(text[0] - '0')
		return nil
	}
	return hint("write 0, 1 or 2", "%q is not a quality of service", text)
}

// UnmarshalText reads 0 to 3.
func (q *AnyQoS) UnmarshalText(text []byte) error {
	if len(text) == 1 && text[0] >= '0' && text[0] <= '3' {
		*q = AnyQoS(text[0] - '0')
		return nil
	}
	return hint("write 0, 1 or 2, or 3 to see what becomes of that", "%q is not a quality of service", text)
}

// MarshalText writes 0 to 3.
func (q AnyQoS) MarshalText() ([]byte, error) { return []byte(strconv.Itoa(int(q))), nil }

// MarshalText writes 0, 1 or 2.
func (q QoS) MarshalText() ([]byte, error) { return []byte(strconv.Itoa(int(q))), nil }
