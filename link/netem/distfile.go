package netem

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hilnet/link"
)

// Reading list: iproute2 tc/q_netem.c, get_distribution.

// maxTableName is tc's limit.
const maxTableName = 100

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
	path, err := FindTable(name, folders...)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("netem: distribution %q: %w", name, err)
	}
	defer func() { _ = f.Close() }() // only read
	return ReadTable(f, path, name)
}

// TableExt is the extension of tc's files.
const TableExt = ".dist"

// FindTable returns the path of a table that is not built in: that of the first
// of the folders that has it.
func FindTable(name string, folders ...string) (string, error) {
	if name == "" || len(name) > maxTableName || filepath.Base(name) != name || name[0] == '.' {
		return "", fmt.Errorf("netem: %q is not the name of a distribution", name)
	}
	for _, dir := range folders {
		path := filepath.Join(dir, name+TableExt)
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("netem: distribution %q: %w", name, err)
		}
		return path, nil
	}
	return "", fmt.Errorf("netem: there is no distribution %q: normal, pareto and paretonormal are built in, others are files %s.dist of tc, and none is in %s",
		name, name, strings.Join(folders, ", "))
}

// ReadTable reads a .dist file as link.ReadDist does. file names it in errors.
func ReadTable(r io.Reader, file, name string) (*Table, error) {
	entries, err := link.ReadDist(r, file)
	if err != nil {
		return nil, fmt.Errorf("netem: %w", err)
	}
	return &Table{Name: name, Entries: entries}, nil
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
