package pcaps_test

import (
	"math"
	"testing"
	"time"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
)

func TestTheTimeBetweenTwoStampsStopsAtItsLimits(t *testing.T) {
	for _, c := range []struct {
		s, from pcaps.Stamp
		want    time.Duration
	}{
		{7, 3, 4},
		{3, 7, -4},
		{0, 0, 0},
		{math.MaxInt64, -1, math.MaxInt64},
		{1, math.MinInt64, math.MaxInt64},
		{math.MinInt64, 1, math.MinInt64},
		{-2, math.MaxInt64, math.MinInt64},
		{math.MinInt64, math.MinInt64, 0},
	} {
		if got := c.s.Sub(c.from); got != c.want {
			t.Errorf("Stamp(%d).Sub(%d) = %d, want %d", c.s, c.from, got, c.want)
		}
	}
}

// The callers of package flow convert one into the other.
func TestADirectionOfAPacketIsFlowsDirection(t *testing.T) {
	for _, c := range []struct {
		fields pcaps.Fields
		flags  uint32
		want   flow.Direction
	}{
		{0, pcaps.FlagInbound, flow.NoDirection}, // flags that are not there
		{pcaps.FieldFlags, 0, flow.NoDirection},
		{pcaps.FieldFlags, pcaps.FlagInbound, flow.Inbound},
		{pcaps.FieldFlags, pcaps.FlagOutbound | 1<<5, flow.Outbound},
		{pcaps.FieldFlags, pcaps.FlagDirection, flow.NoDirection}, // reserved
	} {
		p := pcaps.Packet{Fields: c.fields, Flags: c.flags}
		if got := flow.Direction(p.Direction()); got != c.want {
			t.Errorf("fields %b, flags %#x: direction %v, want %v", c.fields, c.flags, got, c.want)
		}
	}
}
