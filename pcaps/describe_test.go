package pcaps_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/wire"
)

// What package wire reads of a frame is what gopacket reads, over all frames of
// the captures in the repository and of those beside it.
func TestHeadersAreReadAsGopacketReadsThem(t *testing.T) {
	var names []string
	for _, pattern := range []string{
		filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "*.pcap"), filepath.Join(linktest.Data(t, "captures/mqtt"), "*.pcap*"),
		filepath.Join(linktest.Data(t, "captures/tcp"), "*.pcap*"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	compared := 0
	for _, name := range names {
		for p, err := range pcaps.Packets(name) {
			if err != nil {
				break // other tests read damaged captures
			}
			if p.LinkType == pcaps.LinkTypeEthernet && len(p.Data) == p.OriginalLen {
				compared += compareHeaders(t, filepath.Base(name), p.Data)
			}
		}
	}
	t.Logf("%d TCP and UDP headers of %d captures", compared, len(names))
	if compared < 1000 {
		t.Errorf("only %d headers were compared", compared)
	}
}

// compareHeaders returns 1 if a frame has a transport header that both read.
func compareHeaders(t *testing.T, name string, frame []byte) int {
	t.Helper()
	var l wire.Layers
	if l.Parse(frame) != nil || l.TCP == nil && l.UDP == nil {
		return 0
	}
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	network, transport := packet.NetworkLayer(), packet.TransportLayer()
	if network == nil || transport == nil {
		return 0 // gopacket is stricter with some lengths
	}
	src, _ := netip.AddrFromSlice(network.NetworkFlow().Src().Raw())
	dst, _ := netip.AddrFromSlice(network.NetworkFlow().Dst().Raw())
	if src != l.Src() || dst != l.Dst() {
		return 0 // a tunnel: gopacket's is the inner header
	}
	switch h := transport.(type) {
	case *layers.TCP:
		if l.TCP == nil || uint16(h.SrcPort) != l.TCP.SrcPort() || uint16(h.DstPort) != l.TCP.DstPort() || h.Seq != l.TCP.Seq() ||
			h.Ack != l.TCP.Ack() || h.Window != l.TCP.Window() || h.Checksum != l.TCP.Checksum() || h.SYN != l.TCP.Has(wire.TCPSyn) ||
			h.FIN != l.TCP.Has(wire.TCPFin) || h.RST != l.TCP.Has(wire.TCPRst) || h.ACK != l.TCP.Has(wire.TCPAck) {
			t.Errorf("%s: %s, gopacket reads %s", name, wire.Summary(frame), gopacket.LayerString(h))
		}
	case *layers.UDP:
		if l.UDP == nil || uint16(h.SrcPort) != l.UDP.SrcPort() || uint16(h.DstPort) != l.UDP.DstPort() || h.Checksum != l.UDP.Checksum() {
			t.Errorf("%s: %s, gopacket reads %s", name, wire.Summary(frame), gopacket.LayerString(h))
		}
	}
	return 1
}

func TestAFrameIsDescribed(t *testing.T) {
	name := filepath.Join(linktest.Root(t), "pcaps", "testdata", "suricata-mqtt311-pub-qos1.pcap")
	for p, err := range pcaps.Packets(name) {
		if err != nil {
			t.Fatal(err)
		}
		text := pcaps.Describe(p.LinkType, p.Data)
		if !strings.Contains(text, "TCP") || !strings.Contains(text, "DstPort=1883") {
			t.Errorf("%s", text)
		}
		if text := pcaps.Describe(p.LinkType, p.Data[:30]); !strings.Contains(text, "cannot be decoded further") {
			t.Errorf("a cut frame: %s", text)
		}
		return
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add(uint16(1), []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00E\x00\x00\x14"))
	f.Fuzz(func(_ *testing.T, linkType uint16, data []byte) {
		if len(data) < 4096 {
			pcaps.Describe(pcaps.LinkType(linkType), data)
		}
	})
}
