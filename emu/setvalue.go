package emu

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"hilnet/scenarios"
)

// setPath sets the value at a path.
func setPath(sc *scenarios.Scenario, path, value string) error {
	at := []target{{v: reflect.ValueOf(sc).Elem()}}
	done := ""
	for _, part := range strings.Split(path, ".") {
		key, index, indexed := strings.Cut(part, "[")
		next, err := descend(at, key, path)
		if err != nil {
			return err
		}
		done += key
		for indexed {
			var one string
			one, index, _ = strings.Cut(index, "]")
			if next, err = element(next, one, done); err != nil {
				return err
			}
			done += "[" + one + "]"
			index, indexed = strings.CutPrefix(index, "[")
		}
		if index != "" {
			return pathErrorf("write it as in devices[0].pool.packets", "%q is not a path", path)
		}
		done += "."
		at = next
	}
	for _, t := range at {
		if err := t.set(value); err != nil {
			return err
		}
	}
	return nil
}

// A target is a value that a path leads to.
type target struct {
	v                  reflect.Value
	def, alt, min, max string // of the key
}

// descend goes to a key of each of the structs.
func descend(at []target, key, path string) ([]target, error) {
	var next []target
	for _, t := range at {
		v := t.v
		if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
				setTagDefaults(v.Elem())
			}
			v = v.Elem()
		}
		found := children(v, key)
		if len(found) == 0 {
			return nil, unknownKey(strings.NewReplacer("[*]", "", "[0]", "").Replace(path))
		}
		next = append(next, found...)
	}
	return next, nil
}

// element goes to an entry of each of the lists.
func element(at []target, index, path string) ([]target, error) {
	var next []target
	for _, t := range at {
		if t.v.Kind() != reflect.Slice {
			return nil, pathErrorf("remove ["+index+"]", "%s is no list", path)
		}
		if index == "*" {
			for i := range t.v.Len() {
				next = append(next, target{v: t.v.Index(i)})
			}
			continue
		}
		n, err := strconv.Atoi(index)
		if err != nil {
			n = named(t.v, index)
		}
		if n < 0 || n >= t.v.Len() {
			return nil, pathErrorf("the first is "+path+"[0]", "%s has %d entries, and none is %q", path, t.v.Len(), index)
		}
		next = append(next, target{v: t.v.Index(n)})
	}
	return next, nil
}

// named returns the index of the entry of that name, or -1.
func named(list reflect.Value, name string) int {
	for i := range list.Len() {
		e := list.Index(i)
		if e.Kind() == reflect.Struct && e.FieldByName("Name").IsValid() && e.FieldByName("Name").String() == name {
			return i
		}
	}
	return -1
}

// structKey returns the field of a key.
func structKey(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name == key && key != "-" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// children returns what a key of a struct stands for: two values for the keys of
// a link that hold for both ways.
func children(v reflect.Value, key string) []target {
	if v.Kind() != reflect.Struct || key == "" {
		return nil
	}
	if a, ok := v.Addr().Interface().(*scenarios.Action); ok && key == "value" {
		return actionValue(a)
	}
	if f, ok := structKey(v.Type(), key); ok {
		return []target{{
			v.FieldByIndex(f.Index), f.Tag.Get("default"), f.Tag.Get("alt"), f.Tag.Get("min"), f.Tag.Get("max"),
		}}
	}
	var all []target
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if _, option, _ := strings.Cut(f.Tag.Get("yaml"), ","); option == "inline" || f.Tag.Get("shared") == "true" {
			all = append(all, children(v.Field(i), key)...)
		}
	}
	return all
}

func actionValue(a *scenarios.Action) []target {
	switch a.Do {
	case scenarios.SetLoss:
		return []target{{v: reflect.ValueOf(&a.Loss).Elem(), alt: "20%"}}
	case scenarios.SetDelay, scenarios.BrokerDelayConnack, scenarios.BrokerDelayAcks, scenarios.BrokerCoalesce:
		return []target{{v: reflect.ValueOf(&a.Delay).Elem(), alt: "30ms"}}
	case scenarios.SetRate:
		return []target{{v: reflect.ValueOf(&a.Rate).Elem(), alt: "20kbit"}}
	default:
		return nil
	}
}

// setTagDefaults gives a struct that the file did not have its defaults.
func setTagDefaults(v reflect.Value) {
	for i := range v.NumField() {
		if def := v.Type().Field(i).Tag.Get("default"); def != "" {
			must((&target{v: v.Field(i)}).set(def))
		}
	}
}

// set sets the value to what a text says; an empty one to what it is when the
// file does not have it.
func (t *target) set(text string) error {
	v := t.v
	if text == "" {
		v.SetZero()
		if t.def == "" {
			return nil
		}
		text = t.def
	}
	if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() != reflect.Struct {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice {
		return t.setList(v, text)
	}
	if err := setScalar(v, text); err != nil {
		if t.alt == "" && !isText(v) {
			return pathErrorf("set one of its keys", "%s", err)
		}
		if t.alt == "" {
			return err
		}
		return pathErrorf("write it as in "+t.alt, "%s", err)
	}
	// To the scenario a zero is a key that was left out; here it was meant.
	if least, _ := parseQuantity(t.min); v.IsZero() && least.n != nil && least.n.Sign() > 0 {
		return pathErrorf(fmt.Sprintf("between %s and %s; without a value the default holds", t.min, t.max), "%s is too small", text)
	}
	return nil
}

func (t *target) setList(v reflect.Value, text string) error {
	if e := v.Type().Elem(); e.Kind() == reflect.Struct {
		return pathErrorf("set the keys of an entry, as in [0]", "a list of entries is not written as one value")
	}
	v.SetZero()
	for _, item := range strings.Split(strings.Trim(text, "[]"), ",") {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := setScalar(e, strings.TrimSpace(item)); err != nil {
			return pathErrorf("write it as in "+t.alt, "%s", err)
		}
		v.Set(reflect.Append(v, e))
	}
	return nil
}

func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

func setScalar(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
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
		if x, err = strconv.ParseFloat(text, 64); err == nil {
			v.SetFloat(x)
		}
	default:
		return errors.New("this is no single value")
	}
	if err != nil {
		return fmt.Errorf("%q is not a number of this kind", text)
	}
	return nil
}
