package pcaps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// corpus returns the capture files below $HILNET_DATA/captures/under.
func corpus(t testing.TB, under string) []string {
	t.Helper()
	root := os.Getenv("HILNET_DATA")
	if root == "" {
		if slices.Contains(strings.Split(os.Getenv("HILNET_REQUIRE"), ","), "data") {
			t.Fatal("HILNET_DATA is required and not set")
		}
		t.Skip("HILNET_DATA, the folder with the capture collection, is not set")
	}
	var found []string
	err := filepath.WalkDir(filepath.Join(root, "captures", under), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(filepath.Ext(path), ".pcap") {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d captures, %v", len(found), err)
	}
	return found
}

func good(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.pcap*")
	if err != nil || len(paths) != 3 {
		t.Fatal(paths, err)
	}
	return paths
}

func TestMalformedFilesGiveTypedErrors(t *testing.T) {
	for _, path := range corpus(t, "malformed") {
		data, err := os.ReadFile(path)
		must(t, err)
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := readAll(data, ReaderConfig{})
			var format *FormatError
			invalid := strings.HasPrefix(filepath.Base(path), "libpcap-")
			if invalid != errors.As(err, &format) || (!invalid && err != io.EOF) {
				t.Errorf("%v", err)
			}
			if invalid && !strings.HasPrefix(err.Error(), "pcaps: byte 0: ") {
				t.Errorf("error %q has no offset", err)
			}
			checkDecoding(t, data)
		})
	}
}

// TestEveryTruncationReadsToTheLastGoodBlock cuts each file at every length.
func TestEveryTruncationReadsToTheLastGoodBlock(t *testing.T) {
	for _, path := range good(t) {
		data, err := os.ReadFile(path)
		must(t, err)
		whole, err := readAll(data, ReaderConfig{})
		if err != io.EOF {
			t.Fatalf("%s: %v", path, err)
		}
		for cut := range len(data) {
			got, err := readAll(data[:cut], ReaderConfig{})
			want, boundary := 0, int64(0) // records that end at or before the cut
			for i := range whole {
				end := int64(len(data))
				if i+1 < len(whole) {
					end = whole[i+1].Offset
				}
				if end <= int64(cut) {
					want, boundary = i+1, end
				}
			}
			if want == 0 && whole[0].Offset > 0 && int64(cut) >= whole[0].Offset {
				boundary = whole[0].Offset // classic file header
			}
			if len(got) != want {
				t.Fatalf("%s cut at %d: %d records, want %d (%v)", path, cut, len(got), want, err)
			}
			if boundary == int64(cut) && cut > 0 {
				if err != io.EOF {
					t.Fatalf("%s cut at %d, between blocks: %v", path, cut, err)
				}
				continue
			}
			var truncated *TruncatedError
			if !errors.As(err, &truncated) || truncated.Offset != boundary || truncated.Ignored != int64(cut)-boundary {
				t.Fatalf("%s cut at %d: %v, want %d bytes ignored from %d", path, cut, err, int64(cut)-boundary, boundary)
			}
		}
	}
}

func TestInputInSmallPiecesAndReadErrors(t *testing.T) {
	for _, path := range good(t) {
		data, err := os.ReadFile(path)
		must(t, err)
		r, err := NewReader(iotest.OneByteReader(bytes.NewReader(data)), ReaderConfig{})
		must(t, err)
		n := 0
		for err == nil {
			if _, err = r.Next(); err == nil {
				n++
			}
		}
		whole, _ := readAll(data, ReaderConfig{})
		if err != io.EOF || n != len(whole) || r.Offset() != int64(len(data)) {
			t.Errorf("%s: %d records of %d, offset %d, %v", path, n, len(whole), r.Offset(), err)
		}
		broken := errors.New("cable pulled")
		r, err = NewReader(io.MultiReader(bytes.NewReader(data[:len(data)-9]), iotest.ErrReader(broken)), ReaderConfig{})
		must(t, err)
		for err == nil {
			_, err = r.Next()
		}
		if _, again := r.Next(); !errors.Is(err, broken) || again != err || !strings.Contains(err.Error(), "pcaps: read at byte ") {
			t.Errorf("%s: %v, then %v", path, err, again)
		}
	}
}

func TestLimitsHoldAndHostileLengthsCostNothing(t *testing.T) {
	header := writeAll(t, everyRecord(false, Nanoseconds, 0, 1)[:2])
	block := func(kind BlockType, total uint32, body ...uint32) []byte {
		b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(kind)), total)
		for _, v := range body {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return append(header[:len(header):len(header)], b...)
	}
	tooLong := block(BlockEnhancedPacket, 32, 0, 0, 0, 1<<30, 1<<30, 32)
	idb := header[len(writeAll(t, everyRecord(false, Nanoseconds, 0, 1)[:1])):]
	for want, data := range map[string][]byte{
		"captured length 1073741824 exceeds the 0 bytes": tooLong,
		"total length 1073741824 exceeds the limit":      block(BlockEnhancedPacket, 1<<30, 0),
		"its last 12 bytes are no whole block":           block(BlockEnhancedPacket, 16<<20, 0),
		"total length 8 is less than 12":                 block(0x999, 8, 8),
		"total length 14 is not a multiple of 4":         block(0x999, 14, 14, 14),
		"is 12 at its start and 13 at its end":           block(0x999, 12, 13),
		"names interface 1, the section has 1":           block(BlockEnhancedPacket, 32, 1, 0, 0, 0, 0, 32),
		"byte-order magic is 0x00000001":                 block(BlockSectionHeader, 28, 1, 0, 0, 0, 28),
		"option 1 has 60 bytes, only 0 are left":         block(BlockStatistics, 28, 0, 0, 0, 60<<16|1, 28),
		"secrets length 9 exceeds the 0 bytes":           block(BlockSecrets, 20, 0, 9, 20),
		"do not end with nrb_record_end":                 block(BlockNames, 12, 12),
		"more than 4 interfaces":                         append(header[:len(header):len(header)], bytes.Repeat(idb, 4)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(data, ReaderConfig{MaxInterfaces: 4})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%q: %d bytes were allocated for %d of input", want, used, len(data))
		}
	}
	if _, err := NewReader(bytes.NewReader(header), ReaderConfig{MaxBlock: -1}); err == nil {
		t.Error("a negative limit was accepted")
	}
}

func TestSecretsBeyondTheBudgetAreDeliveredButNotCollected(t *testing.T) {
	records := everyRecord(false, Nanoseconds, 0, 1)[:2]
	secret := Record{Type: BlockSecrets, Secrets: &Secrets{Kind: SecretsTLS, Data: make([]byte, 3000)}}
	records = append(records, secret, secret, secret)
	r, err := NewReader(bytes.NewReader(writeAll(t, records)), ReaderConfig{MaxMetadata: 8000})
	must(t, err)
	delivered := 0
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if record.Secrets != nil && len(record.Secrets.Data) == 3000 {
			delivered++
		}
	}
	if delivered != 3 || len(r.Secrets()) != 1+(3-1-r.Uncollected()) || r.Uncollected() == 0 {
		t.Errorf("%d delivered, %d collected, %d not", delivered, len(r.Secrets()), r.Uncollected())
	}
}

// TestStreamLargerThanItsBufferKeepsMemoryFlat reads 64 MiB through pipes.
func TestStreamLargerThanItsBufferKeepsMemoryFlat(t *testing.T) {
	pr, pw := io.Pipe()
	const packets = 45_000
	go func() {
		w, err := NewWriter(pw, Section{}, WriterConfig{})
		if err == nil {
			_, err = w.AddInterface(Interface{LinkType: LinkTypeEthernet, Resolution: Nanoseconds})
		}
		data := make([]byte, 200_000)
		for i := 0; i < packets && err == nil; i++ {
			size := 1400
			if i%10_000 == 9_999 {
				size = len(data) // larger than the read buffer
			}
			err = w.WritePacket(&Packet{Time: Stamp(i), Data: data[:size]})
		}
		if err == nil {
			err = w.Flush()
		}
		pw.CloseWithError(err)
	}()
	r, err := NewReader(pr, ReaderConfig{})
	must(t, err)
	var before, after runtime.MemStats
	n := 0
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if record.Packet != nil {
			if n++; n == 10_000 {
				runtime.ReadMemStats(&before)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if n != packets {
		t.Errorf("%d packets, want %d", n, packets)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes allocated in steady state", used)
	}
}
