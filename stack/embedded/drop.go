package embedded

import "hilnet/trace"

// The reasons for a drop that only this engine gives. trace.Explain says what
// they mean.
const (
	DropReassembly  trace.DropReason = "reassembly_timeout"
	DropDuplicate   trace.DropReason = "duplicate_data"
	DropOutOfWindow trace.DropReason = "out_of_window"
	DropBadAck      trace.DropReason = "bad_ack"
	DropState       trace.DropReason = "wrong_state"
	DropOutOfOrder  trace.DropReason = "out_of_order_limit"
	DropFlushed     trace.DropReason = "unread_at_close"
	DropUDPQueue    trace.DropReason = "udp_queue_full"
	DropARPTable    trace.DropReason = "arp_table_full"
	DropLowPool     trace.DropReason = "pool_low_watermark"
	DropNoAnswer    trace.DropReason = "dns_no_answer"
	DropBacklog     trace.DropReason = "listen_queue_full"
)
