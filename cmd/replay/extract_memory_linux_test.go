package main

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/extract"
	"hilnet/wire"
)

// extractBound is what extract may take, whatever the capture: it keeps what is in the
// headers of up to extract.MaxFrames frames (docs/extract.md).
const extractBound = 3 << 29

// A flood is a capture of one connection whose frames are made to cost most.
type flood struct {
	name  string
	frame func(n uint32) (flags wire.TCPFlags, up bool, seq, ack uint32, options []byte, data int)
}

var floods = []flood{
	{"nothing is ever acknowledged", func(n uint32) (wire.TCPFlags, bool, uint32, uint32, []byte, int) {
		return wire.TCPAck, true, 1 + n*100, 1, nil, 100
	}},
	{"the same segment again and again", func(n uint32) (wire.TCPFlags, bool, uint32, uint32, []byte, int) {
		return wire.TCPAck, n%2 == 0, 1, 1, nil, 100 * int(1-n%2)
	}},
	{"each one opens a hole", func(n uint32) (wire.TCPFlags, bool, uint32, uint32, []byte, int) {
		return wire.TCPAck, n%2 == 0, 1 + n*200, 1, nil, 100
	}},
	{"acknowledgements of all but the first", func(n uint32) (wire.TCPFlags, bool, uint32, uint32, []byte, int) {
		if n%2 == 0 {
			return wire.TCPAck, true, 1 + n*50, 1, nil, 100
		}
		sack := []byte{1, 1, 5, 34}
		for i := uint32(0); i < 4; i++ {
			sack = binary.BigEndian.AppendUint32(sack, 101+i*300)
			sack = binary.BigEndian.AppendUint32(sack, 301+i*300+n)
		}
		return wire.TCPAck, false, 1, 1, sack, 0
	}},
	{"messages without end", func(n uint32) (wire.TCPFlags, bool, uint32, uint32, []byte, int) {
		return wire.TCPAck, n%4 < 2, 1 + n/4*200 + n%2*100, 1 + n/4*200, nil, 100
	}},
}

// write writes so many frames of it.
func (f *flood) write(t *testing.T, frames int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flood.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcaps.NewPcapWriter(file, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	device, broker := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	message := "\x30\x30\x00\x05flood" + strings.Repeat("x", 41)
	put := func(n int, flags wire.TCPFlags, up bool, seq, ack uint32, options []byte, data int) {
		src, dst, from, to := device, broker, uint16(5000), uint16(1883)
		if !up {
			src, dst, from, to = dst, src, to, from
		}
		head := wire.TCPHeaderLen + len(options)
		frame := make([]byte, 34+head+data)
		wire.PutEthernet(frame, wire.MAC{2}, wire.MAC{2, 1}, wire.EtherTypeIPv4)
		for at := 34 + head; at < len(frame); {
			at += copy(frame[at:], message)
		}
		copy(frame[54:], options)
		wire.PutTCP(frame[34:], wire.TCPFields{SrcPort: from, DstPort: to, Seq: seq, Ack: ack, Flags: flags, Window: 1000, Options: options}, src, dst, data)
		wire.PutIPv4(frame[14:], wire.IPv4Fields{ID: uint16(n), TTL: 64, Protocol: wire.ProtocolTCP, Src: src, Dst: dst}, head+data)
		if err := w.WritePacket(pcaps.Stamp(n)*1e6, frame, 0); err != nil {
			t.Fatal(err)
		}
	}
	put(0, wire.TCPSyn, true, 0, 0, []byte{4, 2, 1, 1}, 0)
	put(1, wire.TCPSyn|wire.TCPAck, false, 0, 1, []byte{4, 2, 1, 1}, 0)
	for n := 2; n < frames; n++ {
		flags, up, seq, ack, options, data := f.frame(uint32(n - 2))
		put(n, flags, up, seq, ack, options, data)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// What extract holds is bounded: by the number of frames that it takes, whatever they are.
func TestExtractIsBoundedWhateverTheCapture(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has its own memory")
	}
	frames, connections, size := 3_000, 2_000, int64(32<<20)
	soak := os.Getenv(linktest.SoakEnv) != ""
	if soak {
		frames, connections, size = extract.MaxFrames, 1_000_000, 4<<30
	}
	try := func(what string, refused bool, args ...string) {
		t.Helper()
		used, code := measure(t, append([]string{"extract"}, args...)...)
		t.Logf("%s: %d MiB, exit %d", what, used>>20, code)
		if used > extractBound || (code == exitUsage) != refused {
			t.Errorf("%s: %d MiB, exit %d", what, used>>20, code)
		}
	}
	out := filepath.Join(t.TempDir(), "out.jsonl")
	for _, f := range floods {
		path := f.write(t, frames)
		try(f.name, false, path, "-o", out)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	try("two of them", false, floods[1].write(t, frames), floods[1].write(t, frames-1), "-o", out)
	many := hostile(t, connections, false)
	try("many connections", soak, many, "-o", out)
	sparse := filepath.Join(t.TempDir(), "sparse.pcapng")
	header := "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00"
	if err := os.WriteFile(sparse, []byte(header), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, size); err != nil {
		t.Fatal(err)
	}
	try("a sparse file", true, sparse)
	if soak {
		long := floods[0].write(t, 5_000_000)
		try("a flow of 5 million segments", true, long)
	}
}
