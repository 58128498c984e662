package scenarios

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"strings"
)

//go:embed library
var library embed.FS

// Schema is the JSON Schema (draft 2020-12) of a scenario file.
//
//go:embed schema.json
var Schema []byte

// An Entry is a scenario of the library.
type Entry struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Group   string `json:"group"` // "" for the main ones
}

// A Group is a part of the library: a folder of it.
type Group struct{ Name, Text string }

// Groups returns the parts of the library, the main one, whose name is empty,
// first.
func Groups() []Group {
	return []Group{
		{"", "Scenarios to begin with"},
		{"hil", "Real devices behind the link: a client, a broker, firmware in QEMU"},
		{"quirks", "What single bugs of NetX Duo do"},
		{"recordings", "What was recorded from the real NetX Duo, with a model broker"},
		{"regression", "The cases of NetX Duo's own MQTT regression tests, by the same names"},
	}
}

// folder returns a group's folder.
func (g Group) folder() string { return path.Join("library", g.Name) }

// files returns the names of the scenarios of a group.
func (g Group) files() []string {
	all, err := library.ReadDir(g.folder())
	if err != nil {
		panic("scenarios: library: " + err.Error()) // it is embedded
	}
	var names []string
	for _, f := range all {
		if name, ok := strings.CutSuffix(f.Name(), ".yaml"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Library returns the built-in scenarios by group and name.
func Library() []Entry {
	var all []Entry
	for _, g := range Groups() {
		for _, name := range g.files() {
			s, err := Open(name)
			if err != nil {
				panic("scenarios: library: " + err.Error()) // a test loads each
			}
			all = append(all, Entry{s.Name, s.Summary(), g.Name})
		}
	}
	return all
}

// ErrNotFound is wrapped by the error of a name that the library does not have.
var ErrNotFound = errors.New("no such scenario")

// Source returns the text of a built-in scenario.
func Source(name string) ([]byte, error) {
	var names []string
	for _, g := range Groups() {
		for _, known := range g.files() {
			if known == name {
				return library.ReadFile(path.Join(g.folder(), name+".yaml"))
			}
			names = append(names, known)
		}
	}
	err := fmt.Errorf("scenarios: %w called %q", ErrNotFound, name)
	if near := near(name, names); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return nil, err
}

// Open loads a built-in scenario.
func Open(name string) (*Scenario, error) { return OpenWith(name, nil) }

// OpenWith is Open with overrides.
func OpenWith(name string, overrides []Set) (*Scenario, error) {
	data, err := Source(name)
	if err != nil {
		return nil, err
	}
	return LoadWith(name+".yaml", data, overrides)
}
