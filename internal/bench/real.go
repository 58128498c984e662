package main

import (
	"fmt"
	"slices"
)

// realGroup is the real-time path: two kernels, and what is between them.
func realGroup() group {
	through := func(what string) program {
		return program{what, benchmark("emu", "^BenchmarkRealPath$/^"+what+"$", "1x")}
	}
	const forwarder = "a bare forwarder"
	return group{
		name:     "real",
		programs: []program{through("veth"), through("forwarder"), through("link"), through("recorded")},
		rows: []row{
			{"iperf3 between two namespaces, our link between", "≥ 0.9 × " + forwarder, throughput("link")},
			{"the same, both ends recorded", "≥ 0.6 × " + forwarder, throughput("recorded")},
			{"the same, a forwarder between that reads and writes", "", throughput("")},
			{"ping between the two, what our link adds, median", "≤ 1.5 × " + forwarder, added("link")},
			{"the same, what the forwarder adds", "", added("")},
		},
	}
}

// delayLevels are those of BenchmarkDelayError.
var delayLevels = []string{"1ms", "5ms", "20ms", "200ms"}

// delayGroup is how far a delay is from what was asked for.
func delayGroup() group {
	g := group{name: "delay"}
	for _, level := range delayLevels {
		for _, what := range []struct{ program, text string }{
			{"link", "our link"}, {"sleep", "a forwarder that sleeps"}, {"toxiproxy", "toxiproxy's latency"},
		} {
			name := what.program + "-" + level
			g.programs = append(g.programs, program{name, benchmark("emu", "^BenchmarkDelayError$/^"+name+"$", "1x")})
			g.rows = append(g.rows, row{fmt.Sprintf("%s late at a delay of %s", what.text, level), "", delayError(name)})
		}
	}
	return g
}

// throughput shows what passes a second, and how many times that is what passes
// the forwarder in the same round; empty: the forwarder's own.
func throughput(what string) func(found) string {
	return func(f found) string {
		name := what
		if name == "" {
			name = "forwarder"
		}
		bits, ok := f.median(name, metric("Mbit/s"))
		if !ok {
			return f.notMeasured(name)
		}
		text := thousands(bits) + " Mbit/s"
		if ratio, ok := f.ratio(name, metric("Mbit/s"), "forwarder", metric("Mbit/s")); ok && what != "" {
			text += fmt.Sprintf("; %.2f ×", ratio)
		}
		return text
	}
}

// added shows by how much a round trip is longer than over a veth, and how many
// times that is what the forwarder adds in the same round.
func added(what string) func(found) string {
	return func(f found) string {
		name := what
		if name == "" {
			name = "forwarder"
		}
		plain, ok1 := f.median("veth", metric("rtt-µs"))
		rtt, ok2 := f.median(name, metric("rtt-µs"))
		if !ok1 || !ok2 {
			return f.notMeasured(name)
		}
		text := fmt.Sprintf("%.0f µs", rtt-plain)
		less := func(s sample) float64 { return s.metrics["rtt-µs"] - plain }
		if ratio, ok := f.ratio(name, less, "forwarder", less); ok && what != "" {
			text += fmt.Sprintf("; %.2f ×", ratio)
		}
		return text
	}
}

func delayError(name string) func(found) string {
	return func(f found) string {
		p50, ok := f.median(name, metric("p50-µs"))
		p99, _ := f.median(name, metric("p99-µs"))
		most, _ := f.median(name, metric("max-µs"))
		if !ok {
			return f.notMeasured(name)
		}
		return fmt.Sprintf("median %s µs, 99 %% %s µs, most %s µs", thousands(p50), thousands(p99), thousands(most))
	}
}

// ratio returns the median over the rounds of how many times the one is the other.
func (f found) ratio(one string, ofOne func(sample) float64, other string, ofOther func(sample) float64) (float64, bool) {
	a, b := f.samples[one], f.samples[other]
	var all []float64
	for i := range min(len(a), len(b)) {
		if d := ofOther(b[i]); d > 0 {
			all = append(all, ofOne(a[i])/d)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}
