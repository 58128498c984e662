package scenarios

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// step decodes a mapping with one key, or the key alone.
func (d *decoder) step(n ast.Node, path string, s *Step) {
	v := reflect.ValueOf(s).Elem()
	all := fieldsOf(v.Type())
	unknown := func(at place, key string) {
		// A colon was forgotten: YAML takes all of it for one word.
		if name, _, more := strings.Cut(key, " "); more && indexKey(all, name) >= 0 {
			d.fail(at, path, hint("put a colon behind "+name+", as in "+stepExample(name), "unknown step %q", key))
			return
		}
		if key == "wait" || key == "pause" || key == "delay" {
			d.fail(at, path, hint("write "+stepExample("sleep")+"; wait_for waits for an event", "unknown step %q", key))
			return
		}
		d.fail(at, path, hint(didYouMean(key, keysOf(all)), "unknown step %q", key))
	}
	if isText(n) {
		key := n.GetToken().Value
		if i := indexKey(all, key); i < 0 {
			unknown(start(n), key)
		} else {
			d.emptyStep(start(n), join(path, key), &all[i], v.FieldByIndex(all[i].index))
		}
		return
	}
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	if len(pairs) != 1 {
		at := start(n)
		if len(pairs) > 1 {
			at = pairs[1].place
		}
		d.fail(at, path, hint("begin each step with a hyphen", "a step is one key, here are %d", len(pairs)))
		return
	}
	p := pairs[0]
	i := indexKey(all, p.key)
	if i < 0 {
		unknown(p.place, p.key)
		return
	}
	if _, null := p.value.(*ast.NullNode); null {
		d.emptyStep(p.place, join(path, p.key), &all[i], v.FieldByIndex(all[i].index))
		return
	}
	d.field(p, path, &all[i], v.FieldByIndex(all[i].index))
}

// emptyStep sets a step that has no options in the file.
func (d *decoder) emptyStep(at place, path string, f *field, v reflect.Value) {
	p := reflect.New(f.typ.Elem())
	d.src.places[path] = d.at(at)
	switch got := p.Interface().(type) {
	case *MessageGet:
		*got = GetOne
	case *Duration:
		d.fail(at, path, hint("write "+f.key+": 5s", "%s needs a duration", f.key))
		return
	default:
		setDefaults(p.Elem())
		d.fields(nil, at, path, p.Elem())
	}
	v.Set(p)
}

// stepExample shows how a step is written.
func stepExample(name string) string {
	f := fieldsOf(reflect.TypeFor[Step]())
	typ := f[indexKey(f, name)].typ.Elem()
	if typ.Kind() != reflect.Struct || isScalar(typ) {
		return name + ": …"
	}
	for _, key := range fieldsOf(typ) {
		if key.required || name == "publish" {
			return name + ": {" + key.key + ": …}"
		}
	}
	return name + ": {}"
}
