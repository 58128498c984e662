package scenarios

import (
	"reflect"
	"strings"
)

// A KeyPath is one key that a scenario file may hold.
type KeyPath struct {
	// Path from the root: list entries are [], such as links[].delay or
	// devices[].steps[].publish.topic.
	Path string
	// Type is the Go type of the value, without package.
	Type string
	// Default is what a file without the key has, as written in a file; "" when
	// that is nothing or depends on other values.
	Default string
	// Alternative is another valid value as written in a file; "" for mappings,
	// lists, and keys whose values are names or kinds.
	Alternative string
	Required    bool
}

// Keys returns all keys of the scenario language in the order of the types.
// Steps inside every and repeat are listed once, at the top.
func Keys() []KeyPath {
	var all []KeyPath
	collectKeys(reflect.TypeFor[File](), "", &all)
	return all
}

func collectKeys(t reflect.Type, path string, all *[]KeyPath) {
	for _, f := range fieldsOf(t) {
		collectKey(&f, join(path, f.key), all)
	}
	for _, f := range sharedFields(t) {
		collectKey(&f, join(path, f.key), all)
	}
	if t == reflect.TypeFor[Action]() {
		*all = append(*all, KeyPath{Path: join(path, "value"), Type: "Percent, Duration or Rate"})
	}
}

func collectKey(f *field, path string, all *[]KeyPath) {
	t := f.typ // a mapping with a short form has the alternative of that
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if t.Kind() == reflect.Slice && !isScalar(t) {
		name = "[]" + t.Elem().Name()
	}
	*all = append(*all, KeyPath{Path: path, Type: name, Default: f.def, Alternative: f.alt, Required: f.required})
	switch {
	case isScalar(t), t == reflect.TypeFor[Params]():
	case t.Kind() == reflect.Slice:
		// Steps hold steps: go down once.
		if !isScalar(t.Elem()) && (t.Elem() != reflect.TypeFor[Step]() || strings.Count(path, "steps") == 1 && !strings.HasSuffix(path, ".do")) {
			collectKeys(t.Elem(), path+"[]", all)
		}
	default:
		collectKeys(t, path, all)
	}
}
