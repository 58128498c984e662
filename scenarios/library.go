package scenarios

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed library/*.yaml
var library embed.FS

// Schema is the JSON Schema (draft 2020-12) of a scenario file.
//
//go:embed schema.json
var Schema []byte

// An Entry is a scenario of the library.
type Entry struct {
	Name    string
	Summary string
}

// Library returns the built-in scenarios by name.
func Library() []Entry {
	files, err := library.ReadDir("library")
	if err != nil {
		panic("scenarios: library: " + err.Error()) // it is embedded
	}
	var all []Entry
	for _, f := range files {
		s, err := Open(strings.TrimSuffix(f.Name(), ".yaml"))
		if err != nil {
			panic("scenarios: library: " + err.Error()) // a test loads each
		}
		all = append(all, Entry{s.Name, s.Summary()})
	}
	return all
}

// ErrNotFound is wrapped by the error of a name that the library does not have.
var ErrNotFound = errors.New("no such scenario")

// Source returns the text of a built-in scenario.
func Source(name string) ([]byte, error) {
	data, err := library.ReadFile("library/" + name + ".yaml")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		files, _ := library.ReadDir("library") // embedded: cannot fail
		var names []string
		for _, f := range files {
			names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
		}
		return nil, fmt.Errorf("scenarios: %w called %q; %s", ErrNotFound, name, didYouMean(name, names))
	}
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	return data, nil
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
