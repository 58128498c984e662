// Package report writes the results of runs for other programs: one versioned
// JSON document, and JUnit XML for what shows test results.
//
// It is not the text that a person reads; that is the command's. It computes
// nothing: what it writes is in the results it is given.
//
// Nothing here keeps state between calls: any goroutine may call any function
// with results that nobody changes meanwhile.
package report
