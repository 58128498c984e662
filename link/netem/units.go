package netem

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Reading list: tc(8), PARAMETERS; iproute2 lib/utils.c get_time64,
// lib/utils_math.c get_rate64 and get_size, tc/tc_util.c parse_percent.

// A scale is a suffix and what a number with it is multiplied with.
type scale struct {
	suffix string
	factor float64
}

var (
	timeUnits = []scale{
		{"s", 1e9}, {"sec", 1e9}, {"secs", 1e9}, {"ms", 1e6}, {"msec", 1e6}, {"msecs", 1e6},
		{"us", 1e3}, {"usec", 1e3}, {"usecs", 1e3}, {"ns", 1}, {"nsec", 1}, {"nsecs", 1},
		// A bare number is microseconds in tc(8) and in tc before 6.10; since then
		// tc takes it for nanoseconds, which nobody who writes one means.
		{"", 1e3},
	}
	// A small b of a rate is bits and a "ps" is bytes; k is 1000, ki 1024.
	rateUnits = []scale{
		{"", 1}, {"bit", 1},
		{"kibit", 1 << 10}, {"kbit", 1e3}, {"mibit", 1 << 20}, {"mbit", 1e6},
		{"gibit", 1 << 30}, {"gbit", 1e9}, {"tibit", 1 << 40}, {"tbit", 1e12},
		{"bps", 8}, {"kibps", 8 << 10}, {"kbps", 8e3}, {"mibps", 8 << 20}, {"mbps", 8e6},
		{"gibps", 8 << 30}, {"gbps", 8e9}, {"tibps", 8 << 40}, {"tbps", 8e12},
	}
	// In sizes, k is 1024, and a "kbit" is 128 bytes.
	sizeUnits = []scale{
		{"", 1}, {"b", 1}, {"k", 1 << 10}, {"kb", 1 << 10}, {"m", 1 << 20}, {"mb", 1 << 20},
		{"g", 1 << 30}, {"gb", 1 << 30}, {"kbit", 1 << 7}, {"mbit", 1 << 17}, {"gbit", 1 << 27},
	}
)

// number splits a word into a number and its suffix.
func number(word string) (v float64, suffix string, err error) {
	n := len(word)
	for n > 0 {
		c := word[n-1]
		if c >= '0' && c <= '9' || c == '.' {
			break
		}
		n--
	}
	// "1e3ms" is a number with an exponent; "5e" is not.
	v, err = strconv.ParseFloat(word[:n], 64)
	if err != nil || strings.ContainsAny(word[:n], "xXpP_iInN") {
		return 0, "", fmt.Errorf("%q does not begin with a number", word)
	}
	if v < 0 {
		return 0, "", fmt.Errorf("%q is negative", word)
	}
	return v, word[n:], nil
}

func measure(word, what string, units []scale, most float64) (v float64, suffix string, err error) {
	v, suffix, err = number(word)
	if err != nil {
		return 0, "", err
	}
	for _, u := range units {
		if strings.EqualFold(suffix, u.suffix) {
			v *= u.factor
			if !(v < most) {
				return 0, "", fmt.Errorf("%s %q is too large", what, word)
			}
			return v, suffix, nil
		}
	}
	return 0, "", fmt.Errorf("%q is not a unit of a %s", suffix, what)
}

func parseTime(word string) (d time.Duration, bare bool, err error) {
	v, suffix, err := measure(word, "time", timeUnits, math.MaxInt64)
	return time.Duration(v), suffix == "" && v != 0, err
}

func parseRate(word string) (bytesPerSecond uint64, err error) {
	v, _, err := measure(word, "rate", rateUnits, math.MaxUint64)
	return uint64(v / 8), err
}

func parseSize(word string) (uint32, error) {
	v, _, err := measure(word, "size", sizeUnits, 1<<32)
	return uint32(v), err
}

func parseShare(word string) (float64, error) {
	v, suffix, err := number(word)
	switch {
	case err != nil:
		return 0, err
	case suffix != "" && suffix != "%":
		return 0, fmt.Errorf("%q is not a percentage", word)
	case v/100 > 1:
		return 0, fmt.Errorf("%q is more than 100%%", word)
	}
	return v / 100, nil
}

// parseInt reads an integer as C does: 0x is hexadecimal, a leading 0 octal.
func parseInt(word string, least, most int64) (int64, error) {
	body, negative := strings.CutPrefix(word, "-")
	base := 10
	switch {
	case len(body) > 2 && (body[:2] == "0x" || body[:2] == "0X"):
		body, base = body[2:], 16
	case len(body) > 1 && body[0] == '0':
		body, base = body[1:], 8
	}
	v, err := strconv.ParseUint(body, base, 33)
	n := int64(v)
	if negative {
		n = -n
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", word)
	}
	if n < least || n > most {
		return 0, fmt.Errorf("%q is not between %d and %d", word, least, most)
	}
	return n, nil
}

// timeText writes a time in the largest unit that has no decimals.
func timeText(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}} {
		if d%u.d == 0 && d != 0 {
			return fmt.Sprintf("%d%s", d/u.d, u.name)
		}
	}
	return fmt.Sprintf("%dns", int64(d))
}

// rateText writes a rate so that it reads back to the same number. Numbers of
// more than 53 bits lie between two of tc's.
func rateText(bytesPerSecond uint64) string {
	hi, bit := bits.Mul64(bytesPerSecond, 8)
	if hi != 0 {
		return fmt.Sprintf("%dBps", bytesPerSecond)
	}
	for _, u := range []struct {
		factor uint64
		name   string
	}{{1e9, "gbit"}, {1e6, "mbit"}, {1e3, "kbit"}} {
		if bit%u.factor == 0 && bit != 0 {
			return fmt.Sprintf("%d%s", bit/u.factor, u.name)
		}
	}
	return fmt.Sprintf("%dbit", bit)
}
