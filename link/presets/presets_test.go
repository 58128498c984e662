package presets_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/link/presets"
	"hilnet/link/radio"
	"hilnet/link/traces"
	"hilnet/sim"
)

func ExampleFind() {
	p, err := presets.Find("gprs")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Title, p.Up.Delay)
	for _, f := range p.Facts[:2] {
		fmt.Println(f.Of, f.Basis)
	}
	// Output:
	// GPRS 650ms
	// rate quoted
	// delay quoted
}

// build makes a link of a preset.
func build(t *testing.T, p presets.Preset, seed uint64) (*sim.Loop, *link.Link) {
	t.Helper()
	up, down, err := p.Link()
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Seed: seed})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: p.Name, Up: up, Down: down})
	if err != nil {
		t.Fatal(err)
	}
	if p.Radio != (radio.Config{}) {
		if _, err := radio.Add(loop, nil, l, p.Radio); err != nil {
			t.Fatal(err)
		}
	}
	return loop, l
}

// Every preset is a link that carries frames, has all it needs, and says what
// each of its numbers rests on.
func TestPresetsAreLinksAndSayWhereTheyAreFrom(t *testing.T) {
	want := []string{"nb-iot-ce0", "nb-iot-ce1", "nb-iot-ce2", "lte-m", "lte-cat1", "3g", "edge", "gprs", "lora", "ieee802154", "ble", "geo", "leo", "wifi-congested", "wired"}
	var names []string
	for _, p := range presets.All() {
		names = append(names, p.Name)
		if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(p.Name) || p.Title == "" || p.MTU < 51 {
			t.Errorf("%+v", p)
		}
		told := func(what string) bool {
			return slices.ContainsFunc(p.Facts, func(f presets.Fact) bool { return strings.HasPrefix(f.Of, what) })
		}
		for _, what := range []string{"delay", "rate", "loss", "mtu"} {
			if !told(what) {
				t.Errorf("%s: nothing tells where %s is from", p.Name, what)
			}
		}
		if p.Up.Jitter > 0 && !told("jitter") || p.Radio.Wake > 0 && !told("wake-up") || p.Radio.Paging > 0 && !told("cycles") {
			t.Errorf("%s: %+v", p.Name, p.Facts)
		}
		for _, f := range p.Facts {
			if f.Source == "" || f.Basis != presets.Measured && f.Basis != presets.Quoted && f.Basis != presets.Assumed {
				t.Errorf("%s: %+v", p.Name, f)
			}
		}
		if p.Trace != "" {
			if _, err := traces.Load(p.Trace); err != nil {
				t.Error(err)
			}
		}
		loop, l := build(t, p, 1)
		up, down := 0, 0
		l.Connect(link.SinkFunc(func(f *link.Frame) { down++; f.Release() }), link.SinkFunc(func(f *link.Frame) { up++; f.Release() }))
		for i := range 20 {
			loop.At(sim.Time(i)*120e9, func() { l.Up.Put(link.NewFrame(14 + 60)); l.Down.Put(link.NewFrame(14 + 60)) })
		}
		if err := loop.Run(sim.Time(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := l.Check(); err != nil || up < 17 || down < 17 {
			t.Errorf("%s: %d of 20 up, %d down: %v", p.Name, up, down, err)
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
	if _, err := presets.Find("nothing"); err == nil || !strings.Contains(err.Error(), "wired") {
		t.Error(err)
	}
}

// From idle, a small packet over NB-IoT takes what was measured: the wake-up and
// the connected delay together, and the time at the rate.
func TestNBIoTTakesWhatWasMeasured(t *testing.T) {
	for _, v := range []struct {
		name   string
		median float64
		p95    float64
	}{{"nb-iot-ce0", 1.74, 2.75}, {"nb-iot-ce1", 2.07, 5.0}, {"nb-iot-ce2", 4.26, 10.2}} {
		p, err := presets.Find(v.name)
		if err != nil {
			t.Fatal(err)
		}
		loop, l := build(t, p, 3)
		var delays []float64
		l.Connect(nil, link.SinkFunc(func(f *link.Frame) {
			delays = append(delays, loop.Now().Sub(f.Entered).Seconds())
			f.Release()
		}))
		const n = 4000
		for i := range n {
			loop.At(sim.Time(i)*60e9, func() { l.Up.Put(link.NewFrame(14 + 20)) })
		}
		if err := loop.Run(sim.Never); err != nil {
			t.Fatal(err)
		}
		slices.Sort(delays)
		airtime := 20 * 8 / float64(p.Up.RateBitsPerSecond)
		for _, q := range []struct{ p, want float64 }{{.5, v.median}, {.95, v.p95}} {
			got := delays[int(q.p*float64(len(delays)))]
			if math.Abs(got-airtime-q.want) > 0.06*q.want {
				t.Errorf("%s: %.0f %% quantile %.2f s, want %.2f s", v.name, 100*q.p, got, q.want)
			}
		}
	}
}
