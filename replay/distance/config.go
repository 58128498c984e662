package distance

import (
	"fmt"
	"time"
)

// A Config limits Read and Compare. The zero value means the defaults.
type Config struct {
	MQTTPorts []uint16 // nil = 1883
	// Device is an IP address, or a MAC, that tells which host is the device; with a MAC
	// all addresses count that it sends from. Empty: the one that opens the first
	// connection.
	Device string
	// Contents has payloads and identifiers of clients compared byte by byte; without
	// it, by their lengths.
	Contents bool
	KeyLog   []byte // secrets of TLS sessions beside those in the capture, as in SSLKEYLOGFILE
	// Outages are when the link was down. nil: nobody knows.
	Outages []Outage
	// Tolerance is how far times may lie apart to be the same. 0 = 20 ms; negative: none.
	Tolerance  time.Duration
	MaxSamples int // of one capture. 0 = 200,000
	MaxLines   int // samples of a Report that are listed; the others are counted. 0 = 1,000
}

// DefaultTolerance is that of the comparison with recorded stacks: less than the tick
// of any timer that a TCP/IP stack has.
const DefaultTolerance = 20 * time.Millisecond

// Defaults of a Config.
const (
	maxSamples = 200_000 // some 100 MiB
	maxLines   = 1000
)

func (c *Config) setDefaults() error {
	if c.MaxSamples < 0 || c.MaxLines < 0 {
		return fmt.Errorf("distance: a limit is negative: %d samples, %d lines", c.MaxSamples, c.MaxLines)
	}
	if c.Tolerance == 0 {
		c.Tolerance = DefaultTolerance
	}
	c.Tolerance = max(c.Tolerance, 0)
	if c.MaxSamples == 0 {
		c.MaxSamples = maxSamples
	}
	if c.MaxLines == 0 {
		c.MaxLines = maxLines
	}
	return nil
}
