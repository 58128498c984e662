package flow

import (
	"encoding/binary"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/wire"
)

// checker fails when a stream has a hole that is not told, or is told twice.
type checker struct {
	testing.TB
	table *Table
	next  map[uint64]int64
}

func (c *checker) Data(k *Chunk) {
	id := k.Conversation.ID<<1 | uint64(k.Side&1)
	if k.Offset != c.next[id] || k.End() <= k.Offset || len(k.Data) > 0 && k.Missing > 0 {
		c.Fatalf("chunk %d to %d, the stream is at %d", k.Offset, k.End(), c.next[id])
	}
	c.next[id] = k.End()
}

func (c *checker) Message(m *Message) {
	id := m.Conversation.ID<<1 | uint64(m.Side&1)
	if m.Offset+int64(m.Len) > c.next[id] || len(m.Raw) > m.Len || m.Len < 2 || m.Missing > m.Len || m.ReadyFrame < m.LastFrame {
		c.Fatalf("%+v in a stream of %d", m, c.next[id])
	}
	if m.Missing == 0 && m.Len <= c.table.config.MaxMessage && len(m.Raw) < m.Len {
		c.Fatalf("%+v is cut without need", m)
	}
}

func (c *checker) Notice(n *Notice) {
	if n.Conversation == nil || n.Kind == NoNotice {
		c.Fatalf("%+v", n)
	}
}

// FuzzTable reads frames: a byte for the link type, two for the length of each.
// With the link type 255 the rest is instructions for well-formed segments.
func FuzzTable(f *testing.F) {
	frame := func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{byte(LinkEthernet)}, uint16(len(b))), b...)
	}
	f.Add(frame(build(client, server, wire.TCPFields{Seq: 1, Flags: syn}, connect("d"))))
	f.Add(append(frame(build(client6, server6, wire.TCPFields{Seq: 1, Flags: ack}, ping())), frame(build(server6, client6, wire.TCPFields{Flags: rst}, ""))...))
	f.Add(append([]byte{255, 0, 2, 0, 0, 0}, connect("d")...))
	f.Add([]byte("\xff\x00\x02\x00\x00\x00\x01\x10\x00\x05\x10\x0d\x00\x04M\x00\x10\x05\x00\x03QTT\x01\x10\x20\x00\x02\xc0\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &checker{TB: t, next: map[uint64]int64{}}
		config := Config{MaxMemory: 64 << 10, MaxBuffered: 8 << 10, MaxPieces: 16, MaxConversations: 3, MaxMessage: 4 << 10, MaxJump: 16 << 10}
		table, err := New(config, c)
		if err != nil {
			t.Fatal(err)
		}
		c.table = table
		if len(in) > 0 && in[0] == 255 {
			feedSegments(table, in[1:])
		} else {
			feedFrames(table, in)
		}
		if s := table.Stats(); s.MaxHeld > config.MaxMemory+3*2*8 {
			t.Fatalf("%d bytes held", s.MaxHeld)
		}
		table.Close()
		if s := table.Stats(); s.Held != 0 || s.Live != 0 {
			t.Fatalf("after Close: %d bytes, %d conversations", s.Held, s.Live)
		}
	})
}

func feedFrames(table *Table, in []byte) {
	for n := uint64(1); len(in) >= 3; n++ {
		size := min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3)
		table.Feed(Frame{Link: LinkType(in[0]), Data: in[3 : 3+size], Number: n, At: sim.Time(n)})
		in = in[3+size:]
	}
}

// feedSegments reads: direction, time, VLAN and length of the payload in one
// byte, flags, two bytes of sequence number, one of acknowledgement, payload.
func feedSegments(table *Table, in []byte) {
	now := sim.Time(0)
	for n := uint64(1); len(in) >= 5; n++ {
		src, dst := client, server
		if in[0]&1 != 0 {
			src, dst = server, client
		}
		if in[0]&2 != 0 {
			now = now.Add(time.Second)
		}
		size := min(int(in[0]>>3), len(in)-5)
		fields := wire.TCPFields{
			Flags: wire.TCPFlags(in[1]), Seq: uint32(int16(binary.BigEndian.Uint16(in[2:]))),
			Ack: uint32(in[4]), Window: 4000,
		}
		b := build(src, dst, fields, string(in[5:5+size]))
		if in[0]&4 != 0 {
			b = b[:len(b)-1]
		}
		table.Feed(Frame{Link: LinkEthernet, Data: b, Number: n, At: now})
		in = in[5+size:]
	}
}
