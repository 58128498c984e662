package netem

import (
	"fmt"
	"math"
	"strings"
)

func (p *parser) loss(at word) error {
	l := Loss{Model: LossRandom, Correlation: p.c.Loss.Correlation}
	w, err := p.need("the share of loss")
	if err != nil {
		return err
	}
	switch {
	case w.s[0] >= '0' && w.s[0] <= '9':
		p.i--
		err = p.pair("the share of loss", &l.Random, &l.Correlation)
	case w.s == "random":
		err = p.pair("the share of loss", &l.Random, &l.Correlation)
	case w.s == "state":
		err = p.stateLoss(&l)
	case w.s == "gemodel":
		err = p.gemodelLoss(&l)
	default:
		return p.fail(w, fmt.Sprintf("%q is not a model of loss", w.s), "a share, random, state or gemodel")
	}
	p.c.Loss = l
	return err
}

// model reads the first share of a loss model and what follows it.
func (p *parser) model(what string, labels []string, shares []*Share, defaults func(first float64)) (given int, err error) {
	p.label(labels[0])
	w, err := p.need(what)
	if err != nil {
		return 0, err
	}
	v, err := parseShare(w.s)
	if err != nil {
		return 0, p.fail(w, err.Error(), "")
	}
	if err := p.share(w, shares[0]); err != nil {
		return 0, err
	}
	defaults(v)
	for i, to := range shares[1:] {
		p.label(labels[i+1])
		w, ok := p.optional(false)
		if !ok {
			return i + 1, nil
		}
		if err := p.share(w, to); err != nil {
			return 0, err
		}
	}
	return len(shares), nil
}

func (p *parser) stateLoss(l *Loss) error {
	l.Model = LossState
	_, err := p.model("p13 of loss state", []string{"p13", "p31", "p32", "p23", "p14"},
		[]*Share{&l.P13, &l.P31, &l.P32, &l.P23, &l.P14}, func(p13 float64) {
			l.P31, l.P23 = ShareOf(1-p13), All
		})
	return err
}

func (p *parser) gemodelLoss(l *Loss) error {
	l.Model = LossGemodel
	start := p.words[p.i-1]
	given, err := p.model("p of loss gemodel", []string{"p", "r", "1-h", "1-k"},
		[]*Share{&l.P, &l.R, &l.LossBad, &l.LossGood}, func(first float64) {
			l.R, l.LossBad = ShareOf(1-first), All
		})
	if err == nil && given == 1 {
		p.note("gemodel-r", start, "r is not given, so tc sets it to 1-p: the losses are as independent as those of \"loss %v\"", l.P)
	}
	return err
}

func (p *parser) distribution(word) error {
	w, err := p.need("the name of the distribution")
	if err != nil {
		return err
	}
	p.c.Distribution, err = p.tableName(w)
	return err
}

func (p *parser) tableName(w word) (string, error) {
	if len(w.s) > maxTableName || strings.ContainsAny(w.s, "/\\\x00") || w.s[0] == '.' {
		return "", p.fail(w, fmt.Sprintf("%q is not the name of a distribution", w.s), "uniform, normal, pareto, paretonormal, or the name of a .dist file of tc without its ending")
	}
	if w.s == "uniform" {
		return "", nil // what netem does without a table; tc has none of this name
	}
	return w.s, nil
}

func (p *parser) rate(at word) error {
	w, err := p.need("the number of rate")
	if err != nil {
		return err
	}
	if strings.Contains(w.s, "%") {
		return p.fail(w, "a share of the interface's speed has no meaning here", `write a rate, such as "1mbit"`)
	}
	c := &p.c
	if c.RateBytesPerSecond, err = parseRate(w.s); err != nil {
		return p.fail(w, err.Error(), `a rate is a number with bit, kbit, mbit, gbit, bps or kbps, such as "26kbit"; bps is bytes per second`)
	}
	if c.RateBytesPerSecond == 0 {
		p.note("rate-zero", at, "%q is less than a byte per second, which netem takes as no limit", w.s)
	}
	for _, o := range []struct {
		label       string
		least, most int64
		set         func(int64)
	}{
		{"packetoverhead", math.MinInt32, math.MaxInt32, func(n int64) { c.PacketOverhead = int32(n) }},
		{"cellsize", 0, math.MaxUint32, func(n int64) { c.CellSize = uint32(n) }},
		{"celloverhead", math.MinInt32, math.MaxInt32, func(n int64) { c.CellOverhead = int32(n) }},
	} {
		p.label(o.label)
		w, ok := p.optional(o.least < 0)
		if !ok {
			continue
		}
		n, err := parseInt(w.s, o.least, o.most)
		if err != nil {
			return p.fail(w, err.Error(), "a number of bytes")
		}
		o.set(n)
	}
	return nil
}

func (p *parser) slot(word) error {
	s := &p.c.Slot
	if w, ok := p.optional(false); ok {
		if err := p.time(w, &s.Min); err != nil {
			return err
		}
		s.Max = s.Min
		if w, ok := p.optional(false); ok {
			if err := p.time(w, &s.Max); err != nil {
				return err
			}
			if s.Max < s.Min {
				return p.fail(w, "the longest time between slots is shorter than the shortest", "")
			}
		}
	} else if err := p.slotDistribution(s); err != nil {
		return err
	}
	if p.i < len(p.words) && strings.HasPrefix("packets", p.words[p.i].s) {
		p.i++
		w, err := p.need("the packets of a slot")
		if err != nil {
			return err
		}
		n, err := parseInt(w.s, 0, math.MaxInt32)
		if err != nil {
			return p.fail(w, err.Error(), "a number of packets; 0 is no limit")
		}
		s.Packets = int32(n)
	}
	if p.i < len(p.words) && strings.HasPrefix("bytes", p.words[p.i].s) {
		p.i++
		w, err := p.need("the bytes of a slot")
		if err != nil {
			return err
		}
		n, err := parseSize(w.s)
		if err != nil || n > math.MaxInt32 {
			return p.fail(w, fmt.Sprintf("%q is not a size below 2 GiB", w.s), `such as "1500" or "64k"`)
		}
		s.Bytes = int32(n)
	}
	return nil
}

func (p *parser) slotDistribution(s *Slot) error {
	w, err := p.need("the time of slot")
	if err != nil {
		return err
	}
	if w.s != "distribution" {
		return p.fail(w, fmt.Sprintf("%q is neither a time nor \"distribution\"", w.s), `such as "slot 10ms 20ms packets 5"`)
	}
	name, err := p.need("the name of the distribution")
	if err != nil {
		return err
	}
	if name.s[0] >= '0' && name.s[0] <= '9' {
		return p.fail(name, "the name of the distribution is missing", "tc qdisc show does not print it: write it behind distribution")
	}
	if s.Distribution, err = p.tableName(name); err != nil {
		return err
	}
	if s.Distribution == "" {
		return p.fail(name, "slot distribution needs a table", `for a uniform time between slots write "slot MIN MAX"`)
	}
	if w, err = p.need("the time of slot"); err != nil {
		return err
	}
	if err := p.time(w, &s.Delay); err != nil {
		return err
	}
	if w, err = p.need("the jitter of slot"); err != nil {
		return err
	}
	if err := p.time(w, &s.Jitter); err != nil {
		return err
	}
	if s.Jitter == 0 {
		return p.fail(w, "the jitter of slot is 0", "")
	}
	return nil
}
