package link

import (
	"sync"

	"hilnet/sim"
)

// MaxFrame is the longest frame a Frame from the pool holds without an
// allocation of its own: an Ethernet frame of MTU 1500 with two VLAN tags.
const MaxFrame = 1522

// A Frame is one Ethernet frame without its checksum sequence, on its way. It
// has one owner at a time: whoever Put it last no longer touches it.
type Frame struct {
	// Data is the frame from destination address to payload.
	Data []byte
	// ID is given at the first Link that the frame enters and stays with it: it
	// joins trace, captures and decision log. 0 means no link yet.
	ID uint64
	// Ordinal counts the frames that entered this direction of the link, from 1.
	Ordinal uint64
	// Entered is when the frame entered this direction of the link.
	Entered sim.Time
	// Copy is the number of this copy of a duplicated frame, 0 for the first.
	Copy uint32

	store [MaxFrame]byte
}

// A sync.Pool is shared by worlds that run side by side in a sweep; what it
// hands out is indistinguishable, so it does not touch determinism.
var frames = sync.Pool{New: func() any { return new(Frame) }}

// NewFrame returns a frame with n bytes of Data, not zeroed.
func NewFrame(n int) *Frame {
	f := frames.Get().(*Frame)
	if n <= MaxFrame {
		f.Data = f.store[:n]
	} else {
		f.Data = make([]byte, n)
	}
	return f
}

// CopyFrame returns a new frame with a copy of data.
func CopyFrame(data []byte) *Frame {
	f := NewFrame(len(data))
	copy(f.Data, data)
	return f
}

// Release gives the frame's memory back. Its last owner calls it, once.
func (f *Frame) Release() {
	if f.Data == nil {
		panic("link: frame released twice")
	}
	f.Data = nil
	f.ID, f.Ordinal, f.Entered, f.Copy = 0, 0, 0, 0
	frames.Put(f)
}
