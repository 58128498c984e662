package frames

import (
	"testing"
	"time"

	"hilnet/sim"
)

func due(t *testing.T, cfg ScheduleConfig, at ...time.Duration) []time.Duration {
	t.Helper()
	s, err := NewSchedule(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all []time.Duration
	for _, a := range at {
		all = append(all, s.Due(1_700_000_000_000_000_000+int64(a), 125).Sub(0))
	}
	return all
}

func TestASchedule(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		cfg  ScheduleConfig
		at   []time.Duration
		want []time.Duration
	}{
		{"as captured", ScheduleConfig{}, []time.Duration{0, 1, 5 * ms}, []time.Duration{0, 1, 5 * ms}},
		{"twice as fast", ScheduleConfig{Speed: 2}, []time.Duration{7, 8 * ms, 10*ms + 7}, []time.Duration{0, 4*ms - 3, 5 * ms}},
		{"time goes back", ScheduleConfig{}, []time.Duration{0, 9 * ms, 3 * ms, 10 * ms}, []time.Duration{0, 9 * ms, 9 * ms, 10 * ms}},
		{"long waits are shortened", ScheduleConfig{MaxSleep: 2 * ms}, []time.Duration{0, ms, 9 * ms, 10 * ms}, []time.Duration{0, ms, 3 * ms, 4 * ms}},
		{"packets a second", ScheduleConfig{Timing: Rate, PacketsPerSecond: 3}, []time.Duration{0, 0, 0, 9}, []time.Duration{0, 333333333, 666666667, time.Second}},
		{"bits a second", ScheduleConfig{Timing: Rate, BitsPerSecond: 1_000_000}, []time.Duration{0, 0, 9}, []time.Duration{0, ms, 2 * ms}},
		{"top speed", ScheduleConfig{Timing: TopSpeed}, []time.Duration{0, ms, 9 * ms}, []time.Duration{0, 0, 0}},
	} {
		got := due(t, c.cfg, c.at...)
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: frame %d is due at %v, want %v", c.name, i+1, got[i], c.want[i])
			}
		}
	}
}

func TestRoundingDoesNotAddUp(t *testing.T) {
	s, err := NewSchedule(ScheduleConfig{Speed: 3})
	if err != nil {
		t.Fatal(err)
	}
	var last sim.Time
	for i := range int64(3_000_001) {
		last = s.Due(i*100, 60)
	}
	if want := sim.Time(100_000_000); last != want {
		t.Errorf("frame 3,000,001 is due at %v, want %v", last, want)
	}
	s, _ = NewSchedule(ScheduleConfig{Timing: Rate, BitsPerSecond: 999_999_937})
	for range 1_000_001 {
		last = s.Due(0, 125)
	}
	if want := sim.Time(1_000_000_063); last != want { // 10^9 bits at 999,999,937 bit/s
		t.Errorf("the last frame is due at %v, want %v", last, want)
	}
}

func TestAnotherPassBeginsAfterTheLastFrame(t *testing.T) {
	s, err := NewSchedule(ScheduleConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s.Due(1000, 60)
	s.Due(3000, 60)
	s.Again(500)
	if got := s.Due(1000, 60); got != 2500 {
		t.Errorf("the second pass begins at %d, want 2500", got)
	}
	if got := s.Due(3000, 60); got != 4500 {
		t.Errorf("its second frame is due at %d, want 4500", got)
	}
}

func TestTimesBeyondAllRangesStayInRange(t *testing.T) {
	s, err := NewSchedule(ScheduleConfig{Speed: MinSpeed})
	if err != nil {
		t.Fatal(err)
	}
	s.Due(-1<<63, 60)
	if got := s.Due(1<<63-1, 60); got != maxOffset {
		t.Errorf("due at %d, want the limit %d", got, int64(maxOffset))
	}
	if got := s.Due(1<<63-1, 60); got != maxOffset {
		t.Errorf("due at %d, want the limit %d", got, int64(maxOffset))
	}
}

func TestAScheduleThatMeansNothingIsRefused(t *testing.T) {
	for _, c := range []ScheduleConfig{
		{Speed: -1}, {Speed: 1e9}, {MaxSleep: -1}, {Timing: Rate}, {Timing: Rate, PacketsPerSecond: 1, BitsPerSecond: 1},
		{Timing: Rate, PacketsPerSecond: -2}, {Timing: Rate, BitsPerSecond: 1 << 60}, {Timing: numTiming},
	} {
		if _, err := NewSchedule(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
