// Package traces lets a link do what a link was seen to do: [Opportunities] are
// mahimahi's packet-delivery traces, played by [Deliver]; [Conditions] are delay,
// rate and loss over time, read from our own JSON lines or Akamai's CSV classes,
// played by [Play]. [Library] has a few of both, with their licences.
//
// Readers take files of strangers: what is wrong is an error with its file and
// line, and memory is bounded. What plays belongs to the goroutine of the loop.
package traces
