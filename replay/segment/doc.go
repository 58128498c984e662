// Package segment makes one side of a recording a live peer, segment by
// segment. It has two ways of that.
//
// A [Player] does what the recorded peer did: what the recorded peer sent is sent again at its recorded time,
// fitted to the sequence numbers and ports of the live device, and held until
// that device has sent what it answers.
//
// It is not a TCP: it retransmits what was recorded as retransmitted and
// nothing else, and it does not adapt to a device that behaves otherwise. That
// is what it is for: the device's answers to a peer that always does the same
// can be laid beside the recorded ones.
//
// A [Host] is a TCP that cuts a stream into the recorded segments and keeps to
// TCP otherwise: package replay/play sends recorded messages through it.
//
// Both belong to the goroutine that runs the loop.
package segment
