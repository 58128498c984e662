package flow

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"hilnet/wire"
)

// TestMessagesAfterGapsAreTrueMessages loses segments for good and holds every
// message that is reported against what was sent.
func TestMessagesAfterGapsAreTrueMessages(t *testing.T) {
	reported, resumed, sentTotal := 0, 0, 0
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		stream := []byte(connect("device"))
		ends := map[int]int{0: len(stream)} // of messages, by begin
		for len(stream) < 20000 {
			body := make([]byte, rnd.IntN(1+rnd.IntN(3000)))
			for i := range body {
				body[i] = byte(rnd.Uint32())
				if seed%2 == 0 { // full of first bytes and short lengths
					body[i] = []byte{0, 1, 2, 4, 't', 0x30, 0x32, 0x40, 0xC0, 0xD0}[rnd.IntN(10)]
				}
			}
			begin := len(stream)
			stream = append(stream, publish("t", string(body))...)
			ends[begin] = len(stream)
		}
		var got collector
		table, err := New(Config{GapGrace: -1}, &got)
		if err != nil {
			t.Fatal(err)
		}
		feed := func(f wire.TCPFields, up bool, payload []byte) {
			src, dst := client, server
			if !up {
				src, dst = server, client
			}
			f.Window = 8192
			table.Feed(Frame{Data: build(src, dst, f, string(payload)), Link: LinkEthernet})
		}
		isn := rnd.Uint32()
		feed(wire.TCPFields{Seq: isn, Flags: syn}, true, nil)
		feed(wire.TCPFields{Seq: 9, Ack: isn + 1, Flags: syn | ack}, false, nil)
		for at, message := 0, 0; at < len(stream); {
			for ends[message] != 0 && ends[message] <= at {
				message = ends[message]
			}
			n := min(1460, len(stream)-at)
			if rnd.IntN(2) == 0 { // a segment that ends with a message, as most do
				n = min(n, ends[message]-at)
			}
			if rnd.IntN(5) > 0 || at == 0 {
				feed(wire.TCPFields{Seq: isn + 1 + uint32(at), Ack: 10, Flags: ack}, true, stream[at:at+n])
			}
			at += n
			feed(wire.TCPFields{Seq: 10, Ack: isn + 1 + uint32(at), Flags: ack}, false, nil)
		}
		table.Close()
		sentTotal += len(ends)
		for _, m := range got.messages {
			reported++
			if m.Resumed {
				resumed++
			}
			begin := int(m.Offset)
			if ends[begin] != begin+m.Len || !bytes.HasPrefix(stream[begin:], m.Raw) || m.Missing == 0 && m.Truncated() {
				t.Errorf("seed %d: %v of %d bytes at %d (missing %d, resumed %v) was never sent", seed, m.Type, m.Len, begin, m.Missing, m.Resumed)
			}
		}
	}
	t.Logf("%d of %d messages reported, %d after lost boundaries", reported, sentTotal, resumed)
	if resumed < sentTotal/10 {
		t.Errorf("only %d messages found after lost boundaries", resumed)
	}
}
