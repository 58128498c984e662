package emu

import (
	"context"
	"strings"
	"testing"
	"time"

	"hilnet/scenarios"
)

// A watch whose reader is slow misses moments and says how many; its counts miss
// nothing, and the run is the same.
func TestASlowWatchMissesMomentsAndCountsThem(t *testing.T) {
	sc := open(t, "link-drop")
	alone := record(t, sc, Options{})
	run := func(most int) (*recording, *Watch) {
		dir := t.TempDir()
		w, err := New(sc, Options{Out: dir})
		if err != nil {
			t.Fatal(err)
		}
		v := w.Watch()
		v.most = most
		result, err := w.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return &recording{result, dir, nil}, v
	}
	seen, all := run(1 << 20)
	moments, missed, more := all.Take()
	if missed > 0 || more || len(moments) < 500 {
		t.Fatalf("%d moments, %d missed, more: %v", len(moments), missed, more)
	}
	for i := range moments {
		if moments[i].Missed > 0 || i > 0 && moments[i].At < moments[i-1].At {
			t.Fatalf("moment %d: %+v", i, moments[i])
		}
	}
	slow, few := run(100)
	got, missed, _ := few.Take()
	if len(got) != 100 || missed != uint64(len(moments)-100) {
		t.Errorf("%d moments, and %d missed, of %d", len(got), missed, len(moments))
	}
	c := few.Counts()
	if c.Missed != missed || !c.Ended || c.Published != uint64(alone.Outcome.Published) || c.Acked != uint64(alone.Outcome.Acknowledged) ||
		c.Connected != uint64(alone.Outcome.Connects) || c.Drops["loss"] != uint64(alone.Outcome.Drops.Reason["loss"]) {
		t.Errorf("%+v", c)
	}
	if up := &alone.Outcome.Links[0].Up; c.Links[0].Steps[FrameEntered] != uint64(up.Entered) || c.Links[0].Steps[FrameLeft] != uint64(up.Arrived) {
		t.Errorf("%+v, %+v", c.Links[0], up)
	}
	if p := c.Pools[0]; p.Low != int64(alone.Outcome.Devices[0].Pool.MinFree) {
		t.Errorf("the pool's lowest level is %d, was %d", p.Low, alone.Outcome.Devices[0].Pool.MinFree)
	}
	for _, r := range []*recording{seen, slow} {
		if !same(t, alone.dir, r.dir) {
			t.Errorf("the run differs from one that nobody watches")
		}
	}
}

// byHandIn is a short run in real time.
const byHandIn = `
version: 1
name: hand
clock: real
speed: 10
duration: 5m
devices:
  - profile: netx
    mqtt: {client_id: a, keepalive: 30s}
    steps: [connect, {every: {period: 1s, do: [{publish: {topic: t, payload: x, qos: 1}}]}}]
broker: {kind: model}
timeline:
  - {at: 4m, do: blackhole, for: 30s}
`

// session starts a run in real time and returns its session once it goes on.
func session(t *testing.T, text string) (*Session, func() *Result) {
	t.Helper()
	w, err := New(load(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.ByHand()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(scenarios.Action{Do: scenarios.Blackhole}); err == nil || !strings.Contains(err.Error(), "not begun") {
		t.Errorf("before the run: %v", err)
	}
	done := make(chan *Result, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		r, _ := w.Run(ctx)
		done <- r
	}()
	for strings.Contains(s.End(0).Error(), "not begun") {
		time.Sleep(time.Millisecond)
	}
	return s, func() *Result { stop(); return <-done }
}

// What no timeline could hold is refused, with the reason.
func TestWhatNoTimelineCanHoldIsNotDoneByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes real time")
	}
	s, end := session(t, byHandIn)
	begin := func(a scenarios.Action) error { _, err := s.Begin(a); return err }
	for want, a := range map[string]scenarios.Action{
		"leave out at":            {Do: scenarios.Blackhole, At: scenarios.Duration(time.Second)},
		"leave out at, every":     {Do: scenarios.Blackhole, Every: scenarios.Duration(time.Second)},
		"no link is called":       {Do: scenarios.Blackhole, Link: "nowhere"},
		"blackhole of the scenar": {Do: scenarios.Blackhole, For: scenarios.Duration(time.Hour)},
		"has only":                {Do: scenarios.Leak, Packets: 60000},
	} {
		if err := begin(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, wants %s", a.Do, err, want)
		}
	}
	if err := begin(scenarios.Action{Do: scenarios.BrokerCrash}); err != nil {
		t.Error(err)
	}
	if err := begin(scenarios.Action{Do: scenarios.BrokerCrash}); err == nil || !strings.Contains(err.Error(), "still holds") {
		t.Errorf("a second crash: %v", err)
	}
	if err := s.End(77); err == nil {
		t.Error("what never began ends")
	}
	for _, on := range []bool{true, true, false, false} {
		if err := s.Pause(on); err != nil || s.Paused() != on {
			t.Errorf("pause %v: %v", on, err)
		}
	}
	if r := end(); r.Verdict != Interrupted {
		t.Error(r.Verdict)
	}
	if err := begin(scenarios.Action{Do: scenarios.Blackhole}); err == nil {
		t.Error("something begins behind the run")
	}
	if err := s.Pause(true); err == nil {
		t.Error("what is over pauses")
	}
	text, err := s.Scenario()
	if err != nil || !strings.Contains(string(text), "broker_crash") {
		t.Errorf("%s %v", text, err)
	}
}

// A run that stands still can be ended, and nothing of it passes meanwhile.
func TestAPausedRunEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes real time")
	}
	s, end := session(t, byHandIn)
	if err := s.Pause(true); err != nil {
		t.Fatal(err)
	}
	first, err := s.Begin(scenarios.Action{Do: scenarios.SetLoss, Loss: 1})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	second, err := s.Begin(scenarios.Action{Do: scenarios.SetRate})
	if err != nil {
		t.Fatal(err)
	}
	all := s.Entries()
	if a, b := all[first-1].At, all[second-1].At; a != b || a == 0 {
		t.Errorf("a pause lasts from %v to %v", a, b)
	}
	if r := end(); r.Verdict != Interrupted || r.Length > all[first-1].At.Add(time.Second) {
		t.Errorf("%s after %v", r.Verdict, r.Length)
	}
}

// In virtual time, and with real parts, the reason is told.
func TestWhereNothingIsDoneByHandTheReasonIsTold(t *testing.T) {
	w, err := New(open(t, "clean-link"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ByHand(); err == nil || !strings.Contains(err.Error(), "virtual time") {
		t.Error(err)
	}
	w, err = New(open(t, "tap-mosquitto"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.ByHand()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(true); err == nil || !strings.Contains(err.Error(), "real") {
		t.Error(err)
	}
}
