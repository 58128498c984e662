package analyze

import "strings"

// Labels are the names that Wireshark gives a TCP segment in its
// tcp.analysis.* fields. Several may hold.
type Labels uint32

// The labels. The comment is when Wireshark gives them; "next" is the highest
// sequence number that the side has used so far, plus one.
const (
	// Retransmission starts before next, and is none of the special cases below.
	Retransmission Labels = 1 << iota
	// FastRetransmission follows two or more duplicate ACKs for its first byte,
	// within 20 ms of the last. Wireshark counts it as Retransmission too.
	FastRetransmission
	// SpuriousRetransmission repeats what the tap has seen acknowledged.
	// Wireshark counts it as Retransmission too.
	SpuriousRetransmission
	// OutOfOrder starts before next, does not end there, and comes less than
	// the initial RTT (3 ms when unknown) after the segment that set next.
	OutOfOrder
	// LostSegment starts behind next: something is missing in the capture.
	LostSegment
	// ACKLostSegment acknowledges what the capture does not have.
	ACKLostSegment
	// DuplicateACK repeats acknowledgement and window and carries no data.
	DuplicateACK
	// ZeroWindow closes the window.
	ZeroWindow
	// ZeroWindowProbe is one byte at next into a closed window.
	ZeroWindowProbe
	// ZeroWindowProbeACK answers one, the window still closed.
	ZeroWindowProbeACK
	// WindowUpdate changes nothing but the window.
	WindowUpdate
	// WindowFull ends exactly at the edge of the peer's window.
	WindowFull
	// KeepAlive is zero or one byte in front of next.
	KeepAlive
	// KeepAliveACK answers one.
	KeepAliveACK
	// ReusedPorts is a SYN that begins another connection on the same ports.
	ReusedPorts

	labelCount = iota
)

// labelNames are the parts behind "tcp.analysis.".
var labelNames = [labelCount]string{
	"retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "lost_segment",
	"ack_lost_segment", "duplicate_ack", "zero_window", "zero_window_probe", "zero_window_probe_ack",
	"window_update", "window_full", "keep_alive", "keep_alive_ack", "reused_ports",
}

// String lists the labels by the names of Wireshark's fields, without their
// prefix "tcp.analysis.", separated by commas.
func (l Labels) String() string { return strings.Join(l.Names(), ",") }

// Names returns the names of the labels in a fixed order.
func (l Labels) Names() []string {
	var names []string
	for i, name := range labelNames {
		if l&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Has reports whether all of labels hold.
func (l Labels) Has(labels Labels) bool { return l&labels == labels }

// Any reports whether one of labels holds.
func (l Labels) Any(labels Labels) bool { return l&labels != 0 }
