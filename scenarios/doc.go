// Package scenarios is the scenario file: its types, its YAML, its validation,
// the library of built-in scenarios, and the [Outcome] that expectations read.
//
// It is not the emulator: it builds nothing and runs nothing. [Load] turns a
// file into a [Scenario] in which every default is filled in, or into [Errors]
// that name line and column; package emu interprets what Load returns, and feeds
// the events of the run to a [Tally].
//
// A key that a file may hold is a field of a struct here with a yaml tag. Its
// default tag is what Load fills in, its alt tag is another valid value (for the
// test that no key parses and does nothing), its comment is the description in
// the JSON Schema. [Keys] lists them all.
//
// Nothing here keeps state between calls: any goroutine may call any function. A
// Scenario and a Tally belong to one goroutine at a time.
package scenarios
