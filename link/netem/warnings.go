package netem

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// WarningCodes are the codes of all warnings, in the order in which they come.
var WarningCodes = []string{
	"twice", "bare-time", "bare-percent", "rate-zero", "gemodel-r", // by Parse
	"loss-correlation", "duplicate-correlation", "corrupt-correlation", "reorder-correlation",
	"duplicate-correlation-lost", "delay-correlation",
	"jitter-deviation", "jitter-cap", "jitter-negative", "jitter-reorders", "jitter-rate", "reorder-spacing",
	"rate-delay", "rate-length", "limit-delay", "limit-rate", "limit-zero",
	"duplicate-loss", "corrupt-checksum", "ecn", "seed-incomplete", "slot-first",
}

// A warner collects warnings with the places of their options.
type warner struct {
	text  string
	words []word
	all   []Warning
}

// add adds a warning about an option.
func (w *warner) add(code, option, format string, args ...any) {
	column := 0
	for _, word := range w.words {
		for _, o := range options {
			if o.name == option && (strings.HasPrefix(o.name, word.s) || o.alias != "" && strings.HasPrefix(o.alias, word.s)) && len(word.s) > 1 {
				p := parser{text: w.text}
				column = p.column(word)
			}
		}
	}
	w.all = append(w.all, Warning{code, column, fmt.Sprintf(format, args...)})
}

// warnings says where netem's result differs from what was typed.
func (e *Explanation) warnings(c *Config) []Warning {
	w := &warner{text: c.text, words: split(c.text)}
	e.warnCorrelations(c, w)
	e.warnJitter(c, w)
	e.warnRate(c, w)
	e.warnRest(c, w)
	return w.all
}

func percent(p float64) string { return fmt.Sprintf("%.3g %%", 100*p) }

// warnCorrelations: a correlated number is not uniform any more, so another
// share of the packets is hit than the one typed.
func (e *Explanation) warnCorrelations(c *Config, w *warner) {
	for _, o := range []struct {
		option      string
		correlation Share
		effect      *Effect
	}{
		{"loss", c.Loss.Correlation, &e.Lost}, {"duplicate", c.DuplicateCorrelation, &e.Duplicate},
		{"corrupt", c.CorruptCorrelation, &e.Corrupt}, {"reorder", c.ReorderCorrelation, &e.AtOnce},
	} {
		if o.correlation == 0 || o.effect.Typed == nil || o.option == "duplicate" && !c.sendsCorrelations() {
			continue
		}
		m, hit := o.effect.Measured, fmt.Sprintf("%s of the packets", percent(o.effect.Measured.Value))
		if m.Value == 0 {
			hit = fmt.Sprintf("none of %d packets", e.Load.Packets)
		}
		w.add(o.option+"-correlation", o.option, "typed %s, but netem hits %s: with a correlation of %v its random numbers gather around the middle, and seldom reach the ends",
			percent(*o.effect.Typed), hit, o.correlation)
	}
	if c.DuplicateCorrelation != 0 && !c.sendsCorrelations() {
		w.add("duplicate-correlation-lost", "duplicate", "tc does not hand over the correlation of duplicate when no other option has one: there is none")
	}
	if c.DelayCorrelation != 0 && c.Jitter > 0 {
		w.add("delay-correlation", "delay", "typed a correlation of %v, but the autocorrelation of the delays is %.2f: netem takes the rest of a division of a correlated number, and the rest is hardly correlated",
			c.DelayCorrelation, e.Delay.Autocorrelation)
	}
}

func (e *Explanation) warnJitter(c *Config, w *warner) {
	if c.Jitter == 0 {
		return
	}
	d := &e.Delay
	if c.Jitter > math.MaxInt32 {
		w.add("jitter-cap", "delay", "a jitter of %v is cut to 2.147483647s, what 31 bits of nanoseconds hold", c.Jitter)
	}
	if ratio := float64(d.Jitter) / float64(c.Jitter); ratio < 0.95 || ratio > 1.05 {
		w.add("jitter-deviation", "delay", "typed a jitter of %v, but the standard deviation of the delays is %v (%.2f of it)", c.Jitter, d.Jitter.Round(time.Microsecond), ratio)
	}
	if d.Negative > 0 {
		w.add("jitter-negative", "delay", "%s of the drawn delays are below 0: these packets leave at once", percent(d.Negative))
	}
	switch {
	case c.RateBytesPerSecond > 0:
		w.add("jitter-rate", "delay", "with a rate the packets keep their order: one waits for the one before it, so jitter does not reorder, and a queue hides it")
	case e.Overtaken.Measured.Value > 0 && c.Reorder == 0:
		w.add("jitter-reorders", "delay", "jitter reorders: %s of packets %v apart are overtaken", percent(e.Overtaken.Measured.Value), e.Load.Every)
	}
}

func (e *Explanation) warnRate(c *Config, w *warner) {
	if c.Reorder > 0 && e.Overtaken.Measured.Value == 0 {
		w.add("reorder-spacing", "reorder", "nobody is overtaken: reorder sends a packet at once, ahead of those still in the delay, and packets %v apart do not meet in a delay of %v", e.Load.Every, c.Delay)
	}
	if c.RateBytesPerSecond > 0 {
		full := float64(c.Limit) * float64(c.packetTime(e.Load.Size))
		if full > 1e9 {
			w.add("limit-rate", "rate", "a queue of %d packets of %d B takes %v to send at this rate: set limit to what the link really buffers", c.Limit, e.Load.Size, roundTime(full))
		}
		if c.Delay > 0 {
			w.add("rate-delay", "rate", "the delay comes before the rate, and waiting in the queue counts as delay: a packet behind others is not delayed by both")
		}
		if c.PacketOverhead == 0 && c.CellSize == 0 {
			w.add("rate-length", "rate", "the rate counts whole frames with their 14 bytes of Ethernet header, and no preamble, gap or checksum: add an overhead of -14 for the rate of IP packets")
		}
	}
	if c.Limit == 0 {
		w.add("limit-zero", "limit", "limit 0 drops every packet")
		return
	}
	if c.Delay > 0 && (float64(c.Limit) < 2000*c.Delay.Seconds() || e.QueueFull.Measured.Value > 0) {
		w.add("limit-delay", "limit", "the limit of %d packets counts those in the delay: above %.0f packets a second netem drops", c.Limit, float64(c.Limit)/c.Delay.Seconds())
	}
}

func (e *Explanation) warnRest(c *Config, w *warner) {
	if c.Duplicate > 0 && c.Loss.Model != LossNone {
		w.add("duplicate-loss", "duplicate", "a packet that is duplicated and lost passes once, and a copy is lost by a draw of its own")
	}
	if c.Corrupt > 0 {
		w.add("corrupt-checksum", "corrupt", "one bit of the frame is flipped, link header included; checksums always catch one bit, so for TCP this is loss")
	}
	if c.ECN {
		w.add("ecn", "ecn", "only packets of transports that use ECN are marked instead of lost, and netem counts them as dropped")
	}
	if c.HasSeed {
		var parts []string
		for _, p := range []struct {
			on   bool
			name string
		}{
			{c.DelayCorrelation|c.Loss.Correlation|c.DuplicateCorrelation|c.ReorderCorrelation|c.CorruptCorrelation != 0, "where correlations start"},
			{c.Corrupt > 0, "which bit is flipped"},
			{c.Slot.On() && c.Slot.Distribution == "" && c.Slot.Max > c.Slot.Min, "the times of slots"},
		} {
			if p.on {
				parts = append(parts, p.name)
			}
		}
		if len(parts) > 0 {
			w.add("seed-incomplete", "seed", "in Linux the seed does not decide %s; here the seed of the run does", strings.Join(parts, ", "))
		}
	}
	if c.Slot.On() && c.Delay > 0 {
		w.add("slot-first", "slot", "a slot that lies before the delay of the next packet is drawn again: slots begin when packets come, not on a grid")
	}
}

// roundTime writes nanoseconds with three digits.
func roundTime(ns float64) string {
	if ns > math.MaxInt64/2 {
		return "longer than a century"
	}
	d := time.Duration(ns)
	for _, unit := range []time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}
