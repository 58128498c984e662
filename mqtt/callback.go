package mqtt

import (
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// slowCallback is how long a callback may take before the trace tells that it has
// not come back: it may never do so.
const slowCallback = time.Second

// runningCallbacks are the callbacks that run at the moment, each inside the one
// before: a disconnect() in one calls another. They count as one.
type runningCallbacks struct {
	depth  int
	name   string     // of the first one
	thread string     // that it runs in
	slow   *sim.Timer // tells of it if it does not come back
}

// callback runs a function of the application and notes if it made its thread
// wait, since the mutex is held all the while.
func (c *Client) callback(name string, fn func()) {
	since := c.kernel.Loop().Now()
	c.beginCallback(name)
	defer c.endCallback() // also when its thread is stopped
	fn()
	if took := c.kernel.Loop().Now().Sub(since); took > 0 {
		c.emit(trace.Event{
			Kind: trace.KindWait, Stage: c.kernel.Current().Name(), Count: int64(took),
			Text: "in callback " + name + ", with the client's mutex held",
		})
	}
}

func (c *Client) beginCallback(name string) {
	r := &c.running
	if r.depth++; r.depth > 1 {
		return
	}
	r.name, r.thread = name, c.kernel.Current().Name() // callbacks run in threads only
	if r.slow == nil {
		r.slow = c.kernel.Loop().NewTimer(func() {
			c.emit(trace.Event{
				Kind: trace.KindWait, Stage: r.thread,
				Text: "still in callback " + r.name + ", with the client's mutex held",
			})
		})
	}
	r.slow.ResetAfter(slowCallback)
}

func (c *Client) endCallback() {
	r := &c.running
	if r.depth--; r.depth == 0 {
		r.slow.Stop()
	}
}
