package gateway

import (
	"fmt"

	"hilnet/trace"
)

// An ending is how a connection ends: what is not reset is closed.
type ending struct {
	why                    string
	resetDevice, resetHost bool
	leaveDevice            bool // its world ends
}

// end ends the connection and forgets it.
func (c *conn) end(e ending) {
	if c.ended {
		return
	}
	c.ended = true
	delete(c.gw.conns, c)
	close(c.quit)
	c.mu.Lock()
	host := c.host
	c.closed = true
	c.mu.Unlock()
	if host != nil {
		if e.resetHost {
			_ = host.SetLinger(0) // a socket that is lost already needs none
		}
		_ = host.Close() // likewise
	}
	if c.idle != nil {
		c.idle.Stop()
	}
	if !c.opened {
		return
	}
	switch {
	case e.leaveDevice:
	case e.resetDevice:
		c.device.Abort()
	default:
		c.device.Close()
	}
	written := c.written.Load()
	c.gw.count.Closed++
	c.gw.count.UpBytes += uint64(written)
	c.tell(trace.KindGatewayClose, fmt.Sprintf("%v to %v: %s", c.from, c.to, e.why),
		trace.Value{Name: "up_bytes", N: written}, trace.Value{Name: "down_bytes", N: c.downBytes})
	c.undelivered(int(c.upBytes-written), "for the machine's socket")
	c.undelivered(max(len(c.down), int(c.held.Load())), "for the device")
}

// undelivered reports bytes that end with their connection.
func (c *conn) undelivered(n int, where string) {
	if n == 0 {
		return
	}
	c.gw.count.Undelivered += uint64(n)
	c.gw.drop(trace.DropGatewayUndelivered, 0, n, fmt.Sprintf("%v to %v: %d bytes %s", c.from, c.to, n, where))
}
