package play

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hilnet/replay/script"
	"hilnet/sim"
)

// ErrNothing says that no conversation can be played; it is wrapped with why.
var ErrNothing = errors.New("nothing can be played")

// A Player plays one side of a script.
type Player struct {
	cfg      Config
	sessions []*session // in the order of the script
	byIndex  map[int]*session
	refused  []*Conversation
	left     int // sessions that have not ended
	began    sim.Time
	based    bool     // base is known
	base     sim.Time // the moment of the capture's first frame
	origin   time.Duration
	// clientNumber counts the clients, by recorded client identifier.
	clientNumber map[string]int
	accepting    *sim.Timer
	line         line
	strangers    []Tally // connections beyond the script
	shaking      int     // connections that shook hands when the play ended
	lobbies      int     // connections that have not said who they are
	lobbyBytes   int     // what they have said so far
	sentBytes    int
	done         bool
}

// New sees what of the script can be played.
func New(cfg Config) (*Player, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	p := &Player{cfg: cfg, byIndex: map[int]*session{}, clientNumber: map[string]int{}}
	var reasons []string
	wanted := 0
	for i, c := range cfg.Script.Conversations {
		if len(cfg.Only) > 0 && !slices.Contains(cfg.Only, c.ID) {
			continue
		}
		wanted++
		if why := c.Unplayable(cfg.As, cfg.Synthetic); why != "" {
			p.refused = append(p.refused, refusal(c, why))
			if line := fmt.Sprintf("conversation %d: %s", c.ID, why); len(reasons) < maxReasons {
				reasons = append(reasons, line)
			}
			continue
		}
		s := newSession(p, i, c)
		if p.clientNumber[s.recordedID] == 0 || s.recordedID == "" {
			p.clientNumber[s.recordedID] = len(p.clientNumber) + 1
		}
		p.sessions = append(p.sessions, s)
		p.byIndex[i] = s
	}
	switch {
	case wanted == 0 && len(cfg.Only) > 0:
		return nil, fmt.Errorf("%w: there is no such MQTT conversation; --plan lists them", ErrNothing)
	case wanted == 0:
		return nil, fmt.Errorf("%w: no MQTT conversation in %d frames", ErrNothing, cfg.Script.Frames)
	case len(p.sessions) == 0:
		return nil, fmt.Errorf("%w as %v: %s", ErrNothing, cfg.As, strings.Join(reasons, "; "))
	}
	p.left = len(p.sessions)
	p.origin = p.sessions[0].of.Begin
	return p, nil
}

// maxReasons bounds the refusals that an error names.
const maxReasons = 5

// Start begins the play, on the loop.
func (p *Player) Start() error {
	p.began = p.cfg.Loop.Now()
	if p.cfg.As == script.Broker {
		if err := p.cfg.Network.Listen(p.accept); err != nil {
			return err
		}
		p.accepting = p.cfg.Loop.NewTimer(p.nobody)
		p.accepting.ResetAfter(p.cfg.Accept)
		return nil
	}
	p.base, p.based = p.began, true
	var inLine []*session
	for _, s := range p.sessions {
		if before := p.byIndex[s.of.After]; s.of.After >= 0 && before != nil && p.cfg.Timing != Absolute {
			continue // it begins when that one has ended
		}
		if p.cfg.Timing == Fast {
			inLine = append(inLine, s)
			continue
		}
		p.cfg.Loop.At(p.schedule(s.of.Begin), s.begin)
	}
	p.queue(inLine)
	return nil
}

// schedule is when something recorded would be, by the clock alone.
func (p *Player) schedule(at time.Duration) sim.Time {
	return p.base.Add(p.cfg.scaled(max(0, at-p.origin)))
}

// nobody ends the play when no connection comes any more.
func (p *Player) nobody() {
	busy := false
	for _, s := range p.sessions {
		busy = busy || s.begun && !s.ended
	}
	if busy {
		p.accepting.ResetAfter(p.cfg.Accept)
		return
	}
	for _, s := range p.sessions {
		if !s.begun && !s.ended {
			s.stop("no client connected within %v", p.cfg.Accept)
		}
	}
}

// ended goes on when a session has.
func (p *Player) ended(s *session) {
	p.left--
	p.progress(s)
	if p.accepting != nil {
		p.accepting.ResetAfter(p.cfg.Accept)
	}
	if p.cfg.As == script.Client && p.cfg.Timing != Absolute {
		for _, next := range p.sessions {
			if next.of.After == s.index && !next.begun {
				gap := p.cfg.scaled(next.of.AfterGap)
				if p.cfg.Timing == Fast {
					gap = 0
				}
				p.cfg.Loop.After(gap, next.begin)
			}
		}
	}
	if p.left > 0 || p.done {
		return
	}
	p.done = true
	if n, ok := p.cfg.Network.(shaker); ok {
		p.shaking = n.Shaking()
	}
	if p.accepting != nil {
		p.accepting.Stop()
	}
	// What was written last is still to go out.
	p.cfg.Loop.After(0, func() {
		p.cfg.Network.Stop()
		if p.cfg.Done != nil {
			p.cfg.Done()
		}
	})
}

// Stop ends the play before its time.
func (p *Player) Stop(why string) {
	for _, s := range p.sessions {
		s.stop("%s", why)
	}
}

// Ended reports whether everything was played.
func (p *Player) Ended() bool { return p.done }
