package emu

import (
	"fmt"
	"math/big"
	"strings"

	"hilnet/scenarios"
)

// MaxAxisValues bounds the values of one axis.
const MaxAxisValues = 100_000

// An Axis is a key of the scenario, as in [scenarios.Set], and the values that a sweep
// gives it.
type Axis struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// ParseAxis reads KEY=VALUES. The values are a list (0,1%,5%), ranges (4..64) or
// ranges with a step (100ms..1000ms/100ms), also mixed. In a range the unit may
// stand at its end only (0..5%).
func ParseAxis(s string) (Axis, error) {
	set, err := scenarios.ParseSet(s)
	if err != nil {
		return Axis{}, err
	}
	a := Axis{Key: set.Key}
	for _, item := range splitList(set.Value) {
		low, rest, isRange := strings.Cut(item, "..")
		if !isRange {
			a.Values = append(a.Values, item)
			continue
		}
		high, step, _ := strings.Cut(rest, "/")
		values, err := expand(strings.TrimSpace(low), strings.TrimSpace(high), strings.TrimSpace(step))
		if err != nil {
			return Axis{}, fmt.Errorf("emu: %s=%s: %w", a.Key, item, err)
		}
		a.Values = append(a.Values, values...)
		if len(a.Values) > MaxAxisValues {
			break
		}
	}
	if len(a.Values) > MaxAxisValues {
		return Axis{}, fmt.Errorf("emu: %s has more than %d values (write a larger step, as in %s=0..1000/10)", a.Key, MaxAxisValues, a.Key)
	}
	seen := map[string]bool{}
	for _, v := range a.Values {
		if seen[v] {
			return Axis{}, fmt.Errorf("emu: %s has the value %q twice (remove one)", a.Key, v)
		}
		seen[v] = true
	}
	return a, nil
}

// splitList splits at commas outside brackets.
func splitList(s string) []string {
	var all []string
	depth, from := 0, 0
	for i, r := range s {
		switch r {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 0 {
				all = append(all, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(all, strings.TrimSpace(s[from:]))
}

// A quantity is a decimal number with a unit.
type quantity struct {
	n        *big.Rat
	unit     string
	decimals int
}

const maxQuantity = 32 // characters

func parseQuantity(s string) (quantity, error) {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.') {
		end++
	}
	n, ok := new(big.Rat).SetString(s[:end])
	if !ok || end > maxQuantity || strings.ContainsAny(s[end:], "0123456789") {
		return quantity{}, fmt.Errorf("%q is not a number with a unit (a range is written as in 4..64 or 100ms..1000ms/100ms)", s)
	}
	_, fraction, _ := strings.Cut(s[:end], ".")
	return quantity{n, strings.TrimSpace(s[end:]), len(fraction)}, nil
}

// expand lists the values of a range, both ends included.
func expand(low, high, step string) ([]string, error) {
	from, err := parseQuantity(low)
	if err != nil {
		return nil, err
	}
	to, err := parseQuantity(high)
	if err != nil {
		return nil, err
	}
	by := quantity{big.NewRat(1, 1), to.unit, 0}
	if step != "" {
		if by, err = parseQuantity(step); err != nil {
			return nil, err
		}
	}
	for _, q := range []*quantity{&from, &by} {
		if q.unit == "" {
			q.unit = to.unit
		}
		if q.unit != to.unit {
			return nil, fmt.Errorf("%q and %q are different units (write all of the range in one)", q.unit, to.unit)
		}
	}
	switch {
	case by.n.Sign() == 0:
		return nil, fmt.Errorf("a step of 0 never gets there (write a step above 0)")
	case from.n.Cmp(to.n) > 0:
		return nil, fmt.Errorf("the range ends before it begins (write %s..%s)", high, low)
	}
	decimals := max(from.decimals, by.decimals)
	var values []string
	for n := from.n; n.Cmp(to.n) <= 0 && len(values) <= MaxAxisValues; n = new(big.Rat).Add(n, by.n) {
		values = append(values, trimZeros(n.FloatString(decimals))+to.unit)
	}
	return values, nil
}

func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
