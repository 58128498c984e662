package conformance

import (
	"fmt"
	"testing"

	"hilnet/link"
)

func ExampleRun() {
	rows, err := Run(Options{Seed: 1, Packets: 10_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rows[0].Model, "·", rows[0].Statistic, "·", rows[0].OK())
	// Output: loss, uniform jitter · lost · true
}

func TestConformanceOfEveryModel(t *testing.T) {
	rows, err := Run(Options{Seed: 1})
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
	if len(rows) < 30 {
		t.Errorf("only %d statistics", len(rows))
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
	all := models()
	find := func(name string) model {
		for _, m := range all {
			if m.name == name {
				return m
			}
		}
		t.Fatalf("no model %q", name)
		return model{}
	}
	for what, c := range map[string]struct {
		model string
		spoil func(*link.DirectionConfig)
	}{
		"a loss rate six per cent off":       {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Loss = .053 }},
		"losses that are not independent":    {"loss, uniform jitter", func(c *link.DirectionConfig) { c.LossCorrelation = .1 }},
		"uniform jitter with that deviation": {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Jitter.Spread = spread * 1732 / 1000 }},
		"order kept although it may change":  {"loss, uniform jitter", func(c *link.DirectionConfig) { c.Jitter.Reorder = false }},
		"p and r exchanged": {"Gilbert, normal jitter", func(c *link.DirectionConfig) {
			c.Burst.GilbertElliott = &link.GilbertElliott{P: .1, R: .01, LossBad: 1}
		}},
		"the right rate without bursts": {"Gilbert, normal jitter", func(c *link.DirectionConfig) { c.Burst.GilbertElliott = nil; c.Loss = .01 / .11 }},
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
		"a correlation that has no effect": {"correlated, rho 0.5", func(c *link.DirectionConfig) { c.LossCorrelation = 0 }},
		"jitter without its correlation":   {"correlated, rho 0.5", func(c *link.DirectionConfig) { c.Jitter.Correlation = 0 }},
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
	} {
		rows, err := find(c.model).run(Options{Seed: 1, Packets: 200_000}, c.spoil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		wrong := 0
		for _, r := range rows {
			if !r.OK() {
				wrong++
			}
		}
		if wrong == 0 {
			t.Errorf("%s is not noticed: %v", what, rows)
		}
	}
}
