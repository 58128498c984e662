package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Resolved validates a copy of s and writes it as YAML with every default spelt
// out: Load reads an equal scenario from it.
func (s *Scenario) Resolved() ([]byte, error) {
	whole := s.Clone()
	if err := whole.Validate(); err != nil {
		return nil, err
	}
	w := &writer{}
	w.fields(mapping(reflect.ValueOf(whole).Elem()), 0)
	return w.Bytes(), nil
}

// Clone returns a copy that shares nothing with s that is ever changed.
func (s *Scenario) Clone() *Scenario {
	c := clone(reflect.ValueOf(*s)).Interface().(Scenario)
	c.src, c.origin = s.src, s.origin
	return &c
}

// Equal reports whether two scenarios are the same, wherever they were read.
func Equal(a, b *Scenario) bool {
	x, y := a.Clone(), b.Clone()
	x.src, y.src = nil, nil
	x.origin, y.origin = origin{}, origin{}
	return reflect.DeepEqual(x, y)
}

// clone copies slices and pointers. Empty slices become nil.
func clone(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch {
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			out.Set(reflect.Append(out, clone(v.Index(i))))
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(clone(v.Elem()))
	case v.Kind() == reflect.Struct && !isScalar(v.Type()):
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(clone(v.Field(i)))
			}
		}
	default:
		out.Set(v)
	}
	return out
}

// An entry is one key with its value.
type entry struct {
	key   string
	value reflect.Value
}

// mapping returns the keys to write for a struct: all but those that were left
// out and have no default to spell out.
func mapping(v reflect.Value) []entry {
	var all []entry
	action, isAction := v.Addr().Interface().(*Action)
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if change, ok := v.Addr().Interface().(*Change); ok && !slices.Contains(change.keys, f.key) {
			continue
		}
		if isAction {
			if takes, _ := action.Do.takes(f.key); !takes {
				continue
			}
		}
		if isAction && f.key == "at" && action.After == nil {
			all = append(all, entry{f.key, fv}) // zero is a time as well
			continue
		}
		if fv.IsZero() && f.def == "" && !f.required && (fv.Kind() != reflect.Struct || isScalar(f.typ)) {
			continue
		}
		if fv.Kind() == reflect.Slice && fv.Len() == 0 && f.def == "" {
			continue
		}
		if isAction && f.key == "at" && action.After != nil {
			continue
		}
		all = append(all, entry{f.key, fv})
	}
	if isAction {
		if fv, f, ok := action.value(); ok {
			i := slices.IndexFunc(all, func(e entry) bool { return e.key == "do" })
			all = slices.Insert(all, i+1, entry{f.key, fv})
		}
	}
	return all
}

// A writer writes YAML. Texts that could be anything else are quoted as JSON is,
// which is YAML too.
type writer struct {
	bytes.Buffer
	brief bool // see Scenario.Brief
}

// mapping returns the keys to write for a struct.
func (w *writer) mapping(v reflect.Value) []entry {
	if w.brief {
		return brief(v)
	}
	return mapping(v)
}

func (w *writer) fields(all []entry, indent int) {
	for i, e := range all {
		if i > 0 {
			w.indent(indent)
		}
		w.WriteString(e.key + ":")
		w.value(e.value, indent)
	}
}

func (w *writer) indent(n int) { w.WriteString(strings.Repeat("  ", n)) }

// value writes what follows a colon or a hyphen, up to the end of the line.
func (w *writer) value(v reflect.Value, indent int) {
	switch {
	case v.Kind() == reflect.String && isBlock(v.String()):
		w.block(escape(v.String()), indent+1)
	case isScalar(v.Type()):
		w.WriteString(" " + scalar(v) + "\n")
	case v.Kind() == reflect.Pointer:
		w.value(v.Elem(), indent)
	case v.Kind() == reflect.Slice:
		w.list(v, indent)
	default:
		if short, ok := shortValue(v); ok {
			w.value(short, indent)
			return
		}
		all := w.mapping(v)
		if len(all) == 0 {
			w.WriteString(" {}\n")
			return
		}
		w.WriteString("\n")
		w.indent(indent + 1)
		w.fields(all, indent+1)
	}
}

// isBlock reports whether a text of several lines can be written as it is, behind
// a vertical bar.
func isBlock(s string) bool {
	s = strings.TrimSuffix(s, "\n")
	if !strings.Contains(s, "\n") || !utf8.ValidString(s) || strings.HasSuffix(s, "\n") || strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if strings.TrimSpace(line) != line {
			return false // what counts as indentation is not for us to find out
		}
	}
	return s[0] != '\n'
}

// block writes a text in lines of its own.
func (w *writer) block(s string, indent int) {
	if body, ends := strings.CutSuffix(s, "\n"); ends {
		w.WriteString(" |\n")
		s = body
	} else {
		w.WriteString(" |-\n")
	}
	for line := range strings.SplitSeq(s, "\n") {
		if line != "" {
			w.indent(indent)
			w.WriteString(line)
		}
		w.WriteString("\n")
	}
}

// shortValue returns what a mapping is written as if one key says all of it.
func shortValue(v reflect.Value) (reflect.Value, bool) {
	f := shortField(v.Type())
	if f == nil {
		return v, false
	}
	plain := reflect.New(v.Type()).Elem()
	setDefaults(plain)
	plain.FieldByIndex(f.index).Set(v.FieldByIndex(f.index))
	for _, f := range fieldsOf(v.Type()) {
		if !reflect.DeepEqual(plain.FieldByIndex(f.index).Interface(), v.FieldByIndex(f.index).Interface()) {
			return v, false
		}
	}
	return v.FieldByIndex(f.index), true
}

func (w *writer) list(v reflect.Value, indent int) {
	if v.Len() == 0 || isScalar(v.Type().Elem()) {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = scalar(v.Index(i))
		}
		w.WriteString(" [" + strings.Join(items, ", ") + "]\n")
		return
	}
	w.WriteString("\n")
	for i := range v.Len() {
		w.indent(indent + 1)
		w.WriteString("- ")
		w.fields(w.mapping(v.Index(i)), indent+2)
	}
}

// plain texts mean themselves in YAML.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

// reserved words mean something else in some version of YAML.
var reserved = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

func scalar(v reflect.Value) string {
	s := text(v)
	if v.Kind() != reflect.String || plain.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	return quote(escape(s))
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(fmt.Sprintf("scenarios: quote %q: %v", s, err)) // no string fails
	}
	return strings.TrimSuffix(b.String(), "\n")
}
