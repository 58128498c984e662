package play

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/trace"
	"hilnet/wire"
)

// stacks are a player's host and a peer's, a millisecond apart.
func stacks(t *testing.T) (loop *sim.Loop, ours, theirs *stack.Host) {
	t.Helper()
	loop = sim.NewLoop(sim.Config{})
	t.Cleanup(func() { loop.Close() })
	var err error
	way := func(to **stack.Host) link.Sink {
		return link.SinkFunc(func(f *link.Frame) { loop.After(time.Millisecond, func() { (*to).Put(f) }) })
	}
	for i, h := range []**stack.Host{&ours, &theirs} {
		*h, err = stack.New(loop, trace.NewLog(loop.Now), stack.Config{
			Node: string(rune('a' + i)), MAC: wire.MAC{2, 0, 0, 0, 0, byte(i + 1)},
			Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24), Profile: stack.Linux(),
		}, way([]**stack.Host{&theirs, &ours}[i]))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*h).Close)
	}
	return loop, ours, theirs
}

// What waits for a slow peer comes whole and in order, and is not moved about each time
// that TCP takes a part of it.
func TestALongBacklogComesWholeAndIsHardlyMoved(t *testing.T) {
	loop, ours, theirs := stacks(t)
	const size = 8 << 20
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i>>16) ^ byte(i*7)
	}
	var got []byte
	if _, err := theirs.Listen(1883, 0, func(c *stack.Conn) {
		c.OnData(func(b []byte) { got = append(got, b...) })
	}); err != nil {
		t.Fatal(err)
	}
	var c *stackConn
	moves := 0
	n := NewStackNetwork(loop, ours, netip.MustParseAddrPort("10.0.0.2:1883"))
	c = n.Dial(nil, &Events{Connected: func() {
		for part := sent; len(part) > 0; part = part[1<<20:] {
			c.Write(part[:1<<20], nil)
		}
	}, Data: func([]byte) {}, Closed: func(err error) { t.Error(err) }}).(*stackConn)
	c.conn.OnWritable(func() {
		before := len(c.backlog)
		if c.pump(); len(c.backlog) != before {
			moves += len(c.backlog)
		}
	})
	if err := loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) || moves > size || c.taken != 0 || c.backlog != nil {
		t.Errorf("%d bytes of %d came, %d were moved, %d are left", len(got), size, moves, len(c.backlog))
	}
}

// A player that writes to a peer which does not read hears of the end later, not from
// within Write, and not at all when it has closed by then.
func TestAPeerThatDoesNotReadIsTakenForClosedByAnEvent(t *testing.T) {
	for _, closes := range []bool{false, true} {
		loop, ours, theirs := stacks(t)
		if _, err := theirs.Listen(1883, 0, func(*stack.Conn) {}); err != nil {
			t.Fatal(err)
		}
		inside, closed := false, 0
		var c Conn
		n := NewStackNetwork(loop, ours, netip.MustParseAddrPort("10.0.0.2:1883"))
		c = n.Dial(nil, &Events{Connected: func() {
			inside = true
			c.Write(make([]byte, maxQueued+1), nil)
			c.Write([]byte("more"), nil)
			inside = false
			if closes {
				c.Close()
			}
		}, Data: func([]byte) {}, Closed: func(err error) {
			if closed++; inside || err == nil || err.Error() != "the peer does not read" {
				t.Errorf("within Write: %v; %v", inside, err)
			}
		}})
		if err := loop.Run(sim.Time(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 1, true: 0}[closes]; closed != want {
			t.Errorf("closes %v: told %d times, want %d", closes, closed, want)
		}
	}
}
