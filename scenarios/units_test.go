package scenarios

import (
	"encoding"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestUnitsAreReadAndWritten(t *testing.T) {
	for _, c := range []struct {
		value encoding.TextUnmarshaler
		text  string
		want  any
		back  string
	}{
		{new(Duration), "100ms", Duration(100 * time.Millisecond), "100ms"},
		{new(Duration), "1.5s", Duration(1500 * time.Millisecond), "1500ms"},
		{new(Duration), "1m30s", Duration(90 * time.Second), "90s"},
		{new(Duration), "2h", Duration(2 * time.Hour), "2h"},
		{new(Duration), "10 ms", Duration(10 * time.Millisecond), "10ms"},
		{new(Duration), "0", Duration(0), "0s"},
		{new(Pause), "never", Pause(0), "never"},
		{new(Pause), "2s", Pause(2 * time.Second), "2s"},
		{new(Rate), "64kbit", Rate(64000), "64kbit"},
		{new(Rate), "64kbit/s", Rate(64000), "64kbit"},
		{new(Rate), "1.5Mbit", Rate(1500000), "1500kbit"},
		{new(Rate), "9600bit", Rate(9600), "9600bit"},
		{new(Rate), "unlimited", Rate(0), "unlimited"},
		{new(Size), "30kB", Size(30000), "30kB"},
		{new(Size), "2KiB", Size(2048), "2KiB"},
		{new(Size), "1536", Size(1536), "1536B"},
		{new(Percent), "2%", Percent(0.02), "2%"},
		{new(Percent), "0.01%", Percent(0.0001), "0.01%"},
		{new(Percent), "100%", Percent(1), "100%"},
		{new(Percent), "0", Percent(0), "0%"},
		{new(MAC), "02:00:5e:10:00:FF", MAC{2, 0, 0x5e, 0x10, 0, 255}, "02:00:5e:10:00:ff"},
	} {
		if err := c.value.UnmarshalText([]byte(c.text)); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		v := reflect.ValueOf(c.value).Elem()
		if v.Interface() != c.want || text(v) != c.back {
			t.Errorf("%s became %v, written %s, want %v, %s", c.text, v, text(v), c.want, c.back)
		}
	}
}

func TestEveryUnitValueIsReadBackAsItWasWritten(t *testing.T) {
	again := func(t *rapid.T, v, into any) {
		s := text(reflect.ValueOf(v))
		if err := into.(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if got := reflect.ValueOf(into).Elem().Interface(); got != v {
			t.Fatalf("%v was written %s and read as %v", v, s, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		again(t, Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "duration")), new(Duration))
		again(t, Pause(rapid.Int64Range(0, math.MaxInt64).Draw(t, "pause")), new(Pause))
		again(t, Rate(rapid.Uint64Range(0, math.MaxInt64).Draw(t, "rate")), new(Rate))
		again(t, Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size")), new(Size))
		again(t, Percent(rapid.Float64Range(minPercent, 1).Draw(t, "percent")), new(Percent))
		again(t, Percent(float64(rapid.IntRange(0, 10000).Draw(t, "hundredths"))/10000), new(Percent))
	})
}

func TestValuesThatAreNoUnitsAreRefused(t *testing.T) {
	for _, c := range []struct {
		value encoding.TextUnmarshaler
		texts []string
	}{
		{new(Duration), []string{"", "s", "1", "-1s", "1x", "1..2s", ".s", "1s2", "1e3s", "3000000h", "1ss", "never", "99999999999999999999999999999999999s"}},
		{new(Pause), []string{"0s", "0", "often"}},
		{new(Rate), []string{"", "64", "0bit", "64kbps", "1kbit2", "-1bit", "0.5bit"}},
		{new(Size), []string{"", "1.5", "1.5B", "kB", "-1B", "1kb", "1B1B"}},
		{new(Percent), []string{"", "%", "2", "0.02", "-1%", "100.1%", "1%%", "NaN%", "1e1%", "0.0000000000001%"}},
		{new(MAC), []string{"", "02:00:00:00:00", "02:00:00:00:00:0", "02:00:00:00:00:gg", "0200:00:00:00:00:00"}},
		{new(QoS), []string{"", "3", "-1", "one"}},
		{new(AnyQoS), []string{"", "4", "-1", "two"}},
	} {
		for _, text := range c.texts {
			if err := c.value.UnmarshalText([]byte(text)); err == nil {
				t.Errorf("%T took %q", c.value, text)
			}
		}
	}
}
