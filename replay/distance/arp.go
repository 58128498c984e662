package distance

import (
	"fmt"
	"net/netip"
	"strconv"
)

// An arpFrame is an ARP request or reply of anybody.
type arpFrame struct {
	place
	request   bool
	sender    netip.Addr
	target    netip.Addr
	broadcast bool
}

// arp finds the device's requests and replies.
func (r *reading) arp() {
	asked, wanted := map[netip.Addr]asking{}, map[netip.Addr]arpFrame{} // looked up only
	for i := range r.requests {
		q := &r.requests[i]
		own := r.owns(q.sender)
		if own {
			r.own(q.lane, q.name)
		}
		switch {
		case own && q.target == q.sender:
			r.add(ARPRequests, sample{frame: q.frame, at: q.at, what: "announcement", values: []value{{"sent", to(q)}}})
		case own && q.request:
			s := sample{frame: q.frame, at: q.at, values: []value{{"sent", to(q)}}}
			s.what = fmt.Sprintf("request %d of a row", next(asked, q.target, &s))
			r.add(ARPRequests, s)
		case own:
			w, known := wanted[q.target]
			s := sample{frame: q.frame, at: q.at, what: "reply that nobody asked for", unasked: true}
			if known {
				s.what, s.values = "request for its address", []value{{"answer", "reply"}}
				s.after, s.timed, s.unasked = q.at.Sub(w.at), true, false
				delete(wanted, q.target)
			}
			r.add(ARPReplies, s)
		case r.owns(q.target) && q.request:
			if w, known := wanted[q.sender]; known {
				r.unanswered(&w)
			}
			wanted[q.sender] = *q
			delete(asked, q.sender) // a request tells the address of who asks (RFC 826)
		case r.owns(q.target):
			delete(asked, q.sender)
		}
	}
	for i := range r.requests { // in their order: what has no reply at the end
		if w, known := wanted[r.requests[i].sender]; known && w.frame == r.requests[i].frame {
			r.unanswered(&w)
		}
	}
}

func (r *reading) unanswered(q *arpFrame) {
	r.add(ARPReplies, sample{frame: q.frame, at: q.at, what: "request for its address", values: []value{{"answer", "none"}}})
}

func to(q *arpFrame) string {
	if q.broadcast {
		return "to all"
	}
	return "to one host"
}

// number is a value that is a number.
func number(name string, n int64) value { return value{name, strconv.FormatInt(n, 10)} }
