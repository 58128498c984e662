package scenarios

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A Set overrides a parameter or a key of a scenario.
type Set struct {
	// Key is the name of a parameter, or the path of a key. A path names entries
	// of a list by number, by name, or all with a star: links[0].delay,
	// devices[sensor].pool.packets, devices[*].mtu. link and device are the only
	// link and device, and the front of a path may be missing where that leaves
	// one meaning: link.delay, pool.packets.
	Key string
	// Value as it is written in a file. An empty one takes the key away, so that
	// its default holds.
	Value string
}

// ParseSet reads KEY=VALUE.
func ParseSet(s string) (Set, error) {
	key, value, ok := strings.Cut(s, "=")
	if key = strings.TrimSpace(key); !ok || key == "" {
		return Set{}, fmt.Errorf("scenarios: %q is not KEY=VALUE (write it as in pool.packets=8)", s)
	}
	return Set{key, strings.TrimSpace(value)}, nil
}

// String returns the override as ParseSet reads it.
func (s Set) String() string { return s.Key + "=" + s.Value }

// setFile begins the name that the text of an override has in errors.
const setFile = "--set "

// IsSet reports whether the error is about an override, or about a file that is
// right without the overrides.
func (e *Error) IsSet() bool { return e.bySet || strings.HasPrefix(e.File, setFile) }

// blame tells that overrides are the cause of errors in a file that is right
// without them.
func (errs Errors) blame(sets []Set, reload func([]Set) (*Scenario, error)) {
	if len(sets) == 0 || slices.ContainsFunc(errs, (*Error).IsSet) {
		return
	}
	if _, err := reload(nil); err != nil {
		return
	}
	words := make([]string, len(sets))
	for i, s := range sets {
		words[i] = setFile + s.String()
	}
	for _, e := range errs {
		e.bySet = true
		e.Msg = shorten("with " + strings.Join(words, " ") + ": " + e.Msg)
	}
}

// With loads the scenario again, from the same texts, with overrides in addition
// to those it has. One that was made or changed in Go is written and read: to
// its overrides, every default stands in the file. The error is of type Errors.
func (s *Scenario) With(sets ...Set) (*Scenario, error) {
	if s.src != nil && s.src.reload != nil {
		if as, err := s.src.reload(nil); err == nil && Equal(as, s) {
			return s.src.reload(sets)
		}
	}
	text, err := s.Resolved()
	if err != nil {
		return nil, err
	}
	return LoadWith(s.Name+".yaml", text, sets)
}

// A target is a key that a Set changes.
type target struct {
	path  string // of what the key stands in
	field field
	value reflect.Value
	fixed bool // it cannot be left out
}

// keys returns the keys of a target that is a mapping, but for the kinds of
// mapping that have a short form.
func (t *target) keys() []string {
	typ := t.value.Type()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || isScalar(typ) || shortField(typ) != nil || slices.Contains([]reflect.Type{reflect.TypeFor[Step](), reflect.TypeFor[Expectation](), reflect.TypeFor[Action]()}, typ) {
		return nil
	}
	return keysOf(append(fieldsOf(typ), sharedFields(typ)...))
}

// A segment is one part of a path, such as links[0].
type segment struct {
	key      string
	selector string
	selected bool
}

var segmentPattern = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(?:\[([^\[\]]+)\])?$`)

// override applies what sets say to a scenario whose file has been decoded.
func (d *decoder) override(sets []Set, s *Scenario) {
	for i, set := range sets {
		if d.src.param(set.Key) != nil {
			continue // done before the file was decoded
		}
		t := &textFile{file: setFile + shorten(set.String()), number: maxIncluded + 1 + i}
		d.text, d.anchors = t, nil
		if err := t.read([]byte(set.Key + "=" + set.Value)); err != nil {
			d.errs = append(d.errs, err)
			return
		}
		d.set(t, set, s)
	}
	// What an override has taken away, or put beside a preset, the preset says again.
	eachWay(s, func(path string, dir *Direction) { d.preset(path, valueOf(dir), &presetField) })
}

// set applies one override.
func (d *decoder) set(t *textFile, set Set, s *Scenario) {
	at := place{line: 1, column: 1}
	targets, err := targetsOf(s, set.Key, d.src.params)
	if err != nil {
		d.fail(at, set.Key, err)
		return
	}
	if strings.TrimSpace(set.Value) == "" {
		at.column = len([]rune(set.Key)) + 2
		for _, target := range targets {
			if target.fixed {
				d.fail(at, set.Key, hint("write a value behind the equals sign", "%s cannot be left out", target.field.key))
				return
			}
			setDefault(target.value, &target.field)
			d.forget(join(target.path, target.field.key))
			if target.field.key == "preset" {
				d.unset(target.value, s)
			}
		}
		return
	}
	// Indented as far as it stands behind the key: positions are right then.
	node, bad := t.parse(strings.Repeat(" ", len([]rune(set.Key))+1) + set.Value)
	if bad != nil {
		d.errs = append(d.errs, bad)
		return
	}
	for _, target := range targets {
		if target.value.Kind() == reflect.Slice {
			target.value.SetZero() // another list, not a longer one
		}
		if keys := target.keys(); len(keys) > 0 {
			if _, isMapping := node.(*ast.MappingNode); !isMapping {
				d.fail(start(node), set.Key, hint("set one of its keys: "+set.Key+"."+strings.Join(keys, ", "+set.Key+"."), "%s has keys of its own, and no single value", set.Key))
				return
			}
			setDefault(target.value, &target.field) // another mapping, not more keys
		}
		d.forget(join(target.path, target.field.key))
		before := len(d.errs)
		d.field(pair{key: target.field.key, place: start(node), value: node}, target.path, &target.field, target.value)
		if len(d.errs) > before {
			return
		}
		for i := range s.Timeline {
			head := join(index("timeline", i), "change")
			c := s.Timeline[i].Change
			if tail, inside := strings.CutPrefix(join(target.path, target.field.key), head+"."); inside && c != nil {
				key, _, _ := strings.Cut(tail, ".")
				if !slices.Contains(c.keys, key) {
					c.keys = append(c.keys, key)
				}
			}
		}
	}
}

// targetsOf returns the keys that the key of a Set names.
func targetsOf(s *Scenario, key string, params []Param) ([]target, error) {
	var segments []segment
	for _, part := range strings.Split(key, ".") {
		m := segmentPattern.FindStringSubmatch(part)
		if m == nil {
			return nil, hint("write a path such as links[0].delay or pool.packets", "%q is not the path of a key", key)
		}
		segments = append(segments, segment{m[1], m[2], m[2] != ""})
	}
	switch first := &segments[0]; {
	case (first.key == "link" || first.key == "device") && !first.selected:
		first.key += "s"
		n := len(s.Devices)
		if first.key == "links" {
			n = max(len(s.Links), 1) // the one that a device without an entry has
		}
		switch {
		case len(segments) > 1:
		case n == 1:
			first.selector, first.selected = "0", true
		default:
			return nil, hint(fmt.Sprintf("write %s[0], or %[1]s[*] for all", first.key), "there are %d %s", n, first.key)
		}
	case indexKey(fieldsOf(reflect.TypeFor[Scenario]()), first.key) < 0:
		front, err := missingFront(segments, params)
		if err != nil {
			return nil, err
		}
		segments = append(front, segments...)
	}
	if segments[0].key == "links" && len(s.Links) == 0 && len(s.Devices) == 1 {
		s.Links = append(s.Links, NewLink("", "")) // the one that a device without an entry has
	}
	return walk(reflect.ValueOf(s).Elem(), "", segments)
}

// missingFront finds the keys in front of a path that begins in the middle.
func missingFront(segments []segment, params []Param) ([]segment, error) {
	keys := make([]string, len(segments))
	for i, s := range segments {
		keys[i] = s.key
	}
	tail := strings.Join(keys, ".")
	var found, all []string
	for _, k := range Keys() {
		path := strings.ReplaceAll(k.Path, "[]", "")
		if !strings.Contains("."+path, ".do.") {
			all = append(all, path)
		}
		// What stands in a way of a link may stand in the link itself.
		if strings.HasSuffix(path, "."+tail) && !strings.HasPrefix(path, "links.up.") && !strings.HasPrefix(path, "links.down.") {
			found = append(found, path)
		}
	}
	found = likely(found)
	switch len(found) {
	case 1:
		var front []segment
		for _, key := range strings.Split(strings.TrimSuffix(found[0], "."+tail), ".") {
			front = append(front, segment{key: key})
		}
		return front, nil
	case 0:
		for _, p := range params {
			all = append(all, p.Name)
		}
		h := "see the keys in docs/language.md"
		if near := nearestPath(tail, all); near != "" {
			h = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, hint(h, "no parameter and no key is called %q", tail)
	}
	return nil, hint("write one of: "+strings.Join(found, ", "), "%q has several meanings", tail)
}

// likely returns those of several paths that are meant most likely: not in the
// timeline, in steps or in expectations when there are others, and of these the
// shortest.
func likely(paths []string) []string {
	rest := slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
		return strings.HasPrefix(p, "timeline.") || strings.HasPrefix(p, "expect.") || strings.HasPrefix(p, "devices.steps.")
	})
	if len(rest) == 0 {
		return paths
	}
	depth := func(p string) int { return strings.Count(p, ".") }
	least := slices.MinFunc(rest, func(a, b string) int { return depth(a) - depth(b) })
	return slices.DeleteFunc(rest, func(p string) bool { return depth(p) > depth(least) })
}

// nearestPath returns the path that tail is nearest to, or to its end.
func nearestPath(tail string, paths []string) string {
	var ends []string
	n := strings.Count(tail, ".") + 1
	for _, p := range paths {
		parts := strings.Split(p, ".")
		ends = append(ends, strings.Join(parts[max(0, len(parts)-n):], "."))
	}
	return nearest(tail, ends)
}

// walk follows a path from the struct v.
func walk(v reflect.Value, path string, segments []segment) ([]target, error) {
	s := segments[0]
	a, isAction := v.Addr().Interface().(*Action)
	if isAction {
		if takes, _ := a.Do.takes(s.key); s.key == "do" || !takes && (s.key == "value" || indexKey(fieldsOf(v.Type()), s.key) >= 0) {
			return nil, hint("it takes "+a.Do.keyList(), "an override cannot give %s of %s a key %q", path, a.Do, s.key)
		}
		if fv, f, ok := a.value(); ok && s.key == "value" {
			return []target{{path, f, fv, true}}, nil
		}
	}
	if i := indexKey(sharedFields(v.Type()), s.key); i >= 0 {
		var all []target
		for _, f := range fieldsOf(v.Type()) {
			if f.shared {
				targets, err := walk(v.FieldByIndex(f.index), path, segments)
				if err != nil {
					return nil, err
				}
				all = append(all, targets...)
			}
		}
		return all, nil
	}
	fields := fieldsOf(v.Type())
	i := indexKey(fields, s.key)
	if i < 0 {
		return nil, hint(didYouMean(s.key, append(keysOf(fields), keysOf(sharedFields(v.Type()))...)), "unknown key %q", s.key)
	}
	f, fv := fields[i], v.FieldByIndex(fields[i].index)
	if step, ok := v.Addr().Interface().(*Step); ok && fv.IsNil() {
		return nil, hint("its path goes on with "+step.Name(), "%s is a %s, not a %s", path, step.Name(), s.key)
	}
	switch {
	case fv.Kind() == reflect.Slice && (s.selected || len(segments) > 1):
		return walkList(fv, path, segments)
	case s.selected:
		return nil, hint("write "+s.key+" without brackets", "%s is not a list", s.key)
	case len(segments) == 1:
		return []target{{path, f, fv, f.required}}, nil
	case isScalar(f.typ):
		return nil, hint("the path ends with "+s.key, "%s has no keys of its own", s.key)
	case fv.Kind() == reflect.Pointer:
		if fv.Type().Elem().Kind() != reflect.Struct {
			return nil, hint("the path ends with "+s.key, "%s has no keys of its own", s.key)
		}
		if fv.IsNil() {
			fv.Set(reflect.New(fv.Type().Elem()))
			setDefaults(fv.Elem())
		}
		fv = fv.Elem()
	}
	return walk(fv, join(path, s.key), segments[1:])
}

// walkList follows a path into entries of a list.
func walkList(list reflect.Value, path string, segments []segment) ([]target, error) {
	s := segments[0]
	path = join(path, s.key)
	var chosen, names []string
	var all []target
	for i := range list.Len() {
		name := strconv.Itoa(i)
		names = append(names, name)
		if e := list.Index(i); e.Kind() == reflect.Struct && e.FieldByName("Name").IsValid() && e.FieldByName("Name").String() == s.selector {
			name = s.selector
		}
		if s.selected && s.selector != name && s.selector != "*" {
			continue
		}
		chosen = append(chosen, name)
		if len(segments) == 1 {
			all = append(all, target{path, field{key: fmt.Sprintf("[%d]", i), typ: list.Type().Elem()}, list.Index(i), true})
			continue
		}
		if list.Type().Elem().Kind() != reflect.Struct {
			return nil, hint("the path ends with "+s.key, "entries of %s have no keys", path)
		}
		if !s.selected && i > 0 {
			continue // an error below
		}
		targets, err := walk(list.Index(i), index(path, i), segments[1:])
		if err != nil {
			return nil, err
		}
		all = append(all, targets...)
	}
	switch {
	case list.Len() == 0:
		return nil, hint("write it in the file", "%s is empty", path)
	case len(chosen) == 0:
		return nil, hint("one of: "+strings.Join(append(slices.Clone(names[:min(len(names), 10)]), "*"), ", "), "%s has no entry %q", path, s.selector)
	case !s.selected && list.Len() > 1:
		return nil, hint(fmt.Sprintf("write %s[0] to %s[%d], a name, or %s[*]", path, path, list.Len()-1, path), "%s has %d entries", path, list.Len())
	}
	return all, nil
}
