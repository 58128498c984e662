package scenarios

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

//go:embed presets.yaml
var presetsText []byte

// PresetName is the name of a link that hilnet knows.
type PresetName string

// Values returns the names of the presets.
func (PresetName) Values() []string {
	var all []string
	for _, p := range presets() {
		all = append(all, p.Name)
	}
	return all
}

// Basis says how far a number can be trusted.
type Basis string

// Where numbers come from.
const (
	Measured  Basis = "measured"  // on real links
	Published Basis = "published" // in a standard, by an operator, or in another tool
	Assumed   Basis = "assumed"   // by us
)

// Values returns the valid words.
func (Basis) Values() []string { return []string{string(Measured), string(Published), string(Assumed)} }

// A Preset is a link that is known by name.
type Preset struct {
	// Name, as in a scenario.
	Name string `yaml:"name" required:"true"`
	// What kind of link it is.
	About string `yaml:"about" required:"true"`
	// What its numbers rest on.
	Facts []Fact `yaml:"facts" required:"true" min:"1" max:"20"`
	// The way from the device to the broker.
	Up Direction `yaml:"up" shared:"true"`
	// The way from the broker to the device.
	Down Direction `yaml:"down" shared:"true"`

	up, down []string // the keys that it sets
}

// A Fact is what some numbers of a preset rest on.
type Fact struct {
	// Which numbers.
	Of string `yaml:"of" required:"true"`
	// How far they can be trusted.
	Basis Basis `yaml:"basis" required:"true"`
	// Where they come from, or what else is to be said.
	Source string `yaml:"source"`
}

// Bases counts the preset's facts by what they rest on, in words.
func (p *Preset) Bases() string {
	var words []string
	for _, basis := range []Basis{Measured, Published, Assumed} {
		n := 0
		for _, f := range p.Facts {
			if f.Basis == basis {
				n++
			}
		}
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, basis))
		}
	}
	return strings.Join(words, ", ")
}

type presetFile struct {
	Presets []Preset `yaml:"presets" required:"true"`
}

// Presets returns the links that a scenario may name.
func Presets() []Preset { return slices.Clone(presets()) }

// readPresets is what presets has read. It has no initial value: reading needs
// what reads scenarios, which needs presets.
var readPresets struct {
	once sync.Once
	all  []Preset
}

func presets() []Preset {
	readPresets.once.Do(func() { readPresets.all = parsePresets() })
	return readPresets.all
}

func parsePresets() []Preset {
	var f presetFile
	l := &loader{from: map[string]place{}, d: &decoder{src: &source{places: map[string]place{}}, unused: map[string]place{}}}
	t := &textFile{file: "presets.yaml"}
	if err := t.read(presetsText); err != nil {
		panic(err)
	}
	root, err := t.parse(string(presetsText))
	if err != nil {
		panic(err) // a test reads them
	}
	l.d.text = t
	l.d.value(root, "", reflect.ValueOf(&f).Elem())
	if len(l.d.errs) > 0 {
		panic(l.d.errs)
	}
	for i := range f.Presets {
		p, path := &f.Presets[i], index("presets", i)
		c := newChecker(&Scenario{})
		c.direction(path+".up", &p.Up) // which makes the tables
		c.direction(path+".down", &p.Down)
		if len(c.errs) > 0 {
			panic(c.errs)
		}
		for _, key := range keysOf(fieldsOf(reflect.TypeFor[Direction]())) {
			_, both := l.d.src.places[join(path, key)]
			if _, own := l.d.src.places[join(path+".up", key)]; own || both {
				p.up = append(p.up, key)
			}
			if _, own := l.d.src.places[join(path+".down", key)]; own || both {
				p.down = append(p.down, key)
			}
		}
	}
	return f.Presets
}

// preset returns the one of a name, or nil.
func preset(name PresetName) *Preset {
	all := presets()
	if i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == string(name) }); i >= 0 {
		return &all[i]
	}
	return nil
}

// way returns what the preset does to one way, and the keys that say so.
func (p *Preset) way(w Way) (*Direction, []string) {
	if w == Down {
		return &p.Down, p.down
	}
	return &p.Up, p.up
}

// Text returns the preset as the keys of a link in a scenario.
func (p *Preset) Text() string {
	w := &writer{}
	same := reflect.DeepEqual(p.Up, p.Down)
	for _, way := range []Way{Up, Down} {
		d, keys := p.way(way)
		var all []entry
		for _, f := range fieldsOf(reflect.TypeFor[Direction]()) {
			if slices.Contains(keys, f.key) {
				all = append(all, entry{f.key, reflect.ValueOf(d).Elem().FieldByIndex(f.index)})
			}
		}
		switch {
		case same:
			w.fields(all, 0)
			return w.String()
		case len(all) > 0:
			fmt.Fprintf(w, "%s:\n  ", way)
			w.fields(all, 1)
		}
	}
	return w.String()
}

// presetFirst returns the pairs with that of a preset in front, so that the keys
// beside it win.
func presetFirst(pairs []pair) []pair {
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.key == "preset" })
	if i <= 0 {
		return pairs
	}
	return slices.Concat(pairs[i:i+1], pairs[:i], pairs[i+1:])
}

// preset gives the direction at path what its preset says, but for the keys that
// the file has itself. Other keys do nothing.
func (d *decoder) preset(path string, v reflect.Value, f *field) {
	if f.key != "preset" || f.typ != reflect.TypeFor[PresetName]() {
		return
	}
	dir, ok := v.Addr().Interface().(*Direction)
	if !ok {
		return // a Change, which is for either way
	}
	p := preset(dir.Preset)
	if p == nil {
		return // there was an error, or it has been taken away
	}
	way := Up
	if strings.HasSuffix(path, ".down") {
		way = Down
	}
	from, _ := p.way(way)
	for _, f := range fieldsOf(v.Type()) {
		if f.key != "preset" && !d.hasOwn(path, f.key) {
			v.FieldByIndex(f.index).Set(clone(reflect.ValueOf(from).Elem().FieldByIndex(f.index)))
		}
	}
}

// hasOwn reports whether the file, or an override, says a key of the direction at
// path, or of both.
func (d *decoder) hasOwn(path, key string) bool {
	_, inLink := d.src.places[join(path[:strings.LastIndexByte(path, '.')], key)]
	_, beside := d.src.places[join(path, key)]
	return inLink || beside
}
