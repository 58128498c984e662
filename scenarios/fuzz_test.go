package scenarios

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("library/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, b := range slices.Concat(broken, brokenToo, brokenImpairments) {
		f.Add([]byte(b.text()))
	}
	f.Add([]byte(base))
	f.Add([]byte("a: &a [*a, *a]\n"))
	f.Add([]byte("? - ? a\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Load("fuzz", data)
		if err != nil {
			if errs, ok := err.(Errors); !ok || len(errs) == 0 || len(errs) > MaxErrors { //nolint:errorlint // documented type
				t.Fatalf("%T with %d errors", err, len(errs))
			}
			return
		}
		resolved, err := s.Resolved()
		if err != nil {
			t.Fatalf("loaded, but %v", err)
		}
		again, err := Load("resolved", resolved)
		if err != nil {
			t.Fatalf("%v\n%s", err, resolved)
		}
		if !Equal(s, again) {
			t.Fatalf("not what was loaded:\n%s", resolved)
		}
		NewTally(s).Outcome().Judge(s)
	})
}

func TestHostileFilesAreRefusedSoon(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+", ", 9), ", ") + "]\n"
	}
	full := func(s string) string { return strings.Repeat(s, MaxFile/len(s)) }
	for _, c := range []struct{ name, text, want string }{
		{"too large", strings.Repeat("a", MaxFile+1), "larger than"},
		{"alias bomb", bomb, "unknown key"},
		{"alias bomb as steps", strings.Replace(base, "      - connect\n", "      - repeat: {times: 1, do: &a [connect, connect, connect, connect]}\n"+
			func() string {
				var b strings.Builder
				for c := 'b'; c < 'k'; c++ {
					b.WriteString("      - repeat: {times: 1, do: &" + string(c) + " [")
					for i := range 9 {
						if i > 0 {
							b.WriteString(", ")
						}
						b.WriteString("{repeat: {times: 1, do: *" + string(c-1) + "}}")
					}
					b.WriteString("]}\n")
				}
				return b.String()
			}(), 1), "more than"},
		{"alias of itself", "a: &a\n  b: *a\nversion: *a\n", "version"},
		{"deep lists", full("["), "levels deep"},
		{"deep mappings", full("{a: "), "levels deep"},
		{"deep entries", full("- "), "levels deep"},
		{"deep keys", full("? "), "levels deep"},
		{"stairs", func() string {
			var b strings.Builder
			for i := 0; b.Len() < MaxFile-2000; i++ {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), "levels deep"},
		{"many keys", func() string {
			var b strings.Builder
			for i := 0; b.Len() < MaxFile-20; i++ {
				b.WriteString("k" + strings.Repeat("x", i%7) + ": 1\n")
			}
			return b.String()
		}(), "more than 256 keys"},
		{"many keys in braces", "a: {" + full("a: 1, "), "more than 256 keys"},
		{"many entries", "version: 1\nexpect:\n" + strings.Repeat("  - lost == 0\n", MaxFile/20), ""},
		{"a long line", "version: " + full("1")[:MaxFile-10], "version"},
		{"a long text", full("\"" + strings.Repeat("x", 90) + "\n"), ""},
		{"many quotes", full("'"), ""},
		{"many anchors", full("&a "), ""},
		{"many tags", full("!a "), ""},
		{"not UTF-8", "version: \xff\n", "UTF-8"},
		{"nothing", "", "empty"},
		{"only a comment", "# hello\n", "empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				_, err := Load("f", []byte(c.text[:min(len(c.text), MaxFile+1)]))
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %.300v, want %q", err, c.want)
				}
				if err != nil && len(err.Error()) > 20_000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			case <-time.After(20 * time.Second):
				t.Error("not done after 20 s")
			}
		})
	}
}
