package tap

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/wire"
)

// batchFrames is the number of frames read at once, if as many are there already:
// a batch never waits to become full.
const batchFrames = 64

// maxRead is longer than any frame, so that none is cut.
const maxRead = MaxMTU + 64

// A reader takes frames from the interface on the loop's own thread, which sleeps
// until there are some: a thread beside it would have to wake it for each, which
// takes longer than all else that a frame goes through here.
type reader struct {
	read, lost uint64
	buf        []byte
	batch      []arrival // read, and not delivered yet
	deliver    func()
}

type arrival struct {
	frame *link.Frame
	at    sim.Time
}

func (r *reader) start(t *TAP) error {
	r.buf = make([]byte, maxRead)
	r.batch = make([]arrival, 0, batchFrames)
	r.deliver = t.deliver
	return t.cfg.Loop.Watch(t.fd, t.readable)
}

// readable reads what is there, up to a batch; one that was not delivered yet
// waits for its turn among the loop's events, and what comes meanwhile waits in the
// kernel.
func (t *TAP) readable() {
	r := &t.reader
	if len(r.batch) > 0 {
		return
	}
	for len(r.batch) < batchFrames {
		n, err := unix.Read(t.fd, r.buf[t.cut:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.unwatch()
			t.cfg.Loop.Cancel(fmt.Errorf("tap: read %s (was the interface deleted?): %w", t.name, err))
			break
		}
		at := t.cfg.Clock()
		r.read++
		if t.cut > 0 {
			wire.PutEthernet(r.buf, wire.MAC{}, wire.MAC{}, typeOf(r.buf[t.cut]))
		}
		r.batch = append(r.batch, arrival{link.CopyFrame(r.buf[:t.cut+n]), at})
	}
	if len(r.batch) > 0 {
		t.cfg.Loop.Arrived(r.deliver)
	}
}

// typeOf returns the EtherType of a packet that begins with a byte, 0 for one that
// is no IP.
func typeOf(first byte) uint16 {
	switch first >> 4 {
	case 4:
		return wire.EtherTypeIPv4
	case 6:
		return wire.EtherTypeIPv6
	}
	return 0
}

// deliver gives on a batch, as an event of the loop.
func (t *TAP) deliver() {
	r := &t.reader
	for i := range r.batch {
		if t.closed {
			return // by what took the last one; Close has counted and released the rest
		}
		a := r.batch[i]
		r.batch[i] = arrival{}
		t.counters.Delivered++
		if t.cfg.Received != nil {
			t.cfg.Received(a.frame, a.at)
		}
		t.next.Put(a.frame)
	}
	r.batch = r.batch[:0]
}

// abandon counts the frames that were read and will not be delivered.
func (r *reader) abandon() (n uint64) {
	for i := range r.batch {
		if f := r.batch[i].frame; f != nil {
			n++
			f.Release()
		}
		r.batch[i] = arrival{}
	}
	r.batch = r.batch[:0]
	r.lost += n
	return n
}
