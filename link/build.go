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
// everything on at once.
type DirectionConfig struct {
	Delay  time.Duration
	Loss   float64 // probability, 0 to 1
	Shaper ShaperConfig
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
	d := &Direction{
		Link: link, Name: name, loop: w.Loop, log: w.Trace, ids: w.IDs, seed: w.Loop.Seed(),
	}
	p := &Path{Direction: d, Blackhole: &Blackhole{}, Loss: &Loss{}, Shaper: &Shaper{}, Delay: &Delay{}}
	p.Blackhole.env = d.env("blackhole", nil)
	p.Loss.env = d.env("loss", nil)
	p.Shaper.env = d.env("rate", func() uint64 { return uint64(p.Shaper.queue.len()) })
	p.Delay.env = d.env("delay", func() uint64 { return uint64(p.Delay.queue.len()) })
	if err := errors.Join(p.Loss.Set(cfg.Loss), p.Shaper.Set(cfg.Shaper), p.Delay.Set(cfg.Delay)); err != nil {
		return nil, fmt.Errorf("link: %s, %s: %w", link, name, err)
	}
	d.first = Chain(SinkFunc(d.exit),
		counted(p.Blackhole.env, p.Blackhole.stage),
		counted(p.Loss.env, p.Loss.stage),
		counted(p.Shaper.env, p.Shaper.stage),
		counted(p.Delay.env, p.Delay.stage),
	)
	return p, nil
}
