package netem

import (
	"math"
	"sync"

	"hilnet/link"
)

// Reading list: Linux net/sched/sch_netem.c, tabledist; iproute2 netem/normal.c,
// pareto.c, paretonormal.c (NIST, public domain), which make the tables that tc
// ships.

// Bounds of a table: tc's and the kernel's.
const (
	MaxTable   = link.MaxDistEntries
	tableScale = link.DistScale // entries are in units of a standard deviation / tableScale
)

// A Table is an inverse distribution function, sampled at equal steps.
type Table struct {
	Name    string
	Entries []int16
}

// The steps of tc's generators.
const (
	tableSteps = 16384
	tableEvery = 4
	shape      = 3.0 // of the Pareto distribution
)

// BuiltIn returns the table that tc ships under a name: normal, pareto or
// paretonormal. They are computed, entry for entry as tc's own generators do.
// tc's fourth table, experimental, is a measurement and is only in tc's files.
func BuiltIn(name string) (*Table, bool) {
	switch name {
	case "normal":
		return normalTable(), true
	case "pareto":
		return paretoTable(), true
	case "paretonormal":
		return paretoNormalTable(), true
	}
	return nil, false
}

var normalSteps = sync.OnceValue(func() *[tableSteps + 1]float64 {
	t := new([tableSteps + 1]float64)
	// The last x that falls into a cell is the cell's value: the sum runs in
	// steps of 0.00005 as in tc's generator, rounding errors included.
	for x := -10.0; x < 10.05; x += 0.00005 {
		p := 0.5 + float64(0.5*math.Erf(x/math.Sqrt2))
		t[int(math.RoundToEven(tableSteps*p))] = x
	}
	return t
})

func normalEntry(i int) int {
	return int(math.RoundToEven(float64(normalSteps()[i] * tableScale)))
}

func paretoEntry(i int) int {
	v := float64(65536-4*i) / 65536
	v = 1/math.Pow(v, 1/shape) - 1.5
	v *= 4.0 / 3.0 * tableScale
	return int(math.RoundToEven(min(v, math.MaxInt16)))
}

func generate(name string, entry func(i int) int) *Table {
	t := &Table{Name: name, Entries: make([]int16, tableSteps/tableEvery)}
	for i := range t.Entries {
		t.Entries[i] = int16(max(math.MinInt16, min(entry(i*tableEvery), math.MaxInt16)))
	}
	return t
}

var (
	normalTable       = sync.OnceValue(func() *Table { return generate("normal", normalEntry) })
	paretoTable       = sync.OnceValue(func() *Table { return generate("pareto", paretoEntry) })
	paretoNormalTable = sync.OnceValue(func() *Table {
		return generate("paretonormal", func(i int) int { return (normalEntry(i) + 3*paretoEntry(i)) / 4 })
	})
)

// spread returns a delay around mu, in nanoseconds: uniform from mu-sigma to
// mu+sigma without a table. sigma is at most 2^31-1 ns, because the kernel's is.
func spread(mu int64, sigma int32, c *correlated, p *PRNG, t *Table) int64 {
	if sigma == 0 {
		return mu
	}
	draw := c.next(p)
	if t == nil {
		return int64(draw%(2*uint32(sigma))) + mu - int64(sigma)
	}
	entry := int64(t.Entries[draw%uint32(len(t.Entries))])
	x := int64(sigma%tableScale) * entry
	if x >= 0 {
		x += tableScale / 2
	} else {
		x -= tableScale / 2
	}
	return x/tableScale + int64(sigma/tableScale)*entry + mu
}
