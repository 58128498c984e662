package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"hilnet/scenarios"
	"hilnet/trace"
)

// finish fills in what is known at the end only.
func (b *Builder) finish(info *captureInfo) {
	h := &b.head
	if info != nil && info.end > info.epoch {
		h.Length = max(h.Length, int64(info.end-info.epoch))
	}
	h.Length = max(h.Length, int64(h.Run.Length))
	h.Title = h.Run.Scenario
	for _, x := range b.open {
		x.To = h.Length
		b.bands = append(b.bands, x)
	}
	b.open = nil
	slices.SortStableFunc(b.bands, func(x, y Band) int { return cmp.Compare(x.From, y.From) })
	if h.Run.Outcome != nil {
		h.Run.Outcome = outcomeForPage(h.Run.Outcome)
		h.Findings = remedies(h.Run.Outcome.Findings)
		h.Drops = drops(&h.Run.Outcome.Drops)
	} else {
		h.Drops = b.dropsOfCaptures()
	}
	b.explainChecks()
	h.Latency, h.LatencyCount = distribution(b.acked)
	if len(h.Captures) == 0 {
		b.missing("captures: the scenario's key capture says which there are")
	}
	if b.cut > 0 {
		b.missing("%d frames beyond the first %d", b.cut, MaxFrames)
	}
	if b.cutEv > 0 {
		b.missing("%d events beyond the first %d", b.cutEv, MaxEvents)
	}
	for _, c := range b.series {
		if len(c.t) >= maxPoints {
			b.missing("the curve %s behind %d changes", c.name, maxPoints)
		}
	}
	for _, x := range []struct {
		full bool
		what string
		most int
	}{
		{len(b.series) >= maxCurves, "curves", maxCurves}, {len(b.bands) >= maxBands, "states that lasted", maxBands},
		{len(b.acked) >= maxAcked, "latencies", maxAcked},
	} {
		if x.full {
			b.missing("%s beyond the first %d", x.what, x.most)
		}
	}
	b.lists()
}

// lists makes those of the head that are nil empty, as the page takes them.
func (b *Builder) lists() {
	h := &b.head
	h.Lanes, h.Versions, h.Findings, h.Drops = filled(h.Lanes), filled(h.Versions), filled(h.Findings), filled(h.Drops)
	h.Missing, h.Captures, h.Conversations, h.Latency = filled(h.Missing), filled(h.Captures), filled(h.Conversations), filled(h.Latency)
	h.Run.Notes, h.Run.Files, h.Run.Checks = filled(h.Run.Notes), filled(h.Run.Files), filled(h.Run.Checks)
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// A namedMoment is a moment at which a number of the outcome was decided.
type namedMoment struct {
	name  string
	at    scenarios.Moment
	worst int64
}

// decided notes the moment of a number: the first one, or the one with the
// largest weight.
func (b *Builder) decided(name string, e *trace.Event, weight int64, text string) {
	for i := range b.moments {
		if m := &b.moments[i]; m.name == name {
			if weight > m.worst {
				m.at, m.worst = scenarios.Moment{T: e.T, Seq: e.Seq, Text: text}, weight
			}
			return
		}
	}
	if len(b.moments) >= maxMoments {
		return
	}
	b.moments = append(b.moments, namedMoment{name, scenarios.Moment{T: e.T, Seq: e.Seq, Text: text}, weight})
}

// decide notes what an event decided.
func (b *Builder) decide(e *trace.Event) {
	if (e.Kind == trace.KindPoolLow || e.Kind == trace.KindPoolEmpty) && e.Stage != scenarios.StagePool {
		return // that of the DHCP or the DNS client
	}
	switch e.Kind {
	case trace.KindPoolLow:
		b.decided("min_free", e, -e.Count, "the fewest packets were free")
	case trace.KindPoolEmpty:
		b.decided("empty_requests", e, 0, "the first request that found no packet")
	case trace.KindAcked:
		b.decided("last_ack_time", e, int64(e.Seq), "the last acknowledgement")
		b.decided("latency", e, e.Count, "the acknowledgement that took longest")
	case trace.KindDrop:
		b.decided("reason."+string(e.Reason), e, 0, "the first one")
	}
}

// explainChecks gives the expectations that failed for a number, and not for an
// event, the moment at which that number was decided.
func (b *Builder) explainChecks() {
	checks := slices.Clone(b.head.Run.Checks)
	for i := range checks {
		for k := range b.moments {
			if m := &b.moments[k]; !checks[i].Passed && checks[i].Moment == nil && strings.Contains(checks[i].That, m.name) {
				checks[i].Moment = &m.at
			}
		}
	}
	b.head.Run.Checks = checks
}

// outcomeForPage is an outcome whose lists are not null.
func outcomeForPage(o *scenarios.Outcome) *scenarios.Outcome {
	own := *o
	if own.Findings == nil {
		own.Findings = []scenarios.Finding{}
	}
	if own.ConservationErrors == nil {
		own.ConservationErrors = []string{}
	}
	return &own
}

// remedies are what the kinds of findings mean.
func remedies(all []scenarios.Finding) []Remedy {
	kinds := scenarios.FindingKinds()
	out := []Remedy{}
	for _, f := range all {
		r := Remedy{}
		if i := slices.IndexFunc(kinds, func(k scenarios.FindingKind) bool { return k.Name == f.Name }); i >= 0 {
			r = Remedy{kinds[i].Text, kinds[i].Remedy}
		}
		out = append(out, r)
	}
	return out
}

// drops lists the reasons, the most frequent first.
func drops(d *scenarios.Drops) []Drop {
	out := []Drop{}
	for reason, n := range d.Reason {
		if n > 0 {
			out = append(out, Drop{Reason: reason, N: n})
		}
	}
	slices.SortFunc(out, func(a, b Drop) int {
		if a.N != b.N {
			return cmp.Compare(b.N, a.N)
		}
		return cmp.Compare(a.Reason, b.Reason)
	})
	for i := range out {
		if e, ok := trace.Explain(out[i].Reason); ok {
			out[i].Means, out[i].Source = e.Text, e.Source
		}
	}
	return out
}

// dropsOfCaptures counts what the captures say was lost on the link.
func (b *Builder) dropsOfCaptures() []Drop {
	n := 0
	for _, c := range b.head.Captures {
		n += c.Lost
	}
	if n == 0 {
		return []Drop{}
	}
	return []Drop{{Reason: "on the link", N: n, Means: "The captures mark these frames as dropped on the link; each says why.", Source: "epb_verdict"}}
}

// distribution returns points of the distribution of some times, by nearest
// rank, denser where it matters: at its upper end.
func distribution(all []int64) ([]Quantile, int) {
	out := []Quantile{}
	if len(all) == 0 {
		return out, 0
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	n := len(sorted)
	const most = 400
	if n <= most {
		for i, v := range sorted {
			out = append(out, Quantile{float64(i+1) / float64(n), v})
		}
		return out, n
	}
	last := 0
	for i := range most + 1 {
		x := float64(i) / most
		p := 1 - math.Pow(1-x, 2) // denser at the end
		rank := min(max(int(math.Ceil(p*float64(n))), 1), n)
		if rank != last {
			out = append(out, Quantile{float64(rank) / float64(n), sorted[rank-1]})
			last = rank
		}
	}
	return out, n
}

// Head returns what the page knows of the whole.
func (b *Builder) Head() *Head { return &b.head }

// Missing returns what the page does not show, and why.
func (b *Builder) Missing() []string { return b.head.Missing }

// String is the page in a line.
func (b *Builder) String() string {
	return fmt.Sprintf("%s: %d frames, %d events", b.head.Title, len(b.rows), len(b.events))
}
