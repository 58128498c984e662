package codec

import "unicode/utf8"

// ValidString checks the rules for UTF-8 encoded strings (section 1.5.3): well
// formed, without surrogates and without U+0000, at most 65,535 bytes. It also
// refuses what a sender SHOULD NOT use and a receiver MAY close the connection
// for: control characters (U+0001 to U+001F, U+007F to U+009F) and Unicode
// non-characters such as U+FFFF. Error.Offset counts from the string's start.
func ValidString(s []byte) error {
	if clause, at, text := checkText(s); clause != "" {
		return &Error{Clause: clause, Offset: at, Text: text}
	}
	return nil
}

// checkText returns an empty clause when s is fine.
func checkText(s []byte) (clause string, at int, text string) {
	if len(s) > MaxString {
		return "[section 1.5.3]", MaxString, "string is longer than 65,535 bytes"
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7F {
			i++
			continue
		}
		if c == 0 {
			return "[MQTT-1.5.3-2]", i, "U+0000 in a string"
		}
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			return "[MQTT-1.5.3-1]", i, "ill-formed UTF-8"
		}
		if r < 0x20 || r >= 0x7F && r <= 0x9F {
			return "[section 1.5.3]", i, "control character in a string"
		}
		if r&0xFFFE == 0xFFFE || r >= 0xFDD0 && r <= 0xFDEF {
			return "[section 1.5.3]", i, "Unicode non-character in a string"
		}
		i += n
	}
	return "", 0, ""
}
