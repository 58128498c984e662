package conformance

import (
	"fmt"
	"math"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/link/netem"
	"hilnet/link/traces"
	"hilnet/sim"
)

// Reading list: Linux 6.18 net/sched/sch_netem.c, lib/random32.c; mahimahi
// src/frontend/link_queue.cc. The numbers were computed by an implementation of
// those formulas other than hilnet's.

// A vector is what must come out exactly.
type vector struct {
	model, statistic string
	netem, trace     string // one of them: a string of tc, or the lines of a packet-delivery trace
	arrivals         []arrival
	losses           bool // want is the numbers of the first packets that are lost
	want             []int64
}

// An arrival is a packet: a frame of so many bytes.
type arrival struct {
	at   time.Duration
	size int
}

// regular are n packets, gap apart.
func regular(n int, gap time.Duration, size int) []arrival {
	all := make([]arrival, n)
	for i := range all {
		all[i] = arrival{time.Duration(i) * gap, size}
	}
	return all
}

// vectors returns all of them.
func vectors() []vector {
	var all []vector
	for _, v := range []struct {
		loss string
		want []int64
	}{
		{"loss 10%", []int64{14, 28, 38, 39, 40, 44, 50, 54, 66, 77}},
		{"loss 10% delay 10ms 1ms", []int64{20, 21, 40, 42, 55, 86, 88, 99, 110, 126}},
		{"loss 10% corrupt 1%", []int64{20, 21, 40, 42, 55, 86, 88, 99, 110, 126}},
		{"loss gemodel 1% 10%", []int64{233, 234, 235, 236, 237, 238, 239, 240}},
		{"loss gemodel 5% 50%", []int64{40, 61, 67, 148, 149, 185, 233, 234}},
		{"loss gemodel 1% 25% 50%", []int64{233, 282, 284, 287, 564, 565, 645, 648}},
		{"loss gemodel 2% 20% 70% 0.1%", []int64{67, 68, 70, 185, 233, 234, 282, 283}},
		{"loss gemodel 0.1% 5%", []int64{233, 234, 235, 236, 237, 238, 239, 240}},
		{"loss state 1% 30% 20% 40%", []int64{28, 29, 30, 31, 32, 33, 350, 357}},
		{"loss state 1% 30% 20% 40% 0.5%", []int64{28, 242, 245, 246, 247, 350, 357, 398}},
		{"loss state 5%", []int64{28, 44, 50, 77, 119, 131, 166, 190}},
		{"loss state 2% 10% 30% 50% 1%", []int64{28, 77, 78, 80, 81, 82, 131, 190}},
	} {
		all = append(all, vector{model: "netem, seed 42", statistic: v.loss, netem: v.loss + " seed 42", arrivals: regular(1000, time.Millisecond, 100), losses: true, want: v.want})
	}
	for _, v := range []struct {
		table string
		want  []int64
	}{
		{"uniform", []int64{106959246, 108909696, 108495022, 99442690, 92971081, 92869889}},
		{"normal", []int64{72982178, 103187256, 77185059, 95991211, 90618896, 81411133}},
		{"pareto", []int64{93348389, 98489990, 93383789, 95346680, 94211426, 93476562}},
		{"paretonormal", []int64{88256836, 99664307, 89334717, 95507812, 93314209, 90460205}},
	} {
		text := "delay 100ms 10ms distribution " + v.table
		all = append(all, vector{model: "netem, seed 1", statistic: text + ", ns", netem: text + " seed 1", arrivals: regular(6, time.Second, 100), want: v.want})
	}
	for _, v := range []struct {
		rate string
		size int
		want int64
	}{
		{"125000Bps", 1500, 12000000}, {"125000Bps 20", 1500, 12160000}, {"125000Bps -14", 1514, 12000000}, {"125000Bps 0 48 5", 40, 424000},
		{"1mbit 8 48 5", 1500, 13568000}, {"1mbit 0 48 5", 96, 848000}, {"1mbit 0 48 5", 97, 1272000}, {"31250Bps 0 81 46", 1280, 65024000},
	} {
		all = append(all, vector{model: "netem", statistic: fmt.Sprintf("rate %s, %d B, ns", v.rate, v.size), netem: "rate " + v.rate, arrivals: regular(1, 0, v.size), want: []int64{v.want}})
	}
	return append(all,
		vector{model: "netem", statistic: "delay 100ms rate 1mbit, ns", netem: "delay 100ms rate 1mbit",
			arrivals: []arrival{{0, 1500}, {0, 1500}, {0, 1500}, {200 * time.Millisecond, 1500}}, want: []int64{112e6, 124e6, 136e6, 112e6}},
		vector{model: "netem", statistic: "delay 1s: the limit drops from 1001 on", netem: "delay 1s", arrivals: regular(1500, 600*time.Microsecond, 100), losses: true, want: []int64{1001, 1002, 1003}},
		vector{model: "mahimahi", statistic: "trace 0 4 4 10, ns", trace: "0 4 4 10",
			arrivals: []arrival{{1e6, 1504}, {1e6, 700}, {1e6, 900}, {10e6, 100}}, want: []int64{3e6, 3e6, 9e6, 4e6}},
		vector{model: "mahimahi", statistic: "trace 1, ns", trace: "1", arrivals: []arrival{{0, 1504}, {0, 1504}, {0, 40}}, want: []int64{1e6, 2e6, 3e6}},
	)
}

// run returns the row of a vector: how many of its numbers are right.
func (v *vector) run() (Row, error) {
	got, err := v.play()
	if err != nil {
		return Row{}, fmt.Errorf("conformance: %s, %s: %w", v.model, v.statistic, err)
	}
	r := Row{Model: v.model, Statistic: v.statistic, Packets: len(v.arrivals), Expected: float64(len(v.want))}
	for i, want := range v.want {
		if i < len(got) && got[i] == want {
			r.Observed++
		}
	}
	if r.Observed != r.Expected {
		r.Z = math.Inf(1)
	}
	return r, nil
}

// play sends the packets and returns the delays of all in nanoseconds, or the
// numbers of those that were lost.
func (v *vector) play() ([]int64, error) {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "conformance"})
	if err != nil {
		return nil, err
	}
	header := 0
	if v.trace != "" {
		header = 14 // a trace counts IP packets
		var t *traces.Opportunities
		if t, err = traces.ReadOpportunities(strings.NewReader(strings.ReplaceAll(v.trace, " ", "\n")), "vector"); err == nil {
			_, err = traces.Deliver(l.Up.Direction, t, traces.DeliverConfig{})
		}
	} else {
		var cfg netem.Config
		var tables netem.Tables
		if cfg, err = netem.Parse(v.netem); err == nil {
			if tables, err = cfg.LoadTables(); err == nil {
				_, err = netem.Add(l.Up.Direction, cfg, tables)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	delays := make([]int64, len(v.arrivals))
	l.Connect(nil, link.SinkFunc(func(f *link.Frame) {
		delays[f.Ordinal-1] = int64(loop.Now().Sub(f.Entered))
		f.Release()
	}))
	var lost []int64
	l.Up.Observe(&lostPackets{&lost})
	for _, a := range v.arrivals {
		loop.At(sim.Time(a.at), func() { l.Up.Put(link.NewFrame(a.size + header)) })
	}
	if err := loop.Run(sim.Time(time.Hour)); err != nil {
		return nil, err
	}
	if v.losses {
		return lost, l.Check()
	}
	return delays, l.Check()
}

// lostPackets notes the numbers of packets that are lost.
type lostPackets struct{ all *[]int64 }

// Entered does nothing.
func (*lostPackets) Entered(*link.Direction, *link.Frame) {}

// Left does nothing.
func (*lostPackets) Left(*link.Direction, *link.Frame) {}

// Dropped notes a packet.
func (p *lostPackets) Dropped(_ *link.Direction, f *link.Frame, _ link.Verdict) {
	*p.all = append(*p.all, int64(f.Ordinal))
}
