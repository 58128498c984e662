package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hilnet/scenarios"
)

func failed(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d calls failed", n)
}

func latency(o *scenarios.Outcome) string {
	if o.Acknowledged == 0 {
		return ""
	}
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf(", after %v (median) to %v", ms(o.LatencyP50), ms(o.LatencyMax))
}

// drops lists reasons, the most frequent first.
func drops(d *scenarios.Drops) string {
	if d.Total == 0 {
		return "none"
	}
	reasons := make([]string, 0, len(d.Reason))
	for r := range d.Reason {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if n := d.Reason[b] - d.Reason[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for i, r := range reasons {
		reasons[i] = fmt.Sprintf("%s %d", r, d.Reason[r])
	}
	return strings.Join(reasons, ", ")
}
