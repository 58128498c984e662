package extract

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"hilnet/wire"
)

// Single extracts conditions from one capture: what TCP says about itself.
func Single(k *Capture) (*Conditions, error) {
	device, err := k.ends()
	if err != nil {
		return nil, err
	}
	s := &single{k: k, c: &Conditions{Files: []string{k.File}, Device: device, device: k}}
	for i := range k.packets {
		s.c.Duration = max(s.c.Duration, time.Duration(k.packets[i].at))
	}
	s.c.artefacts(k)
	s.split()
	for _, v := range s.conns {
		v.number()
		v.roundTrips()
	}
	s.place()
	for _, v := range s.conns {
		for _, w := range ways {
			if s.far(w) {
				s.forward(v, w)
			}
			if s.far(w.peer()) {
				s.backward(v, w)
			}
		}
	}
	s.finish()
	return s.c, nil
}

// A single is one capture at work.
type single struct {
	k     *Capture
	c     *Conditions
	conns []*connection
	rtt   [3]int64 // shortest round trip from the tap and back, by the way that begins it; below 0: not known
	rows  [3][]passage
	// lost are the frames of this capture that were lost behind the tap, by frame.
	lost    map[uint64]verdict // looked up only
	trains  [3][][]interval
	onePeer bool // all connections are with the same one
	guessed int  // segments in holes that are taken for lost, against mostHoles
	// listed are the losses of frames that nobody saw, and unlisted those beyond mostUnseen.
	listed, unlisted int
	// unseen are acknowledgements of what the capture does not have.
	missing      int
	firstMissing *packet
}

// unseen notes that something was acknowledged that the capture does not have.
func (s *single) unseen(p *packet) {
	if s.missing++; s.firstMissing == nil || p.frame < s.firstMissing.frame {
		s.firstMissing = p
	}
}

// A verdict is how likely a frame was lost.
type verdict uint8

const (
	possible verdict = 1 + iota // it may have been
	probable                    // it counts
	certain
)

// split sorts the segments into connections.
func (s *single) split() {
	at := map[uint64]*connection{} // looked up only
	for i := range s.k.packets {
		p := &s.k.packets[i]
		if p.conn == 0 || p.way == noWay || p.twin {
			continue
		}
		v := at[p.conn]
		if v == nil {
			v = &connection{k: s.k, id: p.conn, best: [3]int64{-1, -1, -1}}
			at[p.conn] = v
			s.conns = append(s.conns, v)
		}
		v.all = append(v.all, i)
		v.of[p.way] = append(v.of[p.way], i)
	}
	s.lost = map[uint64]verdict{}
	s.onePeer = true
	for _, v := range s.conns {
		s.onePeer = s.onePeer && v.peer() == s.conns[0].peer()
		n := 0
		for _, i := range v.all {
			if p := &s.k.packets[i]; p.has(wire.TCPSyn) && p.permitsSACK {
				n |= int(p.way)
			}
			if len(s.k.packets[i].sack) > 0 {
				n = int(up | down)
			}
		}
		v.sack = n == int(up|down)
	}
}

// place finds out where the capture was made.
func (s *single) place() {
	s.rtt = [3]int64{-1, -1, -1}
	for _, v := range s.conns {
		for _, w := range ways {
			if b := v.best[w]; b >= 0 && (s.rtt[w] < 0 || b < s.rtt[w]) {
				s.rtt[w] = b
			}
		}
	}
	const near = 0.15
	total := float64(max(0, s.rtt[up]) + max(0, s.rtt[down]))
	switch {
	case s.rtt[down] < 0: // the device never had to answer
		s.c.Place = atDevice
	case s.rtt[up] < 0:
		s.c.Place = atPeer
	case s.rtt[up] == 0 && s.rtt[down] == 0, float64(s.rtt[down]) <= near*total:
		s.c.Place = atDevice
	case float64(s.rtt[up]) <= near*total:
		s.c.Place = atPeer
	default:
		s.c.Place = between
	}
	for _, w := range ways {
		s.rtt[w] = max(0, s.rtt[w])
		for _, v := range s.conns {
			if v.best[w] < 0 || s.onePeer {
				v.best[w] = s.rtt[w] // the way is the same
			}
		}
	}
}

// The places of a single capture.
const (
	atDevice = "at the device"
	atPeer   = "at the far end"
	between  = "between the two"
)

// far reports whether frames of that way go on over the network behind the tap.
func (s *single) far(w way) bool {
	switch s.c.Place {
	case atDevice:
		return w == up
	case atPeer:
		return w == down
	}
	return true
}

// finish adds up.
func (s *single) finish() {
	c := s.c
	if s.missing > 0 {
		c.Artefacts = append(c.Artefacts, Artefact{
			At: time.Duration(s.firstMissing.at), File: s.k.File, Frame: s.firstMissing.frame, Kind: "missing", Count: s.missing,
			Text: fmt.Sprintf("%d times something was acknowledged that the capture does not have: the tap lost frames, and losses may be its own", s.missing),
		})
	}
	if s.unlisted > 0 {
		c.Artefacts = append(c.Artefacts, Artefact{
			File: s.k.File, Kind: "unlisted", Count: s.unlisted,
			Text: fmt.Sprintf("%d more losses are counted and have no line: packets that only missing IP identifications show, more than %d; if those do not count packets, they are none", s.unlisted, mostUnseen),
		})
	}
	slices.SortStableFunc(s.c.Drops, func(x, y Drop) int { return cmp.Compare(x.At, y.At) })
	var all [3][]int64
	for _, v := range s.conns {
		for _, w := range ways {
			all[w] = append(all[w], v.rtts[w]...)
		}
	}
	switch u, d := spread(all[up]), spread(all[down]); {
	case c.Place == atDevice:
		c.RTT = u
	case c.Place == atPeer:
		c.RTT = d
	case u.Samples > 0 && d.Samples > 0:
		c.RTT = Spread{min(u.Samples, d.Samples), u.Min + d.Min, u.Median + d.Median, u.P99 + d.P99, u.Most + d.Most}
	default:
		c.RTT = u
	}
	if best := s.whole(); c.RTT.Samples > 0 && best > 0 {
		c.RTT.Min = min(c.RTT.Min, best)
	}
	for _, w := range ways {
		slices.SortStableFunc(s.rows[w], func(x, y passage) int { return cmp.Compare(x.at, y.at) })
		for _, p := range s.rows[w] {
			c.of(w).Sent++
			if p.passed {
				c.of(w).Arrived++
			}
		}
		c.of(w).Rate, c.of(w).RateOf = rateOf(s.trains[w])
		c.of(w).Propagation = c.RTT.Min / 2
	}
	c.findOutages(s.rows)
	for _, w := range ways {
		var lost []bool
		for _, p := range s.rows[w] {
			if !p.passed && slices.ContainsFunc(c.Outages, func(o Outage) bool {
				return (o.Dir == "both" || o.Dir == w.String()) && p.at >= int64(o.Start) && p.at <= int64(o.End)
			}) {
				continue
			}
			lost = append(lost, !p.passed)
		}
		c.of(w).Model = fit(lost)
	}
	c.sort()
}

// whole is the shortest round trip of the path behind the tap.
func (s *single) whole() time.Duration {
	switch s.c.Place {
	case atDevice:
		return time.Duration(s.rtt[up])
	case atPeer:
		return time.Duration(s.rtt[down])
	}
	return time.Duration(s.rtt[up] + s.rtt[down])
}

// drop notes a loss: how sure it is, and how sure that it had data.
func (s *single) drop(w way, f *packet, at int64, v, data verdict) {
	out := s.c.of(w)
	out.Lost.note(v)
	out.Data.note(data)
	if v < probable {
		return
	}
	if f == nil {
		if s.listed >= mostUnseen {
			s.unlisted++
			return
		}
		s.listed++
	}
	d := Drop{Dir: w.String(), At: time.Duration(at), What: "ack", Cause: "loss", Confidence: 1}
	if data >= probable {
		d.What = "data"
	}
	if v == probable || data == probable {
		d.Confidence = 0.7
	}
	if f != nil {
		d.Frame, d.Len, d.What = f.frame, f.len, f.what()
	}
	s.c.Drops = append(s.c.Drops, d)
}

// dropped notes a segment that was counted elsewhere.
func (s *single) dropped(w way, f *packet, at int64, chance float64) {
	s.c.Drops = append(s.c.Drops, Drop{
		Dir: w.String(), At: time.Duration(at), Frame: f.frame, Len: f.len, What: f.what(), Cause: "loss", Confidence: chance,
	})
}

// plus adds two numbers.
func (b Bounds) plus(o Bounds) Bounds {
	return Bounds{b.Min + o.Min, b.Estimate + o.Estimate, b.Max + o.Max}
}

// note counts one more.
func (b *Bounds) note(v verdict) {
	if v >= possible {
		b.Max++
	}
	if v >= probable {
		b.Estimate++
	}
	if v == certain {
		b.Min++
	}
}
