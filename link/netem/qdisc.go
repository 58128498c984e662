package netem

import (
	"fmt"
	"math"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// Reading list: Linux 6.18 net/sched/sch_netem.c, netem_enqueue, netem_dequeue,
// packet_time_ns, get_slot_next, netem_change.

// MaxQueued bounds the frames in a Qdisc whatever its limit says, so that no
// setting takes unbounded memory: 200 MiB.
const MaxQueued = 1 << 17

// A Ledger is told of every frame that a Qdisc does not just pass on.
type Ledger interface {
	// Drop takes the frame.
	Drop(f *link.Frame, reason trace.DropReason, text string)
	// Duplicate returns a copy with that Copy number.
	Duplicate(f *link.Frame, number uint32) *link.Frame
	// Corrupted and Marked tell that the frame's bytes have changed.
	Corrupted(f *link.Frame, at, bit int)
	Marked(f *link.Frame)
}

// Counters count what a Qdisc did, as "tc -s qdisc show" does and in more kinds.
type Counters struct {
	Lost       uint64 // dropped by loss
	Limited    uint64 // dropped at the limit
	Duplicated uint64
	Cancelled  uint64 // duplicated and lost at once: the packet passed once
	Marked     uint64 // by ECN instead of being lost
	Corrupted  uint64
	Reordered  uint64 // sent at once
}

// A Qdisc is netem. It has no clock: Enqueue and Dequeue are told the time.
type Qdisc struct {
	cfg      Config
	counters Counters
	ledger   Ledger
	entropy  func() uint32

	prng  PRNG
	chain chain

	duplicate, corrupt, reorder, delay, slotDelay correlated
	sigma                                         int32
	table, slotTable                              *Table
	limit                                         int
	limitText                                     string
	counter                                       uint32 // packets since the last reordered one

	slotNext   sim.Time
	slotOn     bool
	slotJitter int32
	packetPart int32 // packets left in the slot
	bytePart   int32

	head []*link.Frame // to leave at once, the last one first
	fifo fifo
}

// Tables are the tables that a Config names.
type Tables struct{ Delay, Slot *Table }

// LoadTables loads the tables that the Config names: those that are not built
// in from files of the folders, such as TableFolders.
func (c *Config) LoadTables(folders ...string) (t Tables, err error) {
	if c.Distribution != "" && c.Distribution != "uniform" {
		if t.Delay, err = LoadTable(c.Distribution, folders...); err != nil {
			return t, err
		}
	}
	if c.Slot.Distribution != "" {
		t.Slot, err = LoadTable(c.Slot.Distribution, folders...)
	}
	return t, err
}

// NewQdisc returns a Qdisc. entropy is what stands for the kernel's entropy
// pool: it gives the seed if the Config has none, and what netem never takes
// from its seeded generator.
func NewQdisc(now sim.Time, cfg Config, tables Tables, ledger Ledger, entropy func() uint32) (*Qdisc, error) {
	q := newQdisc(ledger, entropy)
	if err := q.Change(now, cfg, tables); err != nil {
		return nil, err
	}
	return q, nil
}

func newQdisc(ledger Ledger, entropy func() uint32) *Qdisc {
	q := &Qdisc{ledger: ledger, entropy: entropy}
	q.prng.Seed(uint64(entropy())<<32 | uint64(entropy()))
	return q
}

// Change replaces the configuration between two packets. Packets that wait keep
// their times, as in "tc qdisc change"; but an option that is not there is off,
// where tc would leave what it was. The generator goes on unless the Config has
// a seed.
func (q *Qdisc) Change(now sim.Time, cfg Config, tables Tables) error {
	if err := cfg.valid(tables); err != nil {
		return err
	}
	q.change(now, cfg, tables)
	return nil
}

func (q *Qdisc) change(now sim.Time, cfg Config, tables Tables) {
	q.cfg, q.table, q.slotTable = cfg, tables.Delay, tables.Slot
	q.limit = int(min(cfg.Limit, MaxQueued))
	q.limitText = fmt.Sprintf("limit %d", q.limit)
	q.counter = 0
	q.sigma = int32(min(cfg.Jitter, math.MaxInt32))

	l := cfg.Loss
	q.chain = chain{
		model: l.Model, state: 1, loss: uint32(l.Random),
		p: uint32(l.P), r: uint32(l.R), h: uint32(All - l.LossBad), k: uint32(l.LossGood),
		p13: uint32(l.P13), p31: uint32(l.P31), p32: uint32(l.P32), p23: uint32(l.P23), p14: uint32(l.P14),
	}
	// Each of these starts at a number that no seed decides.
	start := func(rho Share) correlated { return correlated{q.entropy(), uint32(rho)} }
	q.delay, q.chain.correlated, q.duplicate = start(cfg.DelayCorrelation), start(l.Correlation), start(cfg.DuplicateCorrelation)
	if !cfg.sendsCorrelations() {
		q.duplicate.rho = 0
	}
	q.reorder, q.corrupt = start(cfg.ReorderCorrelation), start(cfg.CorruptCorrelation)

	q.slotOn = cfg.Slot.On()
	q.slotNext = now
	q.slotJitter = int32(min(cfg.Slot.Jitter, math.MaxInt32))
	q.newSlotParts()
	if cfg.HasSeed {
		q.prng.Seed(cfg.Seed)
	}
}

// valid checks what a Config that Parse has not made may have wrong.
func (c *Config) valid(t Tables) error {
	for _, d := range []struct {
		name string
		ns   int64
	}{{"delay", int64(c.Delay)}, {"jitter", int64(c.Jitter)}, {"slot", int64(min(c.Slot.Min, c.Slot.Max-c.Slot.Min, c.Slot.Delay, c.Slot.Jitter))}} {
		if d.ns < 0 {
			return fmt.Errorf("netem: a negative %s", d.name)
		}
	}
	if c.Slot.Packets < 0 || c.Slot.Bytes < 0 {
		return fmt.Errorf("netem: a slot of %d packets, %d bytes", c.Slot.Packets, c.Slot.Bytes)
	}
	for _, w := range []struct {
		name  string
		table *Table
	}{{c.Distribution, t.Delay}, {c.Slot.Distribution, t.Slot}} {
		if w.name != "" && w.name != "uniform" && w.table == nil {
			return fmt.Errorf("netem: the table %q is not loaded", w.name)
		}
		if w.table != nil && (len(w.table.Entries) == 0 || len(w.table.Entries) > MaxTable) {
			return fmt.Errorf("netem: the table %q has %d entries", w.table.Name, len(w.table.Entries))
		}
	}
	return nil
}

// Counters returns what the Qdisc has done so far.
func (q *Qdisc) Counters() Counters { return q.counters }

// Len returns how many frames the Qdisc holds.
func (q *Qdisc) Len() int { return len(q.head) + q.fifo.len() }

// Enqueue takes a frame. The caller dequeues afterwards until there is nothing.
func (q *Qdisc) Enqueue(now sim.Time, f *link.Frame) { q.enqueue(now, f, false) }

func (q *Qdisc) enqueue(now sim.Time, f *link.Frame, clone bool) {
	count := 1
	if q.cfg.Duplicate != 0 && !clone && uint32(q.cfg.Duplicate) >= q.duplicate.next(&q.prng) {
		count++
	}
	if q.chain.lost(&q.prng) {
		if q.cfg.ECN && markCE(f.Data) {
			q.counters.Marked++
			q.ledger.Marked(f)
		} else {
			count--
			if count == 1 {
				q.counters.Cancelled++
			}
		}
	}
	if count == 0 {
		q.counters.Lost++
		q.ledger.Drop(f, trace.DropLoss, "netem loss")
		return
	}
	var second *link.Frame
	if count > 1 {
		q.counters.Duplicated++
		second = q.ledger.Duplicate(f, f.Copy+1)
	}
	if q.cfg.Corrupt != 0 && uint32(q.cfg.Corrupt) >= q.corrupt.next(&q.prng) {
		q.damage(f)
	}
	if q.Len() >= q.limit {
		q.full(f)
		if second != nil {
			q.full(second)
		}
		return
	}
	if second != nil {
		q.enqueue(now, second, true) // before the original
	}
	q.store(now, f)
}

func (q *Qdisc) full(f *link.Frame) {
	q.counters.Limited++
	q.ledger.Drop(f, trace.DropQueueFull, q.limitText)
}

// store decides when the frame leaves.
func (q *Qdisc) store(now sim.Time, f *link.Frame) {
	gap := q.cfg.Gap
	if gap != 0 && q.counter >= gap-1 && uint32(q.cfg.Reorder) >= q.reorder.next(&q.prng) {
		q.counter = 0
		q.counters.Reordered++
		q.head = append(q.head, f)
		return
	}
	delay := spread(int64(q.cfg.Delay), q.sigma, &q.delay, &q.prng, q.table)
	from := int64(now)
	if q.cfg.RateBytesPerSecond != 0 {
		if last, ok := q.lastTime(now); ok {
			// The delay runs while the packets before this one are sent.
			delay = max(0, delay-(int64(last)-from))
			from = int64(last)
		}
		delay += int64(q.cfg.packetTime(len(f.Data)))
	}
	q.counter++
	q.fifo.push(sim.Time(from).Add(clamp(delay)), f)
}

// lastTime returns when the last frame in the queue leaves.
func (q *Qdisc) lastTime(now sim.Time) (sim.Time, bool) {
	switch {
	case q.fifo.len() == 0:
		return now, len(q.head) > 0
	case len(q.head) > 0:
		return max(now, q.fifo.last), true
	}
	return q.fifo.last, true
}

// packetTime returns how long a packet takes at the rate, in nanoseconds, with
// the kernel's widths: 64 bits for lengths, 32 for cells.
func (c *Config) packetTime(n int) uint64 {
	length := uint64(n) + uint64(int64(c.PacketOverhead))
	if c.CellSize != 0 {
		cells := uint32(length) / c.CellSize
		if length > uint64(cells*c.CellSize) {
			cells++
		}
		length = uint64(cells * (c.CellSize + uint32(c.CellOverhead)))
	}
	return length * 1e9 / c.RateBytesPerSecond
}

// Dequeue returns a frame that leaves now, or nil and when to ask again; Never
// if nothing waits.
func (q *Qdisc) Dequeue(now sim.Time) (*link.Frame, sim.Time) {
	if n := len(q.head); n > 0 {
		f := q.head[n-1]
		q.head[n-1] = nil
		q.head = q.head[:n-1]
		return f, now
	}
	if q.fifo.len() == 0 {
		return nil, sim.Never
	}
	at := q.fifo.front().at
	if !q.slotOn {
		if at > now {
			return nil, at
		}
		return q.fifo.pop(), now
	}
	if q.slotNext < at {
		q.nextSlot(now)
	}
	if at > now || q.slotNext > now {
		return nil, max(at, q.slotNext)
	}
	f := q.fifo.pop()
	q.packetPart--
	q.bytePart -= int32(len(f.Data))
	if q.packetPart <= 0 || q.bytePart <= 0 {
		q.nextSlot(now)
	}
	return f, now
}

func (q *Qdisc) nextSlot(now sim.Time) {
	var wait int64
	if s := &q.cfg.Slot; q.slotTable == nil {
		// The kernel asks its entropy pool here, not its seeded generator.
		wait = int64(s.Min) + mulShift(uint64(s.Max-s.Min), q.entropy())
	} else {
		wait = spread(int64(s.Delay), q.slotJitter, &q.slotDelay, &q.prng, q.slotTable)
	}
	q.slotNext = now.Add(clamp(wait))
	q.newSlotParts()
}

func (q *Qdisc) newSlotParts() {
	q.packetPart, q.bytePart = q.cfg.Slot.Packets, q.cfg.Slot.Bytes
	if q.packetPart == 0 {
		q.packetPart = math.MaxInt32
	}
	if q.bytePart == 0 {
		q.bytePart = math.MaxInt32
	}
}
