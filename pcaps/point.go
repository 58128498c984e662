package pcaps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hilnet/sim"
)

// A PointConfig describes a capture point.
type PointConfig struct {
	// Interface is written as given, but its Name is the point's, its
	// Resolution nanoseconds, its Offset 0, its LinkType Ethernet where it is 0
	// and its SnapLen 262,144 where it is 0.
	Interface Interface
	Names     *Names // address names, optional
	// Reorder is how long records are held back so that others with an
	// earlier time, captured later, can be put before them. 0 in virtual time. At a
	// TAP, socket or gateway edge it is the longest delay between the system
	// call and Capture: the stamp is read after the call, perhaps by another
	// goroutine.
	Reorder time.Duration
}

// PointStats counts what a point saw.
type PointStats struct {
	Captured   uint64 // = Written + still waiting, unless the file failed
	Written    uint64
	Lost       uint64 // written as dropped on the link
	Undecided  uint64 // written before their fate was known
	InFlight   uint64 // pending at Close
	OutOfOrder uint64 // written after a record with a later time
}

// A Point is one capture point and its file.
type Point struct {
	name     string
	recorder *Recorder
	writer   *Writer
	closer   io.Closer
	snapLen  int
	reorder  Stamp
	queue    queue
	newest   Stamp // latest captured
	last     Stamp // latest written
	stats    PointStats
	packet   Packet
	err      error
}

const defaultSnapLen = 262_144

// Name returns the point's name.
func (p *Point) Name() string { return p.name }

// Stats returns the point's counters.
func (p *Point) Stats() PointStats { return p.stats }

// File returns the name of the point's file, how many records are in it (not those
// that still wait or are buffered) and whether it can be read up to there, also when
// it has failed.
func (p *Point) File() (name string, records uint64, readable bool) {
	var failed *WriteError
	readable = !errors.As(p.err, &failed) || failed.Readable
	return p.writer.out.name, p.writer.out.packets, readable
}

// Capture records a frame that passes the point at now. It copies what it keeps
// of data. Notes become comments of the record, such as what corrupted a
// frame that arrives. An error means that the point's file has failed; it is
// final.
func (p *Point) Capture(now sim.Time, id uint64, dir Direction, data []byte, fate Pending, notes ...string) error {
	r := p.recorder
	if p.err != nil {
		return p.err
	}
	if r.closed {
		return fmt.Errorf("pcaps: point %q: capture after Close", p.name)
	}
	p.stats.Captured++
	kept := data[:min(len(data), p.snapLen)]
	at := r.config.Epoch + Stamp(now)
	p.newest = max(p.newest, at)
	if fate == FateFinal && p.queue.count == 0 && p.reorder == 0 && at >= p.last && len(notes) == 0 {
		return p.write(at, id, dir, kept, len(data), nil, false)
	}
	w := r.pool.get(kept)
	w.point, w.serial, w.at, w.id, w.dir, w.length = p, r.serial, at, id, dir, len(data)
	r.serial++
	for _, note := range notes {
		w.notes = appendNote(w.notes, cutNote(note))
	}
	p.queue.insert(w)
	r.waiting++
	if fate == FatePending {
		w.open = 1
		r.index.add(w)
	}
	if err := p.drain(); err != nil {
		return err
	}
	return r.shed(p)
}

// WriteSecret writes lines of a TLS key log into the point's file, before every
// frame that is written from now on. Those must be all that they open: frames
// that were captured earlier may still wait to be written, which does no harm.
func (p *Point) WriteSecret(lines []byte) error {
	if p.err != nil {
		return p.err
	}
	if p.recorder.closed {
		return fmt.Errorf("pcaps: point %q: secrets after Close", p.name)
	}
	if err := p.writer.WriteSecrets(&Secrets{Kind: SecretsTLS, Data: lines}); err != nil {
		p.fail(err)
	}
	return p.err
}

// cutNote keeps a note below the limit of an option and free of NULs.
func cutNote(note string) string {
	if end := strings.IndexByte(note, 0); end >= 0 {
		note = note[:end]
	}
	if len(note) > remarkRoom {
		note = SplitText(note, remarkRoom)[0]
	}
	return note
}

// drain writes the records at the head of the queue that need not wait.
func (p *Point) drain() error {
	for w := p.queue.head(); w != nil && w.open == 0; w = p.queue.head() {
		if p.reorder > 0 && !p.recorder.closed && p.newest-w.at < p.reorder {
			break
		}
		if err := p.writeHead(); err != nil {
			return err
		}
	}
	return nil
}

// writeHead takes the oldest record out of the queue and writes it.
func (p *Point) writeHead() error {
	w := p.queue.pop()
	r := p.recorder
	r.waiting--
	lost := w.open == 0 && w.lost && !w.arrived
	if w.at < p.last {
		p.stats.OutOfOrder++
		w.notes = appendNote(w.notes, commentLate)
	}
	err := p.write(w.at, w.id, w.dir, w.data, w.length, w.notes, lost)
	r.pool.put(w)
	return err
}

// write hands one record to the file.
func (p *Point) write(at Stamp, id uint64, dir Direction, data []byte, length int, notes []byte, lost bool) error {
	if p.err != nil {
		return p.err
	}
	k := &p.packet
	*k = Packet{
		Time: at, Ticks: uint64(at), Data: data, OriginalLen: length,
		Fields: FieldPacketID, PacketID: id, Comments: k.Comments[:0], Verdicts: k.Verdicts[:0],
	}
	if dir != DirectionNone {
		k.Fields |= FieldFlags
		k.Flags = dir.flags()
	}
	for len(notes) > 0 {
		end := bytes.IndexByte(notes, 0)
		k.Comments = append(k.Comments, notes[:end])
		notes = notes[end+1:]
	}
	if lost {
		k.Verdicts = append(k.Verdicts, Verdict{Kind: VerdictTC, Result: TCActShot})
	}
	err := p.writer.WritePacket(k)
	k.Data = nil
	if err != nil {
		p.fail(err)
		return p.err
	}
	p.last = max(p.last, at)
	p.stats.Written++
	if lost {
		p.stats.Lost++
	}
	return nil
}

// fail gives up the point: what waits for it can never be written.
func (p *Point) fail(err error) {
	p.err = fmt.Errorf("pcaps: point %q: %w", p.name, err)
	for p.queue.count > 0 {
		w := p.queue.pop()
		p.recorder.index.remove(w)
		p.recorder.waiting--
		p.recorder.pool.put(w)
	}
}

func (p *Point) close(end Stamp) error {
	for n := range p.queue.count {
		if w := *p.queue.at(n); w.open > 0 {
			p.recorder.index.remove(w)
			w.open, w.lost = 0, false // a copy is still under way
			w.notes = appendNote(w.notes, commentInFlight)
			p.stats.InFlight++
		}
	}
	_ = p.drain() // kept in p.err
	if p.err == nil {
		err := p.writer.WriteStatistics(&Statistics{
			Time: end, Fields: FieldStartTime | FieldEndTime | FieldIfRecv | FieldOSDrop,
			StartTime: p.recorder.config.Epoch, EndTime: end, IfRecv: p.stats.Captured,
		})
		if err == nil {
			err = p.writer.Flush()
		}
		if err != nil {
			p.fail(err)
		}
	}
	if p.closer != nil {
		return errors.Join(p.err, p.closer.Close())
	}
	return p.err
}
