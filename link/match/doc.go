// Package match is a stage of a link that chooses frames by what they carry:
// the third PUBACK, every PUBLISH on a topic, a SYN, a range of the TCP stream,
// frame 17. What is chosen is dropped, delayed, held, damaged or doubled.
//
// It is not a model of a link: nothing here is drawn. It does not look into TLS.
//
// MQTT messages are counted over the reassembled stream, as package pcaps/flow
// finds them, at the entrance of the direction; a rule acts on the segment that
// carries the last byte of its message. A segment that carries other messages
// too takes them along, which the trace tells. What TCP sends again is a copy,
// not another message: see Rule.Copies.
//
// Everything belongs to the goroutine that runs the loop. Whatever the frames
// are, a Matcher holds no more than MaxMemory bytes of streams and MaxHeld frames.
package match
