package analyze

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/wire"
)

// mutant writes a capture like file, but with frames lost, doubled, moved and
// changed: what no recording has in one place.
func mutant(tb testing.TB, file string, seed uint64) string {
	tb.Helper()
	chance := sim.NewRand(seed, "mutant")
	var all []*pcaps.Packet
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			break
		}
		if p.LinkType != pcaps.LinkTypeEthernet {
			return ""
		}
		all = append(all, p.Clone())
	}
	var out []*pcaps.Packet
	for _, p := range all {
		switch chance.IntN(24) {
		case 0:
			continue
		case 1:
			out = append(out, p.Clone())
		case 2:
			if len(out) > 0 {
				out = append(out[:len(out)-1], p, out[len(out)-1])
				continue
			}
		case 3, 4, 5, 6:
			var l wire.Layers
			if l.Parse(p.Data) == nil && len(l.TCP) >= 20 {
				change(l.TCP, chance)
			}
		}
		out = append(out, p)
	}
	at := pcaps.VirtualEpoch
	return writeCapture(tb, out, func() pcaps.Stamp {
		at += pcaps.Stamp(chance.IntN(4) * chance.IntN(8_000_000))
		return at
	})
}

// turned writes a capture like file, but each frame that changes the direction stands
// in front of the one before: answers in front of what they answer, as captures of a
// host with more than one processor have them.
func turned(tb testing.TB, file string) string {
	tb.Helper()
	var out []*pcaps.Packet
	var source []byte
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, p.Clone())
		from := out[len(out)-1].Data[6:12]
		if n := len(out); n > 1 && !bytes.Equal(from, source) {
			out[n-2], out[n-1] = out[n-1], out[n-2]
			continue // the one in front came from the source
		}
		source = from
	}
	at := pcaps.VirtualEpoch
	return writeCapture(tb, out, func() pcaps.Stamp {
		at += pcaps.Stamp(time.Millisecond)
		return at
	})
}

func writeCapture(tb testing.TB, all []*pcaps.Packet, at func() pcaps.Stamp) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "changed.pcap")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	w, err := pcaps.NewPcapWriter(f, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range all {
		if err := w.WritePacket(at(), p.Data, p.OriginalLen); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func change(h wire.TCP, chance *sim.Rand) {
	add := func(at int, n uint32) { binary.BigEndian.PutUint32(h[at:], binary.BigEndian.Uint32(h[at:])+n) }
	switch chance.IntN(9) {
	case 0:
		h.SetWindow(0)
	case 1:
		add(4, ^uint32(0)) // one byte in front
	case 2:
		add(4, uint32(chance.IntN(3000)-1500))
	case 3:
		add(8, uint32(chance.IntN(3000)-1500))
	case 4:
		h[13] ^= byte(1 << chance.IntN(5)) // FIN, SYN, RST, PSH, ACK
	case 5:
		h.SetWindow(uint16(chance.IntN(1 << 16)))
	case 6:
		h[13] |= byte(wire.TCPFin)
	case 7:
		h[13] = byte(wire.TCPRst)
	case 8:
		h.SetWindow(h.Window() + 1)
	}
}
