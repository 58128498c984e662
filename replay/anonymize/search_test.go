package anonymize_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/anonymize"
)

var key = []byte("a key for the tests")

func newAnonymizer(t testing.TB) *anonymize.Anonymizer {
	t.Helper()
	a, err := anonymize.New(anonymize.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// corpus returns every capture that the project has.
func corpus(t testing.TB) (paths []string) {
	t.Helper()
	for _, folder := range []string{"captures", "golden"} {
		err := filepath.WalkDir(linktest.Data(t, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasPrefix(filepath.Ext(path), ".pcap") && !strings.HasPrefix(filepath.Base(path), "libpcap-") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(paths) < 100 {
		t.Fatalf("only %d captures", len(paths))
	}
	return paths
}

func anonymized(t testing.TB, a *anonymize.Anonymizer, data []byte) ([]byte, *anonymize.Report) {
	t.Helper()
	var out bytes.Buffer
	report, err := a.Capture(t.Context(), &out, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), report
}

func packetsOf(t testing.TB, data []byte) (all []*pcaps.Packet) {
	t.Helper()
	r, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		record, err := r.Next()
		if err != nil {
			return all
		}
		if record.Packet != nil {
			all = append(all, record.Packet.Clone())
		}
	}
}

// addressesOf returns the addresses that gopacket finds in a capture.
func addressesOf(packets []*pcaps.Packet) map[string][]byte {
	found := map[string][]byte{}
	add := func(b []byte) {
		if len(b) > 0 {
			found[string(b)] = bytes.Clone(b)
		}
	}
	for _, p := range packets {
		decoded := gopacket.NewPacket(p.Data, layers.LinkType(p.LinkType), gopacket.DecodeOptions{NoCopy: true})
		for _, l := range decoded.Layers() {
			switch l := l.(type) {
			case *layers.Ethernet:
				add(l.SrcMAC)
				add(l.DstMAC)
			case *layers.ARP:
				add(l.SourceHwAddress)
				add(l.SourceProtAddress)
				add(l.DstHwAddress)
				add(l.DstProtAddress)
			case *layers.IPv4:
				add(l.SrcIP)
				add(l.DstIP)
			case *layers.IPv6:
				add(l.SrcIP)
				add(l.DstIP)
			case *layers.ICMPv6NeighborSolicitation:
				add(l.TargetAddress)
			case *layers.ICMPv6NeighborAdvertisement:
				add(l.TargetAddress)
			case *layers.DHCPv4:
				add(l.ClientHWAddr)
				add(l.YourClientIP)
				add(l.ClientIP)
			case *layers.DNS:
				for _, r := range l.Answers {
					add(r.IP)
				}
			}
		}
	}
	return found
}

// nobody reports whether an address means nobody in particular.
func nobody(b []byte) bool {
	switch len(b) {
	case 4, 16:
		a, _ := netip.AddrFromSlice(b)
		return a.IsUnspecified() || b[0] == 224 || a == netip.MustParseAddr("255.255.255.255") ||
			a.IsMulticast() && a.Is6() && b[12] == 0 && b[13] <= 1
	case 6:
		m := hex.EncodeToString(b)
		return m == "000000000000" || m == "ffffffffffff" || strings.HasPrefix(m, "0180c2") || strings.HasPrefix(m, "01005e0000") || strings.HasPrefix(m, "33330000") || strings.HasPrefix(m, "33330001")
	}
	return true
}

// forms are what an address may look like in a file.
func forms(b []byte) (all [][]byte) {
	lower := hex.EncodeToString(b)
	parts := []string{}
	for _, c := range b {
		parts = append(parts, fmt.Sprintf("%02x", c))
	}
	all = append(all, b, []byte(lower), []byte(strings.ToUpper(lower)), []byte(strings.Join(parts, ":")), []byte(strings.Join(parts, "-")))
	if a, ok := netip.AddrFromSlice(b); ok {
		all = append(all, []byte(a.String()))
	}
	return all
}

// known are texts that say nothing: names of protocols, and ours.
var known = []string{"interface", "hilnet replay anonymize", "interface 0", "interface 1", "interface 2", "interface 3", "MQIsdp", "x-amzn-mqtt-ca", "http/1.1", "in-addr", "local", "share"}

// windows returns every run of n letters and digits in data.
func windows(data []byte, n int, yield func(string)) {
	run := 0
	for i, c := range data {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0xc3 {
			run++
		} else {
			run = 0
		}
		if run >= n {
			yield(string(data[i-n+1 : i+1]))
		}
	}
}

// Nothing that was in a capture is found in its copy: no address, whatever the form, and
// no six letters or digits in a row.
func TestNothingOfTheOriginalIsFound(t *testing.T) {
	texts, addresses := 0, 0
	for _, path := range corpus(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, report := anonymized(t, newAnonymizer(t), data)
		if report.Problem != nil || len(packetsOf(t, got)) != len(packetsOf(t, data)) {
			t.Errorf("%s: %d packets of %d, %v", path, len(packetsOf(t, got)), len(packetsOf(t, data)), report.Problem)
			continue
		}
		for _, b := range addressesOf(packetsOf(t, data)) {
			if !nobody(b) {
				addresses++
			}
		}
		windows(data, letters, func(string) { texts++ })
		for _, leak := range append(foundAddresses(t, data, got), foundTexts(t, data, got)...) {
			t.Errorf("%s: %s", path, leak)
		}
	}
	if texts < 100_000 || addresses < 200 {
		t.Errorf("only %d texts and %d addresses", texts, addresses)
	}
}

// The search finds what one frame that passed as it was gives away, and what a comment does.
func TestTheSearchFindsWhatPasses(t *testing.T) {
	data, err := os.ReadFile(linktest.Data(t, "captures/mqtt/suricata-mqtt311-unsub-userpass.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := anonymized(t, newAnonymizer(t), data)
	before, after := packetsOf(t, data), packetsOf(t, got)
	frames := func(all []*pcaps.Packet) (out [][]byte) {
		for _, p := range all {
			out = append(out, p.Data)
		}
		return out
	}
	if data, got := captureOf(t, frames(before)...), captureOf(t, frames(after)...); len(foundAddresses(t, data, got))+len(foundTexts(t, data, got)) != 0 {
		t.Error("something is found in a good copy")
	}
	connect := slices.IndexFunc(before, func(p *pcaps.Packet) bool { return bytes.Contains(p.Data, []byte("MQTT")) })
	after[connect] = before[connect]
	if data, got := captureOf(t, frames(before)...), captureOf(t, frames(after)...); len(foundAddresses(t, data, got)) == 0 || len(foundTexts(t, data, got)) == 0 {
		t.Error("nothing is found of a frame that passed")
	}
}

// letters is how many letters and digits in a row are looked for.
const letters = 6

// foundTexts returns the texts of data that got has. In headers numbers stay, which may look
// like anything, so it looks behind them.
func foundTexts(t testing.TB, data, got []byte) (found []string) {
	rest, meta := payloads(packetsOf(t, got)), strip(got)
	for _, k := range known {
		rest = bytes.ReplaceAll(rest, []byte(k), nil)
		meta = bytes.ReplaceAll(meta, []byte(k), nil)
	}
	there := map[string]bool{}
	windows(rest, letters, func(w string) { there[w] = true })
	windows(meta, letters, func(w string) { there[w] = true })
	windows(append(payloads(packetsOf(t, data)), strip(data)...), letters, func(w string) {
		if there[w] {
			found = append(found, fmt.Sprintf("%q is still there", w))
			there[w] = false
		}
	})
	return found
}

// foundAddresses returns the addresses of data that got has: as bytes in its packets, as
// text anywhere. Where a number of a header looks like one by chance, the same bytes stood there
// before.
func foundAddresses(t testing.TB, data, got []byte) (found []string) {
	before, after := packetsOf(t, data), packetsOf(t, got)
	for _, b := range addressesOf(before) {
		if nobody(b) {
			continue
		}
		all := forms(b)
		for _, form := range all[1:] {
			if len(form) >= 8 && bytes.Contains(got, form) {
				found = append(found, fmt.Sprintf("address %s stands in the file", form))
			}
		}
		for i := range after {
			for at := 0; ; at++ {
				next := bytes.Index(after[i].Data[at:], b)
				if next < 0 {
					break
				}
				at += next
				if !bytes.Equal(before[i].Data[at:at+len(b)], b) || !inHeader(before[i].Data, at) {
					found = append(found, fmt.Sprintf("frame %d: address %x stands at %d", i+1, b, at))
				}
			}
		}
	}
	return found
}

// payloads returns what is behind the headers of TCP and UDP, and the whole of other frames.
func payloads(packets []*pcaps.Packet) (all []byte) {
	for _, p := range packets {
		data := p.Data
		decoded := gopacket.NewPacket(p.Data, layers.LinkType(p.LinkType), gopacket.DecodeOptions{NoCopy: true})
		switch {
		case decoded.TransportLayer() != nil:
			data = decoded.TransportLayer().LayerPayload()
		case decoded.NetworkLayer() != nil:
			data = decoded.NetworkLayer().LayerPayload()
		case p.LinkType == pcaps.LinkTypeEthernet && len(data) > 12:
			data = data[12:]
		}
		all = append(append(all, data...), 0)
	}
	return all
}

// strip returns a file without the data of its packets.
func strip(data []byte) []byte {
	var all []byte
	r, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
	if err != nil {
		return nil
	}
	for {
		record, err := r.Next()
		if err != nil {
			return all
		}
		if record.Packet != nil {
			p := record.Packet.Clone()
			p.Data = nil
			all = fmt.Appendf(all, "%q %v %v ", p.Comments, p.Hashes, p.Options)
			continue
		}
		switch {
		case record.Section != nil:
			s := record.Section
			all = fmt.Appendf(all, "%s %s %s %s %v", s.Hardware, s.OS, s.UserAppl, s.Comments, s.Options)
		case record.Interface != nil:
			i := record.Interface
			all = fmt.Appendf(all, "%s %s %s %s %s %s %s %v", i.Name, i.Description, i.Hardware, i.OS, i.TimeZoneTZ, i.Filter, i.Comments, i.Options)
		case record.Statistics != nil:
			all = fmt.Appendf(all, "%s %v", record.Statistics.Comments, record.Statistics.Options)
		case record.Names != nil:
			all = fmt.Appendf(all, "%v %s", record.Names.Records, record.Names.DNSName)
		case record.Secrets != nil:
			all = append(all, record.Secrets.Data...)
		case record.Custom != nil:
			all = append(all, record.Custom.Data...)
		default:
			all = append(all, record.Body...)
		}
	}
}

// inHeader reports whether the byte at an offset is one of a TCP header or of an IP header in front
// of the addresses, where numbers stay.
func inHeader(frame []byte, at int) bool {
	p := gopacket.NewPacket(frame, layers.LinkTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	ip := p.NetworkLayer()
	tcp := p.TransportLayer()
	if ip == nil {
		return false
	}
	if start := cap(frame) - cap(ip.LayerContents()); at >= start && at < start+9 {
		return true
	}
	if tcp == nil {
		return false
	}
	start := cap(frame) - cap(tcp.LayerContents())
	return at >= start && at < start+len(tcp.LayerContents())
}
