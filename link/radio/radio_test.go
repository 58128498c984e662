package radio_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/link/radio"
	"hilnet/sim"
	"hilnet/trace"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

type world struct {
	t      testing.TB
	loop   *sim.Loop
	link   *link.Link
	radio  *radio.Radio
	left   []string // way, ordinal, moment
	states []string
	drops  []trace.Event
}

func newWorld(t testing.TB, cfg radio.Config) *world {
	t.Helper()
	w := &world{t: t, loop: sim.NewLoop(sim.Config{Seed: 1})}
	log := trace.NewLog(w.loop.Now)
	log.Subscribe(func(e *trace.Event) {
		switch e.Kind {
		case trace.KindDrop:
			w.drops = append(w.drops, *e)
		case trace.KindLink:
			w.states = append(w.states, fmt.Sprintf("%s@%v", strings.TrimPrefix(e.Text, "radio "), time.Duration(e.T)))
		}
	})
	l, err := link.New(link.World{Loop: w.loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		t.Fatal(err)
	}
	if w.radio, err = radio.Add(w.loop, log, l, cfg); err != nil {
		t.Fatal(err)
	}
	sink := func(way string) link.Sink {
		return link.SinkFunc(func(f *link.Frame) {
			w.left = append(w.left, fmt.Sprintf("%s%d@%v", way, f.Ordinal, time.Duration(w.loop.Now())))
			f.Release()
		})
	}
	l.Connect(sink("down"), sink("up"))
	w.link = l
	return w
}

func (w *world) up(at time.Duration) {
	w.loop.At(sim.Time(at), func() { w.link.Up.Put(link.NewFrame(60)) })
}

func (w *world) down(at time.Duration) {
	w.loop.At(sim.Time(at), func() { w.link.Down.Put(link.NewFrame(60)) })
}

func (w *world) run(until time.Duration) {
	w.t.Helper()
	if err := w.loop.Run(sim.Time(until)); err != nil {
		w.t.Fatal(err)
	}
	if err := w.link.Check(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) want(left, states string) {
	w.t.Helper()
	if got := strings.Join(w.left, " "); got != left {
		w.t.Errorf("left %s\nwant %s", got, left)
	}
	if got := strings.Join(w.states, " "); got != states {
		w.t.Errorf("states %s\n  want %s", got, states)
	}
}

func ExampleAdd() {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = radio.Add(loop, nil, l, radio.Config{
		Inactivity: 20 * time.Second, Wake: 300 * time.Millisecond, Paging: 2560 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	l.Connect(link.SinkFunc(func(f *link.Frame) {
		fmt.Println("the device has it at", loop.Now())
		f.Release()
	}), nil)
	loop.At(1e9, func() { l.Down.Put(link.NewFrame(60)) })
	if err := loop.Run(sim.Never); err != nil {
		fmt.Println(err)
	}
	// Output: the device has it at 2.860000000s
}

// Idle, a frame up waits for the wake-up; the connection lasts while frames
// pass and Inactivity longer.
func TestSendingWakesTheRadio(t *testing.T) {
	w := newWorld(t, radio.Config{Inactivity: 10 * sec, Wake: 500 * ms, Paging: 2560 * ms})
	w.up(1 * sec)
	w.up(1200 * ms)
	w.down(1300 * ms) // comes along with the connection, without a page
	w.up(5 * sec)
	w.down(12 * sec)
	w.up(40 * sec)
	w.run(60 * sec)
	w.want("up1@1.5s down1@1.5s up2@1.5s up3@5s down2@12s up4@40.5s",
		"waking@1s connected@1.5s idle@22s waking@40s connected@40.5s idle@50.5s")
	if c := w.radio.Counters(); c.Wakes != 2 || c.Pages != 0 || c.Waking != sec || c.Connected != 30500*ms || c.Idle != (1+18)*sec+9500*ms {
		t.Errorf("%+v", c)
	}
}

// What comes down to an idle device waits for the next occasion of its cycle and
// then for the wake-up. An occasion at the very moment counts.
func TestPagesComeOnTheirGrid(t *testing.T) {
	w := newWorld(t, radio.Config{Inactivity: sec, Wake: 100 * ms, Paging: 2 * sec, Offset: 300 * ms})
	w.down(100 * ms)  // the first is at 0.3 s
	w.down(3 * sec)   // 4.3 s
	w.down(6300 * ms) // 6.3 s
	w.down(6301 * ms) // while it wakes
	w.down(8301 * ms) // 10.3 s
	w.run(20 * sec)
	w.want("down1@400ms down2@4.4s down3@6.4s down4@6.4s down5@10.4s",
		"waking@300ms connected@400ms idle@1.4s waking@4.3s connected@4.4s idle@5.4s waking@6.3s connected@6.4s idle@7.4s waking@10.3s connected@10.4s idle@11.4s")
	if c := w.radio.Counters(); c.Pages != 4 {
		t.Errorf("%+v", c)
	}
}

// A page that is waited for is not needed any more when the device sends first.
func TestSendingOvertakesThePage(t *testing.T) {
	w := newWorld(t, radio.Config{Inactivity: sec, Wake: 100 * ms, Paging: 20480 * ms})
	w.down(1 * sec)
	w.up(5 * sec)
	w.run(30 * sec)
	w.want("up1@5.1s down1@5.1s", "waking@5s connected@5.1s idle@6.1s")
}

// In PSM nothing reaches the device until it sends or wakes to update its
// tracking area.
func TestASleepingDeviceIsReachedWhenItWakes(t *testing.T) {
	cfg := radio.Config{Inactivity: 2 * sec, Wake: 100 * ms, Paging: sec, Active: 6 * sec, Sleep: 60 * sec}
	w := newWorld(t, cfg)
	w.down(7 * sec) // sleeps since 6 s
	w.down(8 * sec)
	w.run(70 * sec)
	w.want("down1@1m6.1s down2@1m6.1s", "sleeping@6s waking@1m6s connected@1m6.1s idle@1m8.1s")
	if c := w.radio.Counters(); c.Updates != 1 || c.Sleeps != 1 || c.Sleeping != 60*sec {
		t.Errorf("%+v", c)
	}

	w = newWorld(t, cfg)
	w.down(7 * sec)
	w.up(20 * sec)
	w.down(26 * sec) // idle since 22.1 s, and active until 28.1 s
	w.run(30 * sec)
	w.want("up1@20.1s down1@20.1s down2@26.1s",
		"sleeping@6s waking@20s connected@20.1s idle@22.1s waking@26s connected@26.1s idle@28.1s")
}

// A connected device that has been quiet listens once a cycle.
func TestAConnectedDeviceListensInItsCycle(t *testing.T) {
	w := newWorld(t, radio.Config{ConnectedDRX: 320 * ms})
	w.up(1 * sec)
	w.down(1100 * ms) // 100 ms after a frame: it listens
	w.down(1700 * ms) // 600 ms after: the cycle of 640 ms
	w.down(1710 * ms)
	w.run(5 * sec)
	w.want("up1@1s down1@1.1s down2@1.74s down3@1.74s", "")
}

func TestTheRadioHasALimitAndSaysSo(t *testing.T) {
	w := newWorld(t, radio.Config{Inactivity: sec, Wake: 100 * ms, Paging: 10 * sec, Queue: 2, Offset: 5 * sec})
	for i := range 5 {
		w.down(time.Duration(i+1) * ms)
	}
	for range 3 {
		w.up(15 * sec)
	}
	w.run(20 * sec)
	if len(w.left) != 4 || len(w.drops) != 3+1 {
		t.Fatalf("left %v, %d drops", w.left, len(w.drops))
	}
	for _, e := range w.drops {
		if e.Reason != trace.DropQueueFull || !strings.HasSuffix(e.Stage, "/radio") || !strings.Contains(e.Text, "radio") {
			t.Errorf("%+v", e)
		}
	}
}

func TestTheZeroRadioIsNotThere(t *testing.T) {
	w := newWorld(t, radio.Config{})
	w.up(1 * sec)
	w.down(100 * sec)
	w.run(1000 * sec)
	w.want("up1@1s down1@1m40s", "")
	if w.radio.State() != radio.Connected {
		t.Error(w.radio.State())
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	for _, cfg := range []radio.Config{
		{Inactivity: -1}, {Inactivity: 1}, {Inactivity: 1000 * time.Hour}, {Wake: sec}, {Paging: sec}, {Inactivity: sec, Paging: 1},
		{Inactivity: sec, Active: sec}, {Queue: -1}, {Queue: 1 << 20}, {ConnectedDRX: 1}, {Inactivity: sec, Sleep: 1}, {Inactivity: sec, Offset: -1},
	} {
		loop := sim.NewLoop(sim.Config{})
		l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := radio.Add(loop, nil, l, cfg); err == nil {
			t.Errorf("%+v passes", cfg)
		}
	}
	w := newWorld(t, radio.Config{})
	if _, err := radio.Add(w.loop, nil, w.link, radio.Config{}); err == nil {
		t.Error("two radios of one link pass")
	}
}

// Whatever comes when, every frame is accounted for and each way keeps its order.
func FuzzRadio(f *testing.F) {
	f.Add([]byte{1, 5, 200, 17, 3, 90, 4, 0, 255, 8})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 6 || len(script) > 400 {
			return
		}
		d := func(b byte, unit time.Duration) time.Duration { return time.Duration(b) * unit }
		cfg := radio.Config{
			Inactivity: d(script[0], 20*ms) + ms, Wake: d(script[1], 5*ms), Paging: d(script[2], 30*ms), Sleep: d(script[3], 100*ms),
			ConnectedDRX: d(script[4], 10*ms), Offset: d(script[5], ms), Queue: 5,
		}
		if cfg.Sleep > 0 {
			cfg.Active = d(script[1], 7*ms)
		}
		w := newWorld(t, cfg)
		at := time.Duration(0)
		for _, b := range script[6:] {
			at += d(b>>1, 9*ms)
			if b&1 == 0 {
				w.up(at)
			} else {
				w.down(at)
			}
		}
		w.run(at + 200*sec)
		for _, p := range []*link.Path{w.link.Up, w.link.Down} {
			if c := p.Counters(); c.InFlight != 0 || c.In != c.Out+c.Dropped {
				t.Errorf("%+v: %+v", cfg, c)
			}
		}
		last := map[string]int{}
		for _, s := range w.left {
			var n int
			way := strings.TrimRight(s[:strings.Index(s, "@")], "0123456789")
			if _, err := fmt.Sscanf(s[len(way):], "%d@", &n); err != nil || n <= last[way] {
				t.Fatalf("%v: %s", err, strings.Join(w.left, " "))
			}
			last[way] = n
		}
	})
}

func TestStatesHaveNames(t *testing.T) {
	var names []string
	for s := radio.State(0); s <= radio.Sleeping; s++ {
		names = append(names, s.String())
	}
	if !slices.Equal(names, []string{"none", "idle", "waking", "connected", "sleeping"}) {
		t.Error(names)
	}
}
