package extract

import (
	"net/netip"
	"time"
)

// Conditions are what the link of a device did. Times count from the first frame
// of the (first) capture, by its clock. Frames are numbers in the file of the side
// that sent them; 0 is a frame that no capture has.
type Conditions struct {
	Files    []string // one or two; the one at the device's end first
	Device   netip.Addr
	Duration time.Duration
	Clock    *Clock // with two captures

	Artefacts  []Artefact
	Drops      []Drop
	Duplicates []Twice
	Reorders   []Late
	Corrupted  []Twice // of two captures
	Delays     []Delay // of two captures
	Outages    []Outage
	Up, Down   Way
	RTT        Spread // there and back, of the whole path that was seen
	// Place is where a single capture was made: at the device, at the far end, or
	// between the two; empty with two captures.
	Place string

	device *Capture // the one that a scenario is made of
	far    *Capture // with two captures
}

// Way returns one of the two directions.
func (c *Conditions) of(w way) *Way {
	if w == up {
		return &c.Up
	}
	return &c.Down
}

// A Clock relates the clocks of two captures.
type Clock struct {
	Offset   time.Duration // of the second against the first
	SkewPPM  float64
	Min, Max time.Duration // of the offset: beyond, frames would arrive before they were sent
	Trusted  bool          // the clocks can agree as they are, and are taken to
}

// An Artefact is what the capturing did, not the network.
type Artefact struct {
	At    time.Duration
	File  string
	Frame uint64 // the first one
	Kind  string
	Count int
	Text  string
}

// A Drop is a frame that was lost.
type Drop struct {
	Dir        string // up, down
	Frame      uint64
	At         time.Duration // when it was sent, or about then
	What       string        // data, syn, fin, ack, rst, arp, other
	Len        int           // bytes of the frame, 0: not known
	Confidence float64       // 1: known
	Cause      string        // loss, queue, outage
}

// Twice is a frame that arrived twice, or changed.
type Twice struct {
	Dir     string
	Frame   uint64
	At      time.Duration
	Arrived uint64 // number of the copy in the other file
}

// Late is a frame that arrived behind one that was sent after it.
type Late struct {
	Dir   string
	Frame uint64
	At    time.Duration
	By    time.Duration // how long after the first that overtook it
}

// A Delay is how long a frame was under way.
type Delay struct {
	Dir     string
	Frame   uint64
	At      time.Duration
	Took    time.Duration
	Arrived uint64
	Len     int
}

// An Outage is a time in which nothing passed.
type Outage struct {
	Dir         string // up, down, both
	Start, End  time.Duration
	Earliest    time.Duration // of Start: the last frame that passed before
	Latest      time.Duration // of End: the first that passed after; Duration when none did
	Frames      int           // that were lost in it
	Confidence  float64
	NeverPassed bool // nothing came through any more
}

// A Way is what one direction did.
type Way struct {
	Sent    int // frames whose fate was looked for
	Arrived int
	Lost    Bounds
	Data    Bounds // of Lost: with data, SYN or FIN
	Delay   Spread // one way; with two captures
	// Propagation is the shortest delay without the time that the frame itself takes
	// at Rate.
	Propagation time.Duration
	Rate        uint64 // bit/s, 0: the link was never proven busy
	RateOf      int    // frames that it rests on
	AtLeast     uint64 // the rate was at least that, where Rate is 0
	Queue       int    // bytes that the queue held when it was full, 0: not seen
	QueueLen    int    // frames, likewise
	Model       Model
}

// Bounds are a number that is known to lie between two others.
type Bounds struct{ Min, Estimate, Max int }

// A Spread sums up durations.
type Spread struct {
	Samples                int
	Min, Median, P99, Most time.Duration
}

// A Model is the loss process that fits best.
type Model struct {
	Name            string  // none, independent or gilbert-elliott
	Share           float64 // of frames, outages left out
	ToBad, ToGood   float64
	LikelihoodRatio float64 // 2·(log L(Gilbert) − log L(independent)), χ² of one degree
	Frames          int     // that it rests on
}
