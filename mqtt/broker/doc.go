// Package broker is an MQTT 3.1.1 server as a deterministic state machine: the
// peer of the devices under test.
//
// It is sans-IO. Its owner tells it what happened on which connection and when
// (Open, Data, Backlog, Closed, Timeout) and takes what is to be written and
// closed from Outputs. It has no clock, no goroutine and no randomness; equal
// calls give equal outputs and equal trace events, byte for byte. It is not a
// server program: it opens no sockets and stores nothing on disk.
//
// All methods belong to one goroutine, the loop's. They never block.
//
// # What it does
//
// All of MQTT 3.1.1 at QoS 0, 1 and 2 in both directions: clean and persistent
// sessions with take-over, redelivery with DUP on resumption, queueing for
// clients that are away, wildcard and overlapping subscriptions (one copy, at
// the highest granted QoS), retained messages, wills, keep alive (1.5 times),
// user names and passwords. MQTT 3.1 and 5 are refused with return code 1.
//
// QoS 1 and 2 messages of a session leave in the order of their arrival, and
// at most Config.MaxInflight of them wait for the client. QoS 0 messages are
// never held back, so they may overtake; [MQTT-4.6.0-6] asks for order within
// one QoS. A QoS 2 message is passed on at its PUBLISH (method B of figure
// 4.3). Subscribers get their copies in the order in which their sessions were
// made; retained messages are sent in the order of their topics. There is no
// retransmission within a connection [MQTT-4.4.0-1].
//
// A packet that breaks a rule closes its connection [MQTT-4.8.0-1]. There is
// no CONNACK before that, but for a protocol level, an identifier or a password
// that is refused, and for a full server.
//
// # Limits
//
// Everything is bounded by Config. What hits a limit is dropped with a
// trace.KindDrop event, or closes the connection, or both; see the Drop
// constants here and in package trace.
//
// # Trace
//
// Events carry Config.Node, and Stage "broker". Event.Hash is
// trace.MessageHash(topic, payload), so one message can be counted where it is
// published, received, sent and acknowledged; payloads themselves are not
// recorded. Kinds:
//
//   - KindBrokerConnected: Client, Status (the CONNACK code: not 0 for a
//     refusal), Text (remote address), Count (1: session present).
//   - KindBrokerDisconnected: Client (empty when there was no accepted
//     CONNECT), Text (one of the Cause constants; details follow a colon).
//   - KindBrokerReceived: Client, Topic, QoS, ID, Dup, Retain, Len, Hash, Count
//     (sessions it goes to). Text "will" marks a will, which no packet brought.
//   - KindBrokerSent: Client, Topic, QoS, ID, Dup, Retain, Len, Hash. Dup marks
//     a repetition: messages delivered are those without it.
//   - KindBrokerAcked: Client, ID, QoS, Topic, Hash; PUBACK, or PUBREC at QoS 2.
//   - KindBrokerSubscribed, KindBrokerUnsubscribed: Client, Topic (the filter),
//     QoS (granted).
//   - KindDrop: Reason, and what is known of Client, Topic, QoS, ID, Len, Hash,
//     Text.
//
// A QoS 1 duplicate is a KindBrokerReceived with Dup whose Hash was received
// before; at QoS 2 it is a KindDrop with DropDuplicate.
//
// Reading list: MQTT Version 3.1.1, OASIS Standard, 29 October 2014, chapters
// 3 and 4.
package broker
