// Package taskconn lets crypto/tls, which reads and writes a net.Conn and blocks
// in it, run on a sim loop: a [Conn] is a net.Conn whose Read waits as a Task
// does, and whose Write never waits.
//
// It is not a network connection: it has no deadlines and no peer. Its owner
// feeds it what a TCP connection of the emulated world brought ([Conn.Feed]) and
// takes away what was written to it ([Conn.Take]).
//
// # Who may call what
//
// All methods belong to the loop's goroutine. One Task at a time may be in Read;
// Write, Feed and the others may be called meanwhile, by any Task or event
// handler. A second user of a tls.Conn would wait on one of crypto/tls's own
// mutexes, which stops the loop for good: so nobody but the reader may enter a
// tls.Conn before its handshake has ended, writers may not meet (where one of
// them could wait, they take a mutex of sim/rtos first), and as Write never
// waits, no mutex of crypto/tls is held while another Task runs, but for the
// reader's own.
//
// # Chance
//
// [Rand] is the randomness of one endpoint. Bytes of TLS repeat only with
// GODEBUG=cryptocustomrand=1, which [Repeatable] sees to, with
// tls.Config.CurvePreferences without ML-KEM, with a Config.Time of the run, and
// with one Rand for each endpoint. They are the same on machines with the same
// answer to whether they have instructions for AES: that decides the order of
// the suites of TLS 1.3, which nobody can set.
//
// A Rand is predictable. It is for emulated peers and never for a real one.
//
// Reading list: Go 1.26 release notes (crypto); crypto/internal/rand; issue
// golang.org/issue/70942; crypto/tls conn.go (readRecordOrCCS, on errors that
// are temporary).
package taskconn
