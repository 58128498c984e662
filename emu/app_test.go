package emu

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

const appScenario = `
version: 1
name: app
duration: 10s
devices: [{name: device, app: firmware}]
links: [delay: 10ms]
broker: {kind: model}
`

var brokerAt = netip.MustParseAddrPort("10.0.0.1:1883")

// publishes connects and publishes a message every second.
func publishes(t *sim.Task, c *mqtt.Client) {
	c.Connect(brokerAt, 60, true, 500)
	for n := 0; ; n++ {
		c.Publish("telemetry", fmt.Append(nil, "message ", n), false, 1, 100)
		t.Sleep(time.Second)
	}
}

func TestAnAppPublishesAndTheBrokerHasIt(t *testing.T) {
	sc := load(t, appScenario+`expect: [published == 10, delivered == published, acknowledged == published]`)
	r, err := Run(t.Context(), sc, Options{Apps: map[string]App{"firmware": publishes}})
	if err != nil || r.Verdict != Pass {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestAnAppThatNobodyRegisteredIsALoadError(t *testing.T) {
	_, err := New(load(t, appScenario), Options{Apps: map[string]App{"other": publishes}})
	if err == nil || !strings.Contains(err.Error(), `no app "firmware"`) || !strings.Contains(err.Error(), "Options.Apps") {
		t.Errorf("error %v", err)
	}
}

// A bug in an App, or in hilnet, must end the run and not hang it; the files
// hold what happened before.
func TestAPanicInAnAppReachesTheCallerAndLeavesReadableFiles(t *testing.T) {
	out := t.TempDir()
	explodes := func(task *sim.Task, c *mqtt.Client) {
		c.Connect(brokerAt, 60, true, 500)
		task.Sleep(time.Second)
		panic("firmware bug")
	}
	got := func() (p any) {
		defer func() { p = recover() }()
		r, err := Run(t.Context(), load(t, appScenario), Options{Out: out, Apps: map[string]App{"firmware": explodes}})
		return fmt.Sprint("no panic: ", r, err)
	}()
	if !strings.Contains(fmt.Sprint(got), "firmware bug") {
		t.Errorf("recovered %v", got)
	}
	all := readTrace(t, out+"/app.trace.jsonl")
	if last := all[len(all)-1]; last.Kind != trace.KindConnected && last.Kind != trace.KindBrokerConnected {
		t.Errorf("the trace ends with %+v", last)
	}
}

func TestAWorldRunsOnce(t *testing.T) {
	w, err := New(open(t, "clean-link"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Run(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("a second run: %v", err)
	}
	if err := w.Do(scenarios.Action{Do: scenarios.Blackhole}); !errors.Is(err, ErrEnded) {
		t.Errorf("an action after the run: %v", err)
	}
}

func TestARunLeavesTheScenarioAsItWas(t *testing.T) {
	sc := open(t, "link-drop")
	before, err := sc.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), sc, Options{Seed: seedOf(99)}); err != nil {
		t.Fatal(err)
	}
	if after, err := sc.Resolved(); err != nil || string(before) != string(after) {
		t.Errorf("%v; before:\n%s\nafter:\n%s", err, before, after)
	}
}

// What does not fit the buffer is counted, and what does comes in order.
func TestAnObservationHoldsItsBufferAndCountsTheRest(t *testing.T) {
	w, err := New(open(t, "clean-link"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	small, large := w.Observe(10), w.Observe(100_000)
	r, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    *Observation
		want uint64
	}{{small, 10}, {large, r.Events}} {
		n := uint64(0)
		for e := range c.o.Events() { // closed at the end of the run
			if n++; e.Seq != n {
				t.Fatalf("event %d is number %d of the trace", n, e.Seq)
			}
		}
		if n != c.want || c.o.Dropped() != r.Events-c.want {
			t.Errorf("%d events and %d dropped, of %d", n, c.o.Dropped(), r.Events)
		}
	}
}

func TestDoBeforeRunStandsInTheTimeline(t *testing.T) {
	r := doBlackhole(t, 3*time.Second, nil)
	if at := r.actions(); fmt.Sprint(at) != "[3s blackhole up for 2s 5s end of blackhole up for 2s]" {
		t.Errorf("actions: %v", at)
	}
}

func TestDoFromAnAppHappensAtOnce(t *testing.T) {
	r := doBlackhole(t, 0, func(task *sim.Task, do func()) {
		task.Sleep(4 * time.Second)
		do()
		task.Sleep(time.Hour)
	})
	if at := r.actions(); fmt.Sprint(at) != "[4s blackhole up for 2s 6s end of blackhole up for 2s]" {
		t.Errorf("actions: %v", at)
	}
}

// doBlackhole runs two devices, one of which publishes; the way up of its link
// is cut for two seconds by Do, before the run or from the other's App. The cut
// must be felt.
func doBlackhole(t *testing.T, at time.Duration, from func(*sim.Task, func())) *recording {
	t.Helper()
	sc := load(t, `
version: 1
name: do
duration: 10s
devices: [{name: device, app: firmware}, {name: hand, app: hand}]
links: [{device: device, delay: 10ms}]
broker: {kind: model}
`)
	cut := scenarios.Action{
		At: scenarios.Duration(at), For: scenarios.Duration(2 * time.Second),
		Do: scenarios.Blackhole, Link: "link-device", Way: scenarios.Up,
	}
	var w *World
	do := func() {
		if err := w.Do(cut); err != nil {
			t.Error(err)
		}
	}
	hand := func(task *sim.Task, _ *mqtt.Client) {
		if from != nil {
			from(task, do)
		}
	}
	opt := Options{Out: t.TempDir(), Apps: map[string]App{"firmware": publishes, "hand": hand}}
	w, err := New(sc, opt)
	if err != nil {
		t.Fatal(err)
	}
	if from == nil {
		do()
	}
	result, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{result, opt.Out, readTrace(t, opt.Out+"/do.trace.jsonl")}
	way := result.Outcome.Links[0].Up
	if way.Reason["blackhole"] == 0 || result.Outcome.Links[0].Down.Reason["blackhole"] > 0 {
		t.Errorf("drops up %v, down %v", way.Reason, result.Outcome.Links[0].Down.Reason)
	}
	return r
}

// actions returns time and text of the action events.
func (r *recording) actions() []string {
	var all []string
	for _, e := range r.events {
		if e.Kind == trace.KindAction {
			all = append(all, fmt.Sprint(time.Duration(e.T), " ", e.Text))
		}
	}
	return all
}

func TestDoRefusesWhatAFileCouldNotSay(t *testing.T) {
	w, err := New(open(t, "clean-link"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []scenarios.Action{
		{},
		{Do: "explode"},
		{Do: scenarios.Blackhole, Link: "no-such-link"},
		{Do: scenarios.Leak, Packets: 17},
		{Do: scenarios.Blackhole, At: scenarios.Duration(time.Hour)},
		{Do: scenarios.BrokerPublish},
	} {
		var errs scenarios.Errors
		if err := w.Do(a); !errors.As(err, &errs) {
			t.Errorf("%+v: error %v", a, err)
		}
	}
}

// In real time any goroutine may act. Here one does when it hears of the first
// publish.
func TestDoFromAnotherGoroutineInRealTime(t *testing.T) {
	linktest.NoLeaks(t)
	sc := load(t, strings.Replace(appScenario, "duration: 10s", "duration: 10s\nclock: real\nspeed: 50", 1))
	opt := Options{Out: t.TempDir(), Apps: map[string]App{"firmware": publishes}}
	w, err := New(sc, opt)
	if err != nil {
		t.Fatal(err)
	}
	o := w.Observe(1000)
	done := make(chan error)
	go func() {
		acted := error(errors.New("nothing was published"))
		for e := range o.Events() {
			if e.Kind == trace.KindPublish && acted != nil {
				acted = w.Do(scenarios.Action{Do: scenarios.SetLoss, Loss: 1})
			}
		}
		done <- acted
	}()
	result, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := &recording{result, opt.Out, readTrace(t, opt.Out+"/app.trace.jsonl")}
	if len(r.actions()) != 1 || result.Outcome.Drops.Reason["loss"] == 0 {
		t.Errorf("actions %v, drops %v", r.actions(), result.Outcome.Drops.Reason)
	}
}

func TestACancelledRunSaysSoAndLeavesWholeFiles(t *testing.T) {
	linktest.NoLeaks(t)
	why := errors.New("the caller has seen enough")
	for name, cancelled := range map[string]func(*World) context.Context{
		"in the middle": func(w *World) context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			w.onStart(func() error { w.loop.At(sim.Time(30*time.Second), func() { cancel(why) }); return nil })
			return ctx
		},
		"before its start": func(*World) context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(why)
			return ctx
		},
	} {
		sc := open(t, "link-drop")
		sc.Duration = scenarios.Duration(8000 * time.Hour) // never over before the cancellation is seen
		sc.Devices[0].Steps[1].Every.For = 0
		opt := Options{Out: t.TempDir()}
		w, err := New(sc, opt)
		if err != nil {
			t.Fatal(err)
		}
		result, err := w.Run(cancelled(w))
		if !errors.Is(err, why) || result.Verdict != Interrupted || len(result.Checks) > 0 {
			t.Errorf("%s: error %v, verdict %s, %d checks", name, err, result.Verdict, len(result.Checks))
		}
		checkWhole(t, opt.Out, sc.Name)
		all := readTrace(t, opt.Out+"/link-drop.trace.jsonl")
		if last := all[len(all)-1]; last.Kind != trace.KindEnd || last.Text != "interrupted" {
			t.Errorf("%s: the trace ends with %+v", name, last)
		}
	}
}

// Nothing is left behind: neither a goroutine nor, where there is no folder to
// write to, a file.
func TestARunLeavesNothingBehind(t *testing.T) {
	for _, clock := range []string{"clock: virtual", "clock: real\nspeed: 1000"} {
		t.Run(strings.Fields(clock)[1], func(t *testing.T) {
			linktest.NoLeaks(t)
			t.Chdir(t.TempDir())
			for range 3 {
				sc := load(t, strings.Replace(fleet, "duration: 5s", "duration: 5s\n"+clock, 1))
				if _, err := Run(t.Context(), sc, Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
				t.Errorf("files %v, %v", left, err)
			}
		})
	}
}
