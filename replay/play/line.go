package play

import (
	"math"
	"time"
)

// A line has the conversations that are played as the client without regard to the
// clock. They begin in their recorded order, each when the others have sent what they
// had sent before it began: else a message would be published before anybody had
// subscribed to it.
type line struct {
	waiting []*session
	begin   time.Duration // of the first of them, recorded
	behind  int           // sessions that have not come so far
}

// queue puts conversations in line and lets the first begin.
func (p *Player) queue(all []*session) {
	p.line.waiting = all
	p.release()
}

// release lets conversations begin as long as nobody is behind.
func (p *Player) release() {
	for l := &p.line; len(l.waiting) > 0 && l.behind == 0; {
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		p.cfg.Loop.After(0, next.begin)
		if len(l.waiting) == 0 {
			return
		}
		l.begin = l.waiting[0].of.Begin
		for _, s := range p.sessions {
			if s.behind = !s.ended && s.of.Begin < l.begin && s.nextAt() < l.begin; s.behind {
				l.behind++
			}
		}
	}
}

// progress sees whether a session is behind still.
func (p *Player) progress(s *session) {
	if s.behind && (s.ended || s.nextAt() >= p.line.begin) {
		s.behind = false
		if p.line.behind--; p.line.behind == 0 {
			p.release()
		}
	}
}

// nextAt is when the next event of the played side was recorded.
func (s *session) nextAt() time.Duration {
	if s.next < len(s.own) {
		return s.events[s.own[s.next]].At
	}
	return math.MaxInt64
}
