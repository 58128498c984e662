package link

import "time"

// A Decision is what a stage has drawn for a frame.
type Decision struct {
	// Stage is the path of the stage, such as "up/loss", with the name of the
	// decision behind it where the stage draws several, such as "up/delay/reorder".
	Stage string
	// Verb says what the decision is about, such as "drop".
	Verb string
	// Yes says whether it happens. It has no meaning where Verb is VerbDelay.
	Yes bool
	// Delay is for how long the frame is held, where Verb is VerbDelay.
	Delay time.Duration
	// Draw is the number that the decision was made from.
	Draw uint64
}

// The verbs of the stages of this package.
const (
	VerbDrop      = "drop"
	VerbDuplicate = "duplicate"
	VerbCorrupt   = "corrupt"
	VerbDelay     = "delay"
	VerbReorder   = "reorder"
)

// A Decider is an Observer that may overrule what stages draw.
type Decider interface {
	Observer
	// Decide is called for each decision that a stage draws for a frame, and may
	// change its Yes and Delay. It keeps nothing of c.
	Decide(d *Direction, f *Frame, c *Decision)
}

// AddDecider has the direction's draws decided by one more Decider, behind
// those added earlier, and adds it as an Observer.
func (d *Direction) AddDecider(x Decider) {
	d.deciders = append(d.deciders, x)
	d.Observe(x)
}

// Choose settles a yes or no that the stage has drawn for the frame: it returns
// yes unless a Decider overrules it. Stages call it for every draw that was
// made, and act on its result. part names the decision if the stage has several.
func (e *Env) Choose(f *Frame, part, verb string, yes bool, draw uint64) bool {
	if len(e.dir.deciders) == 0 {
		return yes
	}
	return e.decide(f, part, Decision{Verb: verb, Yes: yes, Draw: draw}).Yes
}

// ChooseDelay is Choose for how long the frame is held.
func (e *Env) ChooseDelay(f *Frame, delay time.Duration, draw uint64) time.Duration {
	if len(e.dir.deciders) == 0 {
		return delay
	}
	return e.decide(f, "", Decision{Verb: VerbDelay, Delay: delay, Draw: draw}).Delay
}

func (e *Env) decide(f *Frame, part string, c Decision) *Decision {
	d := e.dir
	c.Stage = e.Path
	if part != "" {
		c.Stage += "/" + part
	}
	d.decision = c
	for _, x := range d.deciders {
		x.Decide(d, f, &d.decision)
	}
	return &d.decision
}
