// Package play plays one side of recorded MQTT conversations against a live peer
// and reports how faithful the play was.
//
// A [Player] takes a script (package replay/script) and a [Network], which
// carries bytes: [HostNetwork], TCP of the machine that the program runs on, in
// real time; or [StackNetwork], hilnet's own TCP in a simulated or real network,
// in virtual time or real. It sends what the recorded side sent, when it is due by
// the [Timing], fitted to the live peer: packet identifiers that the peer chose,
// client identifier, credentials, a prefix of topics. Everything else goes out
// byte for byte, whatever version of MQTT it is. What the peer sends is laid
// beside what the recorded peer sent; [Policy] says what happens when the two
// differ, and the [Report] what was the same, missing, extra, reordered or
// different, and by how much the times were off.
//
// It is not an MQTT client or broker: it does not judge what is on the wire, and
// knows no sessions or subscriptions.
//
// A Player belongs to the goroutine that runs its loop.
package play
