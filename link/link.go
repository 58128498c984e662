// Package link is Ethernet frames on their way and what happens to them there:
// [Frame], [Sink], [Stage] and [Link].
//
// It is not a network: a Link joins two ends; who answers ARP or routes is the
// business of the hosts at its ends.
//
// A direction of a Link is a chain of Stages, in an order that means something:
//
//	entrance → blackhole → (match) → loss → burst → conditions → duplicate →
//	corrupt → MTU → policer → queue, rate and air time → delay → slot → exit
//
// A [Box], a middlebox, stands at the peer's end: behind all that on the way up
// and in front of it on the way down.
//
// Only blackhole, loss, rate and delay are always there; [Direction.Add] puts in
// stages of other packages, and docs/impairment.md describes each model.
//
// Frames are numbered at the entrance, before anything can drop them, and every
// random draw depends on the seed, the stage's path and that number only. So
// for equal arrivals, switching one impairment on does not move another's.
//
// Everything belongs to the goroutine that runs the loop.
package link

// A Sink takes frames. Put gives the frame away: the caller does not touch it
// any more, and nobody keeps its Data after passing it on or releasing it. Put
// never blocks.
type Sink interface{ Put(f *Frame) }

// SinkFunc is a function as a Sink.
type SinkFunc func(f *Frame)

// Put calls fn.
func (fn SinkFunc) Put(f *Frame) { fn(f) }

// A Stage wraps the Sink that frames go to next.
type Stage func(next Sink) Sink

// Chain returns a Sink that sends frames through the stages in the order given
// and then to end.
func Chain(end Sink, stages ...Stage) Sink {
	for i := len(stages) - 1; i >= 0; i-- {
		end = stages[i](end)
	}
	return end
}
