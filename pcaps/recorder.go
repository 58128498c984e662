package pcaps

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"hilnet/sim"
)

// Default limits of a [RecorderConfig].
const (
	DefaultMaxWaiting      = 65_536
	DefaultMaxWaitingBytes = 128 << 20
)

// A RecorderConfig describes the run that is recorded.
type RecorderConfig struct {
	Run RunInfo
	// Epoch is the time of the run's sim.Time 0: default VirtualEpoch; the wall
	// clock at the start when the run is in real time.
	Epoch Stamp
	// MaxWaiting and MaxWaitingBytes bound the records of all points that are
	// held until they can be written; beyond them the oldest is written as
	// undecided. Defaults 65,536 and 128 MiB.
	MaxWaiting      int
	MaxWaitingBytes int
	BufferSize      int // of each file, default 64 KiB
}

// A Recorder writes what passes the capture points of a run, one file a point.
// Records stand in the order of their time; the record of a frame that was
// captured as FatePending is written when [Recorder.Fate] has told what became
// of it.
//
// Its methods and those of its Points belong to the goroutine of the run's
// loop. They never block except in writes to the file. In steady state they do
// not allocate.
type Recorder struct {
	config   RecorderConfig
	comments []string
	points   []*Point
	pool     pool
	index    index
	waiting  int
	serial   uint64
	late     uint64
	closed   bool
}

// SetEpoch changes the time of the run's sim.Time 0. It is for runs whose clock
// starts after their files were made, and must come before the first Capture.
func (r *Recorder) SetEpoch(epoch Stamp) {
	if r.serial > 0 || epoch < 0 {
		panic("pcaps: SetEpoch after a frame was captured, or before 1970")
	}
	r.config.Epoch = epoch
}

// NewRecorder checks the configuration.
func NewRecorder(config RecorderConfig) (*Recorder, error) {
	if config.Epoch == 0 {
		config.Epoch = VirtualEpoch
	}
	if config.MaxWaiting == 0 {
		config.MaxWaiting = DefaultMaxWaiting
	}
	if config.MaxWaitingBytes == 0 {
		config.MaxWaitingBytes = DefaultMaxWaitingBytes
	}
	if config.Epoch < 0 || config.MaxWaiting < 1 || config.MaxWaitingBytes < 1 {
		return nil, fmt.Errorf("pcaps: RecorderConfig: epoch %d, MaxWaiting %d, MaxWaitingBytes %d; none may be negative", config.Epoch, config.MaxWaiting, config.MaxWaitingBytes)
	}
	comments, err := config.Run.comments()
	if err != nil {
		return nil, err
	}
	return &Recorder{config: config, comments: comments, pool: pool{limit: config.MaxWaitingBytes}}, nil
}

// Point starts a capture point that writes to w.
func (r *Recorder) Point(name string, w io.Writer, config PointConfig) (*Point, error) {
	i := config.Interface
	i.Name, i.Resolution, i.Offset = name, Nanoseconds, 0
	if i.LinkType == LinkTypeNull {
		i.LinkType = LinkTypeEthernet
	}
	if i.SnapLen == 0 {
		i.SnapLen = defaultSnapLen
	}
	if name == "" || config.Reorder < 0 || i.SnapLen > DefaultMaxPacket || r.closed {
		return nil, fmt.Errorf("pcaps: point %q: needs a name, Reorder not below 0, SnapLen up to %d, an open Recorder", name, DefaultMaxPacket)
	}
	section := Section{UserAppl: "hilnet " + r.config.Run.Version, Comments: r.comments}
	writer, err := NewWriter(w, section, WriterConfig{BufferSize: r.config.BufferSize})
	if err != nil {
		return nil, fmt.Errorf("pcaps: point %q: %w", name, err)
	}
	if _, err := writer.AddInterface(i); err != nil {
		return nil, fmt.Errorf("pcaps: point %q: %w", name, err)
	}
	if config.Names != nil {
		if err := writer.WriteNames(config.Names); err != nil {
			return nil, fmt.Errorf("pcaps: point %q: %w", name, err)
		}
	}
	p := &Point{
		name: name, recorder: r, writer: writer, snapLen: int(i.SnapLen), reorder: Stamp(config.Reorder),
		newest: math.MinInt64, last: math.MinInt64,
	}
	r.points = append(r.points, p)
	return p, nil
}

// CreatePoint starts a capture point that writes to a new file, which Close closes.
// The file is there, without records, when CreatePoint returns; with an error it is not.
func (r *Recorder) CreatePoint(name, path string, config PointConfig) (*Point, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	p, err := r.Point(name, f, config)
	if err == nil {
		err = p.writer.Flush() // so that there is a readable file, whatever becomes of the disk
	}
	if err != nil {
		var write *WriteError
		if errors.As(err, &write) {
			err = fmt.Errorf("pcaps: %w", write.Err) // without what it says of a file that stays
		}
		r.points = slices.DeleteFunc(r.points, func(q *Point) bool { return q == p })
		err = errors.Join(err, f.Close())
		if info, failed := os.Lstat(path); failed == nil && info.Mode().IsRegular() {
			err = errors.Join(err, os.Remove(path)) // an empty file is no capture
		}
		return nil, err
	}
	p.closer = f
	return p, nil
}

// Points returns the points in the order of their creation.
func (r *Recorder) Points() []*Point { return r.points }

// LateFates returns how many fates came for frames of which no record waited:
// already written as undecided, or never captured as pending.
func (r *Recorder) LateFates() uint64 { return r.late }

// Waiting returns how many records are held.
func (r *Recorder) Waiting() int { return r.waiting }

// Fate tells what became of a frame captured as pending; of several with this
// id the one captured first is meant. See [Point.Fate] for frames that pass
// several links.
func (r *Recorder) Fate(id uint64, f Fate) error {
	_, w := r.index.find(id)
	return r.decide(w, f)
}

// Fate is like [Recorder.Fate] for a frame captured at this point.
func (p *Point) Fate(id uint64, f Fate) error {
	_, w := p.recorder.index.find(id)
	for w != nil && w.point != p {
		w = w.sameID
	}
	return p.recorder.decide(w, f)
}

func (r *Recorder) decide(w *waiting, f Fate) error {
	if w == nil {
		r.late++
		return nil
	}
	switch f.Kind {
	case Delivered:
		w.arrived = true
		w.open--
	case Dropped:
		w.lost = true
		w.open--
		w.notes = f.appendRemark(w.notes, r.config.Run.Seed)
	case Duplicated:
		w.open++
		w.notes = f.appendRemark(w.notes, r.config.Run.Seed)
	case Corrupted:
		w.notes = f.appendRemark(w.notes, r.config.Run.Seed)
	default:
		panic(fmt.Sprintf("pcaps: fate of frame %d is %v", w.id, f.Kind))
	}
	if w.open > 0 {
		return nil
	}
	r.index.remove(w)
	return w.point.drain()
}

// shed writes the oldest records of all points until the limits hold again.
// The error is that of the point which captures; another point's is kept for
// its own next call.
func (r *Recorder) shed(capturing *Point) error {
	for r.waiting > r.config.MaxWaiting || r.pool.inUse > r.config.MaxWaitingBytes {
		var oldest *waiting
		for _, p := range r.points {
			if w := p.queue.head(); w != nil && (oldest == nil || w.serial < oldest.serial) {
				oldest = w
			}
		}
		if oldest == nil {
			break
		}
		p := oldest.point
		if oldest.open > 0 {
			r.index.remove(oldest)
			p.stats.Undecided++
			oldest.notes = appendNote(oldest.notes, commentUndecided)
		}
		if p.writeHead() == nil {
			_ = p.drain() // kept in p.err
		}
	}
	return capturing.err
}

// Flush hands every record that could be written so far to its file.
func (r *Recorder) Flush() error {
	var failed []error
	for _, p := range r.points {
		if p.err == nil {
			if err := p.writer.Flush(); err != nil {
				p.fail(err)
			}
		}
		failed = append(failed, p.err)
	}
	return errors.Join(failed...)
}

// Close writes what still waits, frames without a fate as in flight, ends each
// file with an interface statistics block and closes the files it created.
// The run ended at end.
func (r *Recorder) Close(end sim.Time) error {
	if r.closed {
		return nil
	}
	r.closed = true
	var failed []error
	for _, p := range r.points {
		failed = append(failed, p.close(r.config.Epoch+Stamp(end)))
	}
	return errors.Join(failed...)
}
