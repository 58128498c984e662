package scenarios

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// presetField is the key preset of a direction.
var presetField = field{key: "preset", typ: reflect.TypeFor[PresetName]()}

// eachWay calls f with the two directions of each link, and their paths.
func eachWay(s *Scenario, f func(path string, dir *Direction)) {
	for i := range s.Links {
		f(join(index("links", i), "up"), &s.Links[i].Up)
		f(join(index("links", i), "down"), &s.Links[i].Down)
	}
}

// unset gives the direction whose preset is taken away what it has without one.
func (d *decoder) unset(preset reflect.Value, s *Scenario) {
	eachWay(s, func(path string, dir *Direction) {
		if preset.Addr().Interface() != any(&dir.Preset) {
			return
		}
		v := valueOf(dir)
		for _, f := range fieldsOf(v.Type()) {
			if !d.hasOwn(path, f.key) {
				setDefault(v.FieldByIndex(f.index), &f)
			}
		}
	})
}

// forget takes the places of a path and of what is below it away: they are
// another value's. What a link says for both ways, one way gives back to the other.
func (d *decoder) forget(path string) {
	is := func(at string) bool {
		return at == path || strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[")
	}
	for _, at := range slices.Sorted(maps.Keys(d.src.places)) {
		where := d.src.places[at]
		if is(at) || is(bothWays(at)) {
			delete(d.src.places, at)
		}
		if at != bothWays(at) || !strings.HasPrefix(at, "links[") {
			continue
		}
		link, key, _ := strings.Cut(at, "].")
		up, down := link+"].up."+key, link+"].down."+key
		for way, other := range map[string]string{up: down, down: up} {
			if is(way) && !is(at) {
				delete(d.src.places, at)
				d.src.places[other] = where
			}
		}
	}
}

// bothWays returns the path that says for both ways of a link what a path says for
// one; other paths as they are.
func bothWays(path string) string {
	link, key, _ := strings.Cut(path, "].")
	if !strings.HasPrefix(link, "links[") {
		return path
	}
	for _, way := range []string{"up.", "down."} {
		if tail, ok := strings.CutPrefix(key, way); ok {
			return link + "]." + tail
		}
	}
	return path
}
