package extract

import (
	"fmt"
	"slices"
	"time"

	"hilnet/wire"
)

// A drought is a time in which what came to the device was not taken: the peer sent
// it again and again, though the tap at the device had seen it. A packet pool that
// messages fill which nobody takes is like that.
type drought struct {
	first, begin, end int64   // the connection's first data; what was not taken; what was taken at last, or never
	signs             []int64 // when the device sent something in it that it had not sent before
	lengths           []int   // of the frames that came on the connection
}

// leastDrought is longer than an acknowledgement takes that the peer did not wait for.
const leastDrought = int64(500 * time.Millisecond)

// mostDroughts bounds those of a capture.
const mostDroughts = 64

// A dry is one connection on the way to a drought.
type dry struct {
	acked   uint32 // by the device
	known   bool
	sent    uint32 // by the device, the highest
	pending []parcel
	first   int64
	lengths []int
	now     *drought
	from    uint32 // what it began with
}

// A parcel is a segment that came to the device.
type parcel struct {
	seq, end uint32
	at       int64
}

// droughts finds them in a capture made at the device.
func droughts(k *Capture) (all []*drought) {
	conns := map[uint64]*dry{} // looked up only
	var order []*dry
	for i := range k.packets {
		p := &k.packets[i]
		if p.conn == 0 || p.way == noWay || p.twin {
			continue
		}
		d := conns[p.conn]
		if d == nil {
			d = &dry{}
			conns[p.conn] = d
			order = append(order, d)
		}
		if p.way == up {
			d.spoke(p)
		} else if p.payload > 0 && d.known {
			if v := d.came(p); v != nil {
				all = append(all, v)
				if len(all) == mostDroughts {
					break
				}
			}
		}
	}
	for _, d := range order {
		d.over(never)
	}
	return slices.DeleteFunc(all, func(v *drought) bool { return v.end-v.begin < leastDrought })
}

// spoke takes a frame of the device.
func (d *dry) spoke(p *packet) {
	news := p.carries() == 0 || after(p.end(), d.sent)
	if p.carries() > 0 && (p.has(wire.TCPSyn) || after(p.end(), d.sent)) {
		d.sent = p.end()
	}
	if news && d.now != nil {
		const most = 64
		if len(d.now.signs) < most {
			d.now.signs = append(d.now.signs, p.at)
		}
	}
	if !p.has(wire.TCPAck) || d.known && !after(p.ack, d.acked) {
		return
	}
	d.acked, d.known = p.ack, true
	if d.now != nil && after(p.ack, d.from) {
		d.over(p.at)
	}
	d.pending = slices.DeleteFunc(d.pending, func(s parcel) bool { return !after(s.end, p.ack) })
}

// came takes a frame of the peer, and returns the drought that it shows to have begun.
func (d *dry) came(p *packet) *drought {
	const most = 4096 // a window's worth
	if len(d.lengths) == 0 {
		d.first = p.at
	}
	if !slices.Contains(d.lengths, p.len) && len(d.lengths) < most {
		d.lengths = append(d.lengths, p.len)
	}
	again := slices.IndexFunc(d.pending, func(s parcel) bool { return s.seq == p.seq })
	if again < 0 {
		if after(p.end(), d.acked) && len(d.pending) < most {
			d.pending = append(d.pending, parcel{p.seq, p.end(), p.at})
		}
		return nil
	}
	// What is lost on the way back is acknowledged again at once.
	if d.now != nil {
		return nil
	}
	s := d.pending[again]
	d.now, d.from = &drought{first: d.first, begin: s.at}, s.seq
	return d.now
}

// over ends a drought.
func (d *dry) over(at int64) {
	if d.now != nil {
		d.now.end, d.now.lengths = at, d.lengths
		if len(d.now.signs) == 0 && at != never {
			d.now.signs = []int64{at}
		}
	}
	d.now = nil
}

// splits is how many packets of a pool each of the frames takes, one behind the other.
func (v *drought) splits(payload int) string {
	const pad = 2 // in front of the Ethernet header, so that IP is aligned
	var all []int
	for _, n := range v.lengths {
		all = append(all, (n+pad+payload-1)/payload)
	}
	return fmt.Sprint(all)
}
