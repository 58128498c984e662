package play

import (
	"errors"
	"fmt"
	"time"

	"hilnet/replay/script"
	"hilnet/sim"
)

// A Timing says when messages are due.
type Timing string

// The timings.
const (
	// Mixed: what has a cause keeps its distance from it; what has none keeps its
	// distance from the beginning of the conversation.
	Mixed Timing = "mixed"
	// Causal: everything keeps its distance from what came before it.
	Causal Timing = "causal"
	// Absolute: everything keeps its distance from the beginning of the play, and
	// waits for nobody.
	Absolute Timing = "absolute"
	// Fast: as soon as what it answers is there.
	Fast Timing = "fast"
)

// A Policy says what happens when the live peer does something else.
type Policy string

// The policies.
const (
	// Wait for what a message answers, up to Config.Wait, then end the conversation;
	// but go on without a PUBLISH, which somebody else may have caused.
	Wait Policy = "wait"
	// Strict ends the conversation at the first difference that is not a detail.
	Strict Policy = "strict"
	// Follow answers by protocol what was not recorded, and after Config.Wait goes on
	// without what did not come.
	Follow Policy = "follow"
	// Skip leaves out the messages that answer what did not come.
	Skip Policy = "skip"
)

// Defaults of a Config.
const (
	DefaultWait   = 5 * time.Second
	DefaultAccept = time.Minute
)

// Limits of Config.Speed.
const (
	MinSpeed = 1e-6
	MaxSpeed = 1e6
)

// A Config says what to play and how.
type Config struct {
	Loop    *sim.Loop
	Script  *script.Script
	As      script.Role // the side to play
	Network Network

	Timing Timing        // "" = Mixed
	Speed  float64       // times as fast as recorded. 0 = 1
	Policy Policy        // "" = Wait
	Wait   time.Duration // for what is expected of the peer. 0 = DefaultWait
	Accept time.Duration // as the broker: for the next connection. 0 = DefaultAccept
	// Synthetic puts a CONNECT or CONNACK in front of a conversation that the
	// capture joined midstream.
	Synthetic bool
	Only      []uint64 // conversations; nil = all
	Adapt     Adapt
	TLS       bool // Network has it: for the Report
	// Clock is the real time of the loop, to measure with: a loop's own is that of
	// the event. nil = the loop's, which is right in virtual time.
	Clock func() sim.Time
	// Done is called when there is nothing left to play.
	Done func()
}

// An Adapt says what is changed in what is sent, beside packet identifiers.
type Adapt struct {
	ClientID    string // "" = as recorded
	User        string // "" = as recorded
	Password    string // with User
	Anonymous   bool   // without user name and password
	TopicPrefix string // in front of every topic and filter
}

func (a *Adapt) any() bool {
	return a.ClientID != "" || a.User != "" || a.Anonymous || a.TopicPrefix != ""
}

func (c *Config) setDefaults() error {
	if c.Timing == "" {
		c.Timing = Mixed
	}
	if c.Policy == "" {
		c.Policy = Wait
	}
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Wait == 0 {
		c.Wait = DefaultWait
	}
	if c.Accept == 0 {
		c.Accept = DefaultAccept
	}
	if c.Clock == nil && c.Loop != nil {
		c.Clock = c.Loop.Now
	}
	switch {
	case c.Loop == nil || c.Network == nil || c.Script == nil:
		return errors.New("play: no loop, network or script")
	case c.As != script.Client && c.As != script.Broker:
		return fmt.Errorf("play: cannot play the %v", c.As)
	case c.Timing != Mixed && c.Timing != Causal && c.Timing != Absolute && c.Timing != Fast:
		return fmt.Errorf("play: timing %q is none of mixed, causal, absolute, fast", c.Timing)
	case c.Policy != Wait && c.Policy != Strict && c.Policy != Follow && c.Policy != Skip:
		return fmt.Errorf("play: policy %q is none of wait, strict, follow, skip", c.Policy)
	case !(c.Speed >= MinSpeed && c.Speed <= MaxSpeed):
		return fmt.Errorf("play: speed %v is not between %v and %v", c.Speed, MinSpeed, float64(MaxSpeed))
	case c.Wait < 0 || c.Accept < 0:
		return errors.New("play: a wait is negative")
	case c.Wait > MaxWait || c.Accept > MaxWait:
		return fmt.Errorf("play: a wait is longer than %v", MaxWait)
	case c.Adapt.Anonymous && c.Adapt.User != "":
		return errors.New("play: a user and no user at once")
	case len(c.Adapt.ClientID) > 65535 || len(c.Adapt.User) > 65535 || len(c.Adapt.Password) > 65535 || len(c.Adapt.TopicPrefix) > 65535:
		return errors.New("play: a text is longer than MQTT allows")
	}
	return nil
}

// scaled is a recorded time at the speed of the play.
func (c *Config) scaled(d time.Duration) time.Duration {
	if c.Speed == 1 {
		return d
	}
	return time.Duration(min(float64(d)/c.Speed, float64(maxSpan)))
}

// maxSpan is the longest that anything is put off: slower, a few hours of a capture
// are longer than there are numbers for.
const maxSpan = 100 * 365 * 24 * time.Hour

// MaxWait bounds Config.Wait and Config.Accept: moments are counted in 64 bits.
const MaxWait = 876_000 * time.Hour
