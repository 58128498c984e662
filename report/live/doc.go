// Package live shows a run in a browser while it goes on: the page of package
// report/page, fed by an event stream; what can be done to the run by hand; and
// its numbers for Prometheus. It is the only HTTP server of this module.
//
// It is not a way to run scenarios, nor a store of runs: a [View] is of one run,
// which it watches from outside. The run waits for nobody here, and its trace and
// captures are the same with and without a View.
//
// What it holds is bounded: messages for readers that are slow, connections,
// streams, actions. Who is slow is told how much it missed.
//
// New is called before the run. Serve has goroutines of its own; End may be called
// by any goroutine.
//
// # Addresses
//
//	GET  /          the page
//	GET  /events    the stream (text/event-stream) that it listens to
//	POST /do        what is done by hand: JSON with one of begin, end and pause
//	GET  /scenario  the scenario with what was done by hand, YAML
//	GET  /report    the page of the run, once it is over
//	GET  /metrics   numbers, in the text format of Prometheus
//
// Reading list: HTML Living Standard 9.2 (server-sent events); Prometheus'
// exposition formats, text format 0.0.4.
package live
