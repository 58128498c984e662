package netem_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/link/netem"
	"hilnet/sim"
	"hilnet/trace"
)

// Reading list: Linux 6.18 net/sched/sch_netem.c, lib/random32.c. The vectors
// were computed by an implementation of those formulas other than this package.

// A ledger notes what a Qdisc reports.
type ledger struct {
	drops     []uint64 // ordinals
	reasons   map[trace.DropReason]int
	copies    int
	corrupted int
	marked    int
}

func (l *ledger) Drop(f *link.Frame, reason trace.DropReason, _ string) {
	if l.reasons == nil {
		l.reasons = map[trace.DropReason]int{}
	}
	l.reasons[reason]++
	l.drops = append(l.drops, f.Ordinal)
	f.Release()
}

func (l *ledger) Duplicate(f *link.Frame, n uint32) *link.Frame {
	l.copies++
	g := link.CopyFrame(f.Data)
	g.Ordinal, g.Copy = f.Ordinal, n
	return g
}

func (l *ledger) Corrupted(*link.Frame, int, int) { l.corrupted++ }
func (l *ledger) Marked(*link.Frame)              { l.marked++ }

// A rig drives a Qdisc in the order of time.
type rig struct {
	t testing.TB
	ledger
	q    *netem.Qdisc
	now  sim.Time
	n    uint64
	left []leave
}

type leave struct {
	at      sim.Time
	ordinal uint64
	copy    uint32
}

func parse(t testing.TB, text string) netem.Config {
	t.Helper()
	c, err := netem.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRig(t testing.TB, text string) *rig {
	t.Helper()
	c := parse(t, text)
	tables, err := c.LoadTables(netem.TableFolders()...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t}
	entropy := sim.NewRand(1, "entropy")
	r.q, err = netem.NewQdisc(0, c, tables, &r.ledger, func() uint32 { return uint32(entropy.Uint64()) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// advance lets leave what is due up to a moment.
func (r *rig) advance(to sim.Time) {
	for {
		f, next := r.q.Dequeue(r.now)
		if f != nil {
			r.left = append(r.left, leave{r.now, f.Ordinal, f.Copy})
			f.Release()
			continue
		}
		if next > to {
			r.now = to
			return
		}
		r.now = next
	}
}

func (r *rig) send(at sim.Time, n int) {
	r.advance(at)
	r.n++
	f := link.NewFrame(n)
	f.Ordinal = r.n
	r.q.Enqueue(at, f)
	r.advance(at)
}

func TestTheGeneratorIsTheKernels(t *testing.T) {
	for _, v := range []struct {
		seed uint64
		want [5]uint32
	}{
		{0, [5]uint32{1574944, 268744, 1109394980, 8552980, 826355289}},
		{1, [5]uint32{276959246, 18909696, 2298495022, 9442690, 3222971081}},
		{42, [5]uint32{3053367555, 794645456, 722109529, 489076602, 564259759}},
		{12345, [5]uint32{688432123, 708216489, 990518830, 336400550, 2816971748}},
		{0xdeadbeefcafef00d, [5]uint32{4079089000, 1747237100, 2703650999, 3421345251, 1953435529}},
	} {
		var p netem.PRNG
		p.Seed(v.seed)
		for i, want := range v.want {
			if got := p.Uint32(); got != want {
				t.Errorf("seed %#x, number %d: %d, want %d", v.seed, i, got, want)
			}
		}
	}
}

// The second column is which packets of 1000 are lost first.
func TestLossesAreTheKernels(t *testing.T) {
	for _, v := range []struct {
		text string
		want []uint64
	}{
		{"loss 10%", []uint64{14, 28, 38, 39, 40, 44, 50, 54, 66, 77}},
		{"loss 10% delay 10ms 1ms", []uint64{20, 21, 40, 42, 55, 86, 88, 99, 110, 126}},
		{"loss 10% corrupt 1%", []uint64{20, 21, 40, 42, 55, 86, 88, 99, 110, 126}},

		{"loss gemodel 1% 10%", []uint64{233, 234, 235, 236, 237, 238, 239, 240}},
		{"loss gemodel 5% 50%", []uint64{40, 61, 67, 148, 149, 185, 233, 234}},
		{"loss gemodel 1% 25% 50%", []uint64{233, 282, 284, 287, 564, 565, 645, 648}},
		{"loss gemodel 2% 20% 70% 0.1%", []uint64{67, 68, 70, 185, 233, 234, 282, 283}},
		{"loss gemodel 0.1% 5%", []uint64{233, 234, 235, 236, 237, 238, 239, 240}},

		{"loss state 1% 30% 20% 40%", []uint64{28, 29, 30, 31, 32, 33, 350, 357}},
		{"loss state 1% 30% 20% 40% 0.5%", []uint64{28, 242, 245, 246, 247, 350, 357, 398}},
		{"loss state 5%", []uint64{28, 44, 50, 77, 119, 131, 166, 190}},
		{"loss state 2% 10% 30% 50% 1%", []uint64{28, 77, 78, 80, 81, 82, 131, 190}},
	} {
		r := newRig(t, v.text+" seed 42")
		for i := range 1000 {
			r.send(sim.Time(i)*1e6, 100)
		}
		r.advance(sim.Never - 1)
		if got := r.drops[:min(len(r.drops), len(v.want))]; !slices.Equal(got, v.want) {
			t.Errorf("%s: lost %v, want %v", v.text, got, v.want)
		}
		if len(r.drops)+len(r.left) != 1000 {
			t.Errorf("%s: %d lost, %d left", v.text, len(r.drops), len(r.left))
		}
	}
}

// A duplicate draws before the loss and the copy draws for itself, so the losses
// move: the packet of which no copy passes is lost.
func TestDuplicatesMoveTheLosses(t *testing.T) {
	r := newRig(t, "loss 10% duplicate 5% seed 42")
	const n = 100
	passed := map[uint64]int{}
	for i := range n {
		r.send(sim.Time(i)*1e6, 100)
	}
	for _, l := range r.left {
		passed[l.ordinal]++
	}
	var lost []uint64
	for i := uint64(1); i <= n; i++ {
		if passed[i] == 0 {
			lost = append(lost, i)
		}
	}
	if want := []uint64{7, 14, 19, 20, 22, 25, 27, 33, 52, 59}; !slices.Equal(lost[:len(want)], want) {
		t.Errorf("lost %v, want %v", lost, want)
	}
	c := r.q.Counters()
	if c.Cancelled == 0 && c.Duplicated == 0 {
		t.Errorf("%+v", c)
	}
	if got, want := uint64(len(r.left)), n+c.Duplicated-c.Lost; got != want {
		t.Errorf("%d packets left, want %d: %+v", got, want, c)
	}
}

func TestDelaysAreTheKernels(t *testing.T) {
	for _, v := range []struct {
		table string
		want  [6]sim.Time
	}{
		{"uniform", [6]sim.Time{106959246, 108909696, 108495022, 99442690, 92971081, 92869889}},
		{"normal", [6]sim.Time{72982178, 103187256, 77185059, 95991211, 90618896, 81411133}},
		{"pareto", [6]sim.Time{93348389, 98489990, 93383789, 95346680, 94211426, 93476562}},
		{"paretonormal", [6]sim.Time{88256836, 99664307, 89334717, 95507812, 93314209, 90460205}},
		{"experimental", [6]sim.Time{88244629, 100886230, 88790283, 94390869, 91794434, 89433594}},
	} {
		if v.table == "experimental" && !installed(t, v.table) {
			continue
		}
		// One packet each second: none overtakes.
		r := newRig(t, "delay 100ms 10ms distribution "+v.table+" seed 1")
		for i := range v.want {
			r.send(sim.Time(i)*1e9, 100)
		}
		r.advance(sim.Never - 1)
		for i, want := range v.want {
			if got := r.left[i].at - sim.Time(i)*1e9; got != want {
				t.Errorf("%s, packet %d: %d, want %d", v.table, i, got, want)
			}
		}
	}
}

func TestRatesAreTheKernels(t *testing.T) {
	for _, v := range []struct {
		length int
		rate   string
		want   sim.Time
	}{
		{1500, "125000Bps", 12000000},
		{1500, "125000Bps 20", 12160000},
		{1514, "125000Bps -14", 12000000},
		{40, "125000Bps 0 48 5", 424000},
		{1500, "1mbit 8 48 5", 13568000},
		{96, "1mbit 0 48 5", 848000},
		{97, "1mbit 0 48 5", 1272000},
		{1280, "31250Bps 0 81 46", 65024000},
	} {
		r := newRig(t, "rate "+v.rate)
		r.send(0, v.length)
		r.advance(sim.Never - 1)
		if r.left[0].at != v.want {
			t.Errorf("%d B at %s: %d ns, want %d", v.length, v.rate, r.left[0].at, v.want)
		}
	}
}

// The wait in the queue counts as delay.
func TestRateAndDelayOverlap(t *testing.T) {
	r := newRig(t, "delay 100ms rate 1mbit")
	for _, at := range []sim.Time{0, 0, 0, 200e6} {
		r.send(at, 1500)
	}
	r.advance(sim.Never - 1)
	for i, want := range []sim.Time{112e6, 124e6, 136e6, 312e6} {
		if r.left[i].at != want {
			t.Errorf("packet %d left at %v, want %v", i, r.left[i].at, want)
		}
	}
}

func TestTheLimitCountsWhatIsDelayed(t *testing.T) {
	r := newRig(t, "delay 1s")
	for i := range 1500 {
		r.send(sim.Time(i)*600e3, 100)
	}
	r.advance(sim.Never - 1)
	if r.reasons[trace.DropQueueFull] != 500 || len(r.left) != 1000 || r.q.Counters().Limited != 500 {
		t.Errorf("dropped %v, %d left", r.reasons, len(r.left))
	}
}

// Both packets go when a packet that was duplicated meets the limit; and the
// copy that just fits makes the queue one longer than the limit.
func TestTheLimitTakesTheCopyToo(t *testing.T) {
	r := newRig(t, "delay 1s duplicate 100% limit 3")
	for range 3 {
		r.send(0, 100)
	}
	if r.q.Len() != 4 || r.reasons[trace.DropQueueFull] != 2 {
		t.Errorf("%d in the queue, dropped %v", r.q.Len(), r.reasons)
	}
	r.advance(sim.Never - 1)
	want := []leave{{1e9, 1, 1}, {1e9, 1, 0}, {1e9, 2, 1}, {1e9, 2, 0}}
	if !slices.Equal(r.left, want) {
		t.Errorf("left %v, want %v: the copy first", r.left, want)
	}
}

func TestDuplicateAndLossCancel(t *testing.T) {
	r := newRig(t, "duplicate 100% loss 100% ")
	r.send(0, 100)
	// The packet is duplicated and lost: one passes. Its copy is not there.
	if c := r.q.Counters(); c.Cancelled != 1 || len(r.left) != 1 || r.copies != 0 || len(r.drops) != 0 {
		t.Errorf("%+v, left %v, dropped %v", c, r.left, r.drops)
	}
}

// Share sent at once: 1/((gap-1) + 1/p).
func TestReorderSendsTheShareAtOnce(t *testing.T) {
	for _, v := range []struct {
		text string
		want float64
	}{
		{"reorder 25%", 0.25}, {"reorder 50% gap 2", 1 / 3.0}, {"reorder 100% gap 5", 0.2},
	} {
		r := newRig(t, "delay 10ms seed 7 "+v.text)
		const n = 100000
		for i := range n {
			r.send(sim.Time(i)*1e6, 60)
		}
		r.advance(sim.Never - 1)
		got := float64(r.q.Counters().Reordered) / n
		if z := (got - v.want) / math.Sqrt(v.want*(1-v.want)/n); math.Abs(z) > 4.5 {
			t.Errorf("%s: %.4f at once, want %.4f (z = %.1f)", v.text, got, v.want, z)
		}
		if v.text == "reorder 100% gap 5" && r.q.Counters().Reordered != n/5 {
			t.Errorf("%s: %d at once", v.text, r.q.Counters().Reordered)
		}
	}
}

// P(the next overtakes) = (2J-s)²/(8J²) for uniform jitter ±J, spacing s.
func TestJitterOvertakesAsComputed(t *testing.T) {
	for _, v := range []struct {
		spacing sim.Time
		want    float64
	}{{1e6, .4512}, {5e6, .2812}, {10e6, .125}, {20e6, 0}} {
		r := newRig(t, "delay 100ms 10ms limit 100000 seed 3")
		const n = 20000
		for i := range n {
			r.send(sim.Time(i)*v.spacing, 60)
		}
		r.advance(sim.Never - 1)
		at := make([]sim.Time, n+1)
		for _, l := range r.left {
			at[l.ordinal] = l.at
		}
		overtakes := 0
		for i := 2; i <= n; i++ {
			if at[i] < at[i-1] {
				overtakes++
			}
		}
		got := float64(overtakes) / (n - 1)
		// Neighbouring pairs share a delay: their correlation only makes z smaller.
		if z := (got - v.want) / math.Sqrt(max(v.want*(1-v.want), 1e-12)/n); math.Abs(z) > 4.5 {
			t.Errorf("spacing %v: %.4f overtake, want %.4f (z = %.1f)", v.spacing, got, v.want, z)
		}
	}
}

// With a rate, packets leave in the order in which they came.
func TestRateKeepsTheOrder(t *testing.T) {
	r := newRig(t, "delay 100ms 50ms rate 10mbit seed 3")
	for i := range 1000 {
		r.send(sim.Time(i)*2e6, 1000)
	}
	r.advance(sim.Never - 1)
	for i, l := range r.left {
		if l.ordinal != uint64(i+1) {
			t.Fatalf("packet %d left at place %d", l.ordinal, i+1)
		}
	}
}

// A slot of 3 packets each 20 ms; the first slot opens one slot after the head
// of the queue is due, for a slot that lies before it is drawn again.
func TestSlotsSendInBursts(t *testing.T) {
	r := newRig(t, "slot 20ms packets 3")
	for range 7 {
		r.send(0, 100)
	}
	r.advance(sim.Never - 1)
	want := []sim.Time{0, 0, 0, 20e6, 20e6, 20e6, 40e6}
	for i, l := range r.left {
		if l.at != want[i] {
			t.Errorf("packet %d left at %v, want %v", i+1, l.at, want[i])
		}
	}
	r = newRig(t, "slot 20ms bytes 250")
	for range 4 {
		r.send(0, 100)
	}
	r.advance(sim.Never - 1)
	if got := fmt.Sprint(r.left[2].at, r.left[3].at); got != "0.000000000s 0.020000000s" {
		t.Errorf("250 bytes: %s: the third packet goes beyond them and still leaves", got)
	}
	// The packet is due at 5 ms; the slot of 0 ms lies before, so a new one is
	// drawn when it comes, for 20 ms, and that one holds.
	r = newRig(t, "delay 5ms slot 20ms packets 3")
	r.send(1, 100)
	r.advance(sim.Never - 1)
	if r.left[0].at != 1+20e6 {
		t.Errorf("left at %v", r.left[0].at)
	}
}

// The mix keeps the mean and narrows the rest: what is compared with it happens
// at another rate than was typed.
func TestACorrelationChangesTheLoss(t *testing.T) {
	for _, v := range []struct {
		text string
		want float64
	}{
		{"5% 10%", .01254}, {"5% 25%", .00195}, {"10% 25%", .0174}, {"10% 50%", .0011},
		{"30% 25%", .2331}, {"30% 75%", .0319}, {"50% 50%", .4994}, {"10%", .0998},
	} {
		r := newRig(t, "loss "+v.text+" seed 9")
		const n = 400000
		for i := range n {
			r.send(sim.Time(i)*1e6, 60)
			r.left = r.left[:0]
		}
		got := float64(len(r.drops)) / n
		// The published rates have four digits of 4 000 000 packets.
		if math.Abs(got-v.want) > 0.05*v.want+0.0005 {
			t.Errorf("loss %s: %.5f, want %.5f", v.text, got, v.want)
		}
	}
	r := newRig(t, "loss 0.3% 25% seed 5")
	for i := range 1000000 {
		r.send(sim.Time(i)*1e6, 60)
		r.left = r.left[:0]
	}
	if len(r.drops) != 0 {
		t.Errorf("loss 0.3%% 25%% lost %d of 1000000", len(r.drops))
	}
}

func TestJitterIsCappedAsInTheKernel(t *testing.T) {
	r := newRig(t, "delay 10s 9s seed 1")
	for i := range 2000 {
		r.send(sim.Time(i)*100e9, 60)
	}
	r.advance(sim.Never - 1)
	least, most := time.Duration(math.MaxInt64), time.Duration(0)
	for i, l := range r.left {
		d := l.at.Sub(sim.Time(i) * 100e9)
		least, most = min(least, d), max(most, d)
	}
	if least < 10*time.Second-math.MaxInt32 || most > 10*time.Second+math.MaxInt32 || most-least < 4*time.Second {
		t.Errorf("delays from %v to %v", least, most)
	}
}
