// Package serve puts a broker.Broker on real sockets, in real time: the peer of
// hardware that is on the bench. It is not for simulations, whose sockets are of
// package stack.
//
// One goroutine, that of Server.Serve, owns the Broker. Each connection has one
// that reads and one that writes; they hand over bytes only. Everything is
// bounded: a client that sends faster than the broker works is not read from for
// so long, one that does not read is dropped as broker.Config.MaxUnsent says.
package serve
