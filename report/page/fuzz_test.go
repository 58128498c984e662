package page_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/report/page"
)

// FuzzPage: whatever captures, trace and samples hold, there is a page or an
// error, and the page holds none of it as markup.
func FuzzPage(f *testing.F) {
	r := record(f, "idle-sensor")
	files := [3][]byte{}
	for i, end := range []string{".device.pcapng", ".trace.jsonl", ".samples.jsonl"} {
		text, err := os.ReadFile(r.path(end))
		if err != nil {
			f.Fatal(err)
		}
		files[i] = text
	}
	f.Add(files[0], files[1], files[2])
	f.Add(files[0][:len(files[0])/2], files[1][:len(files[1])/3], files[1])
	f.Add(files[0], []byte(`{"format":"hilnet-trace","version":1,"scenario":"idle-sensor"}
{"t":-5,"seq":1,"kind":"mqtt.acked","node":"device","count":-7}
{"t":9223372036854775807,"seq":1,"kind":"action","node":"link","text":"</script> for ever"}
`), []byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, capture, events, samples []byte) {
		for end, text := range map[string][]byte{"x.device.pcapng": capture, "x.trace.jsonl": events, "x.samples.jsonl": samples} {
			if err := os.WriteFile(filepath.Join(dir, end), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := page.Beside(filepath.Join(dir, "x.device.pcapng"))
		b, err := s.Read()
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := b.Write(&out); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "<script>"); n != 1 {
			t.Errorf("%d scripts that run", n)
		}
	})
}
