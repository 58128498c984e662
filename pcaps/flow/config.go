package flow

import (
	"fmt"
	"math/bits"
	"time"
)

// Config of a Table. The zero value means the defaults.
type Config struct {
	MaxConversations int // remembered at once; the least recently active is given up. 0 = 16,384
	MaxMemory        int // bytes held for all flows: behind holes, of messages, histories. 0 = 32 MiB
	MaxBuffered      int // bytes behind holes of one direction. 0 = 1 MiB
	MaxPieces        int // segments behind holes of one direction. 0 = 1,024
	// History is how many delivered bytes of each direction are kept to compare
	// repeated ones with, rounded up to a power of two. 0 = 8 KiB, negative = none.
	History int
	// MaxMessage bounds Message.Raw for messages that span segments, and the
	// bytes that rule 3 of the package comment looks at. 0 = 64 KiB.
	MaxMessage int
	MaxJump    int           // bytes; see the package comment. 0 = 4 MiB, at most 1 GiB
	GapGrace   time.Duration // 0 = 50 ms, negative = none
	// HoleTimeout is by the time of frames. 0 = 2 minutes.
	HoleTimeout time.Duration

	MQTTPorts []uint16 // nil = 1883
	TLSPorts  []uint16 // of MQTT; tells client from server only. nil = 8883

	// Secure, if it is set, is asked for a Decrypter of each conversation that
	// begins with TLS; nil stands for none. See the package comment.
	Secure func(*Conversation) Decrypter

	// IgnoreVLAN makes one conversation of those that differ by VLANs only. Mirror
	// ports may tag one direction and not the other.
	IgnoreVLAN      bool
	IgnoreChecksums bool // trust every checksum: for frames that were never on a wire
	NoMQTT          bool // streams only
}

func (c *Config) setDefaults() error {
	for _, f := range []struct {
		name          string
		value         *int
		preset, limit int
	}{
		{"MaxConversations", &c.MaxConversations, 16384, 1 << 24},
		{"MaxMemory", &c.MaxMemory, 32 << 20, 1 << 40},
		{"MaxBuffered", &c.MaxBuffered, 1 << 20, 1 << 30},
		{"MaxPieces", &c.MaxPieces, 1024, 1 << 20},
		{"MaxMessage", &c.MaxMessage, 64 << 10, 1 << 28},
		{"MaxJump", &c.MaxJump, 4 << 20, 1 << 30},
	} {
		if *f.value == 0 {
			*f.value = f.preset
		}
		if *f.value < 0 || *f.value > f.limit {
			return fmt.Errorf("flow: %s %d is not between 1 and %d", f.name, *f.value, f.limit)
		}
	}
	switch {
	case c.History > 1<<24:
		return fmt.Errorf("flow: History %d is more than %d", c.History, 1<<24)
	case c.History == 0:
		c.History = 8 << 10
	case c.History < 0:
		c.History = 0
	default:
		c.History = 1 << bits.Len(uint(max(c.History, 64)-1))
	}
	if c.HoleTimeout < 0 {
		return fmt.Errorf("flow: HoleTimeout %v is negative", c.HoleTimeout)
	}
	if c.HoleTimeout == 0 {
		c.HoleTimeout = 2 * time.Minute
	}
	if c.GapGrace == 0 {
		c.GapGrace = 50 * time.Millisecond
	}
	if c.MQTTPorts == nil {
		c.MQTTPorts = []uint16{1883}
	}
	if c.TLSPorts == nil {
		c.TLSPorts = []uint16{8883}
	}
	return nil
}
