package analyze

import (
	"fmt"
	"slices"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

const (
	// shortestStall is what is listed when nobody said what to list, and
	// shortestIdle the same of silence that nobody waited in.
	shortestStall = 200 * time.Millisecond
	shortestIdle  = time.Second
	// An acknowledgement that is delayed is so by 40 ms at least (Linux,
	// TCP_DELACK_MIN) and 500 ms at most (RFC 1122, 4.2.3.2).
	shortestDelayedACK = 40 * time.Millisecond
	longestDelayedACK  = 500 * time.Millisecond
	// usualStalls is how many of a kind make it usual.
	usualStalls = 4
)

// stall lists the standstill that a segment ends, unless it is none worth a line.
func (s *session) stall(a *Analyzer, seg *Segment, h, o *tally, d time.Duration) {
	if d < shortestStall && a.config.Stall == 0 || d < a.config.Stall {
		return
	}
	kind, text := s.explain(a, seg, h, o, d)
	if a.config.Stall == 0 && (kind == "round_trip" || kind == "idle" && d < max(shortestIdle, 3*s.roundTrip())) {
		return
	}
	if a.config.Stall == 0 && s.fold(seg, kind) {
		return
	}
	if a.room(&s.out.UnlistedStalls) {
		s.out.Stalls = append(s.out.Stalls, Stall{Start: time.Duration(s.last), Duration: d, Before: s.lastFrame, After: seg.Frame, Kind: kind, Text: text})
		s.again = repetition{len(s.out.Stalls), seg.RTOFrame, seg.RTO, 1}
	}
}

// A repetition is a stall in which a sender waits for one acknowledgement.
type repetition struct {
	stalls int    // so many are listed, it is the last
	frame  uint64 // that it waits to be acknowledged
	first  time.Duration
	times  int
}

// fold takes a retransmission timeout into the line of the one before, if the
// sender still waits for the same acknowledgement: an outage is one line.
func (s *session) fold(seg *Segment, kind string) bool {
	r := &s.again
	if r.stalls == 0 || r.stalls != len(s.out.Stalls) || seg.RTOFrame == 0 || r.frame != seg.RTOFrame {
		return false
	}
	v := &s.out.Stalls[r.stalls-1]
	if v.Kind != kind || kind != "retransmission_timeout" && kind != "connect" {
		return false
	}
	r.times++
	v.Duration, v.After, v.Count = seg.At.Sub(sim.Time(v.Start)), seg.Frame, r.times
	what := fmt.Sprintf("the acknowledgement of frame %d", r.frame)
	if kind == "connect" {
		what = fmt.Sprintf("an answer to its SYN of frame %d", r.frame)
	}
	v.Text = fmt.Sprintf("the %s waited for %s and sent again %d times, the first time after %v, the last after %v",
		s.name(seg.Result.Side), what, r.times, r.first.Round(time.Microsecond), seg.RTO.Round(time.Microsecond))
	return true
}

// roundTrip is the round-trip time of the path as far as it is known yet. A
// capture in the middle of it sees a part in each direction.
func (s *session) roundTrip() time.Duration {
	x, y := &s.half[0].rtt, &s.half[1].rtt
	if x.Samples == 0 || y.Samples == 0 {
		return max(s.out.InitialRTT, x.Min, y.Min)
	}
	return x.Min + y.Min
}

// explain says which side waited for what. The order of the cases is that of what
// is known for sure.
func (s *session) explain(a *Analyzer, seg *Segment, h, o *tally, d time.Duration) (kind, text string) {
	me, peer := s.name(seg.Result.Side), s.name(seg.Result.Side.Peer())
	span := d.Round(time.Microsecond)
	kind = "idle"
	// An answer takes at least as long as the quickest one did from this side.
	path := s.roundTrip()
	if o.rtt.Samples > 0 {
		path = o.rtt.Min
	}
	asked := func(side flow.Side) bool {
		addr := s.of.Half(side).Addr.Addr().Unmap().String()
		at, ok := a.arp[addr]
		return ok && at >= s.last && at <= seg.At
	}
	switch {
	case asked(seg.Result.Side) || asked(seg.Result.Side.Peer()):
		kind, text = "arp", fmt.Sprintf("%v until the %s went on; the hardware address of one of them was asked for by ARP in this time", span, me)
	case seg.Labels.Any(ZeroWindowProbe) || o.closed && seg.Len > 0:
		kind, text = "zero_window", fmt.Sprintf("the %s waited %v: the %s had closed its window", me, span, peer)
	case h.closed && seg.Window > 0:
		kind, text = "zero_window", fmt.Sprintf("the %s kept its window closed for %v and opened it then", me, span)
	case seg.Labels.Any(KeepAlive):
		text = fmt.Sprintf("nothing to say for %v; the %s asked with a TCP keep-alive whether the other side is there", span, me)
	case seg.Flags&wire.TCPSyn != 0 && seg.Labels.Any(Retransmission):
		kind, text = "connect", fmt.Sprintf("the %s waited %v for an answer to its SYN of frame %d and sent it again", me, span, seg.RTOFrame)
	case seg.Labels.Any(Retransmission|OutOfOrder) && seg.RTOFrame != 0:
		kind, text = "retransmission_timeout", fmt.Sprintf("the %s waited for the acknowledgement of frame %d, gave up after %v (RTO) and sent again", me, seg.RTOFrame, seg.RTO.Round(time.Microsecond))
	case seg.Labels.Any(SpuriousRetransmission):
		kind, text = "retransmission_timeout", fmt.Sprintf("the %s sent again after %v what the tap had seen acknowledged: it had not got the acknowledgement, or not waited for it", me, span)
	case seg.ACKsFrame != 0 && seg.Flags&control == 0 && seg.ACKRTT <= path+shortestDelayedACK:
		kind, text = "round_trip", fmt.Sprintf("the answer of the %s to frame %d took %v, as the way there and back does", me, seg.ACKsFrame, seg.ACKRTT.Round(time.Microsecond))
	case seg.Len == 0 && seg.ACKsFrame != 0 && seg.Flags&control == 0 && seg.ACKRTT > path+longestDelayedACK:
		kind, text = "acknowledgement", fmt.Sprintf("the %s acknowledged frame %d only after %v, longer than an ACK may be delayed: it or the way was slow or gone", me, seg.ACKsFrame, seg.ACKRTT.Round(time.Microsecond))
	case seg.Len == 0 && seg.ACKsFrame != 0 && seg.Flags&control == 0:
		kind, text = "delayed_ack", fmt.Sprintf("the %s acknowledged frame %d only after %v (delayed ACK; the way there and back takes %v)", me, seg.ACKsFrame, seg.ACKRTT.Round(time.Microsecond), path.Round(time.Microsecond))
	case h.waiting != 0 && seg.Len > 0:
		kind, text = "acknowledgement", fmt.Sprintf("the %s sent more %v after frame %d, which nobody had acknowledged", me, span, h.waiting)
	case s.lastSide == seg.Result.Side.Peer() && seg.Len > 0 && d <= path+path/4:
		kind, text = "round_trip", fmt.Sprintf("the %s went on %v after frame %d of the %s, as the way there and back takes", me, span, s.lastFrame, peer)
	case s.mqtt.answered != 0 && s.mqtt.answered == seg.Frame && seg.Len > 0:
		kind, text = "application", fmt.Sprintf("the application of the %s took %v to answer", me, span)
	case s.mqtt.owes(s, seg.Result.Side == s.of.Client) && seg.Len > 0:
		text = fmt.Sprintf("nothing to say for %v; the %s went on, and still owes an answer", span, me)
	case seg.Len > 0:
		text = fmt.Sprintf("nothing to say for %v; the %s went on (application idle)", span, me)
	default:
		text = fmt.Sprintf("silence for %v; it ended with %v of the %s", span, seg.Flags, me)
	}
	return kind, text
}

// usual takes from the list what is always so: the silence between messages that
// come periodically, the delayed ACKs of a stack that delays them all, and the
// answers of an application that always takes its time. One that is twice as long
// as the middle one stays.
func (s *session) usual(a *Analyzer) {
	if a.config.Stall != 0 {
		return
	}
	for _, kind := range []string{"idle", "delayed_ack", "application"} {
		var all []time.Duration
		for i := range s.out.Stalls {
			if s.out.Stalls[i].Kind == kind {
				all = append(all, s.out.Stalls[i].Duration)
			}
		}
		if len(all) < usualStalls {
			continue
		}
		slices.Sort(all)
		u := UsualStalls{Kind: kind, Median: all[len(all)/2]}
		s.out.Stalls = slices.DeleteFunc(s.out.Stalls, func(v Stall) bool {
			if v.Kind != kind || v.Duration >= 2*u.Median {
				return false
			}
			u.Count, u.Longest = u.Count+1, max(u.Longest, v.Duration)
			a.events++
			return true
		})
		s.out.UsualStalls = append(s.out.UsualStalls, u)
	}
}
