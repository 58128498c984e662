package segment

import (
	"slices"

	"hilnet/sim"
	"hilnet/wire"
)

// This file is selective acknowledgement (RFC 2018), of a Conn whose recorded side and
// whose peer both announce it, and the recovery that it allows, a plain form of RFC
// 6675: each hole below what the peer has goes out once more, one with each
// acknowledgement.

// A recovery is the repair of a loss.
type recovery struct {
	on    bool
	until uint32 // it ends when everything before that is acknowledged
	since sim.Time
}

// blocks are what lies behind holes, as RFC 2018 section 4 wants it: that with the
// newest segment first.
func (c *Conn) blocks(most int) []wire.SACKBlock {
	var all []wire.SACKBlock
	for _, p := range c.pieces {
		if end := p.seq + uint32(len(p.data)); end != p.seq {
			all = append(all, wire.SACKBlock{Start: p.seq, End: end})
		}
	}
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1].Start
	slices.SortFunc(all, func(a, b wire.SACKBlock) int { return int(int32(a.Start - b.Start)) })
	merged := all[:1]
	for _, b := range all[1:] {
		switch last := &merged[len(merged)-1]; {
		case before(last.End, b.Start):
			merged = append(merged, b)
		case before(last.End, b.End):
			last.End = b.End
		}
	}
	for i, b := range merged {
		if !before(newest, b.Start) && before(newest, b.End) {
			copy(merged[1:i+1], merged[:i])
			merged[0] = b
			break
		}
	}
	return merged[:min(most, len(merged))]
}

// hearSACK notes what the peer has of what was sent, and returns how many segments
// that is.
func (c *Conn) hearSACK(t wire.TCP) (has int) {
	if !c.sacking {
		return 0
	}
	o, err := t.Options()
	if err != nil {
		return 0
	}
	for _, b := range o.SACK() {
		if before(b.Start, c.una) || before(c.high, b.End) || !before(b.Start, b.End) {
			continue // old, D-SACK or nonsense
		}
		for _, s := range c.queue {
			if s.tries == 0 { // nor was anything behind it sent
				break
			}
			if !before(s.seq, b.Start) && !before(b.End, s.seq+s.len()) {
				s.sacked = true
			}
		}
	}
	for _, s := range c.queue {
		if s.tries == 0 {
			break
		}
		if s.sacked {
			has++
		}
	}
	return has
}

// repair sends the next hole again while a loss is being repaired, and begins with
// that when enough is behind one.
func (c *Conn) repair(has int) {
	r := &c.recovery
	if r.on && !before(c.una, r.until) {
		r.on = false
	}
	if !r.on {
		if has < fastAfter && c.dups < fastAfter {
			return
		}
		*r = recovery{on: true, until: c.high, since: c.host.cfg.Loop.Now()}
		c.dups = 0
	}
	last := -1
	for i, s := range c.queue {
		if s.tries == 0 {
			break
		}
		if s.sacked {
			last = i
		}
	}
	for _, s := range c.queue[:max(last, 1)] {
		if s.tries > 0 && !s.sacked && s.at < r.since { // once in each repair
			c.transmit(s)
			return
		}
	}
}

// forgetSACK is for a time-out: the peer may have dropped what it had (RFC 2018
// section 8).
func (c *Conn) forgetSACK() {
	c.recovery.on = false
	for _, s := range c.queue {
		s.sacked = false
	}
}
