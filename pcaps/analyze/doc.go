// Package analyze says what happened in captures and running links: it labels
// TCP segments as Wireshark does, and, where the segments themselves tell
// better, in its own words beside it; and it makes a report of conversations,
// MQTT messages, stalls and findings.
//
// It is streaming: a frame in, what it means out, in bounded memory. [Labeller]
// labels the frames that a [flow.Table] was fed with; [Analyzer] has both inside
// and collects a [Report]. Nothing here keeps a clock or starts a goroutine, and
// equal frames give equal reports. A value belongs to one goroutine at a time.
//
// # Labels
//
// [Labels] and the numbers beside them in a [Segment] are those of Wireshark
// 4.0's tcp.analysis.* fields with its default preferences, frame for frame in
// one pass: Wireshark's window, shown when a file is scrolled, may show the
// initial RTT on earlier frames as well. Their known weaknesses are kept:
// retransmission and reordering are told apart by elapsed time, so each can be
// taken for the other. [Segment.Origin] tells them apart by IP identification
// and timestamps instead, and stays empty where it cannot.
//
// Frames that the flow package ignores have no labels: IP fragments, segments
// in tunnels, headers that the capture cut.
//
// Reading list: RFC 9293 (TCP) 3.8; RFC 6298 (RTO); RFC 7323 (timestamps) 4;
// RFC 2018 and 2883 (SACK, DSACK); RFC 6864 (IP identification); RFC 1122
// 4.2.3 (delayed ACK, keep-alive, silly window); the Wireshark User's Guide 7.5
// (TCP analysis); MQTT 3.1.1 and 5.0 chapters 3 and 4.
package analyze
