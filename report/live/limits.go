package live

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the server.
const (
	maxConns      = 64 // at once
	maxStreams    = 16 // at once
	maxBody       = 16 << 10
	maxHeader     = 16 << 10
	actionsBurst  = 40
	actionsSecond = 20
	heavyBurst    = 30 // of what takes work: pages, scenarios, new streams
	heavySecond   = 10

	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second
	idleTimeout   = 60 * time.Second
	writeTimeout  = 10 * time.Second // of a write: who takes longer is cut off and may come back
	heartbeat     = 15 * time.Second // of a stream on which nothing else comes
	lastWords     = 2 * time.Second  // for readers to take the end
)

// A bucket lets so many things happen a second, and a burst at once.
type bucket struct {
	burst, rate float64 // rate: a second

	mu   sync.Mutex // guards the rest
	left float64
	at   time.Time
}

func newBucket(burst, rate float64) *bucket {
	return &bucket{burst: burst, rate: rate, left: burst}
}

// take reports whether one more may happen at the moment now.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() {
		b.left = min(b.burst, b.left+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// A listener closes what connects beyond maxConns at once.
type listener struct {
	net.Listener
	open    atomic.Int64
	refused atomic.Uint64
}

// Accept returns the next connection there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxConns {
			return &conn{Conn: c, l: l}, nil
		}
		l.open.Add(-1)
		l.refused.Add(1)
		_ = c.Close() // it was never used
	}
}

// A conn counts as open until it is closed.
type conn struct {
	net.Conn
	l    *listener
	once sync.Once
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() { c.l.open.Add(-1) })
	return c.Conn.Close()
}
