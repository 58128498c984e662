// Package conformance compares the statistics of package link's models with the
// formulas that docs/impairment.md gives for them. It is what `emu conformance`
// and the tests print; it is not a part of any run.
//
// Everything happens in virtual time and depends on the seed only, so a row that
// passes once passes always.
package conformance
