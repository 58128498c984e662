package embedded

import (
	"fmt"
	"slices"
	"time"
)

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
	Name   string // as in scenario files
	Text   string // with the fault; without it
	Source string // netxduo file
	Issue  string // upstream issue or pull request of eclipse-threadx/netxduo, "" if none
	field  func(*Quirks) *bool
}

var quirkTable = []QuirkInfo{
	{
		"probe_bypasses_retry_limit",
		"Once a send has waited or failed for want of window or queue, a dead connection is retransmitted without end while the application goes on publishing; else it ends at the retry limit.",
		"nx_tcp_fast_periodic_processing.c", "#306, #410",
		func(q *Quirks) *bool { return &q.ProbeBypassesRetryLimit },
	},
	{
		"any_segment_is_duplicate_ack",
		"Every segment that acknowledges nothing new counts as a duplicate ACK, even with data, so a talking peer causes fast retransmits; else RFC 5681's rule holds.",
		"nx_tcp_socket_state_ack_check.c", "#4, #178",
		func(q *Quirks) *bool { return &q.AnySegmentIsDuplicateAck },
	},
	{
		"no_ack_every_second_segment",
		"Data are acknowledged after 200 ms, however many segments arrive; else at every second one.",
		"nx_tcp_socket_state_data_check.c", "#324",
		func(q *Quirks) *bool { return &q.NoAckEverySecondSegment },
	},
	{
		"silent_reset",
		"A connection that ran out of retries ends without a RST; else the peer gets one.",
		"nx_tcp_socket_connection_reset.c", "",
		func(q *Quirks) *bool { return &q.SilentReset },
	},
	{
		"fin_wait2_forever",
		"A peer that acknowledges the FIN and never sends its own keeps the socket for ever; else for 60 s.",
		"nx_tcp_socket_state_fin_wait1.c", "",
		func(q *Quirks) *bool { return &q.FINWait2Forever },
	},
	{
		"out_of_order_starves_pool",
		"Segments out of order keep their packets even when none is left for the missing one, and reception ends for good; else they make room.",
		"nx_tcp_socket_state_data_check.c", "#311",
		func(q *Quirks) *bool { return &q.OutOfOrderStarvesPool },
	},
	{
		"window_from_old_ack",
		"A segment ahead of missing data sets the send window even if its acknowledgement is an old one; else only a valid one does.",
		"nx_tcp_socket_state_ack_check.c", "",
		func(q *Quirks) *bool { return &q.WindowFromOldAck },
	},
}

// QuirkInfos describes the switches, in the order of their fields.
func QuirkInfos() []QuirkInfo { return slices.Clone(quirkTable) }

// Set switches the quirk of that name.
func (q *Quirks) Set(name string, on bool) error {
	for _, quirk := range quirkTable {
		if quirk.Name == name {
			*quirk.field(q) = on
			return nil
		}
	}
	return fmt.Errorf("embedded: no quirk is called %q", name)
}
