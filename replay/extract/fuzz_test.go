package extract

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/link/traces"
	"hilnet/scenarios"
)

// Whatever a capture holds, what is written of it can be read again, and the numbers
// are in their bounds.
func FuzzExtract(f *testing.F) {
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
		read := func() *Capture {
			c, err := Read(t.Context(), "fuzz.pcap", bytes.NewReader(data), Config{})
			if err != nil {
				return nil
			}
			return c
		}
		one := read()
		if one == nil {
			return
		}
		c, err := Single(one)
		if err != nil {
			return
		}
		for _, b := range []Bounds{c.Up.Lost, c.Up.Data, c.Down.Lost, c.Down.Data} {
			if b.Min < 0 || b.Min > b.Estimate || b.Estimate > b.Max {
				t.Errorf("bounds %+v", b)
			}
		}
		var text bytes.Buffer
		if err := c.Write(&text); err != nil {
			t.Fatal(err)
		}
		if _, err := traces.ReadConditions(&text, "fuzz.jsonl"); err != nil {
			t.Errorf("what was written is no trace: %v", err)
		}
		if m, err := c.Make(Plan{}); err == nil {
			if _, err := scenarios.Load("fuzz.yaml", []byte(m.Text())); err != nil {
				t.Errorf("what was made is no scenario: %v\n%s", err, m.Text())
			}
		}
		// A capture laid beside itself has lost nothing.
		if both, err := Pair(read(), read()); err == nil && len(both.Drops) > 0 {
			t.Errorf("%d frames lost on no link: %v", len(both.Drops), both.Drops[0])
		}
	})
}
