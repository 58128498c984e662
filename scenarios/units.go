package scenarios

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// A Duration is a time span with a unit: ns, us, ms, s, m or h, also combined
// ("1m30s").
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// A Pause is a Duration of which 0 is written never.
type Pause Duration

const never = "never"

// Std returns p as a time.Duration; 0 is never.
func (p Pause) Std() time.Duration { return time.Duration(p) }

// A Rate is a bit rate in bits a second; 0 is unlimited.
type Rate uint64

// A Size is a number of bytes.
type Size int64

// A Percent is a share, 0 to 1, that is written in percent.
type Percent float64

// A MAC is an Ethernet address.
type MAC [6]byte

// A unit is a suffix and what it multiplies with.
type unit struct {
	suffix string
	factor int64
}

var (
	// Each list goes from small to large.
	durationUnits = []unit{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}
	rateUnits     = []unit{{"bit", 1}, {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}}
	sizeUnits     = []unit{{"B", 1}, {"kB", 1e3}, {"KiB", 1 << 10}, {"MB", 1e6}, {"MiB", 1 << 20}}
)

func names(units []unit) string { return strings.Join(suffixes(units), ", ") }

// A hinted error carries what the user may do about it.
type hinted struct{ msg, hint string }

func (e *hinted) Error() string { return e.msg }

func hint(hint, format string, args ...any) error {
	return &hinted{fmt.Sprintf(format, args...), hint}
}

// number reads the decimal number at the start of s, without sign or exponent.
func number(s string) (num, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	return s[:i], s[i:]
}

// maxDigits bounds a number, so that exact arithmetic stays cheap.
const maxDigits = 32

var errRange = errors.New("out of range")

// scale returns num × factor when that is an integer that fits.
func scale(num string, factor int64) (int64, error) {
	if len(num) > maxDigits {
		return 0, errRange
	}
	r, ok := new(big.Rat).SetString(num)
	if !ok {
		return 0, fmt.Errorf("%q is not a number", num)
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	if !r.IsInt() {
		return 0, errors.New("finer than one unit")
	}
	if !r.Num().IsInt64() {
		return 0, errRange
	}
	return r.Num().Int64(), nil
}

// quantity reads one number with one of the units. what and example are for
// the error.
func quantity(s string, units []unit, what, example string) (int64, string, error) {
	num, rest := number(s)
	if num == "" {
		if strings.HasPrefix(s, "-") {
			return 0, "", hint("write it without a sign", "%s %q is negative", what, s)
		}
		return 0, "", hint("write a number with a unit, such as "+example, "%q is not a %s", s, what)
	}
	suffix := strings.TrimLeft(rest, " ")
	end := 0
	for end < len(suffix) && !(suffix[end] >= '0' && suffix[end] <= '9') {
		end++
	}
	suffix, rest = suffix[:end], suffix[end:]
	for _, u := range units {
		if u.suffix != suffix {
			continue
		}
		n, err := scale(num, u.factor)
		if err != nil {
			return 0, "", fmt.Errorf("%s %q: %w", what, s, err)
		}
		return n, rest, nil
	}
	if suffix == "" {
		usual := units[0].suffix // bit, B
		if what == "duration" {
			usual = "s"
		}
		return 0, "", hint("write "+num+usual+" or another unit: "+names(units), "%s %q has no unit", what, s)
	}
	h := "the units are " + names(units)
	if near := nearest(suffix, suffixes(units)); near != "" {
		h = "did you mean " + strconv.Quote(num+near) + "? " + h
	}
	return 0, "", hint(h, "%s %q has the unknown unit %q", what, s, suffix)
}

func suffixes(units []unit) []string {
	all := make([]string, len(units))
	for i, u := range units {
		all[i] = u.suffix
	}
	return all
}

// format writes n in the largest unit of which it is a multiple.
func format(n int64, units []unit) string {
	for i := len(units) - 1; i >= 0; i-- {
		if n%units[i].factor == 0 {
			return strconv.FormatInt(n/units[i].factor, 10) + units[i].suffix
		}
	}
	return strconv.FormatInt(n, 10) + units[0].suffix // not reached: the smallest factor is 1
}

// ParseDuration reads a duration such as 1m30s, 100ms or 1.5s.
func ParseDuration(s string) (Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var total int64
	for rest := s; ; {
		n, next, err := quantity(rest, durationUnits, "duration", "100ms")
		if err != nil {
			return 0, err
		}
		if total > math.MaxInt64-n {
			return 0, fmt.Errorf("duration %q: %w", s, errRange)
		}
		total += n
		if next == "" {
			return Duration(total), nil
		}
		rest = next
	}
}

// String returns d in the largest unit of which it is a multiple.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	if d < 0 {
		return "-" + format(-int64(d), durationUnits)
	}
	// Minutes and hours read worse than seconds when there are few of them.
	units := durationUnits[:4]
	if int64(d) >= 600e9 {
		units = durationUnits
	}
	return format(int64(d), units)
}

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// MarshalText writes d as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration that is not zero, or never.
func (p *Pause) UnmarshalText(text []byte) error {
	*p = 0
	if string(text) == never {
		return nil
	}
	d, err := ParseDuration(string(text))
	if err == nil && d == 0 {
		err = hint("write a duration such as 10ms, or never", "a pause of %s is none", text)
	}
	if err != nil {
		return err
	}
	*p = Pause(d)
	return nil
}

// String returns never or the duration.
func (p Pause) String() string {
	if p == 0 {
		return never
	}
	return Duration(p).String()
}

// MarshalText writes p as String does.
func (p Pause) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

const unlimited = "unlimited"

// ParseRate reads a bit rate such as 64kbit.
func ParseRate(s string) (Rate, error) {
	if s == unlimited {
		return 0, nil
	}
	n, rest, err := quantity(strings.TrimSuffix(s, "/s"), rateUnits, "rate", "64kbit")
	if err != nil {
		return 0, err
	}
	if rest != "" {
		return 0, hint("write one number and one unit", "%q is not a rate", s)
	}
	if n == 0 {
		return 0, hint("write unlimited, or cut the link with a blackhole in the timeline", "a rate of %s carries nothing", s)
	}
	return Rate(n), nil
}

// String returns r in the largest unit of which it is a multiple.
func (r Rate) String() string {
	if r == 0 {
		return unlimited
	}
	if r > math.MaxInt64 {
		return strconv.FormatUint(uint64(r), 10) + "bit"
	}
	return format(int64(r), rateUnits)
}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// MarshalText writes r as String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// ParseSize reads a number of bytes such as 30kB. A number without unit is bytes.
func ParseSize(s string) (Size, error) {
	if num, rest := number(s); num != "" && rest == "" && !strings.Contains(num, ".") {
		s += "B"
	}
	n, rest, err := quantity(s, sizeUnits, "size", "1500B")
	if err != nil {
		return 0, err
	}
	if rest != "" {
		return 0, hint("write one number and one unit", "%q is not a size", s)
	}
	return Size(n), nil
}

// String returns s in the largest unit of which it is a multiple.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	return format(int64(s), sizeUnits)
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// MarshalText writes s as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParsePercent reads a share such as 2% or 0.01%. Only 0 may lack the sign.
func ParsePercent(s string) (Percent, error) {
	num, ok := strings.CutSuffix(s, "%")
	digits, rest := number(strings.TrimRight(num, " "))
	if digits == "" || rest != "" || len(digits) > maxDigits {
		if strings.HasPrefix(s, "-") {
			return 0, hint("write it without a sign", "percentage %q is negative", s)
		}
		return 0, hint("write a number with a percent sign, such as 2%", "%q is not a percentage", s)
	}
	r, isNumber := new(big.Rat).SetString(digits)
	if !isNumber {
		return 0, hint("write a number with a percent sign, such as 2%", "%q is not a percentage", s)
	}
	if !ok && r.Sign() != 0 {
		as := digits
		if p, _ := new(big.Rat).Mul(r, big.NewRat(100, 1)).Float64(); p <= 100 {
			as = strconv.FormatFloat(p, 'f', -1, 64)
		}
		return 0, hint("write "+as+"%", "%s has no percent sign", s)
	}
	if r.Cmp(big.NewRat(100, 1)) > 0 {
		return 0, hint("the most is 100%", "%s is more than everything", s)
	}
	x, _ := new(big.Rat).Quo(r, big.NewRat(100, 1)).Float64()
	p := Percent(x)
	return p, p.check()
}

// String returns the shortest percentage that reads back as p.
func (p Percent) String() string {
	share := strconv.FormatFloat(float64(p), 'f', -1, 64)
	r, ok := new(big.Rat).SetString(share)
	if !ok {
		return share // NaN or an infinity, which no scenario keeps
	}
	_, fraction, _ := strings.Cut(share, ".")
	return r.Mul(r, big.NewRat(100, 1)).FloatString(max(0, len(fraction)-2)) + "%"
}

// minPercent is the smallest share above 0: a run has fewer frames than that
// could tell apart.
const minPercent = 1e-12

func (p Percent) check() error {
	switch {
	case !(p >= 0 && p <= 1):
		return hint("between 0% and 100%", "%s is not a share", p)
	case p > 0 && p < minPercent:
		return hint("write 0%", "%s is next to nothing", p)
	}
	return nil
}

// UnmarshalText reads a percentage.
func (p *Percent) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePercent(string(text))
	return err
}

// MarshalText writes p as String does.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
