// Package matrix keeps tables of test results in a page of the documents: a test
// fills in what it has run, and fails where the page says something else. It is
// for tests only.
package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// A Matrix is a table whose rows are known before anything was run.
type Matrix struct {
	mark    string
	labels  []string // heads of the columns that name a row
	columns []string // heads of the others
	rows    [][]string
	cells   map[string]string // by row and column; a cell that was not run is missing
}

// New returns a table that stands in its page between two comments with mark.
func New(mark string, labels, columns []string) *Matrix {
	return &Matrix{mark: mark, labels: labels, columns: columns, cells: map[string]string{}}
}

// Row declares a row.
func (m *Matrix) Row(labels ...string) { m.rows = append(m.rows, labels) }

func key(labels []string) string { return strings.Join(labels, " | ") }

// Set fills in the cell of a column in the row with these labels.
func (m *Matrix) Set(value, column string, labels ...string) {
	known := slices.ContainsFunc(m.rows, func(row []string) bool { return slices.Equal(row, labels) })
	if !known || !slices.Contains(m.columns, column) {
		panic(fmt.Sprintf("matrix: %s has no cell %q of %q", m.mark, column, labels))
	}
	m.cells[key(append(slices.Clone(labels), column))] = value
}

// Check compares the table with the page, whose name begins at the repository's
// root, and writes it there with update. Cells that were not run are the page's;
// with whole there are none.
func (m *Matrix) Check(t testing.TB, page string, whole, update bool) {
	t.Helper()
	path := filepath.Join(linktest.Root(t), filepath.FromSlash(page))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.merge(string(text), whole)
	switch {
	case err != nil:
		t.Fatalf("%s: %v", page, err)
	case want == string(text):
	case !update:
		t.Errorf("%s says something else than what was run, which is:\n%s", page, m.between(want))
	default:
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *Matrix) marks() (begin, end string) {
	return "<!-- begin " + m.mark + " -->\n", "<!-- end " + m.mark + " -->"
}

func (m *Matrix) between(page string) string {
	begin, end := m.marks()
	_, rest, _ := strings.Cut(page, begin)
	body, _, _ := strings.Cut(rest, end)
	return body
}

// merge returns the page with what was run in it.
func (m *Matrix) merge(page string, whole bool) (string, error) {
	begin, end := m.marks()
	head, rest, ok := strings.Cut(page, begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("no marks of %q", m.mark)
	}
	has := m.parse(old)
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	b.WriteString(head + begin + "\n")
	line(slices.Concat(m.labels, m.columns))
	line(slices.Repeat([]string{"---"}, len(m.labels)+len(m.columns)))
	for _, labels := range m.rows {
		row := slices.Clone(labels)
		for _, column := range m.columns {
			k := key(append(slices.Clone(labels), column))
			cell, run := m.cells[k]
			if !run && whole {
				return "", fmt.Errorf("%s was not run", k)
			}
			if !run {
				if cell = has[k]; cell == "" {
					return "", fmt.Errorf("%s is not there: run the tests with -update", k)
				}
			}
			row = append(row, cell)
		}
		line(row)
	}
	b.WriteString("\n" + end + tail)
	return b.String(), nil
}

// parse reads the cells of a table.
func (m *Matrix) parse(table string) map[string]string {
	has := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != len(m.labels)+len(m.columns) {
			continue
		}
		for i, column := range m.columns {
			has[key(append(slices.Clone(cells[:len(m.labels)]), column))] = cells[len(m.labels)+i]
		}
	}
	return has
}
