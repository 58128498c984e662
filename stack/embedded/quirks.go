package embedded

import "time"

// Quirks switch the faults of NetX Duo 6.4.2 that the engine can also do right.
// [DefaultQuirks] are those of the release, [NoQuirks] has none.
type Quirks struct {
	// ProbeBypassesRetryLimit: once a send has waited or failed for want of
	// window or queue, the retry limit looks at the failed window probes
	// instead of the retries, and a dead connection may never end.
	ProbeBypassesRetryLimit bool
	// AnySegmentIsDuplicateAck: every segment that acknowledges nothing new
	// counts as a duplicate ACK, even if it carries data or changes the window,
	// so a talking peer causes fast retransmits.
	AnySegmentIsDuplicateAck bool
	// NoAckEverySecondSegment: data are acknowledged by the delayed ACK only,
	// however many segments arrive (RFC 1122 4.2.3.2 wants every second one).
	NoAckEverySecondSegment bool
	// SilentReset: at the retry limit the connection ends without a RST.
	SilentReset bool
	// FINWait2Forever: a peer that acknowledges the FIN and never sends its own
	// keeps the socket, and a thread in disconnect, for ever.
	FINWait2Forever bool
	// OutOfOrderStarvesPool: segments out of order keep their packets even when
	// the missing one can then never be received.
	OutOfOrderStarvesPool bool
	// WindowFromOldAck: a segment that lies ahead of what has arrived sets the
	// peer's window even if its acknowledgement is an old one, and more may be
	// sent than the peer allowed (RFC 9293 3.10.7.4 wants a valid one).
	WindowFromOldAck bool
}

// DefaultQuirks returns the quirks of NetX Duo 6.4.2.
func DefaultQuirks() Quirks {
	return Quirks{
		ProbeBypassesRetryLimit: true, AnySegmentIsDuplicateAck: true, NoAckEverySecondSegment: true,
		SilentReset: true, FINWait2Forever: true, OutOfOrderStarvesPool: true, WindowFromOldAck: true,
	}
}

// NoQuirks returns the switches all off.
func NoQuirks() Quirks { return Quirks{} }

// What the engine does without the quirk, where that is a number.
const (
	ackEvery      = 2                // RFC 1122 4.2.3.2
	finWait2Limit = 60 * time.Second // Linux's tcp_fin_timeout
)

// A QuirkInfo describes one switch.
type QuirkInfo struct {
	Name   string // of the field of Quirks
	Text   string // one sentence for a person
	Source string // netxduo file
	Issue  string // upstream, "" if none is known
}

// QuirkInfos describes the switches, in the order of their fields.
func QuirkInfos() []QuirkInfo {
	return []QuirkInfo{
		{"ProbeBypassesRetryLimit", "A send that waited for window or queue lifts the limit of retransmissions.",
			"nx_tcp_fast_periodic_processing.c", "eclipse-threadx/netxduo#306, PR #410"},
		{"AnySegmentIsDuplicateAck", "Segments with data count as duplicate ACKs.",
			"nx_tcp_socket_state_ack_check.c", "eclipse-threadx/netxduo#4, #178"},
		{"NoAckEverySecondSegment", "Data are acknowledged after 200 ms, not at every second segment.",
			"nx_tcp_socket_state_data_check.c", "eclipse-threadx/netxduo#324"},
		{"SilentReset", "A connection that ran out of retries ends without a RST.",
			"nx_tcp_socket_connection_reset.c", ""},
		{"FINWait2Forever", "FIN_WAIT_2 has no timer.",
			"nx_tcp_socket_state_fin_wait1.c", ""},
		{"OutOfOrderStarvesPool", "Segments out of order may hold the packets that the missing one needs.",
			"nx_tcp_socket_state_data_check.c", "eclipse-threadx/netxduo#311"},
		{"WindowFromOldAck", "An old acknowledgement ahead of missing data sets the send window.",
			"nx_tcp_socket_state_ack_check.c", ""},
	}
}
