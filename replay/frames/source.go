package frames

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hilnet/pcaps"
	"hilnet/sim"
)

// What is read ahead of the moment when it goes out.
const (
	batchFrames = 256       // frames handed over at a time, fewer when they are long
	batchBytes  = 256 << 10 // their bytes, beyond which a batch is full
	ReadAhead   = 8         // batches
)

// A SourceConfig says which frames go out and when. Its zero value is all of
// them, as captured, once.
type SourceConfig struct {
	// Open opens the capture, for each pass anew. Required.
	Open func() (io.ReadCloser, error)
	// Include and Exclude choose frames: those that match Include and not Exclude.
	// Nil: no condition.
	Include, Exclude *Filter
	// Split sends frames that match it to the first side, the others to the second.
	// Nil: all to the first.
	Split    *Filter
	Rewrite  RewriteConfig
	Schedule ScheduleConfig
	// Loops is how often the capture is sent, 0: once, negative: until something
	// else ends it. LoopPause is between the last frame of a pass and the next.
	Loops     int
	LoopPause time.Duration
	// Count ends after so many frames, Duration before the first frame that is due
	// later. 0: no limit.
	Count    uint64
	Duration time.Duration
}

// Validate returns an error for a config that means nothing.
func (c *SourceConfig) Validate() error {
	if c.Open == nil {
		return errors.New("frames: a source without a capture")
	}
	if c.LoopPause < 0 || c.Duration < 0 {
		return errors.New("frames: a negative time")
	}
	if err := c.Rewrite.Validate(); err != nil {
		return err
	}
	return c.Schedule.Validate()
}

// SourceStats count what became of a capture's frames. Read = Filtered +
// NotEthernet + CutShort + TooShort + Beyond + Due, over all passes.
type SourceStats struct {
	Passes      int    `json:"passes"`       // begun
	Read        uint64 `json:"read"`         // frames of the capture
	Filtered    uint64 `json:"filtered"`     // not chosen by include and exclude
	NotEthernet uint64 `json:"not_ethernet"` // without an Ethernet header, and no addresses were given
	CutShort    uint64 `json:"cut_short"`    // cut in the capture and skipped, as asked for
	TooShort    uint64 `json:"too_short"`    // shorter than an Ethernet header
	Beyond      uint64 `json:"beyond"`       // due after the duration that was asked for, which ends reading
	Due         uint64 `json:"due"`          // handed over to be sent

	Padded    uint64 `json:"padded"`    // cut in the capture, made as long with zeros
	Unread    uint64 `json:"unread"`    // to be rewritten, but with unreadable headers
	Uncut     uint64 `json:"uncut"`     // longer than the MTU, but so are their headers
	Backward  uint64 `json:"backward"`  // with an earlier time than a frame before
	Shortened uint64 `json:"shortened"` // waits that were longer than allowed

	// Problem is why reading ended before the end of the capture, with the offset.
	Problem error `json:"-"`
}

// A batch is frames on their way from the source to the player.
type batch struct {
	data   []byte
	frames []entry
}

// An entry is one frame of a batch.
type entry struct {
	start, end int
	due        sim.Time
	second     bool // for the second side
}

// A source reads a capture into batches.
type source struct {
	cfg      SourceConfig
	rewriter *rewriter
	schedule *Schedule
	subject  subject
	looks    bool // a filter looks at headers
	stats    SourceStats

	full  chan *batch // closed at the end
	empty chan *batch
	b     *batch
}

func newSource(cfg SourceConfig) (*source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	s := &source{cfg: cfg, full: make(chan *batch, ReadAhead), empty: make(chan *batch, ReadAhead+2)}
	s.looks = cfg.Include != nil || cfg.Exclude != nil || cfg.Split != nil
	var err error
	if s.rewriter, err = newRewriter(cfg.Rewrite); err != nil {
		return nil, err
	}
	if s.schedule, err = NewSchedule(cfg.Schedule); err != nil {
		return nil, err
	}
	for range cap(s.empty) {
		s.empty <- &batch{frames: make([]entry, 0, batchFrames)}
	}
	return s, nil
}

// errEnough ends reading when a limit is reached.
var errEnough = errors.New("frames: enough")

// read reads all passes, until ctx ends. It runs on a goroutine of its own; its
// stats may be read when full is closed.
func (s *source) read(ctx context.Context) {
	defer close(s.full)
	s.b = <-s.empty
	var err error
	for n := 0; err == nil && (s.cfg.Loops < 0 || n < s.cfg.Loops); n++ {
		if n > 0 {
			s.schedule.Again(s.cfg.LoopPause)
		}
		before := s.stats.Due
		err = s.pass(ctx)
		if err == nil && s.cfg.Loops < 0 && s.stats.Due == before {
			err = errors.New("no frame of the capture can be sent, so repeating it would never end")
		}
	}
	s.stats.Padded, s.stats.Unread, s.stats.Uncut = s.rewriter.padded, s.rewriter.unread, s.rewriter.uncut
	s.stats.Backward, s.stats.Shortened = s.schedule.Backward, s.schedule.Shortened
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(err, context.Canceled) {
		s.stats.Problem = err
	}
	if len(s.b.frames) > 0 {
		_ = s.hand(ctx) // when ctx ended, nobody waits for it
	}
}

// pass reads the capture once.
func (s *source) pass(ctx context.Context) error {
	s.stats.Passes++
	input, err := s.cfg.Open()
	if err != nil {
		return err
	}
	defer input.Close()
	r, err := pcaps.NewReader(input, pcaps.ReaderConfig{})
	if err != nil {
		return err
	}
	base, known := 0, 0 // interfaces of earlier sections
	for number := uint64(0); ; {
		record, err := r.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after frame %d, byte %d: %w", number, r.Offset(), err)
		}
		if record.Section != nil {
			base, known = base+known, 0
		}
		known = len(r.Interfaces())
		if record.Packet == nil {
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		number++
		if err := s.packet(ctx, record.Packet, number, base); err != nil {
			return err
		}
	}
}

// packet prepares one frame.
func (s *source) packet(ctx context.Context, p *pcaps.Packet, number uint64, base int) error {
	s.stats.Read++
	if s.stats.Read%4096 == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	length := wireLength(p)
	second := false
	if s.looks {
		s.subject.look(p, number, base+p.Interface)
		if f := s.cfg.Include; f != nil && !f.match(&s.subject) {
			s.stats.Filtered++
			return nil
		}
		if f := s.cfg.Exclude; f != nil && f.match(&s.subject) {
			s.stats.Filtered++
			return nil
		}
		second = s.cfg.Split != nil && !s.cfg.Split.match(&s.subject)
	}
	b := s.b
	start := len(b.data)
	var err error
	b.data, err = s.rewriter.frame(b.data, uint16(p.LinkType), p.Data, length)
	switch {
	case errors.Is(err, errLinkType):
		s.stats.NotEthernet++
		return nil
	case errors.Is(err, errCut):
		s.stats.CutShort++
		return nil
	case err != nil:
		s.stats.TooShort++
		return nil
	}
	due := s.schedule.Due(int64(p.Time), len(b.data)-start)
	if s.cfg.Duration > 0 && due > sim.Time(s.cfg.Duration) {
		b.data = b.data[:start]
		s.stats.Beyond++
		return errEnough
	}
	b.frames = append(b.frames, entry{start, len(b.data), due, second})
	s.stats.Due++
	if s.cfg.Count > 0 && s.stats.Due >= s.cfg.Count {
		return errEnough
	}
	if len(b.frames) == batchFrames || len(b.data) >= batchBytes {
		return s.hand(ctx)
	}
	return nil
}

// hand gives the batch to the player and takes an empty one.
func (s *source) hand(ctx context.Context) error {
	select {
	case s.full <- s.b:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case s.b = <-s.empty:
	case <-ctx.Done():
		s.b = &batch{}
		return ctx.Err()
	}
	s.b.data, s.b.frames = s.b.data[:0], s.b.frames[:0]
	return nil
}
