package flow

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hilnet/wire"
)

func TestFullBufferGivesUpTheFirstHole(t *testing.T) {
	for _, c := range []struct {
		config Config
		reason Reason
	}{
		{Config{MaxBuffered: 30, NoMQTT: true}, ReasonFlowLimit},
		{Config{MaxPieces: 3, NoMQTT: true}, ReasonFlowLimit},
		{Config{MaxMemory: 3 * blockSize, History: -1, NoMQTT: true}, ReasonTotalLimit},
	} {
		r := newTranscript(t, c.config)
		r.handshake(99, 199)
		for i := range uint32(4) {
			r.up(ack, 100+20*(i+1), 200, "0123456789")
		}
		r.want(fmt.Sprintf("A gap 0+20: %v", c.reason), `A 20 "0123456789" #4 ready #7`)
		if held := r.table.Stats().Held; held > c.config.MaxMemory && c.config.MaxMemory > 0 {
			t.Errorf("%v: %d bytes held", c.reason, held)
		}
		r.table.Close()
		r.want("A gap 30+10: conversation ended", `A 40 "0123456789" #5 ready #7`, "A gap 50+10: conversation ended",
			`A 60 "0123456789" #6 ready #7`, "A gap 70+10: conversation ended", `A 80 "0123456789" #7`, "ended 1: open")
	}
}

func TestLeastRecentConversationMakesRoom(t *testing.T) {
	r := newTranscript(t, Config{MaxConversations: 2, NoMQTT: true})
	from := func(port uint16) {
		r.feed(build(netip.AddrPortFrom(client.Addr(), port), server, wire.TCPFields{Seq: 1, Flags: ack}, ""))
	}
	from(1000)
	from(2000)
	from(1000)
	from(3000)
	r.want("opened 1.1", "opened 2.1", "ended 2: open", "opened 3.1")
	if !r.ended[0].Evicted || r.table.Stats().Evicted != 1 {
		t.Errorf("%+v", r.ended[0])
	}
	var ids []uint64
	for c := range r.table.Each {
		ids = append(ids, c.ID)
	}
	if fmt.Sprint(ids) != "[1 3]" {
		t.Errorf("remembered: %v", ids)
	}
}

func TestMemoryStaysWithinItsLimit(t *testing.T) {
	const limit = 256 << 10
	table, err := New(Config{MaxMemory: limit, MaxConversations: 50}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	payload := publish("topic", string(make([]byte, 1200)))
	for i := range 20000 {
		src := netip.AddrPortFrom(client.Addr(), uint16(rnd.IntN(100)))
		f := wire.TCPFields{Seq: uint32(rnd.IntN(200000)), Flags: ack}
		table.Feed(Frame{Data: build(src, server, f, payload[:rnd.IntN(len(payload))]), Link: LinkEthernet, Number: uint64(i)})
	}
	s := table.Stats()
	// A header being collected is not worth a limit: 8 bytes a direction.
	if s.MaxHeld > limit+50*2*8 || s.MaxHeld < limit/2 {
		t.Errorf("%d bytes held at most", s.MaxHeld)
	}
	table.Close()
	if s := table.Stats(); s.Held != 0 || s.Live != 0 {
		t.Errorf("after Close %d bytes held by %d conversations", s.Held, s.Live)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{
		{MaxConversations: -1}, {MaxMemory: -1}, {MaxJump: 1<<30 + 1}, {History: 1 << 30}, {HoleTimeout: -time.Second},
	} {
		if _, err := New(c, nil); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// shuffle gives a stream in random segments, in random order within a window,
// with copies, of random extent, of what was sent before.
func shuffle(rnd *rand.Rand, stream []byte, isn uint32) []wire.TCPFields {
	var out []wire.TCPFields // Ack holds the length
	for at := 0; at < len(stream); {
		n := min(1+rnd.IntN(200), len(stream)-at)
		out = append(out, wire.TCPFields{Seq: isn + 1 + uint32(at), Ack: uint32(n)})
		if rnd.IntN(3) == 0 { // again, from elsewhere and of another length
			back := rnd.IntN(min(at, 500) + 1)
			out = append(out, wire.TCPFields{Seq: isn + 1 + uint32(at-back), Ack: uint32(min(1+rnd.IntN(400), len(stream)-at+back))})
		}
		at += n
	}
	for i := range out {
		j := min(i+rnd.IntN(8), len(out)-1)
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func TestRandomSegmentationGivesTheSameBytesAndMessages(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		stream := []byte(connect("device"))
		messages := 1
		for len(stream) < 6000 {
			body := make([]byte, rnd.IntN(700))
			for i := range body {
				body[i] = byte(rnd.Uint32())
			}
			stream = append(stream, publish("topic", string(body))...)
			messages++
		}
		isn := rnd.Uint32()
		if seed%3 == 0 {
			isn = -uint32(rnd.IntN(len(stream))) // wraps around within the stream
		}
		r := newTranscript(t, Config{})
		r.up(syn, isn, 0, "")
		for _, f := range shuffle(rnd, stream, isn) {
			at := f.Seq - isn - 1
			r.up(ack, f.Seq, 0, string(stream[at:at+f.Ack]))
		}
		c := r.last.Conversation
		if got := r.stream["1 A"]; string(got) != string(stream) {
			t.Fatalf("seed %d: %d bytes became %d, or they differ", seed, len(stream), len(got))
		}
		if c.A.MessageCount() != messages || c.A.Gaps+c.A.Differing+c.A.BoundariesLost != 0 || c.Incarnation != 1 {
			t.Fatalf("seed %d: %d messages, want %d: %+v", seed, c.A.MessageCount(), messages, c.A)
		}
	}
}

// TestEvictionFollowsActivity compares with a plain list, least recent first.
func TestEvictionFollowsActivity(t *testing.T) {
	const limit = 5
	r := newTranscript(t, Config{MaxConversations: limit, NoMQTT: true})
	rnd := rand.New(rand.NewPCG(3, 4))
	var order []uint16
	for range 2000 {
		port, evicted := uint16(1000+rnd.IntN(8)), uint16(0)
		if i := slices.Index(order, port); i >= 0 {
			order = slices.Delete(order, i, i+1)
		} else if len(order) == limit {
			evicted, order = order[0], order[1:]
		}
		order = append(order, port)
		r.ended = nil
		r.feed(build(netip.AddrPortFrom(client.Addr(), port), server, wire.TCPFields{Seq: 1, Flags: ack}, ""))
		var got uint16
		for _, c := range r.ended {
			got = c.A.Addr.Port()
		}
		if got != evicted || len(r.ended) > 1 {
			t.Fatalf("evicted %d, want %d", got, evicted)
		}
	}
}
