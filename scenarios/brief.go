package scenarios

import (
	"reflect"
	"slices"
)

// Brief validates a copy of s and writes it as YAML without what Load fills in
// by itself: Load reads an equal scenario from it.
func (s *Scenario) Brief() ([]byte, error) {
	whole := s.Clone()
	if err := whole.Validate(); err != nil {
		return nil, err
	}
	short := whole.Clone()
	fields := filled(reflect.ValueOf(short).Elem())
	if len(fields) > maxFilled {
		fields = nil // it would take long, and be long anyway
	}
	for _, v := range fields {
		before := clone(v)
		v.SetZero()
		if again := short.Clone(); again.Validate() != nil || !Equal(again, whole) {
			v.Set(before)
		}
	}
	w := &writer{brief: true}
	w.fields(w.mapping(reflect.ValueOf(short).Elem()), 0)
	if again, err := Load(s.Name+".yaml", w.Bytes()); err == nil && Equal(again, whole) {
		return w.Bytes(), nil
	}
	return whole.Resolved()
}

// maxFilled bounds the values that Brief tries to do without.
const maxFilled = 500

// filled returns the values without a default that may have been filled in.
func filled(v reflect.Value) []reflect.Value {
	var all []reflect.Value
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		for fv.Kind() == reflect.Pointer && !fv.IsNil() {
			fv = fv.Elem()
		}
		switch {
		case fv.Kind() == reflect.Slice && !isScalar(fv.Type().Elem()):
			for i := range fv.Len() {
				all = append(all, filled(fv.Index(i))...)
			}
		case fv.Kind() == reflect.Struct && !isScalar(fv.Type()):
			all = append(all, filled(fv)...)
		case f.def == "" && !f.required && !fv.IsZero():
			all = append(all, fv)
		}
	}
	return all
}

// brief is mapping without what is as it would be without its key. What is the
// same in all shared fields is written once, for all.
func brief(v reflect.Value) []entry {
	hoisted := hoist(v)
	own := fieldsOf(v.Type())
	_, isAction := v.Addr().Interface().(*Action)
	all := slices.DeleteFunc(mapping(v), func(e entry) bool {
		i := indexKey(own, e.key)
		return i >= 0 && !own[i].required && !isAction && isDefault(e.value, &own[i])
	})
	at := slices.IndexFunc(all, func(e entry) bool { // before those of one way
		i := indexKey(own, e.key)
		return i >= 0 && own[i].shared
	})
	if at < 0 {
		at = len(all)
	}
	return slices.Insert(all, at, hoisted...)
}

// isDefault reports whether v is what it is when a file does not have its key.
func isDefault(v reflect.Value, f *field) bool {
	d := reflect.New(f.typ).Elem()
	setDefault(d, f)
	return reflect.DeepEqual(d.Interface(), v.Interface())
}

// hoist takes what is the same in all shared fields out of them.
func hoist(v reflect.Value) []entry {
	var ways []reflect.Value
	for _, f := range fieldsOf(v.Type()) {
		if f.shared {
			ways = append(ways, v.FieldByIndex(f.index))
		}
	}
	var all []entry
	for _, f := range sharedFields(v.Type()) {
		first := ways[0].FieldByIndex(f.index)
		differs := func(w reflect.Value) bool {
			return !reflect.DeepEqual(w.FieldByIndex(f.index).Interface(), first.Interface())
		}
		if first.Kind() == reflect.Slice || slices.ContainsFunc(ways, differs) || isDefault(first, &f) {
			continue // lists are different things at different ends
		}
		all = append(all, entry{f.key, clone(first)})
		for _, w := range ways {
			setDefault(w.FieldByIndex(f.index), &f)
		}
	}
	return all
}
