// Package host is what hilnet uses of the machine's own network: here, a network
// interface to send raw frames on.
//
// It is not a TAP: what is sent on a NIC leaves the machine by its cable, and
// the machine's own stack does not see it.
//
// No type of this package is safe for concurrent use.
package host
