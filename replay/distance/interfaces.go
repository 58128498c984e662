package distance

import (
	"errors"
	"fmt"
	"slices"

	"hilnet/pcaps"
)

// ErrInterfaces says that a capture has the device's frames, or those for it, at more
// than one interface, so that they may be in it twice.
var ErrInterfaces = errors.New("distance: what the device did is at more than one interface of the capture")

// The names that hilnet's recordings give the ends of a link.
const (
	deviceEnd = "device"
	PeerEnd   = "peer"
)

// name returns the name of an interface of the section that is being read.
func (r *reading) name(i int) string {
	if all := r.in.Interfaces(); i >= 0 && i < len(all) {
		return all[i].Name
	}
	return ""
}

// otherEnd reports whether a frame of a merged recording of hilnet's is that of the
// peer's end.
func (r *reading) otherEnd(p *pcaps.Packet) bool {
	return r.name(p.Interface) == PeerEnd &&
		slices.ContainsFunc(r.in.Interfaces(), func(i *pcaps.Interface) bool { return i.Name == deviceEnd })
}

// own takes that a frame of the device is at an interface.
func (r *reading) own(lane int, name string) {
	switch {
	case !r.seen:
		r.seen, r.lane, r.Interface = true, lane, name
	case lane != r.lane:
		r.twice(r.lane, lane)
	}
}

// foreign takes that a segment for the device is at an interface.
func (r *reading) foreign(lane int) {
	switch {
	case !r.heard:
		r.heard, r.heardAt = true, lane
	case lane != r.heardAt:
		r.twice(r.heardAt, lane)
	}
}

func (r *reading) twice(first, second int) {
	if r.err == nil {
		r.err = fmt.Errorf("%w, %d and %d: replay cut --filter 'interface %d' writes a capture of one", ErrInterfaces, first, second, first)
	}
}
