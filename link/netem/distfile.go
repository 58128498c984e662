package netem

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Reading list: iproute2 tc/q_netem.c, get_distribution.

// tc's limits for a table's name and a line of its file.
const (
	maxTableName = 100
	maxDistLine  = 1 << 20
)

// TableFolders returns where tc looks for its tables: TC_LIB_DIR, and where the
// distributions of Linux install them.
func TableFolders() []string {
	folders := []string{
		"/usr/lib/tc", "/usr/lib64/tc", "/lib/tc", "/usr/share/tc", "/usr/local/lib/tc",
		"/usr/lib/x86_64-linux-gnu/tc", "/usr/lib/aarch64-linux-gnu/tc", "/usr/lib/arm-linux-gnueabihf/tc",
	}
	if dir := os.Getenv("TC_LIB_DIR"); dir != "" {
		folders = append([]string{dir}, folders...)
	}
	return folders
}

// LoadTable returns the table of a name: a built-in one, or NAME.dist from the
// first of the folders that has it. A run that uses a file can be repeated only
// where the file is.
func LoadTable(name string, folders ...string) (*Table, error) {
	if t, ok := BuiltIn(name); ok {
		return t, nil
	}
	if name == "" || len(name) > maxTableName || filepath.Base(name) != name || name[0] == '.' {
		return nil, fmt.Errorf("netem: %q is not the name of a distribution", name)
	}
	for _, dir := range folders {
		path := filepath.Join(dir, name+".dist")
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("netem: distribution %q: %w", name, err)
		}
		defer func() { _ = f.Close() }() // only read
		return ReadTable(f, path, name)
	}
	return nil, fmt.Errorf("netem: there is no distribution %q: normal, pareto and paretonormal are built in, others are files %s.dist of tc, and none is in %s",
		name, name, strings.Join(folders, ", "))
}

// ReadTable reads a .dist file: whole numbers between spaces, lines that begin
// with # left out. file names it in errors.
func ReadTable(r io.Reader, file, name string) (*Table, error) {
	t := &Table{Name: name}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxDistLine)
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range split(line) {
			v, err := strconv.ParseInt(w.s, 0, 64)
			if err != nil {
				return nil, fmt.Errorf("%s:%d:%d: %q is not a whole number", file, n, w.at+1, clip(w.s))
			}
			if v < -1<<15 || v >= 1<<15 {
				return nil, fmt.Errorf("%s:%d:%d: %d is not between -32768 and 32767 (8192 is one jitter)", file, n, w.at+1, v)
			}
			if len(t.Entries) == MaxTable {
				return nil, fmt.Errorf("%s:%d:%d: more than %d numbers", file, n, w.at+1, MaxTable)
			}
			t.Entries = append(t.Entries, int16(v))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
	}
	if len(t.Entries) == 0 {
		return nil, fmt.Errorf("%s: the table is empty", file)
	}
	return t, nil
}

// WriteTable writes a table as a .dist file that tc reads.
func WriteTable(w io.Writer, t *Table) error {
	b := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(b, "# %s\n", strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, t.Name))
	for i, v := range t.Entries {
		end := ' '
		if i%8 == 7 || i == len(t.Entries)-1 {
			end = '\n'
		}
		_, _ = fmt.Fprintf(b, "%d%c", v, end)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("netem: write table: %w", err)
	}
	return nil
}

// clip shortens a word of a hostile file for an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
