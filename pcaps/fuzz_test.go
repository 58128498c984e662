package pcaps

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// checkDecoding reads hostile input: no panic, a typed error with an offset in
// the input, and what was read can be written and reads back equal.
func checkDecoding(t *testing.T, data []byte) {
	config := ReaderConfig{MaxBlock: 1 << 20, MaxPacket: 1 << 16, MaxInterfaces: 64, MaxMetadata: 1 << 20}
	got, err := readAll(data, config)
	var format *FormatError
	var cut *TruncatedError
	switch {
	case err == io.EOF:
	case errors.As(err, &format):
		if format.Offset < 0 || format.Offset >= int64(len(data)) || format.Reason == "" {
			t.Fatalf("%+v for %d bytes", format, len(data))
		}
	case errors.As(err, &cut):
		if cut.Offset+cut.Ignored != int64(len(data)) {
			t.Fatalf("%+v for %d bytes", cut, len(data))
		}
	default:
		t.Fatalf("untyped error %v", err)
	}
	if len(got) == 0 || got[0].Section == nil {
		return
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, *got[0].Section, WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got[1:] {
		if err := w.Write(&got[1+i]); err != nil {
			t.Fatalf("what was read cannot be written: %+v: %v", got[1+i], err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	again, err := readAll(out.Bytes(), ReaderConfig{})
	if err != io.EOF {
		t.Fatal(err)
	}
	for i := range got {
		if s := got[i].Section; s != nil { // always written like this
			s.Minor, s.Length = 0, -1
		}
		if i >= len(again) {
			t.Fatalf("%d records were written, %d read back", len(got), len(again))
		}
		if diff := difference(again[i], got[i]); diff != "" {
			t.Fatalf("record %d: -read +written and read again\n%s", i, diff)
		}
	}
}

func addSeeds(f *testing.F) {
	f.Add(writeAll(f, everyRecord(false, Nanoseconds, 0, 1)))
	f.Add(writeAll(f, everyRecord(true, Microseconds, 5, 5e9)))
	paths, err := filepath.Glob("testdata/*.pcap*")
	if err != nil || len(paths) < 3 {
		f.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

func FuzzPcapng(f *testing.F) {
	addSeeds(f)
	f.Fuzz(checkDecoding)
}

func FuzzPcap(f *testing.F) {
	addSeeds(f)
	for _, config := range []PcapConfig{{LinkType: 1}, {LinkType: 1, BigEndian: true}, {LinkType: 1, Microseconds: true}} {
		f.Add(classicFile(f, config))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 4 && bytes.Equal(data[:4], []byte{0x0A, 0x0D, 0x0D, 0x0A}) {
			return // FuzzPcapng has these
		}
		checkDecoding(t, data)
		got, _ := readAll(data, ReaderConfig{})
		if len(got) == 0 {
			return
		}
		var out bytes.Buffer
		w, err := NewPcapWriter(&out, PcapConfig{LinkType: got[0].Packet.LinkType})
		if err != nil {
			t.Fatal(err)
		}
		var kept []Record
		for _, r := range got {
			// Damaged files claim less on the wire than was captured; no writer may.
			if p := r.Packet; p.OriginalLen >= len(p.Data) && p.Time.UTC().Unix() <= 1<<32-1 {
				kept = append(kept, r)
				if err := w.WritePacket(p.Time, p.Data, p.OriginalLen); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		again, err := readAll(out.Bytes(), ReaderConfig{})
		if err != io.EOF || len(again) != len(kept) {
			t.Fatal(err, len(again), len(kept))
		}
		for i, r := range again {
			a, b := r.Packet, kept[i].Packet
			if a.Time != b.Time || !bytes.Equal(a.Data, b.Data) || a.OriginalLen != b.OriginalLen {
				t.Fatalf("packet %d: %+v, want %+v", i, a, b)
			}
		}
	})
}
