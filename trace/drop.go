package trace

import "slices"

// A DropReason names why a frame, packet or message went no further. Its names
// are part of the trace format; `emu explain NAME` prints Explain's text.
type DropReason string

// The reasons that links and NICs give. Other packages add theirs as constants
// of this type and name them in Explain's table.
const (
	DropLoss       DropReason = "loss"
	DropListed     DropReason = "listed"
	DropBlackhole  DropReason = "blackhole"
	DropQueueFull  DropReason = "queue_full"
	DropTooLong    DropReason = "too_long"
	DropMatch      DropReason = "match"
	DropLinkDown   DropReason = "link_down"
	DropTxError    DropReason = "tx_error"
	DropRxPool     DropReason = "rx_pool_empty"
	DropTxPool     DropReason = "tx_pool_empty"
	DropControl    DropReason = "control_pool_empty"
	DropMalformed  DropReason = "malformed"
	DropChecksum   DropReason = "checksum"
	DropNotForUs   DropReason = "not_for_us"
	DropUnknown    DropReason = "unknown_protocol"
	DropNoPort     DropReason = "no_listener"
	DropNoRoute    DropReason = "no_route"
	DropARPQueue   DropReason = "arp_queue_full"
	DropARPTimeout DropReason = "arp_timeout"
	DropNoUpper    DropReason = "no_stack"
	DropTapBacklog DropReason = "tap_backlog"
	DropTapWrite   DropReason = "tap_write"
	DropTapUnread  DropReason = "tap_unread"

	// Of a socket to an emulator, and of the programs that a scenario runs.
	DropSocketBacklog DropReason = "socket_backlog"
	DropSocketClosed  DropReason = "socket_closed"
	DropSocketWrite   DropReason = "socket_write"
	DropExecOutput    DropReason = "exec_output"

	// Of the gateway to the machine's own sockets.
	DropGatewayRefused     DropReason = "gateway_refused"
	DropGatewayUnreachable DropReason = "gateway_unreachable"
	DropGatewayProhibited  DropReason = "gateway_prohibited"
	DropGatewayLimit       DropReason = "gateway_limit"
	DropGatewayFiles       DropReason = "gateway_files"
	DropGatewayQueue       DropReason = "gateway_queue"
	DropGatewayUndelivered DropReason = "gateway_undelivered"

	// Of the impairments of a link.
	DropDelayFull DropReason = "delay_full"
	DropCoDel     DropReason = "codel"
	DropPoliced   DropReason = "policed"
	DropMTU       DropReason = "mtu"

	// Of the middleboxes on a link.
	DropBoxExpired DropReason = "box_no_state"
	DropBoxFull    DropReason = "box_full"
	DropBoxCaptive DropReason = "box_captive"
	DropBoxAddress DropReason = "box_address"
	DropBoxBacklog DropReason = "box_backlog"

	DropSessionQueue  DropReason = "session_queue_full"
	DropRetainedFull  DropReason = "retained_full"
	DropQoS0Offline   DropReason = "qos0_offline"
	DropConnLimit     DropReason = "connection_limit"
	DropPacketTooBig  DropReason = "packet_too_large"
	DropSessionLimit  DropReason = "session_limit"
	DropQoS0Inflight  DropReason = "qos0_backlog"
	DropPublishCopy   DropReason = "publish_copy_no_packet"
	DropMalformedMQTT DropReason = "mqtt_malformed"
	DropUnread        DropReason = "unread_at_disconnect"
)

// An Explanation says what a name in a trace means.
type Explanation struct {
	Name   string
	Text   string // one sentence for a person
	Source string // where the behaviour comes from
}

var explanations = []Explanation{
	{string(DropLoss), "A loss stage of the link drew this frame.", "scenario: links"},
	{string(DropListed), "The frame is on the list of frames to drop that the run was given.", "scenario: links, drop_frames; emu run --decisions"},
	{string(DropBlackhole), "The link was cut without telling anyone.", "scenario: timeline"},
	{string(DropQueueFull), "The queue in front of the link's rate limit was full.", "scenario: links, queue"},
	{string(DropDelayFull), "More frames were on their way than the delay of a link holds.", "scenario: links; link.DefaultDelayed"},
	{string(DropCoDel), "The queue in front of the link's rate limit was too slow for too long, so CoDel dropped the frame on its way out.", "RFC 8289"},
	{string(DropPoliced), "The frame came faster than the link's policer allows.", "scenario: links, policer"},
	{string(DropMTU), "The packet is longer than the path takes; a middlebox may have said so by ICMP, or nobody did.", "RFC 1191, RFC 8201; RFC 2923 2.1 for the silent case"},
	{string(DropBoxExpired), "A NAT or firewall on the link does not know this connection, or no longer, after it was idle too long.", "RFC 5382 REQ-5, RFC 4787 REQ-5"},
	{string(DropBoxFull), "The table of a NAT or firewall on the link is full.", "scenario: links, box"},
	{string(DropBoxCaptive), "A captive portal on the link lets nothing through.", "scenario: links, box"},
	{string(DropBoxAddress), "The frame was for an address that the device has lost.", "scenario: links, box"},
	{string(DropBoxBacklog), "A middlebox had too many packets of its own to send.", "link.MaxBoxBacklog"},
	{"trace_ended", "The link plays a trace once, and the trace was over.", "link/traces"},
	{string(DropTooLong), "The frame is longer than the interface takes.", "scenario: mtu"},
	{"switch_filtered", "The switch kept the frame from the port that it came from: its destination is there, or nowhere else.", "IEEE 802.1D 7.7"},
	{string(DropMatch), "A rule of the scenario named this frame.", "scenario: links, match"},
	{string(DropLinkDown), "The NIC had no carrier: the driver dropped the frame, as a typical NetX driver does.", "netxduo driver, NX_LINK_PACKET_SEND with link down"},
	{string(DropTxError), "The driver's send failed.", "scenario: timeline, tx_error"},
	{string(DropRxPool), "The driver found no free packet for an arriving frame.", "netxduo nx_ram_network_driver.c, _nx_ram_network_driver_output"},
	{string(DropTxPool), "The stack found no free packet for what it had to send.", "netxduo nx_packet_allocate.c"},
	{string(DropControl), "A control packet (ACK, SYN, FIN, RST, ARP) was not sent because the pool was empty; nobody was told.", "netxduo nx_tcp_packet_send_control.c"},
	{string(DropMalformed), "The frame could not be decoded.", "RFC of the layer named in the text"},
	{string(DropChecksum), "A checksum was wrong.", "RFC 1071"},
	{string(DropNotForUs), "The frame's destination is another host.", "RFC 1122 3.2.1.3"},
	{string(DropUnknown), "The host does not speak this protocol.", "RFC 1122 3.2.2.1"},
	{string(DropNoPort), "No socket of the host takes this segment.", "RFC 9293 3.10.7.1"},
	{string(DropNoRoute), "The host has no route to the destination.", "RFC 1122 3.3.1"},
	{"outside_window", "A segment lies outside the window that the host had offered.", "RFC 9293 3.10.7.4"},
	{"backlog_full", "Too many connections waited to be accepted.", "listen backlog"},
	{"nd_queue_full", "Too many packets waited for one neighbour's address; the oldest went.", "RFC 4861 7.2.2"},
	{"nd_timeout", "No neighbour answered, so the packets that waited were given up.", "RFC 4861 7.2.2"},
	{"reassembly_timeout", "Fragments whose missing parts did not come in time were given up.", "netxduo nx_ip_fragment_timeout_check.c; RFC 791 3.2"},
	{"duplicate_data", "All of a segment or fragment had been received before.", "netxduo nx_tcp_socket_state_data_check.c, nx_ip_fragment_assembly.c"},
	{"out_of_window", "A segment lies outside the receive window: old data again, or more than was allowed.", "netxduo nx_tcp_socket_packet_process.c; RFC 9293 3.10.7.4"},
	{"bad_ack", "A segment without ACK, or with an ACK of something never sent.", "netxduo nx_tcp_socket_state_ack_check.c; RFC 9293 3.10.7.4"},
	{"wrong_state", "Data for a socket whose connection no longer receives.", "netxduo nx_tcp_socket_packet_process.c"},
	{"out_of_order_limit", "A segment out of order was not kept because of the profile's limit or to leave packets for the missing one.", "netxduo NX_TCP_MAX_OUT_OF_ORDER_PACKETS"},
	{"unread_at_close", "Data that the application had not read went when the connection ended, or the socket was unbound or connected again; so does what waited for data that never arrived.", "netxduo nx_tcp_socket_receive_queue_flush.c"},
	{"udp_queue_full", "The UDP socket's queue was full; its oldest datagram went.", "netxduo nx_udp_packet_receive.c"},
	{"arp_table_full", "The ARP entry that the packet waited for made room for another address.", "netxduo nx_arp_dynamic_entry_delete.c"},
	{"dns_no_answer", "A DNS answer has no address of the name: it says that there is none, that the server cannot say, or it answers another question.", "netxduo nxd_dns.c, _nx_dns_response_process"},
	{"listen_queue_full", "Too many SYNs waited for a socket; the oldest went.", "netxduo nx_tcp_packet_process.c"},
	{"pool_low_watermark", "Fewer packets were free than the low watermark of the pool, or the receive queue was full: the data were not taken.", "netxduo NX_ENABLE_LOW_WATERMARK, nx_tcp_socket_state_data_check.c, nx_udp_packet_receive.c"},
	{string(DropARPQueue), "Too many packets waited for one ARP reply; the oldest went.", "netxduo NX_ARP_MAX_QUEUE_DEPTH; RFC 1122 2.3.2.2"},
	{string(DropARPTimeout), "Nobody answered ARP, so the packets that waited were given up.", "netxduo NX_ARP_MAXIMUM_RETRIES; RFC 826"},
	{string(DropNoUpper), "The NIC has no stack yet, or no longer.", "nic.NIC"},
	{string(DropTapBacklog), "Frames came from the TAP faster than the loop took them.", "tap.MaxBacklog"},
	{string(DropTapUnread), "The kernel dropped frames behind the bridge of a device: who has the device's TAP open did not read them in time, or its NIC did not send them.", "Linux tun.c, tun_net_xmit"},
	{string(DropTapWrite), "The kernel refused a frame written to the TAP (its interface is down).", "Linux tun.c, tun_get_user"},
	{string(DropSocketBacklog), "More frames waited at the socket, for the loop or for the program at the other side, than it keeps.", "package tap/socket, MaxBacklog"},
	{string(DropSocketClosed), "Nobody was at the other side of the socket.", "QEMU: -netdev stream and dgram"},
	{string(DropSocketWrite), "The frame could not be written to the socket, or is none.", "QEMU net/stream.c, net/dgram.c"},
	{string(DropGatewayRefused), "Nobody takes connections where the gateway was to lead: the device got a RST, or for UDP an ICMP error.", "RFC 9293 3.10.7.1; broker: gateway"},
	{string(DropGatewayUnreachable), "The machine found no way to where the gateway was to lead, or no such name: the device got an ICMP error.", "RFC 1812 5.2.7.1; broker: gateway"},
	{string(DropGatewayProhibited), "The gateway may not lead there: the device got the ICMP error \"administratively prohibited\".", "RFC 1812 5.2.7.1; broker: gateway, allow"},
	{string(DropGatewayLimit), "The gateway has as many connections, ports or flows as it takes, or the machine has no more local ports: the device got a RST.", "broker: gateway, connections; package stack/gateway"},
	{string(DropGatewayFiles), "The machine has no descriptor for another connection: the device got a RST.", "getrlimit(2), RLIMIT_NOFILE; ulimit -n"},
	{string(DropGatewayQueue), "Too many UDP datagrams waited in the gateway.", "package stack/gateway, MaxDatagrams"},
	{string(DropGatewayUndelivered), "What the gateway had taken from one side and not given to the other when the connection ended; len is how many bytes.", "package stack/gateway"},
	{string(DropExecOutput), "A program that the scenario runs printed more than the trace takes: up to 10,000 lines a second.", "scenario: exec"},
	{string(DropSessionQueue), "The session's queue of messages was full.", "broker: max_queued"},
	{string(DropRetainedFull), "The broker keeps no more retained messages.", "broker: max_retained"},
	{string(DropQoS0Offline), "A QoS 0 message was not kept for a client that is away.", "MQTT 3.1.1 section 4.1"},
	{string(DropConnLimit), "The broker takes no more connections.", "broker: max_connections"},
	{string(DropPacketTooBig), "An MQTT packet is larger than the broker takes.", "broker: max_packet"},
	{string(DropSessionLimit), "The broker keeps no more sessions.", "broker: max_sessions"},
	{string(DropQoS0Inflight), "A QoS 0 message was not sent because the client reads too slowly.", "broker: max_queued"},
	{"mqtt_protocol_error", "An MQTT packet broke a rule, so the broker closed its connection.", "MQTT 3.1.1, the clause in the text; [MQTT-4.8.0-1]"},
	{"qos2_duplicate", "A QoS 2 PUBLISH was repeated before its PUBREL: acknowledged again, not passed on again.", "[MQTT-4.3.3-2]"},
	{"session_ended", "A message still waited in a session that the broker discarded.", "[MQTT-3.1.2-6]"},
	{"subscription_limit", "A subscription was refused: the session has too many, or its filter too many levels.", "broker: max_subscriptions"},
	{"not_authorized", "A client published or subscribed to a topic that its rights do not cover; a PUBLISH is acknowledged all the same.", "[MQTT-3.3.5-2], SUBACK code 0x80; broker: users, publish and subscribe"},
	{"scripted_fault", "A packet was not sent because the scenario's timeline says so.", "scenario: timeline, broker_acks"},
	{"broker_crash", "What a broker knew, or was told to publish, when a scripted crash had ended it.", "scenario: timeline, broker_crash"},
	{"held_input_limit", "A client sent too much behind a CONNECT that the timeline holds back; its connection was closed.", "scenario: timeline, broker_delay_connack"},
	{"unsent_limit", "A client read so slowly that the broker closed its connection with bytes unsent.", "broker: max_unsent"},
	{string(DropPublishCopy), "The client had no packet to copy one of several messages in a segment into; a QoS 1 message is then never acknowledged.", "netxduo nxd_mqtt_client.c, _nxd_mqtt_packet_receive_process"},
	{"offline_queue_full", "A message was published without a connection, and as many as the client may hold waited already.", "devices[].mqtt.offline_queue"},
	{"client_deleted", "The client was deleted while the message waited for its acknowledgement.", "package mqtt, Client.Delete"},
	{"clean_session", "A message that waited for its acknowledgement was forgotten because the client connected with a clean session.", "netxduo nxd_mqtt_client.c, _nxd_mqtt_client_connect_packet_send"},
	{string(DropMalformedMQTT), "The client could not parse an MQTT packet.", "netxduo nxd_mqtt_client.c, _nxd_mqtt_packet_receive_process"},
	{"buffer_too_small", "A received message did not fit the application's buffers, and what did not was dropped.", "netxduo nxd_mqtt_client.c, _nxd_mqtt_client_message_get, without the quirk small_buffer_blocks"},
	{string(DropUnread), "Received messages that the application had not taken were discarded at the disconnect.", "netxduo nxd_mqtt_client.c, _nxd_mqtt_process_disconnect"},
}

// Explain returns what a name in a trace means.
func Explain(name string) (Explanation, bool) {
	for _, e := range explanations {
		if e.Name == name {
			return e, true
		}
	}
	return Explanation{}, false
}

// Explanations returns all names that Explain knows, sorted.
func Explanations() []Explanation {
	all := slices.Clone(explanations)
	slices.SortFunc(all, func(a, b Explanation) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}
