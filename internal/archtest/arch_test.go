package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// list runs go list for an operating system.
func list(t *testing.T, goos string, args ...string) []Package {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Standard"}, args...)...)
	cmd.Dir = linktest.Root(t)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	var pkgs []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestPackagesImportWhatTheTableAllows(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		pkgs := list(t, goos, "./...")
		if len(pkgs) < 5 {
			t.Fatalf("%s: go list found %d packages", goos, len(pkgs))
		}
		for _, wrong := range Check(pkgs) {
			t.Errorf("%s: %s", goos, wrong)
		}
	}
}

// The gate itself: what must not be is seen.
func TestAForbiddenImportIsSeen(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"hilnet/sim", "hilnet/trace", "row 0 may not import row 1"},
		{"hilnet/trace", "hilnet/wire", "row 1 may not import row 1"},
		{"hilnet/mqtt", "hilnet/stack", "row 5 may not import row 5"},
		{"hilnet/mqtt", "hilnet/mqtt/broker", "row 5 may not import row 5"},
		{"hilnet/emu", "hilnet/cmd/emu", "row 7 may not import row 10"},
		{"hilnet/emu", "hilnet/internal/linktest", "only tests may"},
		{"hilnet/emu", "hilnet/util", "not in the table"},
		{"hilnet/util", "fmt", "not in the table"},
		{"hilnet/emu", "gvisor.dev/gvisor/pkg/tcpip", "outside its owner"},
		{"hilnet/nic", "github.com/google/gopacket/layers", "outside its owner"},
		{"hilnet/cmd/emu", "github.com/spf13/cobrafake", "outside its owner"},
		{"hilnet/emu", "net/http", "only [report/live] may"},
		{"hilnet/sim", "math/rand/v2", "only [] may"},
		{"hilnet/emu", "testing", "only [internal/...] may"},

		{"hilnet/emu", "hilnet/mqtt/broker", ""},
		{"hilnet/mqtt/broker", "hilnet/mqtt", ""},
		{"hilnet/stack/gateway", "gvisor.dev/gvisor/pkg/tcpip", ""},
		{"hilnet/cmd/replay", "github.com/spf13/cobra", ""},
		{"hilnet/internal/linktest", "hilnet/emu", ""},
		{"hilnet/report/live", "net/http", ""},
		{"golang.org/x/sys/unix", "hilnet/emu", ""},
	} {
		got := strings.Join(Check([]Package{{ImportPath: c.from, Imports: []string{c.to}}}), "; ")
		if c.want == "" && got != "" || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestEmuCarriesNoServerAndNoCommandLine(t *testing.T) {
	pkgs := list(t, "linux", "-deps", "./emu")
	if len(pkgs) < 20 {
		t.Fatalf("emu depends on %d packages only", len(pkgs))
	}
	for _, p := range pkgs {
		for _, bad := range emuFree {
			if p.ImportPath == bad || strings.HasPrefix(p.ImportPath, bad+"/") {
				t.Errorf("emu depends on %s", p.ImportPath)
			}
		}
	}
}

func TestOnlyThePacerKnowsRealTime(t *testing.T) {
	root := linktest.Root(t)
	for _, p := range list(t, "linux", "./...") {
		for _, name := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(root, filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			wrong, err := CheckClock(filepath.ToSlash(rel), source)
			if err != nil {
				t.Error(err)
			}
			for _, w := range wrong {
				t.Error(w)
			}
		}
	}
}

func TestRealTimeIsSeen(t *testing.T) {
	source := []byte("package x\nimport clock \"time\"\nvar a = clock.Now()\nvar d clock.Duration = clock.Second\nfunc f() { clock.Sleep(d) }\n")
	for _, c := range []struct {
		file string
		want int
	}{{"emu/run.go", 2}, {"sim/loop.go", 2}, {"sim/pacer.go", 0}, {"tap/reader.go", 0}, {"cmd/emu/main.go", 0}, {"emu/run_test.go", 0}} {
		wrong, err := CheckClock(c.file, source)
		if err != nil || len(wrong) != c.want {
			t.Errorf("%s: %q, %v, want %d places", c.file, wrong, err, c.want)
		}
	}
}

func TestTopLevelFoldersAreKnown(t *testing.T) {
	tracked := strings.FieldsFunc(git(t, "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
		func(r rune) bool { return r == 0 })
	for _, name := range tracked {
		if folder, _, deep := strings.Cut(name, "/"); deep && !slices.Contains(folders, folder) {
			t.Errorf("%s: the folder %s has no line in internal/archtest and docs/decisions", name, folder)
		}
	}
}
