package scenarios

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Limits of a scenario file.
const (
	MaxFile  = 1 << 20 // bytes
	MaxDepth = 32      // mappings and lists inside each other
	maxNodes = 100_000 // values, those that aliases repeat included
)

// A decoder turns the syntax tree of a file into a Scenario. It goes on after an
// error, so that one Load reports several.
type decoder struct {
	src     *source
	errs    Errors
	text    *textFile           // the file that is being decoded
	anchors map[string]ast.Node // of that file
	nodes   int
	depth   int

	literal  bool             // ${name} is not expanded
	now      bool             // an action need not say when
	unused   map[string]place // parameters of the main file that nothing used yet
	expanded int              // bytes that parameters put into values
}

// errTooMany ends a decoding that found MaxErrors errors.
var errTooMany = errors.New("too many errors")

func (d *decoder) fail(at place, path string, err error) {
	if len(d.errs) >= MaxErrors {
		panic(errTooMany)
	}
	d.errs = append(d.errs, newError(d.at(at), path, err))
}

// at completes a place of the file that is being decoded.
func (d *decoder) at(p place) place {
	if p.text == nil {
		p.text = d.text
	}
	return p
}

// newError makes an Error of err at a place, which may be nowhere.
func newError(at place, path string, err error) *Error {
	e := &Error{Path: path, Msg: shorten(err.Error())}
	var h *hinted
	if errors.As(err, &h) {
		e.Hint = h.hint
	}
	if at.text != nil {
		e.File, e.Line, e.Column, e.Excerpt, e.text = at.text.file, at.line, at.column, at.excerpt(), at.text.number
	}
	return e
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{line: 1, column: 1}
	}
	return place{line: tk.Position.Line, column: tk.Position.Column}
}

// A pair is one key of a mapping with its value.
type pair struct {
	key   string
	place place
	value ast.Node
}

// start returns where a node begins.
func start(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key.GetToken())
	}
	return placeOf(n.GetToken())
}

// enter follows anchors and aliases and counts what it visits. ok is false when
// the node cannot be used; that has been reported.
func (d *decoder) enter(n ast.Node, path string) (ast.Node, bool) {
	at := start(n)
	for {
		if d.nodes++; d.nodes > maxNodes {
			d.fail(at, path, hint("aliases repeat what they stand for", "more than %d values", maxNodes))
			panic(errTooMany)
		}
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			target, ok := d.anchors[name]
			if !ok {
				d.fail(at, path, hint("define it with &"+name, "the alias *%s has no anchor", name))
				return nil, false
			}
			n = target
		case *ast.TagNode:
			d.fail(at, path, hint("remove it", "the tag %s means nothing here", v.Start.Value))
			return nil, false
		case nil:
			d.fail(at, path, errors.New("nothing here"))
			return nil, false
		default:
			return n, true
		}
	}
}

// pairs returns the keys and values of a mapping.
func (d *decoder) pairs(n ast.Node, path string) ([]pair, bool) {
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		h := "write keys and values, such as \"key: value\", below it"
		if strings.HasSuffix(path, ".wait_for") && isText(n) {
			h = "write wait_for: {event: " + n.GetToken().Value + "}"
		}
		d.fail(start(n), path, hint(h, "%s is %s, not a mapping", last(path), kindOf(n)))
		return nil, false
	}
	all := make([]pair, 0, len(values))
	for _, v := range values {
		tk := v.Key.GetToken()
		at := placeOf(tk)
		if _, ok := v.Key.(*ast.StringNode); !ok {
			d.fail(at, path, fmt.Errorf("%q cannot be a key here", tk.Value))
			continue
		}
		if i := slices.IndexFunc(all, func(p pair) bool { return p.key == tk.Value }); i >= 0 {
			d.fail(at, join(path, tk.Value), hint("remove one of them", "the key %q stands here twice, first in line %d", tk.Value, all[i].place.line))
			continue
		}
		all = append(all, pair{tk.Value, at, v.Value})
	}
	return all, true
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "empty"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	}
	return "a text"
}

// index returns the path of a list entry.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// last returns the last key of a path, for messages.
func last(path string) string {
	if path == "" {
		return "the file"
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}

// value decodes a node into v.
func (d *decoder) value(n ast.Node, path string, v reflect.Value) {
	n, ok := d.enter(n, path)
	if !ok {
		return
	}
	d.src.places[path] = d.at(start(n))
	if d.depth++; d.depth > MaxDepth {
		d.fail(start(n), path, fmt.Errorf("more than %d levels deep", MaxDepth))
		panic(errTooMany)
	}
	defer func() { d.depth-- }()

	t := v.Type()
	switch {
	case t == reflect.TypeFor[Step]():
		d.step(n, path, v.Addr().Interface().(*Step))
	case t == reflect.TypeFor[Action]():
		d.action(n, path, v)
	case t == reflect.TypeFor[Expectation]() && isText(n):
		d.scalar(n, path, v.FieldByName("That"))
	case isScalar(t):
		d.scalar(n, path, v)
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if t.Elem().Kind() == reflect.Struct && !isScalar(t.Elem()) {
			setDefaults(p.Elem())
		}
		v.Set(p)
		d.depth--
		d.value(n, path, p.Elem())
		d.depth++
	case t.Kind() == reflect.Slice:
		d.list(n, path, v)
	default:
		f := shortField(t)
		if f != nil {
			v.SetZero() // another model, not more of its parameters
			setDefaults(v)
		}
		if f != nil && !isMapping(n) {
			d.short(n, path, f, v.FieldByIndex(f.index))
		} else if pairs, ok := d.pairs(n, path); ok {
			d.fields(pairs, start(n), path, v)
			if c, ok := v.Addr().Interface().(*Change); ok {
				for _, p := range pairs {
					c.keys = append(c.keys, p.key)
				}
			}
		}
	}
}

// short decodes the value of the one key that stands for a mapping.
func (d *decoder) short(n ast.Node, path string, f *field, v reflect.Value) {
	before := len(d.errs)
	d.value(n, path, v)
	if len(d.errs) == before && (f.min != "" || f.max != "") {
		f.key = last(path)
		if err := f.checkRange(v); err != nil {
			d.fail(start(n), path, err)
		}
	}
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// isText reports whether n is a scalar that has a value.
func isText(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}

func (d *decoder) scalar(n ast.Node, path string, v reflect.Value) {
	var s string
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	case *ast.NullNode:
		d.fail(start(n), path, hint("write a value, or remove the key", "%s has no value", last(path)))
		return
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s = n.GetToken().Value
	default:
		d.fail(start(n), path, hint("write one value", "%s is %s, not a single value", last(path), kindOf(n)))
		return
	}
	s, used, ok := d.expand(s, start(n), path)
	if !ok {
		return
	}
	if err := setText(v, s); err != nil {
		if used != "" {
			err = fmt.Errorf("%w, from ${%s}", err, used)
		}
		d.fail(start(n), path, err)
	}
}

func (d *decoder) list(n ast.Node, path string, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(start(n), path, hint("write each entry behind a hyphen, in a line of its own", "%s is %s, not a list", last(path), kindOf(n)))
		return
	}
	if !slices.Contains(joined, path) || v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, len(seq.Values)))
	}
	for _, item := range seq.Values {
		e := reflect.New(v.Type().Elem()).Elem()
		if e.Kind() == reflect.Struct {
			setDefaults(e)
		}
		d.value(item, index(path, v.Len()), e)
		v.Set(reflect.Append(v, e))
	}
}

// fields decodes the pairs of a mapping that begins at a place into the struct v.
func (d *decoder) fields(pairs []pair, at place, path string, v reflect.Value) {
	own, shared := fieldsOf(v.Type()), sharedFields(v.Type())
	pairs = presetFirst(pairs)
	// What is shared comes first, whatever the order of the file, so that the
	// key of one way wins.
	for _, p := range pairs {
		if i := indexKey(shared, p.key); i >= 0 {
			before := len(d.errs)
			for _, f := range own {
				if f.shared && len(d.errs) == before { // one report is enough
					d.field(p, path, &shared[i], v.FieldByIndex(f.index).FieldByIndex(shared[i].index))
					d.preset(join(path, f.key), v.FieldByIndex(f.index), &shared[i])
				}
			}
		}
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		seen[p.key] = true
		if i := indexKey(own, p.key); i >= 0 {
			d.field(p, path, &own[i], v.FieldByIndex(own[i].index))
			d.preset(path, v, &own[i])
		} else if indexKey(shared, p.key) < 0 {
			d.fail(p.place, join(path, p.key), hint(unknownHint(v.Type(), p.key, append(keysOf(own), keysOf(shared)...)), "unknown key %q", p.key))
		}
	}
	for _, f := range own {
		if f.required && !seen[f.key] {
			d.fail(at, path, hint("add it: "+example(&f), "%s lacks the key %q", last(path), f.key))
		}
	}
}

// example returns a line that shows how a missing key is written.
func example(f *field) string {
	switch {
	case f.key == "version":
		return fmt.Sprintf("version: %d", Version)
	case f.key == "broker":
		return "broker: {kind: model}"
	case f.alt != "":
		return f.key + ": " + f.alt
	case f.typ.Implements(enumType):
		return f.key + ": " + strings.Join(reflect.Zero(f.typ).Interface().(enum).Values(), " or ")
	}
	return f.key + ": …"
}

func indexKey(fields []field, key string) int {
	return slices.IndexFunc(fields, func(f field) bool { return f.key == key })
}

// field decodes the value of one key.
func (d *decoder) field(p pair, path string, f *field, v reflect.Value) {
	path = join(path, p.key)
	before := len(d.errs)
	d.value(p.value, path, v)
	if len(d.errs) > before || f.min == "" && f.max == "" {
		return
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if err := f.checkRange(v); err != nil {
		d.fail(d.src.places[path], path, err)
	}
}

// unknownHint says what to do about a key that its mapping does not have: a key
// of a mapping in it, of the same name, is what was meant.
func unknownHint(t reflect.Type, key string, keys []string) string {
	for _, f := range fieldsOf(t) {
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !isScalar(inner) && !f.shared && indexKey(fieldsOf(inner), key) >= 0 {
			return fmt.Sprintf("it belongs in %s: {%s: …}", f.key, key)
		}
	}
	if len(keys) == 0 {
		return "there are no keys here: remove it"
	}
	return didYouMean(key, keys)
}
