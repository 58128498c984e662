// Package script makes of a capture what a player needs to play one side of its
// MQTT conversations again: the messages with their bytes as recorded, when each
// was sent and could be read, and what made its sender send it. It plays
// nothing; package hilnet/replay/play does.
//
// A [Conversation] is one incarnation of a TCP connection. What is wrong with it
// for playing stands in its Flags, and [Conversation.Unplayable] says whether a
// side of it can be played at all.
//
// # Causes
//
// Each event of a conversation has a cause, found by the strongest rule that
// holds, from the view of its sender:
//
//   - [RuleProtocol]: MQTT demands it: CONNACK after CONNECT, the
//     acknowledgements of PUBLISH, SUBSCRIBE, UNSUBSCRIBE and PUBREL, PINGRESP, and
//     a server's PUBLISH after the client's of the same topic and payload;
//   - [RuleTimer]: PINGREQ, a time after the message before it; and a connection
//     that a client opens after its last one has ended;
//   - [RuleAnswer]: the first event of its sender after a message of the peer, at
//     most [AnswerBound] later;
//   - [RuleSequence]: at most AnswerBound after the sender's own event before it;
//   - [RuleSpontaneous]: nothing of the kind. Its cause is only what happened
//     before it; a player goes by the clock.
//
// A capture shows times where it was taken. The handshake says how far away from
// there each side is, and the gaps between cause and event are corrected by that:
// Gap is the time that the sender took to think.
//
// Reading list: MQTT 3.1.1 chapter 4.3 and 4.4; MQTT 5.0 chapter 4; Cheng et al.,
// Monkey See, Monkey Do (USENIX ATC 2004); Hong and Wu, On Interactive Internet
// Traffic Replay (RAID 2005); Cui et al., Protocol-Independent Adaptive Replay of
// Application Dialog (NDSS 2006).
package script
