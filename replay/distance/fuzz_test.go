package distance

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
)

// FuzzRead: whatever a capture holds, it is read or refused, in bounded memory, and
// what was read is at no distance of itself.
func FuzzRead(f *testing.F) {
	root := linktest.Root(f)
	for _, pattern := range []string{"pcaps/testdata/*.pcap*", "pcaps/golden/netx/*.pcap"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds in %s (%v)", pattern, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
		if err != nil {
			return
		}
		config := Config{MaxSamples: 20_000, Tolerance: -1, Contents: true}
		c, err := Read(t.Context(), in, config)
		if err != nil {
			return
		}
		if c.Samples > config.MaxSamples {
			t.Fatalf("%d samples", c.Samples)
		}
		r, err := Compare(c, c, config)
		if err != nil || r.Distance != 0 {
			t.Fatalf("distance %v of itself (%v)", r.Distance, err)
		}
	})
}
