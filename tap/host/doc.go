// Package host is what hilnet takes of the machine it runs on, and gives back:
// namespaces, TAPs that stay, bridges to a NIC or to an emulator's TAP, the programs
// of a run, and network interfaces to send raw frames on. [Examine] tells what the
// machine lacks.
//
// What a run takes stands in a [Lease], by which the next run cleans up behind one
// that was killed. What is undone is known by more than its name, and what is ended
// by more than its number: nobody else's is touched.
//
// A [NIC] is not a TAP: what is sent on it leaves the machine by its cable, and the
// machine's own stack does not see it.
//
// No type of this package is safe for concurrent use, except that a Process may be
// signalled and killed by any goroutine.
package host
