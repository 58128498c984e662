package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

// A limit is a constant of the source.
type limit struct {
	pkg, name string
	expr      ast.Expr
	comment   string
}

// A source is the constants of all packages, by package and name.
type constants map[string]map[string]*limit

// readConstants parses what is not a test.
func readConstants(t *testing.T) constants {
	t.Helper()
	root := linktest.Root(t)
	all := constants{}
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(file, root), string(filepath.Separator)))
		if d.IsDir() {
			if name := d.Name(); rel != "" && (strings.HasPrefix(name, ".") || name == "testdata" || rel == "internal" || rel == "tools" || rel == "bin" || rel == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all.add(path.Dir(rel), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// add notes the constants of a file, those inside functions as well.
func (c constants) add(pkg string, f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return true
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.ValueSpec)
			for i, name := range spec.Names {
				if i >= len(spec.Values) {
					continue // one of a list with iota
				}
				text := cmp.Or(oneLine(spec.Comment.Text()), oneLine(spec.Doc.Text()))
				text = cmp.Or(text, oneLine(decl.Doc.Text())) // of the whole group
				if c[pkg] == nil {
					c[pkg] = map[string]*limit{}
				}
				c[pkg][name.Name] = &limit{pkg, name.Name, spec.Values[i], strings.TrimPrefix(text, name.Name+" ")}
			}
		}
		return true
	})
}

// oneLine is the first sentence of a comment.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, ".")
}

var durations = map[string]time.Duration{
	"Nanosecond": time.Nanosecond, "Microsecond": time.Microsecond, "Millisecond": time.Millisecond,
	"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
}

// value works a constant out: numbers, their sums, products and shifts, times,
// and other constants.
func (c constants) value(pkg string, e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return c.value(pkg, e.X)
	case *ast.Ident:
		if l := c[pkg][e.Name]; l != nil {
			return c.value(pkg, l.expr)
		}
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		if ok && x.Name == "time" && durations[e.Sel.Name] != 0 {
			return constant.MakeInt64(int64(durations[e.Sel.Name]))
		}
		for other := range c {
			if ok && path.Base(other) == x.Name && c[other][e.Sel.Name] != nil {
				return c.value(other, c[other][e.Sel.Name].expr)
			}
		}
	case *ast.CallExpr: // a conversion
		if len(e.Args) == 1 {
			return c.value(pkg, e.Args[0])
		}
	case *ast.BinaryExpr:
		x, y := c.value(pkg, e.X), c.value(pkg, e.Y)
		if x == nil || y == nil {
			return nil
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, token.SHL, uint(n))
		}
		op := e.Op
		if op == token.QUO && x.Kind() == constant.Int && y.Kind() == constant.Int {
			op = token.QUO_ASSIGN // of whole numbers
		}
		return constant.BinaryOp(x, op, y)
	}
	return nil
}

// isTime reports whether an expression has a time in it.
func (c constants) isTime(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			x, isIdent := s.X.(*ast.Ident)
			found = found || isIdent && x.Name == "time"
			for pkg := range c { // a limit of another package
				if l := c[pkg][s.Sel.Name]; isIdent && path.Base(pkg) == x.Name && l != nil {
					found = found || c.isTime(l.expr)
				}
			}
		}
		return !found
	})
	return found
}

// ofBytes are names and comments of limits that count bytes.
var ofBytes = regexp.MustCompile(`(?i)bytes?\b|bytes|file|line$|memory|buffered|block$|size`)

// byBytes is a comment that says so of the limit itself, not of what it takes.
var byBytes = regexp.MustCompile(`(?i)^bytes\b|\bin bytes\b|\bthe bytes\b|\bhow many bytes\b|bounds .*\bbytes\b`)

// words write a limit as the page does: 16 MiB, 131,072, 1h.
func (c constants) words(l *limit) string {
	if ofBytes.MatchString(l.name) || byBytes.MatchString(l.comment) {
		if s := c.binary(l); s != "" {
			return s
		}
	}
	return c.plain(l)
}

// binary writes a limit by a unit of bytes, where it is written so in the source.
func (c constants) binary(l *limit) string {
	b, ok := l.expr.(*ast.BinaryExpr)
	if !ok || b.Op != token.SHL || c.value(l.pkg, b.Y) == nil {
		return ""
	}
	unit := map[string]string{"10": "KiB", "20": "MiB", "30": "GiB"}[c.value(l.pkg, b.Y).ExactString()]
	if unit == "" {
		return ""
	}
	return c.value(l.pkg, b.X).ExactString() + " " + unit
}

func (c constants) plain(l *limit) string {
	v := c.value(l.pkg, l.expr)
	if v == nil {
		return ""
	}
	if c.isTime(l.expr) {
		n, _ := constant.Int64Val(constant.ToInt(v))
		return shortest(time.Duration(n))
	}
	s := constant.ToInt(v).ExactString()
	if v.Kind() == constant.String || !regexp.MustCompile(`^[0-9]+$`).MatchString(s) {
		return ""
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

var limitName = regexp.MustCompile(`^[mM]ax[A-Z]`)

// limitsTable is every limit of the source.
func limitsTable(t *testing.T, all constants) string {
	var b strings.Builder
	b.WriteString("\n| package | limit | value | of what |\n|---|---|---|---|\n")
	n := 0
	for _, pkg := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[pkg])) {
			if l := all[pkg][name]; limitName.MatchString(name) && !strings.HasSuffix(name, "Nanoseconds") {
				value := all.words(l)
				if value == "" {
					continue // a word, or worked out at run time
				}
				fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", pkg, name, value, strings.ReplaceAll(l.comment, "|", "\\|"))
				n++
			}
		}
	}
	if n < 150 {
		t.Errorf("%d limits in the source", n)
	}
	b.WriteString("\n")
	return b.String()
}

var limitRow = regexp.MustCompile("(?m)^\\| ([^|]+) \\| ([^|]+) \\| (`[^|]+`) \\|$")

// What the page says of limits is what the source has: the numbers of its rows
// are those of the constants that they name, and below stands every limit there
// is.
func TestThePageOfLimitsHasTheNumbersOfTheSource(t *testing.T) {
	all := readConstants(t)
	linktest.Section(t, *update, "limits.md", begin, end, limitsTable(t, all), "go test ./cmd/emu -run Limits -update")
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	upper, _, _ := strings.Cut(string(page), begin)
	rows := limitRow.FindAllStringSubmatch(upper, -1)
	if len(rows) < 20 {
		t.Errorf("%d rows name a constant", len(rows))
	}
	for _, row := range rows {
		for _, m := range regexp.MustCompile("`([a-z/0-9]+)\\.([A-Za-z0-9]+)`").FindAllStringSubmatch(row[3], -1) {
			l := all[m[1]][m[2]]
			if l == nil {
				t.Errorf("%s: there is no constant %s.%s", row[1], m[1], m[2])
				continue
			}
			if !says(row[2], all.plain(l)) && !says(row[2], all.binary(l)) {
				t.Errorf("%s: the page says %q, and %s.%s is %s", row[1], row[2], m[1], m[2], all.plain(l))
			}
		}
	}
}

// says reports whether a text has a number that is no part of another.
func says(text, number string) bool {
	return number != "" && regexp.MustCompile(`(^|[^0-9,])`+regexp.QuoteMeta(number)+`($|[^0-9,]|,($|[^0-9]))`).MatchString(text)
}

// A number that is not that of its constant is found.
func TestAWrongLimitIsFound(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n\nimport \"time\"\n\nconst (\n\tmaxA = 16 << 20 // bytes\n\tmaxB = 8 * maxC\n\tmaxC = 250_000\n\tmaxD = 90 * time.Minute\n\tmaxE = \"text\"\n)\n", parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	all := constants{}
	all.add("x", f)
	for name, want := range map[string]string{"maxA": "16 MiB", "maxB": "2,000,000", "maxC": "250,000", "maxD": "1h30m", "maxE": ""} {
		if got := all.words(all["x"][name]); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := all["x"]["maxA"].comment; got != "bytes" {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]bool{"limit 250,000": true, "250,000, and more": true, "1,250,000": false, "250,0001": false, "25": false} {
		if says(text, "250,000") != want {
			t.Errorf("%q", text)
		}
	}
}
