package scenarios

import (
	"fmt"
	"slices"

	"hilnet/sim"
)

// A Severity says how bad a finding is.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // data, packets or the session were lost, or the device stands still
	SeverityWarning Severity = "warning" // it went well this time, or an application can live with it
)

// A Finding says in words what went wrong on a device, and why. It rests on
// events of the trace alone.
type Finding struct {
	// Name of the kind of finding, as emu explain knows it.
	Name string `json:"name"`
	// error: data, packets or the session were lost, or the device stands still. warning: it went well this time.
	Severity Severity `json:"severity" jsonschema:"enum=error,enum=warning"`
	// The device that it happened to.
	Device string `json:"device"`
	// Moment at which it began, in nanoseconds from the start of the run.
	T sim.Time `json:"t"`
	// How often it happened in the run.
	Count int `json:"count"`
	// What happened, in words.
	Text string `json:"text"`
	// Numbers of the events of the trace that it rests on, at most 8: the first ones.
	Events []uint64 `json:"events"`
}

// A FindingKind is a kind of finding.
type FindingKind struct {
	Name     string
	Severity Severity
	Text     string // what it means
	Remedy   string // what to do about it
	Quirk    string // the quirk without which it does not happen, "" if none
}

var findingKinds = []FindingKind{
	{
		"deadlock_client_mutex", SeverityError,
		"A thread waits for a packet without limit while it holds the MQTT client's mutex, which message_get and every other call needs: nothing can free a packet any more.",
		"Read messages as they come, or give received frames a pool of their own.", "pool_deadlock",
	},
	{
		"client_waited_for_packet", SeverityWarning,
		"A thread waited for 5 s or longer for a packet while it held the MQTT client's mutex, and every call of the client with it.",
		"Give the pool more packets.", "pool_deadlock",
	},
	{
		"packets_leaked", SeverityError,
		"Packets never came back to the pool: the client forgot them, as it does with messages that were not read before a disconnect, and with malformed ones.",
		"Read all messages before the connection ends; watch nx_packet_pool_available; restart the device before the pool is empty.", "unread_leak, malformed_publish_leak, chain_tail_lost",
	},
	{
		"acknowledged_then_dropped", SeverityError,
		"Messages that TCP had acknowledged were dropped inside the device, because no packet was free for the copy that the client makes of a message with others behind it in its segment.",
		"Give the pool more packets, or have the broker send fewer messages at once.", "copy_drop",
	},
	{
		"session_lost_to_one_ping", SeverityError,
		"The client ended its session because a PINGRESP was not there about a second after the PINGREQ, which one lost segment is enough for; yet the broker could be reached.",
		"Raise NXD_MQTT_PING_TIMEOUT_DELAY.", "short_ping_timeout",
	},
	{
		"keepalive_stopped", SeverityError,
		"The broker ended the session for want of a PINGREQ, and the device, connected and running, had sent none.",
		"Publish something now and then, or connect with a keepalive longer than the CONNACK takes.", "keepalive_wrap",
	},
	{
		"callback_blocked_client", SeverityWarning,
		"A callback of the application took a second or longer. Callbacks run in the MQTT thread with the client's mutex held: meanwhile no message is received, no ping sent, and no call returns.",
		"Only set an event flag in the callback, and work in a thread of your own.", "",
	},
	{
		"callback_never_returned", SeverityError,
		"A callback of the application has not returned for 5 s or longer, up to the end of the run. It runs in the MQTT thread with the client's mutex held: nothing is received or sent any more, and every call of the client waits for ever.",
		"Never wait in a callback without a limit, least of all for something that the MQTT thread has to do.", "",
	},
	{
		"retry_limit_bypassed", SeverityError,
		"TCP sent the same data again more often than the retry limit allows: a send that once waited for window or queue lifts the limit, so the dead connection does not end while the application goes on publishing.",
		"Disconnect when publish fails several times; do not wait for disconnect_notify.", "probe_bypasses_retry_limit",
	},
	{
		"retries_exhausted", SeverityWarning,
		"TCP sent something again until its retry limit and ended the connection: 11 s with NetX Duo's defaults.",
		"Raise NX_TCP_MAXIMUM_RETRIES or NX_TCP_RETRY_SHIFT if outages are longer than that.", "",
	},
	{
		"connack_with_data_refused", SeverityError,
		"The broker's CONNACK came with the first messages in one segment, as it may, and the client refused the connection for it.",
		"Connect with a clean session, or have the broker's Nagle algorithm on.", "connack_alone",
	},
	{
		"connect_never_ends", SeverityError,
		"An attempt to connect has lasted for a minute or longer, and nobody told the application.",
		"Connect with a wait option, or disconnect() after a time of your own.", "no_establish_notify, silent_connect_failure",
	},
	{
		"disconnect_told_late", SeverityWarning,
		"The application heard of the end of its session 5 s or more after the client had given it up, or not at all: the client waits for TCP's closing handshake first.",
		"Set NXD_MQTT_SOCKET_TIMEOUT to a few seconds.", "disconnect_forever",
	},
	{
		"application_stopped_reading", SeverityWarning,
		"The pool ran empty while a received message had waited for message_get for 5 s or longer: messages that nobody reads hold the packets that everything else needs.",
		"Call message_get until it returns NXD_MQTT_NO_MESSAGE, whenever receive_notify was called.", "",
	},
	{
		"message_blocks_queue", SeverityError,
		"A received message is longer than the buffers of message_get, which returns 0x1000D and leaves it at the head of the queue: no message behind it can be read, and all keep their packets.",
		"Give message_get buffers for the longest message that anybody may publish, or disconnect.", "small_buffer_blocks",
	},
	{
		"pool_exhausted", SeverityWarning,
		"The packet pool was empty when a frame arrived or a control packet was to be sent: both go without a word.",
		"Give the pool more packets, or publish more slowly than the link carries.", "",
	},
	{
		"arp_queue_overflow", SeverityWarning,
		"More packets waited for one ARP reply than NetX keeps, and the oldest went. The next request is 10 s away.",
		"Set NX_ARP_MAX_QUEUE_DEPTH higher, or a static entry for the gateway.", "",
	},
	{
		"half_open_peer", SeverityWarning,
		"After the device had lost its power, the broker believed its connection to be alive for a second or longer.",
		"Use a short keepalive; keep the session, so that messages wait.", "",
	},
	{
		"packet_id_reused", SeverityError,
		"A message was published under the packet identifier of another one that was still unacknowledged: the broker's PUBACK for one counts for the other.",
		"Wait until all messages are acknowledged before new ones are published after a reconnect.", "id_restart",
	},
	{
		"login_forgotten", SeverityError,
		"The broker refused a client that it had let in before: NetX forgets login and will at every disconnect.",
		"Call login_set and will_message_set before every connect.", "credentials_cleared",
	},
	{
		"refusal_taken_for_grant", SeverityWarning,
		"The broker refused a subscription (SUBACK 0x80). The client does not look at that, so the application waits for messages that never come.",
		"Look into the SUBACK in packet_receive_notify, or test the subscription.", "suback_refusal_ignored",
	},
	{
		"tls_failed", SeverityError,
		"TLS with the broker did not come to be, or ended by an error. NetX tells the application NXD_MQTT_CONNECT_FAILURE whatever the cause is; the text says which side found what.",
		"Do what the cause asks for: a certificate or clock that is right, a version and cipher suite that both ends have, a larger pool.", "",
	},
	{
		"arp_unanswered", SeverityError,
		"The device left ARP requests for its address unanswered for longer than the scenario's oracles allow, so that its peer cannot send to it.",
		"Look whether its receive path still runs: a leaked packet pool or a stopped receive interrupt shows like this.", "",
	},
	{
		"no_progress", SeverityError,
		"No TCP segment at the device's end brought new data or a new acknowledgement for longer than the scenario's oracles allow.",
		"Look at the captures of both ends: what is sent again, and who does not answer.", "",
	},
	{
		"reconnects_too_soon", SeverityWarning,
		"The device opened its next TCP connection sooner after the end of the last one than the scenario's oracles allow: a fleet that does so storms its broker.",
		"Wait longer before each attempt, and spread the pauses (emu run fleet-storm).", "",
	},
	{
		"reconnects_too_late", SeverityError,
		"The device opened no TCP connection for longer after the end of the last one than the scenario's oracles allow.",
		"Reconnect when the connection ends, with a pause that has a limit.", "",
	},
	{
		"sends_while_down", SeverityWarning,
		"The device sent while its link was down, which it knew: what it sends then is lost, and some drivers lose the packet too.",
		"Wait for the link in the driver or the application.", "",
	},
	{
		"isn_repeated", SeverityError,
		"The device opened two TCP connections with the same initial sequence number: segments of the first may be taken for the second's, and others can guess the number (RFC 6528).",
		"Seed the stack's random numbers, or give it a clock that goes on over a reset.", "",
	},
}

// FindingKinds returns all kinds of finding.
func FindingKinds() []FindingKind { return slices.Clone(findingKinds) }

func findingNames() []string {
	var all []string
	for _, k := range findingKinds {
		all = append(all, k.Name)
	}
	return all
}

// SetFindings gives the outcome its findings, in the order of their moments.
func (o *Outcome) SetFindings(all []Finding) {
	o.Findings, o.FindingCount, o.Finding = all, len(all), map[string]int{}
	if o.firsts == nil {
		o.firsts = map[string][]Moment{}
	}
	for i := range o.Devices {
		o.Devices[i].FindingCount, o.Devices[i].Finding = 0, map[string]int{}
	}
	for _, f := range all {
		o.Finding[f.Name] += f.Count
		m := Moment{f.T, 0, f.Text}
		if len(f.Events) > 0 {
			m.Seq = f.Events[0]
		}
		names := []string{"findings", "finding." + f.Name}
		for i := range o.Devices {
			if d := &o.Devices[i]; d.Name == f.Device {
				d.FindingCount++
				d.Finding[f.Name] += f.Count
				own := fmt.Sprintf("device(%q).", d.Name)
				names = append(names, own+"findings", own+"finding."+f.Name)
			}
		}
		for _, name := range names {
			if len(o.firsts[name]) < maxMoments {
				o.firsts[name] = append(o.firsts[name], m)
			}
		}
	}
}
