// Package compare says in what two captures differ: conversation by conversation,
// MQTT message by message and TCP segment by segment.
//
// [Read] makes a [Capture] of what matters in one, with what is arbitrary taken out:
// sequence numbers count from the first of their side, times from the first frame of
// their conversation, and addresses, ports, IP identification and clocks of timestamps
// count only when asked for. [Compare] aligns two of them with the fewest differences and
// reports the rest: what only one has, and of what both have which [Fields] differ.
//
// It judges nothing: a retransmission more is a difference, whatever the reason. What is
// no TCP, or cannot be read, is counted on both sides and not compared.
//
// Memory grows with the number of frames, up to [Config.MaxItems]; longer captures are
// refused. Nothing here keeps a clock or starts a goroutine, and equal captures give
// equal reports. A value belongs to one goroutine at a time.
//
// Reading list: E. Myers, "An O(ND) Difference Algorithm and Its Variations"
// (Algorithmica 1, 1986); RFC 9293 (TCP); MQTT 3.1.1 and 5.0 chapter 2 and 3.
package compare
