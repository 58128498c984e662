package traces

import (
	"fmt"
	"time"

	"hilnet/link"
	"hilnet/sim"
)

// PlayConfig configures Play.
type PlayConfig struct {
	Start time.Duration // where in the conditions to begin, less than their duration
	Once  bool          // stay at the last step instead of beginning again
}

// A Player takes the steps of Conditions in their time.
type Player struct {
	set        func(*Step)
	conditions *Conditions
	cfg        PlayConfig
	base       sim.Time // when the round began
	next       int
	timer      *sim.Timer
}

// Play changes delay, rate and loss of both ways of a link from now on, between
// two frames: what is in a queue stays there. All else of the link's
// configuration is left as it is.
func Play(loop *sim.Loop, l *link.Link, c *Conditions, cfg PlayConfig) (*Player, error) {
	// A setting that the link does not take is seen now, not in the middle of a run.
	for i := range c.Steps {
		for _, d := range []struct {
			path *link.Path
			way  *Way
		}{{l.Up, &c.Steps[i].Up}, {l.Down, &c.Steps[i].Down}} {
			changed := d.way.over(d.path.Config())
			if err := changed.Validate(); err != nil {
				return nil, fmt.Errorf("traces: step %d: %w", i, err)
			}
		}
	}
	return Follow(loop, c, cfg, func(s *Step) {
		for _, d := range []struct {
			path *link.Path
			way  *Way
		}{{l.Up, &s.Up}, {l.Down, &s.Down}} {
			if err := d.path.Set(d.way.over(d.path.Config())); err != nil {
				panic(fmt.Sprintf("traces: %v", err)) // every step was seen to be valid
			}
		}
	})
}

// Follow calls set with each step when it begins, between two frames; with the
// first one now.
func Follow(loop *sim.Loop, c *Conditions, cfg PlayConfig, set func(*Step)) (*Player, error) {
	if err := c.valid(); err != nil {
		return nil, err
	}
	if cfg.Start < 0 || cfg.Start >= c.Duration {
		return nil, fmt.Errorf("traces: start %v is not within the %v of the conditions", cfg.Start, c.Duration)
	}
	p := &Player{set: set, conditions: c, cfg: cfg, base: loop.Now() - sim.Time(cfg.Start)}
	p.timer = loop.NewTimer(p.step)
	for p.next+1 < len(c.Steps) && c.Steps[p.next+1].At <= cfg.Start {
		p.next++
	}
	p.step()
	return p, nil
}

func (c *Conditions) valid() error {
	if len(c.Steps) == 0 || c.Steps[0].At != 0 {
		return fmt.Errorf("traces: conditions %q do not begin at 0", c.Name)
	}
	for i := 1; i < len(c.Steps); i++ {
		if c.Steps[i].At < c.Steps[i-1].At {
			return fmt.Errorf("traces: conditions %q go back in time at step %d", c.Name, i)
		}
	}
	if c.Duration <= c.Steps[len(c.Steps)-1].At || c.Duration > maxDuration {
		return fmt.Errorf("traces: conditions %q have a duration of %v", c.Name, c.Duration)
	}
	return nil
}

// Stop leaves everything as it is now.
func (p *Player) Stop() { p.timer.Stop() }

func (w *Way) over(cfg link.DirectionConfig) link.DirectionConfig {
	cfg.Delay, cfg.Loss, cfg.Shaper.RateBitsPerSecond = w.Delay, w.Loss, w.RateBitsPerSecond
	if cfg.Reorder.Probability > 0 {
		cfg.Delay = max(cfg.Delay, 1) // a link does not take reorder without any delay
	}
	return cfg
}

// step makes a step and waits for the next one.
func (p *Player) step() {
	p.set(&p.conditions.Steps[p.next])
	p.next++
	if p.next == len(p.conditions.Steps) {
		if p.cfg.Once {
			return
		}
		p.next = 0
		p.base = p.base.Add(p.conditions.Duration)
	}
	p.timer.Reset(p.base.Add(p.conditions.Steps[p.next].At))
}
