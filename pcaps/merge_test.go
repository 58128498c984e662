package pcaps

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMergeKeepsEveryPacketInTimeOrder(t *testing.T) {
	device, peer := recorded(t)
	var out bytes.Buffer
	m, err := Merge(&out, device, peer, "testdata/suricata-mqtt311-pub-qos1.pcap")
	must(t, err)
	merged := save(t, out.Bytes())
	got := packets(t, merged)
	want := slices.Concat(packets(t, device), packets(t, peer), packets(t, "testdata/suricata-mqtt311-pub-qos1.pcap"))
	slices.SortStableFunc(want, func(a, b *Packet) int { return int(a.Time - b.Time) })
	samePackets(t, got, want)
	if m.Packets != 40+32+13 || m.NotCopied != 0 {
		t.Errorf("%+v", m)
	}
	r, closeFile, err := Open(merged, ReaderConfig{})
	must(t, err)
	defer closeFile()
	record, err := r.Next()
	must(t, err)
	if info, ok := ParseRunInfo(record.Section); !ok || info.Seed != 3 {
		t.Errorf("%v %+v", ok, info.Seed)
	}
	for err == nil {
		_, err = r.Next()
	}
	if n := len(r.Interfaces()); n != 3 || r.Interfaces()[1].Name != "peer" {
		t.Errorf("%d interfaces", n)
	}
	rows := tshark(t, merged, "frame.packet_id", "frame.interface_name")
	for i, row := range rows[13:] { // behind the older capture
		if p := want[13+i]; row[0] == "" || (row[1] == "device") != (p.Flags == FlagOutbound) {
			t.Errorf("row %d: %q", 13+i, row)
		}
	}
}

// A file of several sections is merged too: each section has interfaces of its own.
func TestMergeTakesFilesOfSeveralSections(t *testing.T) {
	const sections = "testdata/hadrielk-difficult-test202.pcapng"
	device, _ := recorded(t)
	var out bytes.Buffer
	m, err := Merge(&out, device, sections)
	must(t, err)
	want := packets(t, sections)
	if m.Packets != 40+uint64(len(want)) || m.HeaderTexts == 0 {
		t.Errorf("%+v", m)
	}
	merged := save(t, out.Bytes())
	found := 0
	r, closeFile, err := Open(merged, ReaderConfig{})
	must(t, err)
	defer closeFile()
	for {
		record, err := r.Next()
		if err != nil {
			break
		}
		for _, w := range want {
			if p := record.Packet; p != nil && bytes.Equal(p.Data, w.Data) && p.LinkType == w.LinkType && (p.Time == w.Time || w.Block == BlockSimplePacket) {
				found++
				break
			}
		}
	}
	if found < len(want) {
		t.Errorf("%d packets of %d are there", found, len(want))
	}
}

func TestMergeSaysWhatItCannotDo(t *testing.T) {
	var out bytes.Buffer
	if _, err := Merge(&out, "testdata/none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	every := save(t, writeAll(t, everyRecord(true, Nanoseconds, 0, VirtualEpoch)))
	m, err := Merge(&out, every)
	if err != nil || m.Packets != 3 || m.NotCopied != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestCreatedFileIsReadBackAndAFullDeviceIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.pcapng")
	f, err := Create(path, Section{}, WriterConfig{})
	must(t, err)
	_, err = f.AddInterface(Interface{LinkType: LinkTypeEthernet})
	must(t, err)
	must(t, f.WritePacket(&Packet{Time: VirtualEpoch, Data: []byte("x")}))
	must(t, f.Close())
	if got := packets(t, path); len(got) != 1 || got[0].Time != VirtualEpoch {
		t.Errorf("%+v", got)
	}
	if _, err := Create(filepath.Join(path, "below"), Section{}, WriterConfig{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		return // only Linux has it; TestFullDiskLeavesAReadableFile runs everywhere
	}
	f, err = Create("/dev/full", Section{}, WriterConfig{})
	must(t, err)
	if err := f.Close(); err == nil || err.Error() != "pcaps: write /dev/full: no space left on device after 0 packets; the file is readable up to there" {
		t.Error(err)
	}
}
