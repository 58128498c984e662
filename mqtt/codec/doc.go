// Package codec reads and writes MQTT 3.1.1 control packets.
//
// It is pure: bytes in, values out, no clock, no goroutine, no state between
// calls. It is strict: a packet that the standard calls malformed is refused
// with an *Error that names the violated clause and the offset of the byte
// that violates it. It is zero-copy: every []byte of a decoded packet points
// into the input, so it is valid for as long as the caller leaves the input
// alone. Encoding, and decoding into a Packet that is used again, allocate
// nothing.
//
// It is not a session: whether a packet may arrive in the present state or
// from this side (a CONNECT sent to a client, a second CONNECT, an
// acknowledgement that nobody waits for) is for its caller to judge. It does
// not know MQTT 3.1 or MQTT 5 beyond refusing them by protocol level.
//
// A byte stream is cut by Frame, with a size limit that bounds the memory a
// peer can claim; a frame is read by Packet.Decode. ParseRaw gives the fixed
// header and the body without judging them, for tools that must look at what
// the strict decoder refuses, and for stacks that are known to accept it.
//
// The Append functions write what they are told, so that a test can also send
// a packet that breaks a rule (a QoS 1 PUBLISH with packet identifier 0, a
// topic with a wildcard). They panic on lengths that the format cannot
// express. ValidTopic, ValidFilter and ValidString tell beforehand.
//
// All functions may be called from any goroutine; a Packet belongs to one at a
// time.
//
// Reading list: MQTT Version 3.1.1, OASIS Standard, 29 October 2014, of which
// chapter 1.5 (data representations), 2 (format), 3 (control packets), 4.7
// (topics) and 4.8 (errors), and appendix B (the numbered statements that
// Error.Clause quotes).
package codec
