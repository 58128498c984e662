package pcaps

import (
	"bytes"
	"io"
	"testing"

	"hilnet/sim"
)

func benchmarkWrite(b *testing.B, p *Packet) {
	w, err := NewWriter(io.Discard, Section{}, WriterConfig{})
	must(b, err)
	_, err = w.AddInterface(Interface{LinkType: LinkTypeEthernet, Resolution: Nanoseconds})
	must(b, err)
	b.ReportAllocs()
	b.SetBytes(int64(len(p.Data)))
	for b.Loop() {
		p.Time++
		if err := w.WritePacket(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWritePlain128(b *testing.B) {
	benchmarkWrite(b, &Packet{Time: VirtualEpoch, Data: make([]byte, 128)})
}

// The options of a lost frame in the sender's file.
func fullPacket(size int) *Packet {
	return &Packet{
		Time: VirtualEpoch, Data: make([]byte, size), Fields: FieldFlags | FieldPacketID, Flags: FlagOutbound, PacketID: 7,
		Verdicts: []Verdict{{Kind: VerdictTC, Result: TCActShot}},
		Comments: [][]byte{[]byte("dropped: stage=loss rule=iid reason=random_loss seed=3 ordinal=2")},
	}
}

func BenchmarkWriteOptions128(b *testing.B)  { benchmarkWrite(b, fullPacket(128)) }
func BenchmarkWriteOptions1514(b *testing.B) { benchmarkWrite(b, fullPacket(1514)) }

func TestWritingAPacketWithOptionsDoesNotAllocate(t *testing.T) {
	w, err := NewWriter(io.Discard, Section{}, WriterConfig{})
	must(t, err)
	_, err = w.AddInterface(Interface{LinkType: LinkTypeEthernet, Resolution: Nanoseconds})
	must(t, err)
	p := fullPacket(1514)
	if n := testing.AllocsPerRun(5000, func() { _ = w.WritePacket(p) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkReadOptions128(b *testing.B) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Section{}, WriterConfig{})
	must(b, err)
	_, err = w.AddInterface(Interface{LinkType: LinkTypeEthernet, Resolution: Nanoseconds})
	must(b, err)
	const packets = 10_000
	for range packets {
		must(b, w.WritePacket(fullPacket(128)))
	}
	must(b, w.Flush())
	b.ReportAllocs()
	b.SetBytes(128)
	r := (*Reader)(nil)
	for b.Loop() {
		for {
			if r == nil {
				r, _ = NewReader(bytes.NewReader(file.Bytes()), ReaderConfig{})
			}
			record, err := r.Next()
			if err == io.EOF {
				r = nil
				continue
			}
			if err != nil {
				b.Fatal(err)
			}
			if record.Packet != nil {
				break
			}
		}
	}
}

// BenchmarkRecorderFrame is one frame over a link: captured at both ends, its
// fate told, 64 frames in flight.
func BenchmarkRecorderFrame(b *testing.B) {
	r := newRecorder(b, RecorderConfig{})
	d, p := newPoint(b, r, "device", io.Discard, PointConfig{}), newPoint(b, r, "peer", io.Discard, PointConfig{})
	data := make([]byte, 128)
	id := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		id++
		_ = d.Capture(sim.Time(id), id, Outbound, data, FatePending)
		if id > 64 {
			_ = p.Capture(sim.Time(id), id-64, Inbound, data, FateFinal)
			_ = r.Fate(id-64, Fate{Kind: Delivered})
		}
	}
}
