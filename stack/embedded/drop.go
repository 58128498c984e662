package embedded

import "hilnet/trace"

// The reasons for a drop that only this engine gives.
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
	DropBacklog     trace.DropReason = "listen_queue_full"
)

// Explanations says what the reasons mean.
func Explanations() []trace.Explanation {
	return []trace.Explanation{
		{Name: string(DropReassembly), Text: "Fragments whose missing parts did not come in time were given up.", Source: "netxduo nx_ip_fragment_timeout_check.c; RFC 791 3.2"},
		{Name: string(DropDuplicate), Text: "All of a segment or fragment had been received before.", Source: "netxduo nx_tcp_socket_state_data_check.c, nx_ip_fragment_assembly.c"},
		{Name: string(DropOutOfWindow), Text: "A segment lies outside the receive window: old data again, or more than was allowed.", Source: "netxduo nx_tcp_socket_packet_process.c; RFC 9293 3.10.7.4"},
		{Name: string(DropBadAck), Text: "A segment without ACK, or with an ACK of something never sent.", Source: "netxduo nx_tcp_socket_state_ack_check.c; RFC 9293 3.10.7.4"},
		{Name: string(DropState), Text: "Data for a socket whose connection no longer receives.", Source: "netxduo nx_tcp_socket_packet_process.c"},
		{Name: string(DropOutOfOrder), Text: "A segment out of order was not kept because of the profile's limit or to leave packets for the missing one.", Source: "netxduo NX_TCP_MAX_OUT_OF_ORDER_PACKETS"},
		{Name: string(DropFlushed), Text: "Data that the application had not read went when the socket was unbound or connected again.", Source: "netxduo nx_tcp_socket_receive_queue_flush.c"},
		{Name: string(DropUDPQueue), Text: "The UDP socket's queue was full; its oldest datagram went.", Source: "netxduo nx_udp_packet_receive.c"},
		{Name: string(DropARPTable), Text: "The ARP entry that the packet waited for made room for another address.", Source: "netxduo nx_arp_dynamic_entry_delete.c"},
		{Name: string(DropBacklog), Text: "Too many SYNs waited for a socket; the oldest went.", Source: "netxduo nx_tcp_packet_process.c"},
	}
}
