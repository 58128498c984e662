package link

import (
	"errors"
	"fmt"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// Config configures a Link. Up is the way from the device to its peer.
type Config struct {
	Name     string // unique in its world
	Up, Down DirectionConfig
}

// DirectionConfig configures one way through a Link. The zero value passes
// everything on at once. Frames meet what is configured in the order of the
// fields.
type DirectionConfig struct {
	Loss            float64 // probability, 0 to 1
	LossCorrelation float64 // as in Chance
	LossMarksECN    bool    // mark frames of an ECN-capable transport instead of dropping them

	Burst      BurstConfig       // a loss model with a memory, beside Loss
	Conditions *ConditionsConfig // loss, delay and rate by a hidden state; nil: none. Not changed any more
	Duplicate  Chance
	Corrupt    CorruptConfig
	MTU        int // of IP packets, longer ones vanish; 0: no limit. A Box that sends ICMP is in Config
	Policer    PolicerConfig
	Shaper     ShaperConfig

	Delay      time.Duration
	Jitter     JitterConfig
	Reorder    ReorderConfig
	DelayLimit int // frames on their way; 0: DefaultDelayed, at most MaxDelayed
	Slot       SlotConfig
}

// Validate returns all that is wrong with the configuration.
func (c *DirectionConfig) Validate() error {
	var limit error
	if c.DelayLimit < 0 || c.DelayLimit > MaxDelayed {
		limit = fmt.Errorf("link: %d frames on their way is not between 0 and %d", c.DelayLimit, MaxDelayed)
	}
	if c.Reorder.Probability > 0 && c.Delay == 0 && !c.Jitter.on() {
		limit = errors.Join(limit, errors.New("link: reorder without a delay that frames could overtake in"))
	}
	return errors.Join(
		Chance{c.Loss, c.LossCorrelation}.validate("loss"), c.Burst.validate(), c.Conditions.validate(),
		c.Duplicate.validate("duplicate"), c.Corrupt.validate(), validateMTU(c.MTU), c.Policer.validate(),
		c.Shaper.validate(), validateDelay(c.Delay), c.Jitter.validate(), c.Reorder.validate(), limit, c.Slot.validate(),
	)
}

// World is what the links of a world share.
type World struct {
	Loop  *sim.Loop
	Trace *trace.Log
	IDs   *IDs
}

// A Path is a Direction with the stages that can be changed while it runs.
type Path struct {
	*Direction
	Blackhole *Blackhole
	Loss      *Loss
	Shaper    *Shaper
	Delay     *Delay

	cfg        DirectionConfig
	burst      *burst // this and the rest: nil until it is wanted
	conditions *conditions
	duplicator *duplicator
	corrupter  *corrupter
	mtu        *mtuLimit
	policer    *policer
	slotter    *slotter
}

// A Link joins a device and its peer.
type Link struct {
	Name     string
	Up, Down *Path
}

// New returns a link that gives what comes up to peer and what comes down to
// device. Both may be nil until Connect.
func New(w World, cfg Config) (*Link, error) {
	if cfg.Name == "" {
		return nil, errors.New("link: a link without a name")
	}
	up, err := newPath(w, cfg.Name, "up", cfg.Up)
	if err != nil {
		return nil, err
	}
	down, err := newPath(w, cfg.Name, "down", cfg.Down)
	if err != nil {
		return nil, err
	}
	return &Link{Name: cfg.Name, Up: up, Down: down}, nil
}

// Connect sets the two ends.
func (l *Link) Connect(device, peer Sink) {
	l.Up.end, l.Down.end = peer, device
}

// Check returns an error when a frame of either direction is unaccounted for.
func (l *Link) Check() error { return errors.Join(l.Up.Check(), l.Down.Check()) }

func newPath(w World, link, name string, cfg DirectionConfig) (*Path, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("link: %s, %s: %w", link, name, err)
	}
	p := &Path{
		Direction: &Direction{
			Link: link, Name: name, loop: w.Loop, log: w.Trace, ids: w.IDs, seed: w.Loop.Seed(),
		},
		Blackhole: &Blackhole{}, Loss: &Loss{}, Shaper: &Shaper{}, Delay: &Delay{},
	}
	p.add(atBlackhole, "blackhole", func(e *Env) Stage { p.Blackhole.env = e; return p.Blackhole.stage })
	p.add(atLoss, "loss", func(e *Env) Stage { p.Loss.env = e; return p.Loss.stage })
	p.add(atRate, "rate", func(e *Env) Stage { p.Shaper.env = e; return p.Shaper.stage })
	p.add(atDelay, "delay", func(e *Env) Stage { p.Delay.env = e; return p.Delay.stage })
	p.apply(cfg)
	return p, nil
}

// add is Add for stages whose names are ours and differ.
func (p *Path) add(at Position, name string, build func(*Env) Stage) {
	if err := p.Add(at, name, build); err != nil {
		panic(err)
	}
}

// Config returns what New or Set has set; what was set by the stages' own
// methods is not in it.
func (p *Path) Config() DirectionConfig { return p.cfg }

// Set changes everything at once, between two frames: nothing changes if there
// is an error. Frames in queues stay, and go on as Shaper.Set, Delay.Set and
// the fields' comments say.
func (p *Path) Set(cfg DirectionConfig) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("link: %s, %s: %w", p.Link, p.Name, err)
	}
	p.apply(cfg)
	return nil
}

// apply sets a valid configuration. Stages are made when they are first wanted:
// most directions have few.
func (p *Path) apply(cfg DirectionConfig) {
	p.cfg = cfg
	p.Loss.set(cfg.Loss, cfg.LossCorrelation, cfg.LossMarksECN)
	p.applyMarkov(cfg)
	if p.duplicator == nil && cfg.Duplicate.Probability > 0 {
		p.duplicator = &duplicator{}
		p.add(atDuplicate, "duplicate", func(e *Env) Stage { p.duplicator.env = e; return p.duplicator.stage })
	}
	if p.duplicator != nil {
		p.duplicator.chance.set(cfg.Duplicate)
	}
	if p.corrupter == nil && cfg.Corrupt.Probability > 0 {
		p.corrupter = &corrupter{}
		p.add(atCorrupt, "corrupt", func(e *Env) Stage { p.corrupter.env = e; return p.corrupter.stage })
	}
	if p.corrupter != nil {
		p.corrupter.set(cfg.Corrupt)
	}
	if p.mtu == nil && cfg.MTU > 0 {
		p.mtu = &mtuLimit{}
		p.add(atMTU, "mtu", func(e *Env) Stage { p.mtu.env = e; return p.mtu.stage })
	}
	if p.mtu != nil {
		p.mtu.set(cfg.MTU)
	}
	if p.policer == nil && cfg.Policer.RateBitsPerSecond > 0 {
		p.policer = &policer{}
		p.add(atPolicer, "policer", func(e *Env) Stage { p.policer.env = e; return p.policer.stage })
	}
	if p.policer != nil {
		p.policer.set(cfg.Policer)
	}
	p.Shaper.set(cfg.Shaper)
	p.Delay.set(cfg.Delay, cfg.Jitter, cfg.Reorder, cfg.DelayLimit)
	if p.slotter == nil && cfg.Slot.on() {
		p.slotter = &slotter{}
		p.add(atSlot, "slot", func(e *Env) Stage { p.slotter.env = e; return p.slotter.stage })
	}
	if p.slotter != nil {
		p.slotter.set(cfg.Slot)
	}
}

// applyMarkov is apply for the stages that have a state of their own.
func (p *Path) applyMarkov(cfg DirectionConfig) {
	b := &cfg.Burst
	if p.burst == nil && (b.GilbertElliott != nil || b.FourState != nil || b.Shuffle != nil || len(b.Pattern) > 0) {
		p.burst = &burst{}
		p.add(atBurst, "burst", func(e *Env) Stage { p.burst.env = e; return p.burst.stage })
	}
	if p.burst != nil {
		p.burst.set(cfg.Burst)
	}
	if p.conditions == nil && cfg.Conditions != nil {
		p.conditions = &conditions{}
		p.add(atConditions, "conditions", func(e *Env) Stage { p.conditions.env = e; return p.conditions.stage })
		p.Shaper.extra, p.Delay.extra = p.conditions, p.conditions
	}
	if p.conditions != nil {
		p.conditions.set(cfg.Conditions)
	}
}
