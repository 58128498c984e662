package flow

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"hilnet/sim"
	"hilnet/wire"
)

// endless feeds frames of one stream, in order and without end: each call of
// the function gives the next. Its frames repeat with other sequence numbers.
func endless(tb testing.TB, config Config, payload string) (next func(), bytes int) {
	config.IgnoreChecksums = true // the frames are changed in place
	table, err := New(config, nil)
	if err != nil {
		tb.Fatal(err)
	}
	table.Feed(Frame{Data: build(client, server, wire.TCPFields{Seq: 99, Flags: syn}, ""), Link: LinkEthernet})
	first := connect("d")
	table.Feed(Frame{Data: build(client, server, wire.TCPFields{Seq: 100, Flags: ack}, first), Link: LinkEthernet})
	seq, number := 100+uint32(len(first)), uint64(0)
	frame := build(client, server, wire.TCPFields{Seq: seq, Flags: ack}, payload)
	return func() {
		number++
		binary.BigEndian.PutUint32(frame[14+20+4:], seq)
		seq += uint32(len(payload))
		r := table.Feed(Frame{Data: frame, Link: LinkEthernet, Number: number, At: sim.Time(number)})
		if r.Labels != LabelNew {
			tb.Fatalf("frame %d: %+v", number, r)
		}
	}, len(frame)
}

var workloads = []struct {
	name    string
	config  Config
	payload string
}{
	{"bulk1460", Config{}, publish("t", strings.Repeat("x", 1454))},
	{"bulk1460-no-history", Config{History: -1}, publish("t", strings.Repeat("x", 1454))},
	{"stream1460", Config{NoMQTT: true}, strings.Repeat("x", 1460)},
	{"coalesced", Config{}, strings.Repeat(publish("sensor/1", "21.5"), 20)},
	{"small", Config{}, publish("sensor/1", "21.5")},
}

func TestInOrderDataDoesNotAllocate(t *testing.T) {
	for _, w := range workloads {
		next, _ := endless(t, w.config, w.payload)
		for range 20 { // the history grows to its size
			next()
		}
		if n := testing.AllocsPerRun(1000, next); n != 0 {
			t.Errorf("%s: %v allocations a frame", w.name, n)
		}
	}
}

func TestMessagesOverSegmentsDoNotAllocate(t *testing.T) {
	table, err := New(Config{IgnoreChecksums: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Feed(Frame{Data: build(client, server, wire.TCPFields{Seq: 99, Flags: syn}, ""), Link: LinkEthernet})
	table.Feed(Frame{Data: build(client, server, wire.TCPFields{Seq: 100, Flags: ack}, connect("d")), Link: LinkEthernet})
	message := publish("t", strings.Repeat("x", 10000))
	var frames [][]byte
	seq := uint32(115)
	for at := 0; at < len(message); at += 1460 {
		frames = append(frames, build(client, server, wire.TCPFields{Flags: ack}, message[at:min(at+1460, len(message))]))
	}
	one := func() {
		for i, frame := range frames {
			binary.BigEndian.PutUint32(frame[14+20+4:], seq+uint32(1460*i))
			table.Feed(Frame{Data: frame, Link: LinkEthernet})
		}
		seq += uint32(len(message))
	}
	one()
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations a message of %d frames", n, len(frames))
	}
	for c := range table.Each {
		if c.A.Messages[3] != 103 || c.A.BoundariesLost != 0 {
			t.Errorf("%+v", c.A)
		}
	}
}

func BenchmarkFeed(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			next, n := endless(b, w.config, w.payload)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}

// BenchmarkConversations spreads frames over many conversations, checksums
// judged.
func BenchmarkConversations(b *testing.B) {
	table, err := New(Config{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var frames [][]byte
	for i := range 1000 {
		src := netip.AddrPortFrom(client.Addr(), uint16(10000+i))
		frames = append(frames, build(src, server, wire.TCPFields{Seq: 100, Flags: ack}, ping()))
	}
	b.SetBytes(int64(len(frames[0])))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Feed(Frame{Data: frames[i%len(frames)], Link: LinkEthernet})
		i++
	}
}
