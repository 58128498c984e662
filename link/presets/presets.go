// Package presets has links by their technology: what a scenario's `preset:`
// names. Every number has a source, and says whether it was measured, is quoted
// from somebody, or is an assumption of ours.
//
// Read the basis before the number: tools disagree by three times about the same
// technology, and one vendor calls its own values imaginary.
package presets

import (
	"fmt"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/link/radio"
)

// A Basis says what a number rests on.
type Basis string

// The bases, the best first.
const (
	Measured Basis = "measured" // on real links, by the source
	Quoted   Basis = "quoted"   // a document or a tool says so
	Assumed  Basis = "assumed"  // nobody we know of says so
)

// A Preset is a link of one technology.
type Preset struct {
	Name  string
	Title string
	Up    Way
	Down  Way
	MTU   int // of IP packets
	// Radio is the modem's state machine; its zero value is none.
	Radio radio.Config
	// Trace is a name of link/traces that shows the technology at work; may be empty.
	Trace   string
	Facts   []Fact
	Remarks string
}

// A Fact is what a part of a preset rests on.
type Fact struct {
	Of     string // such as "delay"
	Basis  Basis
	Source string
}

// A Way is one direction.
type Way struct {
	Delay  time.Duration
	Jitter time.Duration // around Delay, normal
	// Quantiles, when there are any, are the delay, instead of both.
	Quantiles []link.Quantile
	// RateBitsPerSecond counts IP packets and OverheadBytes for each; 0: no limit.
	RateBitsPerSecond uint64
	OverheadBytes     int
	// Loss is a share of packets, in runs of LossRun on average; 0 and 1: alone.
	Loss, LossRun float64
	QueuePackets  int
}

// ethernetHeader is on every frame here and on none of these links.
const ethernetHeader = 14

// Config returns the way as a link takes it.
func (w *Way) Config() (link.DirectionConfig, error) {
	cfg := link.DirectionConfig{
		Shaper: link.ShaperConfig{
			RateBitsPerSecond: w.RateBitsPerSecond, OverheadBytes: w.OverheadBytes - ethernetHeader, QueuePackets: w.QueuePackets,
		},
	}
	if len(w.Quantiles) > 0 {
		d, err := link.Quantiles(w.Quantiles)
		if err != nil {
			return cfg, fmt.Errorf("presets: %w", err)
		}
		cfg.Jitter.Distribution = d
	} else {
		cfg.Delay = w.Delay
		if w.Jitter > 0 {
			cfg.Jitter = link.JitterConfig{Spread: w.Jitter, Distribution: link.Normal()}
		}
	}
	if w.LossRun > 1 {
		g, err := link.SimpleGilbert(w.Loss, w.LossRun)
		if err != nil {
			return cfg, fmt.Errorf("presets: %w", err)
		}
		cfg.Burst.GilbertElliott = g
	} else {
		cfg.Loss = w.Loss
	}
	return cfg, nil
}

// Link returns both ways as a link takes them, the limit of the MTU included,
// which nobody signals.
func (p *Preset) Link() (up, down link.DirectionConfig, err error) {
	if up, err = p.Up.Config(); err != nil {
		return up, down, fmt.Errorf("%w, %s up", err, p.Name)
	}
	if down, err = p.Down.Config(); err != nil {
		return up, down, fmt.Errorf("%w, %s down", err, p.Name)
	}
	up.MTU, down.MTU = p.MTU, p.MTU
	return up, down, nil
}

// All returns the presets, from slow to fast within their kind.
func All() []Preset { return append([]Preset(nil), table...) }

// Find returns the preset of a name.
func Find(name string) (Preset, error) {
	var names []string
	for i := range table {
		if table[i].Name == name {
			return table[i], nil
		}
		names = append(names, table[i].Name)
	}
	return Preset{}, fmt.Errorf("presets: there is no preset %q; there are %s", name, strings.Join(names, ", "))
}
