package pcaps

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

func classicFile(t testing.TB, config PcapConfig) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewPcapWriter(&out, config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.WritePacket(VirtualEpoch+Stamp(i)*1e9+123456000, bytes.Repeat([]byte{byte(i)}, 10+i), 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestClassicPcapRoundTripsInEveryVariant(t *testing.T) {
	for _, big := range []bool{false, true} {
		for _, micros := range []bool{false, true} {
			data := classicFile(t, PcapConfig{LinkType: LinkTypeEthernet, BigEndian: big, Microseconds: micros})
			r, err := NewReader(bytes.NewReader(data), ReaderConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Format() != FormatPcap || r.Interfaces()[0].LinkType != LinkTypeEthernet || r.Interfaces()[0].SnapLen != 262144 {
				t.Errorf("%v %+v", r.Format(), r.Interfaces()[0])
			}
			for i := range 3 {
				record, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				p := record.Packet
				if p.Time != VirtualEpoch+Stamp(i)*1e9+123456000 || len(p.Data) != 10+i || p.OriginalLen != 100 || p.LinkType != LinkTypeEthernet {
					t.Errorf("big %v micros %v: packet %d: %+v", big, micros, i, p)
				}
			}
			if _, err := r.Next(); err != io.EOF {
				t.Error(err)
			}
		}
	}
}

func TestOldClassicFilesHaveTheirLengthsSwapped(t *testing.T) {
	data := classicFile(t, PcapConfig{LinkType: LinkTypeEthernet})
	binary.LittleEndian.PutUint16(data[6:], 2)
	for at := 24; at < len(data); {
		captured := binary.LittleEndian.Uint32(data[at+8:])
		binary.LittleEndian.PutUint32(data[at+8:], binary.LittleEndian.Uint32(data[at+12:]))
		binary.LittleEndian.PutUint32(data[at+12:], captured)
		at += 16 + int(captured)
	}
	got, err := readAll(data, ReaderConfig{})
	if err != io.EOF || len(got) != 3 || got[2].Packet.OriginalLen != 100 || len(got[2].Packet.Data) != 12 {
		t.Errorf("%d packets, %v", len(got), err)
	}
}

func TestUnreadableFormatsAreNamedWithAHint(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"\x34\xcd\xb2\xa1", "modified pcap (Kuznetzov's patched libpcap) is not read; convert it: editcap -F pcapng IN OUT"},
		{"\xa1\xb2\xcd\x34", "Kuznetzov"},
		{"\x1c\x00\x01\xac", "Ixia"},
		{"\x1f\x8b\x08\x00", "gzip"},
		{"PK\x03\x04", "neither pcapng nor pcap (magic number 0x04034b50)"},
		{"", "the file is empty"},
		{"\x0a\x0d", "the file is cut here; its last 2 bytes"},
	} {
		_, err := NewReader(strings.NewReader(c.data), ReaderConfig{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x: error %v, want one with %q", c.data, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), "byte 0") {
			t.Errorf("%x: error %v has no offset", c.data, err)
		}
	}
}
