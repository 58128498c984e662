package frames

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"hilnet/sim"
)

// An Output takes frames.
type Output interface {
	// Send sends frames in order and returns how many went out. When that is not
	// all of them, the error says why the next one did not: a *Refused, after which
	// the rest may be tried, or another error, which ends the replay. It keeps
	// nothing of frames.
	Send(frames [][]byte) (int, error)
}

// A Refused is a frame that an output does not take.
type Refused struct {
	Reason string // short and fixed, for counting
	Err    error  // may be nil
}

func (r *Refused) Error() string {
	if r.Err == nil {
		return "frames: " + r.Reason
	}
	return fmt.Sprintf("frames: %s: %v", r.Reason, r.Err)
}

func (r *Refused) Unwrap() error { return r.Err }

// sendAtOnce is how many frames that are due go out together. Between two such
// groups the loop may be stopped.
const sendAtOnce = 64

// MaxSpin is the longest time that a Player may wait by spinning.
const MaxSpin = 10 * time.Millisecond

// A PlayerConfig configures a Player.
type PlayerConfig struct {
	Source SourceConfig
	// Loop runs the replay: in real time, or in virtual time, where each frame goes
	// out exactly when it is due. Required.
	Loop *sim.Loop
	// Clock returns the run's time: in real time the pacer's Now. Nil: the Loop's.
	Clock func() sim.Time
	// Outputs of the first and the second side. The first is required; without the
	// second its frames are refused, with the reason no_second_side.
	Outputs [2]Output
	// Spin is how long before a frame is due the player stops sleeping and looks at
	// the clock only: up to MaxSpin. It costs a processor and makes frames more
	// punctual where there is one to spare.
	Spin time.Duration
}

// A Player sends the frames of a capture.
type Player struct {
	cfg    PlayerConfig
	source *source
	ctx    context.Context
	cancel context.CancelFunc
	timer  *sim.Timer
	cur    *batch
	next   int      // entry of cur
	group  [][]byte // frames that go out together
	lates  []sim.Time
	ended  bool

	origin  sim.Time // of the schedule, on the loop's clock
	begun   bool
	started bool
	first   sim.Time
	stats   Stats
}

// NewPlayer returns a Player. Start begins.
func NewPlayer(cfg PlayerConfig) (*Player, error) {
	switch {
	case cfg.Loop == nil || cfg.Outputs[0] == nil:
		return nil, errors.New("frames: a player without a loop or an output")
	case cfg.Spin < 0 || cfg.Spin > MaxSpin:
		return nil, fmt.Errorf("frames: spinning %v is not between 0 and %v", cfg.Spin, MaxSpin)
	}
	if cfg.Clock == nil {
		cfg.Clock = cfg.Loop.Now
	}
	s, err := newSource(cfg.Source)
	if err != nil {
		return nil, err
	}
	p := &Player{cfg: cfg, source: s}
	p.timer = cfg.Loop.NewTimer(p.tick)
	return p, nil
}

// Start begins to read ahead and schedules the first frame; the caller runs the
// loop, which stops after the last frame. When ctx ends, so does the reading.
func (p *Player) Start(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.ctx = ctx
	go p.source.read(ctx)
	if p.cfg.Source.Schedule.Timing != OneByOne {
		p.timer.Reset(0)
	}
}

// Step sends the next frame, with the timing OneByOne. At the end it stops the loop.
func (p *Player) Step() {
	if p.fill() {
		p.send(1)
	}
	p.fill()
}

// fill takes the next batch when the one in hand is used up. Without another the
// replay is at its end.
func (p *Player) fill() bool {
	for !p.ended && (p.cur == nil || p.next == len(p.cur.frames)) {
		if p.cur != nil {
			p.source.empty <- p.cur
			p.cur = nil
		}
		select {
		case b, ok := <-p.source.full:
			if !ok {
				p.end()
				return false
			}
			p.cur, p.next = b, 0
		case <-p.ctx.Done():
			p.end()
			return false
		}
	}
	return !p.ended
}

func (p *Player) end() {
	p.ended = true
	p.cfg.Loop.Stop()
}

// lead is how long after the first batch is read the schedule begins, in real
// time: so the first frame waits for its moment as the others do. Sent as soon
// as it is there, it is late by the start of the reading, and all others are
// early beside it.
const lead = 5 * time.Millisecond

// begin sets the moment that the schedule counts from.
func (p *Player) begin(now sim.Time) {
	p.begun = true
	if t := p.cfg.Source.Schedule.Timing; p.cfg.Loop.RealTime() && (t == Original || t == Rate) {
		p.origin = now.Add(lead)
	}
}

// due returns the moment of an entry of the batch in hand.
func (p *Player) due(entry int) sim.Time {
	return p.origin.Add(time.Duration(p.cur.frames[entry].due))
}

// tick sends what is due and schedules what is next.
func (p *Player) tick() {
	if !p.fill() {
		return
	}
	now := p.cfg.Clock()
	if !p.begun {
		p.begin(now)
	}
	due := p.due(p.next)
	for now < due && (due.Sub(now) <= p.cfg.Spin || !p.started) && p.cfg.Loop.RealTime() {
		now = p.cfg.Clock()
	}
	if now >= due {
		n := 1
		for n < sendAtOnce && p.next+n < len(p.cur.frames) && p.due(p.next+n) <= now {
			n++
		}
		p.send(n)
		if !p.fill() {
			return
		}
		due = p.due(p.next)
	}
	if p.cfg.Loop.RealTime() {
		due = due.Add(-p.cfg.Spin)
	}
	p.timer.Reset(max(p.cfg.Loop.Now(), due))
}

// send sends the next n frames of the batch in hand, those of one side together.
func (p *Player) send(n int) {
	for n > 0 {
		side := p.cur.frames[p.next].second
		group := p.group[:0]
		for n > 0 && p.cur.frames[p.next].second == side {
			e := &p.cur.frames[p.next]
			group = append(group, p.cur.data[e.start:e.end])
			p.lates = append(p.lates, p.due(p.next))
			p.next++
			n--
		}
		p.group = group
		p.put(group, side)
		p.lates = p.lates[:0]
	}
}

// put gives frames of one side to its output and counts.
func (p *Player) put(frames [][]byte, second bool) {
	i := 0
	if second {
		i = 1
	}
	side, out := &p.stats.Sides[i], p.cfg.Outputs[i]
	dues := p.lates
	for len(frames) > 0 {
		n, err := 0, error(&Refused{Reason: "no_second_side"})
		if out != nil {
			n, err = out.Send(frames)
		}
		p.sent(side, frames[:n], dues[:n])
		frames, dues = frames[n:], dues[n:]
		if len(frames) == 0 {
			return
		}
		var refused *Refused
		if !errors.As(err, &refused) {
			p.cfg.Loop.Cancel(err)
			p.end()
			side.refuse("not_tried", len(frames))
			return
		}
		side.refuse(refused.Reason, 1)
		frames, dues = frames[1:], dues[1:]
	}
}

// sent counts frames that went out.
func (p *Player) sent(side *SideStats, frames [][]byte, dues []sim.Time) {
	if len(frames) == 0 {
		return
	}
	now := p.cfg.Clock()
	if !p.started {
		p.started, p.first = true, now
	}
	side.Sent += uint64(len(frames))
	for _, f := range frames {
		side.Bytes += uint64(len(f))
	}
	p.stats.Elapsed = now.Sub(p.first)
	if t := p.cfg.Source.Schedule.Timing; t == TopSpeed || t == OneByOne || !p.cfg.Loop.RealTime() {
		return
	}
	for _, due := range dues {
		p.stats.Lateness.add(now.Sub(due))
		p.stats.Drift = now.Sub(due)
	}
}

// Progress returns how many frames and bytes went out so far.
func (p *Player) Progress() (frames, bytes uint64) {
	for _, s := range p.stats.Sides {
		frames += s.Sent
		bytes += s.Bytes
	}
	return frames, bytes
}

// Stats ends the replay, if it has not ended, and returns what came of it. Call
// it when the loop has returned.
func (p *Player) Stats() Stats {
	p.cancel()
	for range p.source.full { // the source ends by itself
	}
	s := p.stats
	s.Source = p.source.stats
	s.Unsent = s.Source.Due
	for i := range s.Sides {
		if s.Sides[i].Refused == nil {
			s.Sides[i].Refused = []Refusal{} // so that JSON has a list
		}
	}
	for _, side := range s.Sides {
		s.Unsent -= side.Sent + side.refusedFrames()
	}
	return s
}

// Stats say what came of a replay.
type Stats struct {
	Source SourceStats  `json:"source"`
	Sides  [2]SideStats `json:"sides"`
	Unsent uint64       `json:"unsent"` // read, but the replay was ended before they were due
	// Elapsed is from the first frame that went out to the last.
	Elapsed time.Duration `json:"elapsed_ns"`
	// Lateness is how long after its moment each frame had gone out, and Drift that
	// of the last one. There is none in virtual time, at top speed and one by one.
	Lateness Histogram     `json:"lateness"`
	Drift    time.Duration `json:"drift_ns"`
}

// SideStats count one side's frames.
type SideStats struct {
	Sent    uint64    `json:"sent"`
	Bytes   uint64    `json:"bytes"`
	Refused []Refusal `json:"refused"` // in the order of their first occurrence
}

// A Refusal counts the frames that an output did not take for one reason.
type Refusal struct {
	Reason string `json:"reason"`
	Frames uint64 `json:"frames"`
}

func (s *SideStats) refuse(reason string, n int) {
	for i := range s.Refused {
		if s.Refused[i].Reason == reason {
			s.Refused[i].Frames += uint64(n)
			return
		}
	}
	s.Refused = append(s.Refused, Refusal{reason, uint64(n)})
}

func (s *SideStats) refusedFrames() (n uint64) {
	for _, r := range s.Refused {
		n += r.Frames
	}
	return n
}

// A Histogram counts durations in buckets an eighth of a power of two wide, so
// that quantiles are exact to 9 %.
type Histogram struct {
	Count   uint64        `json:"count"`
	Max     time.Duration `json:"max_ns"`
	buckets [64 * 8]uint64
}

const histogramShift = 3

func (h *Histogram) add(d time.Duration) {
	h.Count++
	h.Max = max(h.Max, d)
	h.buckets[bucketOf(uint64(max(d, 0)))]++
}

func bucketOf(v uint64) int {
	if v < 1<<histogramShift {
		return int(v)
	}
	e := bits.Len64(v) - 1 - histogramShift
	return (e+1)<<histogramShift + int(v>>e)&(1<<histogramShift-1)
}

// Quantile returns an upper bound of the q-quantile, 0 < q <= 1.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(float64(float64(h.Count)*q) + 0.5)
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			return min(upperBound(i), h.Max)
		}
	}
	return h.Max
}

func upperBound(i int) time.Duration {
	if i < 1<<histogramShift {
		return time.Duration(i)
	}
	e := i>>histogramShift - 1
	return time.Duration(uint64(1<<histogramShift+i&(1<<histogramShift-1)+1)<<e - 1)
}
