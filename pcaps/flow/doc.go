// Package flow follows TCP conversations in frames and finds the MQTT messages
// in them. The frames may come from a running link, one by one as they pass, or
// from a capture. It keeps what a capture tells: gaps stay gaps, every piece of
// a stream carries the time and number of the frame that brought it.
//
// It is not a TCP endpoint: it answers nothing and believes what it sees. It is
// not an analyser: it says that a segment repeats delivered bytes, not why. It
// does not put IP fragments together, and does not look into TLS or WebSocket.
//
// A [Table] has no clock and starts no goroutine. Equal frames give equal
// events in equal order. It belongs to one goroutine, in a run the loop's; the
// [Handler] is called from within Feed and Close and may not call back into
// the Table. In-order data is neither copied, except into the bounded history,
// nor does it allocate.
//
// # Streams
//
// A stream offset counts payload bytes from 0: the byte behind the SYN or, when
// the SYN was not seen, the first byte seen. Offsets do not wrap.
//
//   - The first copy of a byte wins. A later copy that differs is a
//     [NoticeOverlap], as far as [Config.History] reaches back.
//   - A hole waits for its bytes. It becomes a gap, a [Chunk] with Missing > 0,
//     when the receiver has acknowledged it and [Config.GapGrace] has passed (the
//     bytes arrived but were not captured), when it is older than
//     [Config.HoleTimeout], when a limit is hit, when the sender's numbers have
//     moved on for good, or when the conversation ends.
//   - A segment that starts behind a hole and outside the window that the
//     receiver offered is dropped; so is one further than [Config.MaxJump] ahead
//     when no window is known. In-order data is taken in any case: the capture
//     may lack the frame that opened the window.
//   - Four segments in a row that continue each other outside the window are
//     believed: behind a gap when they lie ahead, as a new incarnation when they
//     lie behind.
//   - A SYN with another sequence number than the one before starts a new
//     incarnation of the conversation. So does one with the same number when its
//     sender had gone on from it and then sent nothing for GapGrace, or when the
//     connection was reset: a device that reboots may repeat its initial
//     sequence number and port.
//   - A segment whose TCP checksum is wrong is dropped once its sender has been
//     seen to send right ones. Checksums left to the hardware are recognised.
//
// # MQTT message boundaries
//
// The framing of MQTT 3.1, 3.1.1 and 5 is the same, so versions need not be
// known. Boundaries are known
//
//  1. from offset 0 of a stream whose SYN was seen, when it starts with CONNECT
//     or CONNACK, or when the other direction is known to be MQTT;
//  2. across a gap that lies within one message whose length is known: the
//     message is reported with Missing > 0;
//  3. otherwise, after a gap and in conversations whose start was not seen,
//     from the first byte of a segment from which whole packets, each in the
//     exact shape that MQTT gives its type (flags, shortest remaining length,
//     lengths of all fields adding up, valid topic, non-zero identifier), end
//     together with a segment. One packet suffices on a port of
//     [Config.MQTTPorts] or when the conversation is known to be MQTT; elsewhere
//     two are asked for.
//
// Until one of these holds the boundaries are lost ([NoticeBoundaryLost],
// [NoticeBoundaryFound]) and no messages are reported. Rule 3 is proof short of
// a payload that was made to look like packets and was cut by the gap exactly
// in front of them; [Message.Resumed] marks what rests on it. A remaining
// length of more than four bytes loses the boundaries too.
//
// In TLS there are no messages, unless [Config.Secure] knows somebody who reads
// it. Then offsets of messages, boundaries and notices about them are those of
// what TLS carries, and a message's frames are those that completed its records.
//
// A stream that is something else is left alone; [Half.Evidence] says why.
// MQTT over WebSocket is HTTP here.
//
// Reading list: RFC 9293 (TCP) 3.4, 3.8, 3.10; RFC 7323 (window scale); RFC
// 5961 (blind resets); RFC 6864 and RFC 8200 4.5 (fragments, RFC 6946 atomic
// ones); MQTT Version 3.1.1 chapter 2.2; MQTT Version 5.0 chapter 2.1; MQTT V3.1
// Protocol Specification chapter 2.1; the LINKTYPE_ registry of tcpdump.org.
package flow
