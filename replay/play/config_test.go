package play

import (
	"testing"
	"time"
)

// Three hours a million times slower are more than a time span can be: that is long, and
// not over at once.
func TestWhatIsPlayedSlowlyIsNotDueAtOnce(t *testing.T) {
	c := Config{Speed: MinSpeed}
	for _, d := range []time.Duration{time.Second, 3 * time.Hour, 1<<63 - 1} {
		if got := c.scaled(d); got < d && got < maxSpan || got > maxSpan {
			t.Errorf("%v at speed %v are %v", d, c.Speed, got)
		}
	}
}
