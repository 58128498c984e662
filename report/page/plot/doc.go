// Package plot draws figures for papers and tickets: SVG files of what a page
// holds, pool, bytes in flight, round trips, states and the ladder diagram, and
// of the table of a sweep, curves with their intervals.
//
// It computes no series: what is drawn of a run is what package report/page has
// read, and what is drawn of a sweep is what emu sweep has printed. It is not a
// plotting library.
//
// The same input gives the same bytes. A figure is legible at 600 pixels width,
// and tells curves apart by shape and dashes as well as by colours that the
// colour-blind tell apart (Okabe and Ito's, darkened for thin lines on white).
// All its text is escaped; it has no script and asks for nothing.
//
// The functions may be called by any goroutine; a Builder and a Table belong to
// one.
//
// Reading list: Scalable Vector Graphics 1.1 (W3C), 8 Paths and 10 Text;
// Extensible Markup Language 1.0 (W3C), 2.2 Characters; M. Okabe and K. Ito,
// "Color Universal Design".
package plot
