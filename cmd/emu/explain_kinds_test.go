package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// kindsOf returns the kinds of events that the repository declares: constants of
// the type Kind of package trace.
func kindsOf(t *testing.T) map[string]string {
	t.Helper()
	root, all := linktest.Root(t), map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			name := ""
			switch typ := v.Type.(type) {
			case *ast.Ident:
				if file.Name.Name == "trace" {
					name = typ.Name
				}
			case *ast.SelectorExpr:
				if p, ok := typ.X.(*ast.Ident); ok && p.Name == "trace" {
					name = typ.Sel.Name
				}
			}
			if text, ok := v.Values[0].(*ast.BasicLit); ok && name == "Kind" {
				if kind, err := strconv.Unquote(text.Value); err == nil {
					all[kind] = path
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestExplainKnowsEveryKindOfEvent(t *testing.T) {
	known := map[string]bool{}
	for _, k := range kindTexts {
		known[string(k.kind)] = true
	}
	kinds := kindsOf(t)
	for kind, path := range kinds {
		if !known[kind] {
			t.Errorf("emu explain does not know %q of %s", kind, path)
		}
	}
	if len(kinds) < len(known) || len(kinds) < 40 {
		t.Errorf("found %d kinds in the repository, explain has %d", len(kinds), len(known))
	}
}
