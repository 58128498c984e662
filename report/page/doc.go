// Package page writes what came of a run as one HTML file that needs nothing
// else: no network, no other file. It opens in any browser that is not older
// than 2023, from a disk or a mail.
//
// It is not the judge of a run: verdict, outcome and findings are those of
// package emu. It is not a dissector: TCP labels are those of package
// pcaps/analyze.
//
// # The model
//
// A page is a [Head], what is known of the whole, and [Chunk]s, what happened:
// frames, events, samples. Chunks only ever add, so that one page shows a run
// that is over, from a file, and can show one that goes on, from a stream:
// a [Builder] is fed with captures, events and samples and gives the chunks.
// In the file, head and chunks are JSON, compressed; the page's script unpacks
// them. Everything that comes from captures and scenarios reaches the page as
// data only and is shown as text only, and the page's own policy forbids it to
// run any script but its own and to ask any host for anything.
//
// A Builder belongs to one goroutine.
//
// Reading list: Content Security Policy Level 3 (W3C); RFC 1952 (gzip) and
// RFC 4648 4 (base64), which browsers undo by DecompressionStream and atob.
package page
