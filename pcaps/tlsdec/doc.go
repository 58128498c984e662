// Package tlsdec reads TLS 1.2 and 1.3 in captures that bring their keys: in
// decryption secrets blocks, or in a key log file of the form that browsers and
// curl write (SSLKEYLOGFILE). It gives package flow what the records carry, so
// that MQTT messages are found in them as in clear.
//
// It is not a TLS implementation: it authenticates nobody, checks no certificate
// and agrees on nothing. It follows both directions of a connection from its
// first byte; one that the capture joined later, or that lacks bytes, cannot be
// read from there on, and [Session.String] says so.
//
// It knows the suites with AES-CBC (encrypt-then-MAC too), AES-GCM, AES-CCM and
// ChaCha20-Poly1305. A record that does not verify ends the reading of its
// direction. Sessions of TLS 1.2 that are resumed or renegotiated are read like
// others, and those of TLS 1.3 over their key updates; a client that sends early
// data is not read, and String says so.
//
// A Keys and its Sessions belong to one goroutine. Memory is bounded: by
// [MaxSecrets] secrets, and by [MaxBuffered] bytes of records and handshakes
// that are not complete, for all sessions.
//
// Reading list: RFC 3610 (CCM), RFC 5246 (TLS 1.2), RFC 5288, RFC 6655 (suites
// with CCM), RFC 7366 (encrypt-then-MAC), RFC 7905, RFC 8446 (TLS 1.3), RFC 8439
// (ChaCha20 and Poly1305), RFC 9850 (the SSLKEYLOGFILE format).
package tlsdec
