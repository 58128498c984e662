package extract

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"hilnet/pcaps"
	"hilnet/wire"
)

// dressed is a capture with its frames in another link layer, which makes them so much
// longer on the wire, or cut.
func dressed(t *testing.T, file string, link pcaps.LinkType, longer int, dress func(frame []byte) []byte) *Capture {
	t.Helper()
	var out bytes.Buffer
	w, err := pcaps.NewPcapWriter(&out, pcaps.PcapConfig{LinkType: link})
	if err != nil {
		t.Fatal(err)
	}
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WritePacket(p.Time, dress(p.Data), p.OriginalLen+longer); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	c, err := Read(t.Context(), file, &out, Config{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// VLAN tags, the link layers of "tcpdump -i any", raw IP, and captures that were cut
// behind the headers show the same losses and times.
func TestTheLinkLayerOfACaptureDoesNotMatter(t *testing.T) {
	const sll, sll2, ip4 = 113, 276, 228
	header := wire.EthernetHeaderLen
	// The recording has IPv4 only: what is ARP in it goes as ARP.
	cooked := func(front int, at int) func([]byte) []byte {
		return func(frame []byte) []byte {
			h := make([]byte, front)
			copy(h[at:], frame[12:14])
			if front == 16 { // version 1: the sender's address
				binary.BigEndian.PutUint16(h[2:], 1)
				binary.BigEndian.PutUint16(h[4:], 6)
				copy(h[6:], frame[6:12])
			}
			return append(h, frame[header:]...)
		}
	}
	for _, k := range groundtruth(t) {
		if k.name != "mqtt311-q1-iid5" && k.name != "mqtt311-q1-ge" {
			continue
		}
		for what, v := range map[string]struct {
			link   pcaps.LinkType
			longer int
			dress  func([]byte) []byte
		}{
			"VLAN":       {pcaps.LinkTypeEthernet, 4, func(f []byte) []byte { return slices.Insert(slices.Clone(f), 12, 0x81, 0, 0, 7) }},
			"two tags":   {pcaps.LinkTypeEthernet, 8, func(f []byte) []byte { return slices.Insert(slices.Clone(f), 12, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9) }},
			"cooked":     {sll, 2, cooked(16, 14)},
			"cooked v2":  {sll2, 6, cooked(20, 0)},
			"raw":        {pcaps.LinkTypeRaw, -header, func(f []byte) []byte { return f[header:] }},
			"IPv4":       {ip4, -header, func(f []byte) []byte { return f[header:] }},
			"cut at 100": {pcaps.LinkTypeEthernet, 0, func(f []byte) []byte { return f[:min(len(f), 100)] }},
		} {
			for _, file := range []string{k.dev, k.broker} {
				plain, err := Single(readFile(t, file))
				if err != nil {
					t.Fatal(err)
				}
				one, err := Single(dressed(t, file, v.link, v.longer, v.dress))
				if err != nil {
					t.Errorf("%s of %s: %v", what, k.name, err)
					continue
				}
				if one.Up.Data != plain.Up.Data || one.Down.Data != plain.Down.Data || one.RTT != plain.RTT || one.Place != plain.Place {
					t.Errorf("%s of %s %s: up %+v down %+v rtt %v, want up %+v down %+v rtt %v", what, k.name, plain.Place,
						one.Up.Data, one.Down.Data, one.RTT, plain.Up.Data, plain.Down.Data, plain.RTT)
				}
			}
			// The other end may have been captured in another way.
			both, err := Pair(dressed(t, k.dev, v.link, v.longer, v.dress), readFile(t, k.broker))
			if err != nil {
				t.Errorf("%s of %s: %v", what, k.name, err)
				continue
			}
			if got := names(both.Drops); !slices.Equal(got, k.names()) {
				t.Errorf("%s of %s: lost %v, want %v", what, k.name, got, k.names())
			}
		}
	}
}
