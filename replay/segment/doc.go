// Package segment makes one side of a recording a live peer, segment by
// segment: what the recorded peer sent is sent again at its recorded time,
// fitted to the sequence numbers and ports of the live device, and held until
// that device has sent what it answers.
//
// It is not a TCP: it retransmits what was recorded as retransmitted and
// nothing else, and it does not adapt to a device that behaves otherwise. That
// is what it is for: the device's answers to a peer that always does the same
// can be laid beside the recorded ones.
//
// A Player belongs to the goroutine that runs the loop.
package segment
