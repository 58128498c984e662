package scenarios

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestASpreadHasPercentilesAndNamesTheWorst(t *testing.T) {
	var devices []DeviceOutcome
	for i := range 200 {
		d := DeviceOutcome{Name: fmt.Sprintf("d%d", i+1), Pool: PoolOutcome{MinFree: 7}}
		if i != 150 { // one never heard from the broker
			d.Acknowledged, d.LatencyP99 = 1, time.Duration(200-i)*time.Millisecond
		}
		switch i {
		case 20, 30:
			d.Lost = 2
		case 10:
			d.Lost = 1
		case 40, 41, 42, 43, 44, 45, 46:
			d.Pool.MinFree = 1
		case 50:
			d.Pool.MinFree = 9
		}
		devices = append(devices, d)
	}
	find := func(name string) Spread {
		all := spread(devices)
		return all[slices.IndexFunc(all, func(s Spread) bool { return s.Name == name })]
	}
	ms := func(n int64) int64 { return n * int64(time.Millisecond) }
	for _, want := range []Spread{
		{"latency_p99", true, 199, ms(101), ms(191), ms(199), []Ranked{{"d1", ms(200)}, {"d2", ms(199)}, {"d3", ms(198)}, {"d4", ms(197)}, {"d5", ms(196)}}},
		{"lost", false, 200, 0, 0, 1, []Ranked{{"d21", 2}, {"d31", 2}, {"d11", 1}}},
		{"pool.min_free", false, 200, 7, 7, 1, []Ranked{{"d41", 1}, {"d42", 1}, {"d43", 1}, {"d44", 1}, {"d45", 1}}},
		{"disconnects", false, 200, 0, 0, 0, []Ranked{}},
	} {
		if got := find(want.Name); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if got := spread(devices[:1]); got != nil {
		t.Errorf("of one device: %+v", got)
	}
}
