package scenarios

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// LoadFile reads and checks a scenario file. What is wrong in the file comes as
// Errors; what keeps it from being read is the error of the file system.
func LoadFile(name string) (*Scenario, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	return Load(name, data)
}

// Load reads and checks the text of a scenario. name stands in the errors, which
// are Errors.
func Load(name string, data []byte) (*Scenario, error) {
	src := &source{file: name, places: map[string]place{}}
	if err := src.read(data); err != nil {
		return nil, Errors{err}
	}
	root, err := src.parse(string(data))
	if err != nil {
		return nil, Errors{err}
	}
	d := &decoder{src: src, anchors: anchorsOf(root)}
	s := &Scenario{src: src}
	d.root(root, s)
	if len(d.errs) == 0 {
		d.errs = s.complete()
	}
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, d.errs
	}
	return s, nil
}

// root decodes the whole file. It returns early after MaxErrors errors.
func (d *decoder) root(n ast.Node, s *Scenario) {
	defer func() {
		if r := recover(); r != nil && r != errTooMany { //nolint:errorlint // our own panic value, never wrapped
			panic(r)
		}
	}()
	setDefaults(reflect.ValueOf(s).Elem())
	// Another version may have other keys: it is named before they are.
	before := len(d.errs)
	if n, ok := d.enter(n, ""); ok {
		d.version(n)
	}
	if len(d.errs) == before {
		d.value(n, "", reflect.ValueOf(s).Elem())
	}
}

func (d *decoder) version(n ast.Node) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return
	}
	for _, v := range m.Values {
		if tk := v.Key.GetToken(); tk.Value == "version" && v.Value != nil {
			if got := v.Value.GetToken(); got.Value != fmt.Sprint(Version) {
				d.fail(placeOf(got), "version", hint(fmt.Sprintf("write version: %d", Version), "version %q of the scenario language is not known", got.Value))
			}
		}
	}
}

// read splits the text into lines and refuses what no scenario holds.
func (s *source) read(data []byte) *Error {
	if len(data) > MaxFile {
		return s.error(place{}, "", fmt.Errorf("the file is larger than %d bytes", MaxFile))
	}
	s.lines = strings.Split(string(data), "\n")
	for i, line := range s.lines {
		for col, r := range []rune(line) {
			switch {
			case r == utf8.RuneError && !utf8.ValidString(line):
				return s.error(place{i + 1, col + 1}, "", hint("save the file as UTF-8", "a byte that is not UTF-8"))
			case r == '\uFEFF':
				return s.error(place{i + 1, col + 1}, "", hint("save the file without a byte order mark", "a byte order mark"))
			case r < ' ' && r != '\t' && !(r == '\r' && col == len([]rune(line))-1), r == 0x7f:
				return s.error(place{i + 1, col + 1}, "", hint("remove it", "the control character U+%04X", r))
			}
		}
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") && strings.TrimSpace(line) != "" {
			return s.error(place{i + 1, strings.IndexByte(indent, '\t') + 1}, "", hint("indent with spaces", "a tab at the beginning of the line"))
		}
	}
	return nil
}

// parse returns the syntax tree.
func (s *source) parse(text string) (ast.Node, *Error) {
	tokens := lexer.Tokenize(text)
	if err := s.checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := place{1, 1}
		msg := err.Error()
		var yerr yaml.Error
		if errors.As(err, &yerr) {
			at, msg = placeOf(yerr.GetToken()), yerr.GetMessage()
		}
		return nil, s.error(at, "", hint(syntaxHint(msg), "this is not YAML: %s", msg))
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType && doc.Body.GetToken().Value == "":
		case doc.Body.Type() == ast.DirectiveType:
			return nil, s.error(placeOf(doc.GetToken()), "", hint("remove the line", "a YAML directive"))
		case body != nil:
			return nil, s.error(start(doc.Body), "", hint("remove the line ---, or make two files", "a second document in one file"))
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil, s.error(place{1, 1}, "", hint("see emu show link-drop for an example", "the file is empty"))
	}
	return body, nil
}

// checkTokens refuses what the parser, which recurses over nesting and is
// quadratic in the keys of a mapping, should not be given.
func (s *source) checkTokens(tokens token.Tokens) *Error {
	line, entries := 0, 0
	flow := []int{} // keys in each open bracket
	block := keyColumns{}
	for _, tk := range tokens {
		at := placeOf(tk)
		if at.line != line {
			line, entries = at.line, 0
		}
		keys := 0
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow = append(flow, 0)
		case token.MappingEndType, token.SequenceEndType:
			flow = flow[:max(0, len(flow)-1)]
		case token.SequenceEntryType:
			entries++
			block = block.leave(at.column)
		case token.MappingValueType:
			entries++
			if len(flow) > 0 {
				flow[len(flow)-1]++
				keys = flow[len(flow)-1]
			} else if tk.Prev != nil {
				block, keys = block.key(placeOf(tk.Prev).column)
			}
		case token.MappingKeyType, token.AnchorType, token.TagType:
			entries++
		case token.MergeKeyType:
			return s.error(at, "", hint("repeat the keys", "merge keys (<<) are not part of the scenario language"))
		}
		switch {
		case keys > maxKeys:
			return s.error(at, "", fmt.Errorf("more than %d keys in one mapping", maxKeys))
		case len(flow) > MaxDepth, len(flow) == 0 && (entries > MaxDepth || at.column > maxIndent && isBlockStart(tk.Type)):
			return s.error(at, "", fmt.Errorf("more than %d levels deep", MaxDepth))
		}
	}
	return nil
}

// maxKeys bounds the keys of one mapping; the language has no more than 30.
const maxKeys = 256

// keyColumns counts the keys of the open block mappings, by their column.
type keyColumns []struct{ column, keys int }

// leave closes the mappings that stand further right than a column.
func (k keyColumns) leave(column int) keyColumns {
	for len(k) > 0 && k[len(k)-1].column > column {
		k = k[:len(k)-1]
	}
	return k
}

// key counts a key and returns how many its mapping has.
func (k keyColumns) key(column int) (keyColumns, int) {
	k = k.leave(column)
	if len(k) == 0 || k[len(k)-1].column < column {
		k = append(k, struct{ column, keys int }{column, 0})
	}
	k[len(k)-1].keys++
	return k, k[len(k)-1].keys
}

// maxIndent bounds the column that a list entry or key may begin in.
const maxIndent = 400

func isBlockStart(t token.Type) bool {
	return t == token.SequenceEntryType || t == token.MappingKeyType || t == token.MappingValueType
}

func syntaxHint(msg string) string {
	switch {
	case strings.Contains(msg, "tab"):
		return "indent with spaces"
	case strings.Contains(msg, "must be written in the same line"), strings.Contains(msg, "non-map value"), strings.Contains(msg, "unexpected key"):
		return "check the indentation, and the space behind each colon"
	case strings.Contains(msg, "not found"), strings.Contains(msg, "could not find"):
		return "check brackets and quotes"
	}
	return "check indentation, brackets and quotes"
}

// anchorsOf returns the values that aliases can stand for.
func anchorsOf(n ast.Node) map[string]ast.Node {
	found := anchorVisitor{}
	ast.Walk(found, n)
	return found
}

type anchorVisitor map[string]ast.Node

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil && a.Value != nil {
		v[a.Name.GetToken().Value] = a.Value
	}
	return v
}
