package play

import (
	"fmt"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
	"hilnet/sim"
)

// This file decides when an event of the played side is to happen, and how long
// what it answers is waited for.

// pong reports whether an event only answers a ping: a live client pings by its
// own clock.
func (s *session) pong(i int) bool {
	e := &s.events[i]
	return s.player.cfg.Policy != Strict && e.Kind == script.Message && e.Type == codec.PINGRESP && e.Rule == script.RuleProtocol
}

// pinged answers a ping whose answer's turn has passed.
func (s *session) pinged(ping int) {
	for i := ping + 1; i < len(s.events); i++ {
		if st := &s.state[i]; s.events[i].Cause == ping && s.pong(i) {
			if st.status == skipped {
				st.status, st.at = sent, s.now()
				s.conn.Write(s.events[i].Raw, nil)
			}
			return
		}
	}
}

// due is when an event of the played side is to happen; false while what it
// answers has not come.
func (s *session) due(i int) (sim.Time, bool) {
	cfg, e := &s.player.cfg, &s.events[i]
	schedule := s.opened
	if e.At > s.of.Open {
		schedule = schedule.Add(cfg.scaled(e.At - s.of.Open))
	}
	if cfg.Timing == Absolute && !s.state[i].synthetic {
		schedule = s.player.schedule(e.At)
		return max(schedule, s.opened), true
	}
	cause, arrived := s.opened, true
	if e.Cause >= 0 {
		c := &s.state[e.Cause]
		cause, arrived = c.at, c.status == sent || c.status == matched
		if c.status == skipped || c.status == needless || c.unheeded && c.status == pending {
			cause, arrived = max(c.at, s.opened), true // it was given up then
		}
	}
	if e.Kind != script.Message || e.Type == codec.DISCONNECT {
		arrived = arrived && s.heard(i)
	}
	switch {
	case cfg.Timing == Fast:
		return s.now(), arrived && (e.Rule != script.RuleSpontaneous || s.heard(i))
	case e.Rule == script.RuleSpontaneous && cfg.Timing == Mixed && e.Kind == script.Message && e.Type != codec.DISCONNECT:
		return schedule, true
	case e.Rule == script.RuleSpontaneous && cfg.Timing == Mixed:
		return max(schedule, s.heardAt(i)), arrived
	case e.Kind != script.Message && s.heardAt(i) > cause:
		return max(cause.Add(cfg.scaled(e.Gap)), s.heardAt(i)), arrived
	}
	return cause.Add(cfg.scaled(e.Gap)), arrived
}

// heard reports whether everything that the peer had sent before an event has
// come: a connection is not closed on what is still under way.
func (s *session) heard(i int) bool {
	for _, p := range s.expected {
		if p > i {
			break
		}
		if st := &s.state[p]; st.status == pending && !st.unheeded && s.events[p].Kind == script.Message && s.events[p].Type != codec.PINGREQ {
			return false
		}
	}
	return true
}

// heardAt is when the last of it came.
func (s *session) heardAt(i int) sim.Time {
	at := sim.Time(0)
	for p := i - 1; p >= 0 && p >= i-maxChain; p-- {
		if s.state[p].status == matched {
			at = max(at, s.state[p].at)
		}
	}
	return at
}

// patient waits for what event i answers. When that takes too long it does as
// the policy says and returns false: the event is sent, skipped, or the session
// has ended.
func (s *session) patient(i int) bool {
	st := &s.state[i]
	if st.extraWait == 0 {
		st.extraWait = s.now() + 1
	}
	if until := (st.extraWait - 1).Add(s.patience(i)); s.now() < until {
		s.timer.Reset(until)
		return true
	}
	what := s.awaited(i)
	e := &s.events[i]
	for _, p := range s.expected { // it is not waited for a second time
		if p < i && !s.state[p].unheeded {
			s.state[p].unheeded = true
			if s.state[p].status == pending {
				s.state[p].at = s.now()
			}
		}
	}
	final := e.Kind != script.Message || e.Type == codec.DISCONNECT || e.Rule == script.RuleSpontaneous
	switch policy := s.player.cfg.Policy; {
	case policy == Strict:
		s.stop("%s did not come within %v", what, s.player.cfg.Wait)
	case s.orphan(i):
		st.status, st.at = skipped, s.now() // whatever the policy: nothing is acknowledged that did not come
	case policy == Follow || final || policy == Wait && s.awaitsPublish(i):
		st.unheeded = true
	case policy == Skip:
		st.status, st.at = skipped, s.now()
	default:
		s.stop("%s did not come within %v", what, s.player.cfg.Wait)
	}
	return false
}

// orphan reports whether an event acknowledges a PUBLISH that did not come, nor is
// waited for any more; with Follow and Skip, any request.
func (s *session) orphan(i int) bool {
	e := &s.events[i]
	if e.Kind != script.Message || !acknowledges(e.Type) || e.Type == codec.PUBREL || e.Rule != script.RuleProtocol || e.Cause < 0 {
		return false
	}
	c := &s.events[e.Cause]
	return s.state[e.Cause].status == pending && s.state[e.Cause].unheeded &&
		(c.Type == codec.PUBLISH || c.Type == codec.PUBREL || s.player.cfg.Policy != Wait)
}

// awaitsPublish reports whether an event only follows a PUBLISH that did not come:
// somebody else may have published it when it was recorded.
func (s *session) awaitsPublish(i int) bool {
	c := s.events[i].Cause
	return c >= 0 && s.events[c].Type == codec.PUBLISH && s.events[c].From != s.player.cfg.As && s.state[c].status == pending
}

// patience is how long what event i answers is waited for: as long as it took,
// and some more.
func (s *session) patience(i int) time.Duration {
	cfg := &s.player.cfg
	if cfg.Timing == Fast {
		return cfg.Wait
	}
	before := s.of.Open
	if s.next > 0 {
		before = s.events[s.own[s.next-1]].At
	}
	return cfg.Wait + cfg.scaled(max(0, s.events[i].At-before))
}

// awaited names what event i waits for.
func (s *session) awaited(i int) string {
	if c := s.events[i].Cause; c >= 0 && s.state[c].status == pending {
		return fmt.Sprintf("%s (frame %d)", s.events[c].Label(), s.events[c].Frame)
	}
	for _, p := range s.expected {
		if p < i && s.state[p].status == pending {
			return fmt.Sprintf("%s (frame %d)", s.events[p].Label(), s.events[p].Frame)
		}
	}
	return "what it answers"
}
