package taskconn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"hilnet/sim"
)

// DefaultLimit bounds the bytes that wait in a Conn in either direction.
const DefaultLimit = 1 << 20

// ErrFull is what a Write returns, and what ends the stream to be read, when
// more than the limit waits: the owner did not take it, or fed what nobody read.
var ErrFull = errors.New("taskconn: buffer full")

// ErrWouldBlock is for Fill: nothing has come, and the Read shall not wait. It
// leaves a tls.Conn, once its handshake is over, as it was: another Read goes
// on, in the middle of a record too.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "taskconn: nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Config configures a Conn.
type Config struct {
	// Fill is called by a Read that finds nothing. It returns when it has called
	// Feed or Fail, or with an error, which Read then returns. It may wait.
	Fill func() error
	// Wrote is called by each Write: the owner may Take. It may not wait. Nil:
	// the owner looks by itself.
	Wrote func()
	// Limit is DefaultLimit if it is 0.
	Limit int
	// Local and Remote name the ends, for whoever asks.
	Local, Remote net.Addr
}

// A Conn is a net.Conn on a loop. Make it with New or OnTask.
type Conn struct {
	cfg  Config
	in   []byte
	read int // bytes of in that were read
	out  []byte
	err  error // of reading, once in is used up
	shut bool  // Close was called
	fed  sim.Cond
}

// New returns a Conn. It panics without a Fill.
func New(cfg Config) *Conn {
	if cfg.Fill == nil {
		panic("taskconn: New without Fill")
	}
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	return &Conn{cfg: cfg}
}

// OnTask returns a Conn that is read by the Task t, which waits in Read until
// Feed or Fail is called. cfg.Fill is not used.
func OnTask(t *sim.Task, cfg Config) *Conn {
	c := &Conn{}
	cfg.Fill = func() error {
		for len(c.in) == 0 && c.err == nil && !c.shut {
			t.Wait(&c.fed, -1)
		}
		return nil
	}
	*c = *New(cfg)
	return c
}

// Feed appends what has arrived. It copies data.
func (c *Conn) Feed(data []byte) {
	if c.err == nil {
		if len(c.in)-c.read+len(data) > c.cfg.Limit {
			c.err = fmt.Errorf("%w: %d bytes that nobody read", ErrFull, len(c.in)-c.read+len(data))
		} else {
			c.in = append(c.in, data...)
		}
	}
	c.fed.Broadcast()
}

// Fail ends the stream: what was fed is still read, then comes err, io.EOF where
// the peer has closed. The first call counts.
func (c *Conn) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.fed.Broadcast()
}

// Unread returns how many bytes wait to be read.
func (c *Conn) Unread() int { return len(c.in) - c.read }

// Unsent returns how many bytes wait to be taken.
func (c *Conn) Unsent() int { return len(c.out) }

// Take returns what was written since the last call. The caller may keep it.
func (c *Conn) Take() []byte {
	out := c.out
	c.out = nil
	return out
}

// Read reads what was fed, and waits as Config.Fill does.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.read == len(c.in) {
		switch {
		case c.shut:
			return 0, net.ErrClosed
		case c.err != nil:
			return 0, c.err
		}
		if err := c.cfg.Fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in[c.read:])
	if c.read += n; c.read == len(c.in) {
		c.in, c.read = c.in[:0], 0
	}
	return n, nil
}

// Write keeps p for Take. It never waits; it fails when the limit is reached.
func (c *Conn) Write(p []byte) (int, error) {
	switch {
	case c.shut:
		return 0, net.ErrClosed
	case len(c.out)+len(p) > c.cfg.Limit:
		return 0, fmt.Errorf("%w: %d bytes that nobody took", ErrFull, len(c.out)+len(p))
	}
	c.out = append(c.out, p...)
	if c.cfg.Wrote != nil {
		c.cfg.Wrote()
	}
	return len(p), nil
}

// Close ends both directions for those who read and write. What was written can
// still be taken. The connection below is the owner's to close.
func (c *Conn) Close() error {
	c.shut = true
	c.in, c.read = nil, 0
	c.fed.Broadcast()
	return nil
}

// LocalAddr returns Config.Local, or an address without meaning.
func (c *Conn) LocalAddr() net.Addr { return named(c.cfg.Local) }

// RemoteAddr returns Config.Remote, or an address without meaning.
func (c *Conn) RemoteAddr() net.Addr { return named(c.cfg.Remote) }

// SetDeadline is refused: a deadline is a moment of the wall clock, which a loop
// does not have.
func (c *Conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline is refused; see SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline does nothing: a Write never waits, and crypto/tls sets one
// when it closes.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

func named(a net.Addr) net.Addr {
	if a == nil {
		return address{}
	}
	return a
}

// address is that of a Conn that was given none.
type address struct{}

func (address) Network() string { return "sim" }
func (address) String() string  { return "taskconn" }
