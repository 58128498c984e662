package anonymize

import (
	"errors"
	"fmt"
	"sort"

	"hilnet/pcaps/flow"
)

// ErrTooLong says that the plan for a capture needs more than Config.MaxPlan.
var ErrTooLong = errors.New("anonymize: the capture is too long")

// A plan says what the bytes of one direction of a conversation become. What it does
// not name becomes zeros.
type plan struct {
	regions []region // by offset, without overlap
	bytes   []byte   // what the regions become, or the seeds of letters
}

// A region is a piece of a stream.
type region struct {
	off     int64
	n       uint32
	at      uint32 // in plan.bytes
	letters bool   // at is a seed; else the bytes themselves
}

const seedLen = 16

// A key of a plan.
type direction struct {
	conversation uint64
	side         flow.Side
}

// cost is what a region needs, for Config.MaxPlan.
const cost = 24

// literal plans that the bytes at off become b.
func (s *survey) literal(p *plan, off int64, b []byte) {
	if len(b) == 0 || !s.room(len(b)) {
		return
	}
	p.regions = append(p.regions, region{off: off, n: uint32(len(b)), at: uint32(len(p.bytes))})
	p.bytes = append(p.bytes, b...)
}

// letters plans that n bytes at off become letters that depend on content.
func (s *survey) letters(p *plan, off int64, n int, content []byte) {
	if n == 0 || !s.room(seedLen) {
		return
	}
	seed := s.a.secret.random(domainPayload, content, []byte(fmt.Sprint(n)))
	p.regions = append(p.regions, region{off: off, n: uint32(n), at: uint32(len(p.bytes)), letters: true})
	p.bytes = append(p.bytes, seed[:seedLen]...)
}

// room reports whether the plan may grow by a region of n bytes, and notes when not.
func (s *survey) room(n int) bool {
	if s.used += n + cost; s.used <= s.a.config.MaxPlan {
		return true
	}
	if s.err == nil {
		s.err = fmt.Errorf("%w: the plan for its streams needs more than %d MiB; cut it into parts (replay cut) and give each the same key", ErrTooLong, s.a.config.MaxPlan>>20)
	}
	return false
}

// fill writes what the bytes from off on become; what is not planned stays.
// It returns how many bytes were planned.
func (p *plan) fill(a *Anonymizer, out []byte, off int64) (filled int) {
	end := off + int64(len(out))
	i := sort.Search(len(p.regions), func(i int) bool { return p.regions[i].off+int64(p.regions[i].n) > off })
	for ; i < len(p.regions) && p.regions[i].off < end; i++ {
		r := &p.regions[i]
		from, to := max(r.off, off), min(r.off+int64(r.n), end)
		target := out[from-off : to-off]
		if r.letters {
			a.secret.letters(target, p.bytes[r.at:r.at+seedLen], from-r.off)
		} else {
			copy(target, p.bytes[int64(r.at)+from-r.off:])
		}
		filled += len(target)
	}
	return filled
}
