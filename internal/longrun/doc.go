// Package longrun tests that a run in real time can go on and on. What it looks
// at, memory, descriptors and goroutines, is of a whole process: so it is a
// package of its own, whose test runs beside those of others.
package longrun
