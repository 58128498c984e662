package conformance

import (
	"fmt"
	"math"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/sim"
)

// Options choose how much is measured. The zero value is a million packets for
// each model, with seed 0.
type Options struct {
	Seed    uint64
	Packets int // of each model; 0: DefaultPackets, and MinPackets at least
}

// DefaultPackets is the number of packets for each model.
const DefaultPackets = 1_000_000

// MinPackets are needed for the statistics to mean something, and MaxPackets fit
// into memory.
const (
	MinPackets = 10_000
	MaxPackets = 5_000_000
)

// MaxZ is how many standard errors an observation may be away from its formula:
// a right model exceeds it 7 times in a million.
const MaxZ = 4.5

// A Row is one statistic of one model.
type Row struct {
	Model     string
	Statistic string
	Packets   int // that were sent
	Expected  float64
	Observed  float64
	// Z is the distance in standard errors; for a distribution it is a number that
	// MaxZ is as rarely exceeded by. For what must be exact it is 0 or infinite.
	Z float64
}

// OK reports whether the observation fits.
func (r Row) OK() bool { return math.Abs(r.Z) < MaxZ }

// String returns the row as a line of a table.
func (r Row) String() string {
	verdict := "ok"
	if !r.OK() {
		verdict = "WRONG"
	}
	return fmt.Sprintf(rowFormat, r.Model, r.Statistic, fmt.Sprint(r.Packets), fmt.Sprintf("%.6g", r.Expected), fmt.Sprintf("%.6g", r.Observed), fmt.Sprintf("%.2f", r.Z), verdict)
}

const rowFormat = "%-24s %-49s %8s %10s %10s %6s  %s"

// Header is the line above rows.
func Header() string {
	return strings.TrimRight(fmt.Sprintf(rowFormat, "model", "statistic", "packets", "expected", "observed", "z", ""), " ")
}

// Run measures every model and returns its rows, always in the same order: first
// the vectors, which must be exact, then the statistics.
func Run(o Options) ([]Row, error) {
	if o.Packets < 0 || o.Packets > MaxPackets {
		return nil, fmt.Errorf("conformance: %d packets are not between %d and %d", o.Packets, MinPackets, MaxPackets)
	}
	var rows []Row
	for _, v := range vectors() {
		r, err := v.run()
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	for _, m := range models() {
		r, err := m.run(o, nil)
		if err != nil {
			return rows, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// A model is a configuration and what its packets must look like.
type model struct {
	name  string
	cfg   link.DirectionConfig
	gap   time.Duration // between packets
	size  int
	times int // send so many times as many: what is rare needs more
	judge func(*record) []Row
}

// run sends the packets. spoil, in tests, makes the model a wrong one.
func (m model) run(o Options, spoil func(*link.DirectionConfig)) ([]Row, error) {
	n := o.Packets
	if n == 0 {
		n = DefaultPackets
	}
	n = max(MinPackets, n) * max(1, m.times)
	cfg := m.cfg
	if spoil != nil {
		spoil(&cfg)
	}
	r, err := send(o.Seed, n, m.gap, max(60, m.size), cfg)
	if err != nil {
		return nil, fmt.Errorf("conformance: %s: %w", m.name, err)
	}
	rows := m.judge(r)
	for i := range rows {
		rows[i].Model, rows[i].Packets = m.name, n
	}
	return rows, nil
}

// record is what became of the packets of one direction.
type record struct {
	n       int
	lost    []bool          // by ordinal-1
	delay   []time.Duration // of those that arrived
	arrived []sim.Time      // in the order of arrival
	copies  []bool          // whether there was a second one
	damaged []int64         // the flipped bit, -1: none
}

// send sends n packets up a link, gap apart.
func send(seed uint64, n int, gap time.Duration, size int, cfg link.DirectionConfig) (*record, error) {
	loop := sim.NewLoop(sim.Config{Seed: seed})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "conformance", Up: cfg})
	if err != nil {
		return nil, err
	}
	r := &record{
		n: n, lost: make([]bool, n), delay: make([]time.Duration, n), copies: make([]bool, n),
		damaged: make([]int64, n), arrived: make([]sim.Time, 0, n),
	}
	l.Up.Observe(r)
	l.Connect(nil, link.SinkFunc(func(f *link.Frame) {
		i := f.Ordinal - 1
		if f.Copy == 0 {
			r.delay[i] = loop.Now().Sub(f.Entered)
			r.damaged[i] = flipped(f.Data)
		}
		r.arrived = append(r.arrived, loop.Now())
		f.Release()
	}))
	sent := 0
	var timer *sim.Timer
	timer = loop.NewTimer(func() {
		f := link.NewFrame(size)
		clear(f.Data)
		l.Up.Put(f)
		if sent++; sent < n {
			timer.Reset(sim.Time(sent) * sim.Time(gap))
		}
	})
	timer.Reset(0)
	if err := loop.Run(sim.Time(n)*sim.Time(gap) + sim.Time(time.Hour)); err != nil {
		return nil, err
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	if c := l.Up.Counters(); c.InFlight != 0 {
		return nil, fmt.Errorf("%d packets are still on their way", c.InFlight)
	}
	return r, nil
}

// flipped returns the first set bit of a frame that was sent as zeros.
func flipped(data []byte) int64 {
	for i, v := range data {
		for b := range 8 {
			if v>>b&1 != 0 {
				return int64(8*i + b)
			}
		}
	}
	return -1
}

// Entered does nothing.
func (r *record) Entered(*link.Direction, *link.Frame) {}

// Left does nothing: the far end notes what comes.
func (r *record) Left(*link.Direction, *link.Frame) {}

// Dropped notes a loss.
func (r *record) Dropped(_ *link.Direction, f *link.Frame, _ link.Verdict) {
	r.lost[f.Ordinal-1] = true
}

// Duplicated notes a copy.
func (r *record) Duplicated(_ *link.Direction, f *link.Frame, _ link.Verdict) {
	r.copies[f.Ordinal-1] = true
}

// Corrupted does nothing: the far end looks at the bytes.
func (r *record) Corrupted(*link.Direction, *link.Frame, link.Verdict) {}
