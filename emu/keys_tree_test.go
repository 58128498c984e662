package emu

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"hilnet/pcaps"
	"hilnet/scenarios"
)

// An edit gives the value at a place another one, or takes it away.
type edit struct {
	place []any // keys and indices
	value any   // nil: taken away
}

// apply returns a changed copy of a tree.
func (e edit) apply(tree any) any { return e.set(tree, e.place) }

func (e edit) set(node any, place []any) any {
	if len(place) == 0 {
		return e.value
	}
	switch key := place[0].(type) {
	case int:
		list := slices.Clone(node.([]any))
		list[key] = e.set(list[key], place[1:])
		if m, ok := list[key].(map[string]any); ok && len(m) == 0 && e.value == nil {
			return slices.Delete(list, key, key+1) // a step is its one key
		}
		return list
	case string:
		m, _ := node.(map[string]any)
		m = maps.Clone(m)
		if m == nil {
			m = map[string]any{}
		}
		if m[key] = e.set(m[key], place[1:]); m[key] == nil {
			delete(m, key)
		}
		return m
	}
	panic("a place is keys and indices")
}

// places returns where a key stands or could stand in a tree. Entries of lists
// that have the key come before those that have not.
func places(node any, path []string) [][]any {
	if len(path) == 0 {
		return [][]any{nil}
	}
	key, isList := strings.CutSuffix(path[0], "[]")
	m, ok := node.(map[string]any)
	if !ok {
		return nil
	}
	child, found := m[key]
	if !found && len(path) > 1 {
		return nil
	}
	var all [][]any
	prepend := func(head []any, tails [][]any) {
		for _, tail := range tails {
			all = append(all, append(slices.Clone(head), tail...))
		}
	}
	if !isList {
		prepend([]any{key}, places(child, path[1:]))
		return all
	}
	entries, _ := child.([]any)
	for i, e := range entries {
		prepend([]any{key, i}, places(e, path[1:]))
	}
	slices.SortStableFunc(all, func(a, b []any) int { return cmp.Compare(missing(node, a), missing(node, b)) })
	return all
}

// missing is 1 where a place holds nothing yet.
func missing(node any, place []any) int {
	for _, p := range place {
		switch key := p.(type) {
		case int:
			node = node.([]any)[key]
		case string:
			m, _ := node.(map[string]any)
			if node = m[key]; node == nil {
				return 1
			}
		}
	}
	return 0
}

// observed runs a scenario and returns a hash over all that its run shows: files
// by name, events, packets and verdicts; not the scenario's own text, which the
// captures hold too.
func observed(t *testing.T, tree any) (string, error) {
	t.Helper()
	text, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenarios.Load("test.yaml", text)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(context.Background(), sc, Options{Out: dir, Apps: keyApps})
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, path := range result.Files {
		fmt.Fprintln(h, filepath.Base(path))
		if strings.HasSuffix(path, ".pcapng") {
			for p, err := range pcaps.Packets(path) {
				if err != nil {
					return "", err
				}
				fmt.Fprintln(h, p.Time, p.PacketID, p.Flags, p.Comments, p.Data)
			}
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		_, events, _ := strings.Cut(string(data), "\n") // behind the header, which names the scenario
		fmt.Fprintln(h, events)
	}
	for _, c := range result.Checks {
		fmt.Fprintln(h, c.Text, c.Passed)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), os.RemoveAll(dir)
}
