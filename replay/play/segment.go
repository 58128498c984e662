package play

import (
	"net/netip"

	"hilnet/replay/script"
	"hilnet/replay/segment"
)

// SegmentNetwork is a TCP that cuts the messages into the segments of the capture
// and announces what the recorded side announced: package replay/segment.
type SegmentNetwork struct {
	host   *segment.Host
	peer   netip.AddrPort
	script *script.Script
	next   int // of the script's conversations, for the facts of the next connection
}

// NewSegmentNetwork returns a network that dials peer from a host, or listens on
// the host at peer's port.
func NewSegmentNetwork(host *segment.Host, s *script.Script, peer netip.AddrPort) *SegmentNetwork {
	return &SegmentNetwork{host: host, script: s, peer: peer}
}

func factsOf(f *script.Facts) segment.Facts {
	return segment.Facts{MSS: f.MSS, WindowScale: f.WindowScale, Timestamps: f.Timestamps, SACK: f.SACK, Window: f.Window, TTL: f.TTL}
}

// Dial begins a connection.
func (n *SegmentNetwork) Dial(c *script.Conversation, e *Events) Conn {
	return n.host.Dial(n.peer, factsOf(&c.Facts[0]), (*segment.Events)(e))
}

// Listen takes connections.
func (n *SegmentNetwork) Listen(accept func(Conn) *Events) error {
	facts := func() segment.Facts {
		if len(n.script.Conversations) == 0 {
			return segment.Facts{WindowScale: -1}
		}
		c := n.script.Conversations[min(n.next, len(n.script.Conversations)-1)]
		n.next++
		return factsOf(&c.Facts[1])
	}
	return n.host.Listen(n.peer.Port(), facts, func(c *segment.Conn) *segment.Events { return (*segment.Events)(accept(c)) })
}

// Drops is what the host has dropped.
func (n *SegmentNetwork) Drops() (list []Tally) {
	d := n.host.Stats().Drops
	list = tally(list, "arp_queue_full", d.WaitingFull)
	list = tally(list, "arp_unanswered", d.NoAnswer)
	list = tally(list, "no_route", d.NoWay)
	list = tally(list, "reassembly_full", d.PiecesFull)
	return tally(list, "beyond_window", d.BeyondRoom)
}

// Stop ends the listening; connections end with their host.
func (n *SegmentNetwork) Stop() { n.host.Unlisten(n.peer.Port()) }
