package conformance

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
)

func ExampleRun() {
	rows, err := Run(Options{Seed: 1, Packets: 10_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rows[0].Model, "·", rows[0].Statistic, "·", rows[0].OK())
	// Output: netem, seed 42 · loss 10% · true
}

const checkPackets = 100_000

func TestConformanceOfEveryModel(t *testing.T) {
	rows, err := Run(Options{Seed: 1, Packets: checkPackets})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(Header())
	for _, r := range rows {
		t.Log(r)
		if !r.OK() {
			t.Errorf("wrong: %v", r)
		}
	}
	if len(rows) < 70 {
		t.Errorf("only %d rows", len(rows))
	}
}

func TestTooManyPacketsAreRefused(t *testing.T) {
	for _, n := range []int{-1, MaxPackets + 1} {
		if _, err := Run(Options{Packets: n}); err == nil {
			t.Errorf("%d packets pass", n)
		}
	}
}

func tcTable(sd func(int) int16) *link.Distribution {
	t := make(link.DistTable, 4096)
	for i := range t {
		t[i] = sd(i)
	}
	d, err := t.Distribution("wrong")
	if err != nil {
		panic(err)
	}
	return d
}

// Each of these is a mistake that an implementation can make, and some have made.
func TestConformanceFailsForWrongModels(t *testing.T) {
	spoiled(t, checkPackets, map[string]mistake{
		"a loss rate five per cent off":      {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Loss = .21 }},
		"losses that are not independent":    {"loss, uniform jitter", func(c *link.DirectionConfig) { c.LossCorrelation = .1 }},
		"uniform jitter with that deviation": {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Jitter.Spread = spread * 1732 / 1000 }},
		"order kept although it may change":  {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Jitter.Reorder = false }},
		"p and r exchanged": {"Gilbert, normal jitter", func(c *link.DirectionConfig) {
			c.Burst.GilbertElliott = &link.GilbertElliott{P: .3, R: .2, LossBad: 1}
		}},
		"the right rate without bursts": {"Gilbert, normal jitter", func(c *link.DirectionConfig) { c.Burst.GilbertElliott = nil; c.Loss = .4 }},
		"uniform instead of normal":     {"Gilbert, normal jitter", func(c *link.DirectionConfig) { c.Jitter.Distribution = nil }},
		"a normal distribution in coarse steps": {"Gilbert, normal jitter", func(c *link.DirectionConfig) {
			c.Jitter.Distribution = tcTable(func(i int) int16 { return int16((i/512 - 4) * 8192) })
		}},
		"1-h forgotten": {"Gilbert-Elliott, pareto", func(c *link.DirectionConfig) {
			g := *c.Burst.GilbertElliott
			g.LossBad = 1
			c.Burst.GilbertElliott = &g
		}},
		"pareto scaled by its variance":    {"Gilbert-Elliott, pareto", func(c *link.DirectionConfig) { c.Jitter.Spread = spread * 1155 / 1000 }},
		"p14 forgotten":                    {"four states", func(c *link.DirectionConfig) { s := *c.Burst.FourState; s.P14 = 0; c.Burst.FourState = &s }},
		"a correlation that has no effect": {"correlated", func(c *link.DirectionConfig) { c.LossCorrelation = 0 }},
		"jitter without its correlation":   {"correlated", func(c *link.DirectionConfig) { c.Jitter.Correlation = 0 }},
		"a shuffle that is only random":    {"shuffle, 3 of 20", func(c *link.DirectionConfig) { c.Burst.Shuffle = nil; c.Loss = .15 }},
		"quantiles one of which is wrong": {"quantiles", func(c *link.DirectionConfig) {
			c.Jitter.Distribution, _ = link.Quantiles([]link.Quantile{{P: 0, D: 0}, {P: .51, D: 4e6}, {P: 1, D: 12e6}})
		}},
		"duplicates of one in a hundred":     {"quantiles", func(c *link.DirectionConfig) { c.Duplicate.Probability = .01 }},
		"corruption of the first bytes only": {"quantiles", func(c *link.DirectionConfig) { c.Corrupt.To = 40 }},
		"a gap of one more":                  {"reorder .5, gap 5", func(c *link.DirectionConfig) { c.Reorder.Gap = 6 }},
		"an overhead of one byte":            {"rate 1 Mbit/s", func(c *link.DirectionConfig) { c.Shaper.OverheadBytes = 1 }},
		"conditions without a memory":        {"conditions", func(c *link.DirectionConfig) { c.Conditions = nil; c.Loss = .2 }},
		"conditions that always hold as long": {"conditions", func(c *link.DirectionConfig) {
			states := append([]link.Condition(nil), c.Conditions.States...)
			states[1].Fixed = true
			c.Conditions = &link.ConditionsConfig{States: states}
		}},
	})
}

// A mistake makes a model a wrong one.
type mistake struct {
	model string
	spoil func(*link.DirectionConfig)
}

// spoiled makes each mistake and wants a row that notices it.
func spoiled(t *testing.T, packets int, mistakes map[string]mistake) {
	t.Helper()
	all := models()
	for _, what := range slices.Sorted(maps.Keys(mistakes)) {
		c := mistakes[what]
		i := slices.IndexFunc(all, func(m model) bool { return m.name == c.model })
		if i < 0 {
			t.Fatalf("no model %q", c.model)
		}
		m := all[i]
		if packets < DefaultPackets {
			m.times = 1
		}
		rows, err := m.run(Options{Seed: 1, Packets: packets}, c.spoil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if !slices.ContainsFunc(rows, func(r Row) bool { return !r.OK() }) {
			t.Errorf("%s is not noticed: %v", what, rows)
		}
	}
}

// Each parameter, wrong by 2 %.
func TestConformanceNoticesTwoPerCent(t *testing.T) {
	linktest.Soak(t)
	const much = 1.02
	ge := func(change func(*link.GilbertElliott)) func(*link.DirectionConfig) {
		return func(c *link.DirectionConfig) {
			g := *c.Burst.GilbertElliott
			change(&g)
			c.Burst.GilbertElliott = &g
		}
	}
	four := func(change func(*link.FourState)) func(*link.DirectionConfig) {
		return func(c *link.DirectionConfig) {
			s := *c.Burst.FourState
			change(&s)
			c.Burst.FourState = &s
		}
	}
	state := func(i int, change func(*link.Condition)) func(*link.DirectionConfig) {
		return func(c *link.DirectionConfig) {
			states := slices.Clone(c.Conditions.States)
			change(&states[i])
			c.Conditions = &link.ConditionsConfig{States: states}
		}
	}
	longer := func(d time.Duration) time.Duration { return d + d/50 }
	jitter := func(c *link.DirectionConfig) { c.Jitter.Spread = longer(c.Jitter.Spread) }
	delay := func(c *link.DirectionConfig) { c.Delay = longer(c.Delay) }
	mistakes := map[string]mistake{
		"loss":          {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Loss *= much }},
		"gilbert p":     {"Gilbert, normal jitter", ge(func(g *link.GilbertElliott) { g.P *= much })},
		"gilbert r":     {"Gilbert, normal jitter", ge(func(g *link.GilbertElliott) { g.R *= much })},
		"gilbert h":     {"Gilbert, normal jitter", ge(func(g *link.GilbertElliott) { g.LossBad /= much })},
		"elliott p":     {"Gilbert-Elliott, pareto", ge(func(g *link.GilbertElliott) { g.P *= much })},
		"elliott r":     {"Gilbert-Elliott, pareto", ge(func(g *link.GilbertElliott) { g.R *= much })},
		"elliott 1-h":   {"Gilbert-Elliott, pareto", ge(func(g *link.GilbertElliott) { g.LossBad *= much })},
		"elliott 1-k":   {"Gilbert-Elliott, pareto", ge(func(g *link.GilbertElliott) { g.LossGood *= much })},
		"p13":           {"four states", four(func(s *link.FourState) { s.P13 *= much })},
		"p31":           {"four states", four(func(s *link.FourState) { s.P31 *= much })},
		"p32":           {"four states", four(func(s *link.FourState) { s.P32 *= much })},
		"p23":           {"four states", four(func(s *link.FourState) { s.P23 *= much })},
		"p14":           {"four states", four(func(s *link.FourState) { s.P14 *= much })},
		"rho of loss":   {"correlated", func(c *link.DirectionConfig) { c.LossCorrelation *= much }},
		"rho of jitter": {"correlated", func(c *link.DirectionConfig) { c.Jitter.Correlation *= much }},
		"duplicate":     {"quantiles", func(c *link.DirectionConfig) { c.Duplicate.Probability *= much }},
		"corrupt":       {"quantiles", func(c *link.DirectionConfig) { c.Corrupt.Probability *= much }},
		"reorder":       {"reorder .5, gap 5", func(c *link.DirectionConfig) { c.Reorder.Probability *= much }},
		"rate":          {"rate 1 Mbit/s", func(c *link.DirectionConfig) { c.Shaper.RateBitsPerSecond = 1_020_000 }},
		"dwell, good":   {"conditions", state(0, func(s *link.Condition) { s.DwellPackets *= much })},
		"dwell, bad":    {"conditions", state(1, func(s *link.Condition) { s.DwellPackets *= much })},
		"dwell, slow":   {"conditions", state(2, func(s *link.Condition) { s.DwellPackets *= much })},
		"loss, bad":     {"conditions", state(1, func(s *link.Condition) { s.Loss /= much })},
		"a quantile": {"quantiles", func(c *link.DirectionConfig) {
			c.Jitter.Distribution, _ = link.Quantiles([]link.Quantile{{P: 0, D: 0}, {P: .5, D: longer(4e6)}, {P: 1, D: 12e6}})
		}},
	}
	for _, m := range []string{"loss, uniform jitter", "Gilbert, normal jitter", "Gilbert-Elliott, pareto", "correlated"} {
		mistakes["jitter of "+m] = mistake{m, jitter}
		mistakes["delay of "+m] = mistake{m, delay}
	}
	mistakes["delay of four states"] = mistake{"four states", delay}
	spoiled(t, DefaultPackets, mistakes)
}

// A number of a vector that is another one is seen.
func TestAWrongVectorIsNoticed(t *testing.T) {
	for _, v := range vectors() {
		v.want = append([]int64(nil), v.want...)
		v.want[len(v.want)-1]++
		if r, err := v.run(); err != nil || r.OK() || r.Observed != r.Expected-1 {
			t.Errorf("%v, %v", r, err)
		}
	}
}
