// Package netem is Linux's netem: tc's language for it ([Parse]), the queueing
// discipline itself ([Qdisc], and as a stage of a link [Stage]), what a string
// means to the person who wrote it ([Config.Meaning]), and what netem makes of
// it ([Explain]).
//
// The Qdisc is exact: the kernel's order of decisions, its one random generator
// for all of them, its integer arithmetic, its limit. With the same seed and the
// same arrivals it decides as Linux 6.18 does, surprises included. What the
// kernel takes from its entropy pool even under a seed (where a correlation
// starts, which bit is flipped, uniform slots) comes from the run's seed here.
//
// It is not a place for better models: those are in package link, and a Meaning
// says which of them, with which numbers.
//
// A Qdisc belongs to one goroutine. Configs and Tables are values that nobody
// changes, and may be shared.
package netem
