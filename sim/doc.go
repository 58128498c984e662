// Package sim is time, order and chance: one event loop that owns all state of
// an emulated world, Tasks that let blocking code run on it, and random numbers
// that depend on nothing but the seed, a name and an ordinal.
//
// It is not a network simulator: it knows no frames and no devices.
//
// # Time and order
//
// A [Loop] runs events one at a time, ordered by (time, sequence of
// scheduling). In virtual time the clock jumps from event to event. With a
// [Pacer] the same loop waits for real time before each event, so a world
// behaves alike in both, except that in real time frames arrive from outside
// through [Loop.Post], or are read when [Loop.Watch] says that there are some.
//
// Everything runs on the goroutine that called [Loop.Run]. Only [Loop.Post]
// and [Loop.Cancel] may be called from another one.
//
// # Tasks
//
// A [Task] is a coroutine: it may block in [Task.Sleep] and [Task.Wait] while
// the loop goes on. Exactly one Task or event handler runs at a time, so no
// state needs a lock. A coroutine may only be resumed by the operating system
// thread that created it if either is locked to its thread: call
// runtime.LockOSThread, where it is needed, before the Loop and its Tasks are
// built, never between.
//
// # Chance
//
// A [Stream] answers "what is draw number n?" for any n, in any order, from
// (seed, path, n). A [Rand] is a Stream read from its start.
package sim
