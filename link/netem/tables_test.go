package netem_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hilnet/link/netem"
)

// installed says whether one of tc's tables is on this machine.
func installed(t testing.TB, name string) bool {
	t.Helper()
	for _, dir := range netem.TableFolders() {
		if _, err := os.Stat(filepath.Join(dir, name+".dist")); err == nil {
			return true
		}
	}
	return false
}

// FNV-1a over the entries of tc's own tables, as 16-bit words.
func TestBuiltInTablesAreTcs(t *testing.T) {
	for _, v := range []struct {
		name            string
		sum             uint64
		first           []int16
		mean, deviation float64
	}{
		{"normal", 0x934820d33f8334b4, []int16{-32768, -28307, -26871, -25967}, -.00078, 1.00005},
		{"pareto", 0x67c9c87d7b87a671, []int16{-5461, -5460, -5460, -5459}, -.03349, .81968},
		{"paretonormal", 0x1841cf9b07a38613, []int16{-12305, -11171, -10812, -10586}, -.02530, .83394},
	} {
		table, ok := netem.BuiltIn(v.name)
		if !ok || len(table.Entries) != 4096 || !reflect.DeepEqual(table.Entries[:4], v.first) {
			t.Errorf("%s: %v", v.name, table.Entries[:4])
			continue
		}
		sum, total, squares := uint64(14695981039346656037), 0.0, 0.0
		for _, e := range table.Entries {
			sum = (sum ^ uint64(uint16(e))) * 1099511628211
			x := float64(e) / 8192
			total, squares = total+x, squares+x*x
		}
		mean := total / 4096
		deviation := math.Sqrt(squares/4096 - mean*mean)
		if sum != v.sum || math.Abs(mean-v.mean) > 1e-5 || math.Abs(deviation-v.deviation) > 1e-5 {
			t.Errorf("%s: sum %x, mean %.5f, deviation %.5f", v.name, sum, mean, deviation)
		}
	}
	if _, ok := netem.BuiltIn("experimental"); ok {
		t.Error("experimental is a measurement, nothing to compute")
	}
}

// Against what iproute2 has installed here, entry for entry.
func TestBuiltInTablesAreThoseInstalled(t *testing.T) {
	compared := 0
	for _, dir := range netem.TableFolders() {
		for _, name := range []string{"normal", "pareto", "paretonormal"} {
			f, err := os.Open(filepath.Join(dir, name+".dist"))
			if err != nil {
				continue
			}
			theirs, err := netem.ReadTable(f, f.Name(), name)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			ours, _ := netem.BuiltIn(name)
			if !reflect.DeepEqual(ours.Entries, theirs.Entries) {
				t.Errorf("%s differs from %s", name, f.Name())
			}
			compared++
		}
	}
	if compared == 0 {
		t.Skip("iproute2 has no tables here; the sums of its tables are compared all the same")
	}
}

func TestABrokenTableIsRefusedWithItsPlace(t *testing.T) {
	for _, v := range []struct{ text, want string }{
		{"", "x.dist: a distribution without numbers"},
		{"# only a comment\n\n", "x.dist: a distribution without numbers"},
		{"1 2\n3 x4", `x.dist:2:3: "x4" is not an integer`},
		{"1 32768", `x.dist:1:3: "32768" is not an integer from -32768 to 32767`},
		{"-32769", `x.dist:1:1: "-32769" is not an integer from`},
		{"9999999999999999999999", "is not an integer"},
		{strings.Repeat("1 ", 16385), "more than 16384 numbers"},
		{strings.Repeat("1", 2<<20), "token too long"},
	} {
		_, err := netem.ReadTable(strings.NewReader(v.text), "x.dist", "x")
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%.30q: %v, want %q", v.text, err, v.want)
		}
	}
	if _, err := netem.LoadTable("nothing", t.TempDir()); err == nil || !strings.Contains(err.Error(), "built in") {
		t.Error(err)
	}
	if _, err := netem.LoadTable("../x", t.TempDir()); err == nil {
		t.Error("a path is no name")
	}
}

func TestATableOfAUserIsFound(t *testing.T) {
	dir := t.TempDir()
	mine := &netem.Table{Name: "mine", Entries: []int16{-8192, 0, 8192, 1, -32768, 32767, 5, 6, 7}}
	var b bytes.Buffer
	if err := netem.WriteTable(&b, mine); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine.dist"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := parse(t, "delay 10ms 1ms distribution mine slot distribution mine 1ms 1us")
	got, err := c.LoadTables(t.TempDir(), dir)
	if err != nil || !reflect.DeepEqual(got.Delay, mine) || !reflect.DeepEqual(got.Slot, mine) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add([]byte("# c\n1 2 3\n-5 0x10"))
	f.Add([]byte("32768"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := netem.ReadTable(bytes.NewReader(text), "f", "t")
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := netem.WriteTable(&b, table); err != nil {
			t.Fatal(err)
		}
		again, err := netem.ReadTable(&b, "f", "t")
		if err != nil || !reflect.DeepEqual(table, again) {
			t.Errorf("%v, %v: %v", table, again, err)
		}
	})
}
