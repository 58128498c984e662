package mqtt

import (
	"fmt"
	"slices"
)

// Quirks are the known bugs of NetX Duo 6.4.2's MQTT client, one switch each:
// true is the bug, false the behaviour without it. QuirkList tells what each is
// and where it comes from.
type Quirks struct {
	UnreadLeak              bool
	MalformedPublishLeak    bool
	ConnackAlone            bool
	ConnackRace             bool
	HalfOpenRetransmit      bool
	NoEstablishNotify       bool
	SilentConnectFailure    bool
	DeleteConnectingHang    bool
	DeleteWithoutDisconnect bool
	PoolDeadlock            bool
	CopyDrop                bool
	CopyWholeRest           bool
	ChainTailLost           bool
	PubcompStaleID          bool
	PubrecQueuedTwice       bool
	KeepaliveWrap           bool
	ShortPingTimeout        bool
	DisconnectForever       bool
	CredentialsCleared      bool
	WillFlagsSticky         bool
	IDRestart               bool
	FailedPublishKept       bool
	QoS3Accepted            bool
	SubackRefusalIgnored    bool
	SmallBufferBlocks       bool
}

// A Quirk describes one switch.
type Quirk struct {
	Name   string // as in scenario files
	Text   string // with the bug; without it
	Source string // function of nxd_mqtt_client.c, unless a file is named
	Issue  string // upstream issue or pull request of eclipse-threadx/netxduo, "" if none
	field  func(*Quirks) *bool
}

var quirkTable = []Quirk{
	{
		"unread_leak",
		"Messages that were not read are unlinked at disconnect and delete without releasing their packets; else they are released.",
		"_nxd_mqtt_release_receive_packet", "#384",
		func(q *Quirks) *bool { return &q.UnreadLeak },
	},
	{
		"malformed_publish_leak",
		"A malformed PUBLISH leaks its packet and everything behind it in the segment; else only the message is dropped.",
		"_nxd_mqtt_process_publish", "#438",
		func(q *Quirks) *bool { return &q.MalformedPublishLeak },
	},
	{
		"connack_alone",
		"A CONNACK that is not alone and whole in its segment fails the connect with 0x10008; else it is read from the stream.",
		"_nxd_mqtt_process_connack", "",
		func(q *Quirks) *bool { return &q.ConnackAlone },
	},
	{
		"connack_race",
		"What arrives between CONNACK and the end of a blocking connect waits for the next segment; else it is processed at once.",
		"_nxd_mqtt_client_connect", "",
		func(q *Quirks) *bool { return &q.ConnackRace },
	},
	{
		"half_open_retransmit",
		"If the retransmission after CONNACK fails, connect returns the error with the client connected and deaf; else it ends the connection.",
		"_nxd_mqtt_process_connack", "",
		func(q *Quirks) *bool { return &q.HalfOpenRetransmit },
	},
	{
		"no_establish_notify",
		"In a default build a non-blocking connect never sends CONNECT; else it does, as with NX_ENABLE_EXTENDED_NOTIFY_SUPPORT.",
		"nx_api.h, NX_DISABLE_EXTENDED_NOTIFY_SUPPORT", "",
		func(q *Quirks) *bool { return &q.NoEstablishNotify },
	},
	{
		"silent_connect_failure",
		"A non-blocking connect whose TCP connection fails stays CONNECTING for ever; else connect_notify gets 0x10005.",
		"nx_tcp_socket_connection_reset.c", "",
		func(q *Quirks) *bool { return &q.SilentConnectFailure },
	},
	{
		"delete_connecting_hang",
		"delete() of a client that is connecting polls for ever; else it closes the socket first.",
		"_nxd_mqtt_client_event_process, _nxd_mqtt_client_delete", "",
		func(q *Quirks) *bool { return &q.DeleteConnectingHang },
	},
	{
		"delete_without_disconnect",
		"delete() of a connected client sends no DISCONNECT, so the broker publishes the will; else it sends one.",
		"_nxd_mqtt_client_event_process", "",
		func(q *Quirks) *bool { return &q.DeleteWithoutDisconnect },
	},
	{
		"pool_deadlock",
		"The client waits for a packet, for ever, with the mutex held that message_get needs to free one; else it waits without the mutex.",
		"_nxd_mqtt_process_publish, _nxd_mqtt_send_simple_message, _nxd_mqtt_client_sub_unsub", "",
		func(q *Quirks) *bool { return &q.PoolDeadlock },
	},
	{
		"copy_drop",
		"A message with others behind it in its segment is dropped, after TCP acknowledged it, if no packet is free for its copy; else the client waits, and TCP with it.",
		"_nxd_mqtt_process_publish", "",
		func(q *Quirks) *bool { return &q.CopyDrop },
	},
	{
		"copy_whole_rest",
		"The copy of a message with others behind it holds these too; else only the message.",
		"_nxd_mqtt_process_publish", "",
		func(q *Quirks) *bool { return &q.CopyWholeRest },
	},
	{
		"chain_tail_lost",
		"When the rest of a segment is an unfinished message in several packets, the next segment cuts off, and leaks, all but the first; else it goes behind the last.",
		"_nxd_mqtt_packet_receive_process", "",
		func(q *Quirks) *bool { return &q.ChainTailLost },
	},
	{
		"pubcomp_stale_id",
		"The high byte of a PUBCOMP's identifier is what the packet's memory last held; else it is the PUBREL's.",
		"_nxd_mqtt_process_publish_response", "",
		func(q *Quirks) *bool { return &q.PubcompStaleID },
	},
	{
		"pubrec_queued_twice",
		"A repeated QoS 2 PUBLISH queues another copy of its PUBREC, and only one is ever freed; else one is kept.",
		"_nxd_mqtt_process_publish", "",
		func(q *Quirks) *bool { return &q.PubrecQueuedTwice },
	},
	{
		"keepalive_wrap",
		"If the keepalive deadline has passed when the timer looks (the CONNACK took longer), no PINGREQ is sent until something else is; else one is sent at once.",
		"_nxd_mqtt_periodic_timer_entry", "",
		func(q *Quirks) *bool { return &q.KeepaliveWrap },
	},
	{
		"short_ping_timeout",
		"A PINGRESP that takes 1 s, which one lost segment costs, ends the session; else it may take the keepalive time.",
		"NXD_MQTT_PING_TIMEOUT_DELAY", "",
		func(q *Quirks) *bool { return &q.ShortPingTimeout },
	},
	{
		"disconnect_forever",
		"Closing waits for TCP's handshake without limit, so disconnect_notify may never come; else it waits 5 s.",
		"NXD_MQTT_SOCKET_TIMEOUT", "",
		func(q *Quirks) *bool { return &q.DisconnectForever },
	},
	{
		"credentials_cleared",
		"Every disconnect forgets login and will; else they stay set.",
		"_nxd_mqtt_process_disconnect", "",
		func(q *Quirks) *bool { return &q.CredentialsCleared },
	},
	{
		"will_flags_sticky",
		"A second will_message_set without retain keeps the first one's retain and QoS bits; else it replaces them.",
		"_nxd_mqtt_client_will_message_set", "",
		func(q *Quirks) *bool { return &q.WillFlagsSticky },
	},
	{
		"id_restart",
		"Identifiers start at 1 after every CONNACK, beside retransmitted messages that hold some; else they go on and skip those in use.",
		"_nxd_mqtt_process_connack", "",
		func(q *Quirks) *bool { return &q.IDRestart },
	},
	{
		"failed_publish_kept",
		"A QoS 1 publish that returned an error because TCP refused it is sent after the next connect all the same; else it is forgotten.",
		"_nxd_mqtt_client_publish_packet_send", "",
		func(q *Quirks) *bool { return &q.FailedPublishKept },
	},
	{
		"qos3_accepted",
		"publish() with QoS 3 sends a malformed packet; else it returns 0x10009.",
		"_nxde_mqtt_client_publish", "",
		func(q *Quirks) *bool { return &q.QoS3Accepted },
	},
	{
		"suback_refusal_ignored",
		"A SUBACK that refuses the subscription (0x80) counts as a grant, and nobody is told; else the application is.",
		"_nxd_mqtt_process_sub_unsub_ack", "",
		func(q *Quirks) *bool { return &q.SubackRefusalIgnored },
	},
	{
		"small_buffer_blocks",
		"A message that does not fit the buffers of message_get stays at the head of the queue, for ever in the way of those behind it, and its length is not told; else what fits is copied, the rest is dropped, and both lengths are told.",
		"_nxd_mqtt_client_message_get", "#385",
		func(q *Quirks) *bool { return &q.SmallBufferBlocks },
	},
}

// NetX642 returns the quirks of NetX Duo 6.4.2 in its default build: all.
func NetX642() Quirks {
	var q Quirks
	for _, quirk := range quirkTable {
		*quirk.field(&q) = true
	}
	return q
}

// NoQuirks returns a client without known bugs.
func NoQuirks() Quirks { return Quirks{} }

// QuirkList describes all quirks, in a fixed order.
func QuirkList() []Quirk { return slices.Clone(quirkTable) }

// Set switches the quirk of that name.
func (q *Quirks) Set(name string, on bool) error {
	for _, quirk := range quirkTable {
		if quirk.Name == name {
			*quirk.field(q) = on
			return nil
		}
	}
	return fmt.Errorf("mqtt: no quirk is called %q", name)
}

// Has reports whether the quirk of that name is on.
func (q Quirks) Has(name string) bool {
	for _, quirk := range quirkTable {
		if quirk.Name == name {
			return *quirk.field(&q)
		}
	}
	return false
}
