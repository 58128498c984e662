package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

const module = "hilnet"

// A Package is what `go list -json` says about one, as far as it matters here.
type Package struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string // without those of tests
	Standard   bool
}

// Check returns what is wrong with the packages of the module, in their order.
func Check(pkgs []Package) []string {
	var wrong []string
	for _, p := range pkgs {
		path, ours := inModule(p.ImportPath)
		if !ours {
			continue
		}
		from, known := layerOf(path)
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s: the package is not in the table of internal/archtest", path))
			continue
		}
		for _, imp := range p.Imports {
			if why := checkImport(path, from, imp); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", path, imp, why))
			}
		}
	}
	return wrong
}

func checkImport(path string, from Layer, imp string) string {
	if to, ours := inModule(imp); ours {
		return checkOwn(path, from, to)
	}
	if isStandard(imp) {
		if owners, limited := standard[imp]; limited && !matches(owners, path) {
			return fmt.Sprintf("only %v may", owners)
		}
		return ""
	}
	for _, prefix := range from.Third {
		if prefix == "" || imp == prefix || strings.HasPrefix(imp, prefix+"/") {
			return ""
		}
	}
	return fmt.Sprintf("a dependency outside its owner; %s may import %v", path, from.Third)
}

func checkOwn(path string, from Layer, to string) string {
	into, known := layerOf(to)
	switch {
	case !known:
		return "the package is not in the table of internal/archtest"
	case from.Row == testsOnly:
		return ""
	case into.Row == testsOnly:
		return "only tests may"
	case strings.HasPrefix(path, to+"/"): // a parent
		return ""
	case into.Row >= from.Row:
		return fmt.Sprintf("row %d may not import row %d", from.Row, into.Row)
	}
	return ""
}

// inModule returns the path inside the module of an import path.
func inModule(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func layerOf(path string) (Layer, bool) {
	if l, ok := layers[path]; ok {
		return l, true
	}
	top, _, _ := strings.Cut(path, "/")
	l, ok := layers[top+"/..."]
	return l, ok
}

// isStandard reports whether an import path is the standard library's: its
// first element has no dot.
func isStandard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// matches reports whether path is in the list, or below an entry that ends in /...
func matches(list []string, path string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		prefix, below := strings.CutSuffix(entry, "/...")
		return path == prefix || below && strings.HasPrefix(path, prefix+"/")
	})
}

// CheckClock returns the places in a file that use real time without leave.
func CheckClock(name string, source []byte) ([]string, error) {
	folder := name[:max(strings.LastIndexByte(name, '/'), 0)]
	if strings.HasSuffix(name, "_test.go") || matches(clock, folder) || matches(clock, name) {
		return nil, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("archtest: %w", err)
	}
	local := ""
	for _, imp := range file.Imports {
		if imp.Path.Value == `"time"` {
			local = "time"
			if imp.Name != nil {
				local = imp.Name.Name
			}
		}
	}
	if local == "" {
		return nil, nil
	}
	var wrong []string
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && clockNames[sel.Sel.Name] {
			wrong = append(wrong, fmt.Sprintf("%v: time.%s is real time; use the loop's", fset.Position(sel.Pos()), sel.Sel.Name))
		}
		return true
	})
	return wrong, nil
}
