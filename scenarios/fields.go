package scenarios

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A field is a struct field that is a key of the scenario language.
type field struct {
	key      string
	index    []int
	typ      reflect.Type
	required bool
	def, alt string // as written in a file; "" is none
	min, max string
	short    bool // its value may stand for the whole mapping
	shared   bool // the keys of its type may stand beside it, for all shared fields
}

// fieldsByType keeps what fieldsOf found: reading tags took a quarter of loading.
var fieldsByType sync.Map // of []field by reflect.Type

// fieldsOf returns the keys of a struct type, in their order. Its callers share
// the slice.
func fieldsOf(t reflect.Type) []field {
	if all, ok := fieldsByType.Load(t); ok {
		return all.([]field)
	}
	all := slices.Clip(readFields(t)) // append to it copies
	fieldsByType.Store(t, all)
	return all
}

func readFields(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...) // a copy
				all = append(all, f)
			}
		case key == "" || key == "-":
		default:
			all = append(all, field{
				key: key, index: []int{i}, typ: sf.Type, required: sf.Tag.Get("required") == "true",
				def: sf.Tag.Get("default"), alt: sf.Tag.Get("alt"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
				shared: sf.Tag.Get("shared") == "true", short: sf.Tag.Get("short") == "true",
			})
		}
	}
	return all
}

// fieldOf returns the field of T that has a key.
func fieldOf[T any](key string) field {
	all := fieldsOf(reflect.TypeFor[T]())
	return all[indexKey(all, key)]
}

// valueOf returns what p points to as a reflect.Value that can be set.
func valueOf[T any](p *T) reflect.Value { return reflect.ValueOf(p).Elem() }

// sharedFields returns the keys that may stand in a struct for all of its
// shared fields.
func sharedFields(t reflect.Type) []field {
	for _, f := range fieldsOf(t) {
		if f.shared {
			return fieldsOf(f.typ)
		}
	}
	return nil
}

// shortField returns the key of a type of mapping whose value may stand for the
// whole of it, as loss: 2% is for loss: {share: 2%}, or nil.
func shortField(t reflect.Type) *field {
	if t.Kind() != reflect.Struct || isScalar(t) {
		return nil
	}
	for _, f := range fieldsOf(t) {
		if f.short {
			return &f
		}
	}
	return nil
}

func keysOf(fields []field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.key
	}
	return all
}

var (
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	enumType   = reflect.TypeFor[enum]()
	prefixType = reflect.TypeFor[netip.Prefix]()
	addrType   = reflect.TypeFor[netip.Addr]()
)

// isScalar reports whether values of t are written as one word.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textType) {
		return true
	}
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Pointer
}

// setText sets v to what text says.
func setText(v reflect.Value, text string) error {
	t := v.Type()
	switch {
	case t == prefixType:
		return setPrefix(v, text)
	case t == addrType:
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is4() {
			return hint("write four numbers, such as 10.0.0.1", "%q is not an IPv4 address", text)
		}
		v.Set(reflect.ValueOf(a))
		return nil
	case reflect.PointerTo(t).Implements(textType):
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	case t.Implements(enumType):
		if values := v.Interface().(enum).Values(); !slices.Contains(values, text) {
			return hint(didYouMean(text, values), "%q is not known here", text)
		}
		v.SetString(text)
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		if text != "true" && text != "false" {
			return hint("write true or false", "%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
		return nil
	default:
		return setNumber(v, text)
	}
}

func setPrefix(v reflect.Value, text string) error {
	p, err := parsePrefix4(text)
	if err == nil {
		v.Set(reflect.ValueOf(p))
	}
	return err
}

func parsePrefix4(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4() {
		return p, nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
		return netip.Prefix{}, hint("write "+text+"/24", "%s lacks its prefix length", text)
	}
	return netip.Prefix{}, hint("write an address and a prefix length, such as 10.0.0.2/24", "%q is not an IPv4 address with prefix length", text)
}

func setNumber(v reflect.Value, text string) error {
	var err error
	switch v.Kind() {
	case reflect.Int:
		var n int64
		if n, err = strconv.ParseInt(text, 10, 64); err == nil {
			v.SetInt(n)
		}
	case reflect.Uint64:
		var n uint64
		if n, err = strconv.ParseUint(text, 10, 64); err == nil {
			v.SetUint(n)
		}
	case reflect.Float64:
		var x float64
		if x, err = strconv.ParseFloat(text, 64); err == nil && (math.IsInf(x, 0) || math.IsNaN(x)) {
			err = strconv.ErrRange
		}
		if err == nil {
			v.SetFloat(x)
		}
	default:
		panic("scenarios: no scalar: " + v.Type().String())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return hint("write a smaller number", "%s is out of range", text)
	case v.Kind() == reflect.Float64:
		return hint("write a number such as 2 or 0.5, without a unit", "%q is not a number", text)
	}
	return hint("write digits only, without a unit", "%q is not a whole number", text)
}

// text writes a scalar as setText reads it.
func text(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			panic("scenarios: " + err.Error()) // none of our types fails
		}
		return string(b)
	}
	switch v.Kind() {
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	default:
		return fmt.Sprint(v.Interface())
	}
}

// checkRange returns an error when v lies outside the field's min and max. For
// texts and lists these hold for the length.
func (f *field) checkRange(v reflect.Value) error {
	low, high := 0, 0
	if f.min != "" {
		low = f.compare(v, f.min)
	}
	if f.max != "" {
		high = f.compare(v, f.max)
	}
	if low >= 0 && high <= 0 {
		return nil
	}
	h := "between " + f.min + " and " + f.max
	switch {
	case f.min == "":
		h = "at most " + f.max
	case f.max == "":
		h = "at least " + f.min
	}
	switch {
	case v.Kind() == reflect.String:
		return hint(h+" bytes", "%s is %d bytes long", f.key, v.Len())
	case v.Kind() == reflect.Slice:
		return hint(h, "%s has %d entries", f.key, v.Len())
	}
	return hint(h, "%s %s is too %s", f.key, text(v), map[bool]string{true: "small", false: "large"}[low < 0])
}

// compare compares v or its length with a bound as written in a tag.
func (f *field) compare(v reflect.Value, bound string) int {
	if v.Kind() == reflect.String || v.Kind() == reflect.Slice {
		n, err := strconv.Atoi(bound)
		if err != nil {
			panic("scenarios: bound of " + f.key + ": " + err.Error())
		}
		return v.Len() - n
	}
	b := reflect.New(v.Type()).Elem()
	if err := setText(b, bound); err != nil {
		panic("scenarios: bound of " + f.key + ": " + err.Error())
	}
	switch {
	case v.CanInt():
		return cmp.Compare(v.Int(), b.Int())
	case v.CanUint():
		return cmp.Compare(v.Uint(), b.Uint())
	}
	return cmp.Compare(v.Float(), b.Float())
}

// setDefaults sets every field of the struct v that has a default to it.
func setDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		if fv := v.FieldByIndex(f.index); f.def != "" || fv.Kind() == reflect.Struct && !isScalar(f.typ) {
			setDefault(fv, &f)
		}
	}
}

// setDefault sets v to what it is when a file does not have its key.
func setDefault(v reflect.Value, f *field) {
	v.SetZero()
	switch {
	case f.def != "" && v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(f.typ, 0, 2))
		for _, item := range strings.Split(strings.Trim(f.def, "[]"), ", ") {
			e := reflect.New(f.typ.Elem()).Elem()
			mustSet(e, item)
			v.Set(reflect.Append(v, e))
		}
	case f.def != "":
		mustSet(v, f.def)
	case v.Kind() == reflect.Struct && !isScalar(f.typ):
		setDefaults(v)
	}
}

func mustSet(v reflect.Value, text string) {
	if err := setText(v, text); err != nil {
		panic(fmt.Sprintf("scenarios: default %q: %v", text, err))
	}
}
