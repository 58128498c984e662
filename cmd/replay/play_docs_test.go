package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// keysOf lists the JSON keys of a type and what it consists of.
func keysOf(t reflect.Type, keys map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		keysOf(t.Elem(), keys)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				keys[name] = true
			}
			keysOf(f.Type, keys)
		}
	}
}

// Every key of the JSON stands in the manual.
func TestTheManualHasEveryKeyOfAPlaysJSON(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "replay.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, play, _ := strings.Cut(string(page), "## Play: ")
	keys := map[string]bool{}
	keysOf(reflect.TypeFor[playDocument](), keys)
	keysOf(reflect.TypeFor[planDocument](), keys)
	if len(keys) < 40 {
		t.Fatalf("only %d keys", len(keys))
	}
	for key := range keys {
		if key == "format" || key == "version" || key == "problem" {
			continue
		}
		if !strings.Contains(play, "`"+key+"`") {
			t.Errorf("docs/replay.md lacks `%s`", key)
		}
	}
}
