package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
func LoadFile(name string) (*Scenario, error) { return LoadFileWith(name, nil) }

// LoadFileWith is LoadFile with overrides.
func LoadFileWith(name string, overrides []Set) (*Scenario, error) {
	data, err := readFile(name)
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	return LoadWith(name, data, overrides)
}

// readFile reads at most one byte more than a scenario may have.
func readFile(name string) ([]byte, error) { return readUpTo(name, MaxFile) }

// readUpTo reads a file, and at most one byte more than most.
func readUpTo(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is a folder")}
	}
	// To open a named pipe waits for a writer, and nothing ends that. Those below
	// /dev, such as a shell's <(command), have one.
	if info.Mode()&fs.ModeNamedPipe != 0 && !strings.HasPrefix(name, "/dev/") {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is a named pipe")}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// readIncluded is readFile for files alone: what a scenario names must not make
// its reader wait.
func readIncluded(name string) ([]byte, error) { return readRegular(name, MaxFile) }

func readRegular(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("it is not a file")}
	}
	if err != nil {
		return nil, err
	}
	return readUpTo(name, most)
}

// plainError returns what is wrong with a file without its path.
func plainError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Load reads and checks the text of a scenario. name stands in the errors, which
// are Errors; what the text includes is read from the folder that name is in.
func Load(name string, data []byte) (*Scenario, error) { return LoadWith(name, data, nil) }

// LoadWith is Load with overrides: each sets a parameter or a key to another
// value, as if it stood in the file.
func LoadWith(name string, data []byte, overrides []Set) (*Scenario, error) {
	return loadFrom(name, data, overrides, readIncluded)
}

func loadFrom(name string, data []byte, overrides []Set, open func(string) ([]byte, error)) (*Scenario, error) {
	src := &source{places: map[string]place{}}
	texts := map[string][]byte{} // of included files, for reload
	again := func(sets []Set) (*Scenario, error) {
		return loadFrom(name, data, sets, func(name string) ([]byte, error) {
			if text, ok := texts[name]; ok {
				return text, nil
			}
			return open(name)
		})
	}
	src.reload = func(more []Set) (*Scenario, error) { return again(slices.Concat(overrides, more)) }
	read := open
	open = func(name string) ([]byte, error) {
		text, err := read(name)
		if err == nil {
			texts[name] = text
		}
		return text, err
	}
	l := &loader{open: open, from: map[string]place{}, d: &decoder{src: src, unused: map[string]place{}}}
	f := &File{}
	f.src = src
	err := l.load(name, data, overrides, f)
	switch {
	case err != nil:
		return nil, Errors{err}
	case len(l.d.errs) == 0:
		l.d.errs = f.complete()
	}
	if errs := l.d.errs; len(errs) > 0 {
		slices.SortStableFunc(errs, func(a, b *Error) int {
			return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		errs.blame(overrides, again)
		return nil, errs
	}
	return &f.Scenario, nil
}

// load decodes a file and what it includes. What is wrong with a key is in the
// decoder's errors; it returns early after MaxErrors of these.
func (l *loader) load(name string, data []byte, overrides []Set, f *File) *Error {
	defer func() {
		if r := recover(); r != nil && r != errTooMany { //nolint:errorlint // our own panic value, never wrapped
			panic(r)
		}
	}()
	d := l.d
	if err := l.read(name, data); err != nil || len(d.errs) > 0 {
		return err
	}
	l.parameters(overrides)
	d.depth++
	v := reflect.ValueOf(f).Elem()
	setDefaults(v)
	own, seen := fieldsOf(v.Type()), map[string]bool{"include": true, "params": true}
	var at place
	for i := range l.docs {
		doc := &l.docs[i]
		d.text, d.anchors, at = doc.text, doc.anchors, start(doc.root)
		d.src.places[""] = d.at(at)
		for _, p := range doc.pairs {
			if i := indexKey(own, p.key); i < 0 {
				d.fail(p.place, p.key, hint(didYouMean(p.key, keysOf(own)), "unknown key %q", p.key))
			} else if p.key != "include" && p.key != "params" {
				seen[p.key] = true
				d.field(p, "", &own[i], v.FieldByIndex(own[i].index))
			}
		}
	}
	for _, f := range own {
		if f.required && !seen[f.key] {
			d.fail(at, "", hint("add it: "+example(&f), "%s lacks the key %q", last(""), f.key))
		}
	}
	for _, p := range d.src.params {
		if at, unused := d.unused[p.Name]; unused {
			d.fail(at, join("params", p.Name), hint("remove it, or write ${"+p.Name+"} in a value", "the parameter %q is not used", p.Name))
		}
	}
	if len(d.errs) == 0 {
		d.override(overrides, &f.Scenario)
	}
	return nil
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
func (t *textFile) read(data []byte) *Error {
	if len(data) > MaxFile {
		return t.error(place{}, "", fmt.Errorf("the file is larger than %d bytes", MaxFile))
	}
	t.lines = strings.Split(string(data), "\n")
	for i, line := range t.lines {
		for col, r := range []rune(line) {
			switch {
			case r == utf8.RuneError && !utf8.ValidString(line):
				return t.error(place{line: i + 1, column: col + 1}, "", hint("save the file as UTF-8", "a byte that is not UTF-8"))
			case r == '\uFEFF':
				return t.error(place{line: i + 1, column: col + 1}, "", hint("save the file without a byte order mark", "a byte order mark"))
			case r < ' ' && r != '\t' && !(r == '\r' && col == len([]rune(line))-1), r == 0x7f:
				return t.error(place{line: i + 1, column: col + 1}, "", hint("remove it", "the control character U+%04X", r))
			}
		}
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") && strings.TrimSpace(line) != "" {
			return t.error(place{line: i + 1, column: strings.IndexByte(indent, '\t') + 1}, "", hint("indent with spaces", "a tab at the beginning of the line"))
		}
	}
	return nil
}

// error makes an Error of err at a place of the file.
func (t *textFile) error(at place, path string, err error) *Error {
	at.text = t
	return newError(at, path, err)
}

// parse returns the syntax tree.
func (t *textFile) parse(body string) (ast.Node, *Error) {
	tokens := lexer.Tokenize(body)
	if err := t.checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := place{line: 1, column: 1}
		msg := err.Error()
		var yerr yaml.Error
		if errors.As(err, &yerr) {
			at, msg = placeOf(yerr.GetToken()), yerr.GetMessage()
		}
		return nil, t.error(at, "", hint(syntaxHint(msg), "this is not YAML: %s", msg))
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType && doc.Body.GetToken().Value == "":
		case doc.Body.Type() == ast.DirectiveType:
			return nil, t.error(placeOf(doc.GetToken()), "", hint("remove the line", "a YAML directive"))
		case root != nil:
			return nil, t.error(start(doc.Body), "", hint("remove the line ---, or make two files", "a second document in one file"))
		default:
			root = doc.Body
		}
	}
	if root == nil {
		return nil, t.error(place{line: 1, column: 1}, "", hint("see emu show link-drop for an example", "the file is empty"))
	}
	return root, nil
}

// checkTokens refuses what the parser, which recurses over nesting and is
// quadratic in the keys of a mapping, should not be given.
func (t *textFile) checkTokens(tokens token.Tokens) *Error {
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
			return t.error(at, "", hint("repeat the keys", "merge keys (<<) are not part of the scenario language"))
		}
		switch {
		case keys > maxKeys:
			return t.error(at, "", fmt.Errorf("more than %d keys in one mapping", maxKeys))
		case len(flow) > MaxDepth, len(flow) == 0 && (entries > MaxDepth || at.column > maxIndent && isBlockStart(tk.Type)):
			return t.error(at, "", fmt.Errorf("more than %d levels deep", MaxDepth))
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
