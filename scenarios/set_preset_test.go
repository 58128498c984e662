package scenarios

import (
	"reflect"
	"strings"
	"testing"
)

// A preset that an override names gives what it gives in a file, whatever the
// file had there before.
func TestAPresetByOverrideIsThatOfAFile(t *testing.T) {
	const devices = "version: 1\nname: t\nduration: 10s\ndevices: [{steps: [connect]}]\nbroker: {kind: model}\n"
	file := func(links string) string { return devices + "links: [" + links + "]\n" }
	for _, c := range []struct{ was, sets, want string }{
		{"{delay: 10ms}", "links=[{preset: gprs}]", "{preset: gprs}"},
		{"{delay: 10ms}", "link.delay=; link.preset=gprs", "{preset: gprs}"},
		{"{delay: 10ms}", "link.preset=gprs; link.delay=", "{preset: gprs}"},
		{"{delay: 10ms}", "link.preset=gprs", "{delay: 10ms, preset: gprs}"},
		{"{up: {delay: 10ms}}", "link.up=; link.preset=gprs", "{preset: gprs}"},
		{"{up: {delay: 10ms}}", "link.delay=; link.preset=gprs", "{preset: gprs}"},
		{"{delay: 10ms}", "link.up.delay=; link.preset=gprs", "{preset: gprs, down: {delay: 10ms}}"},
		{"{delay: 10ms}", "link.preset=gprs; link.down.delay=", "{preset: gprs, up: {delay: 10ms}}"},
		{"{preset: gprs, loss: 1%}", "link.preset=", "{loss: 1%}"},
		{"{preset: gprs}", "link.preset=geo", "{preset: geo}"},
		{"{preset: gprs}", "link.preset=geo; link.loss=5%", "{preset: geo, loss: 5%}"},
		{"{preset: gprs}", "link.up.preset=geo", "{up: {preset: geo}, down: {preset: gprs}}"},
	} {
		var sets []Set
		for _, text := range strings.Split(c.sets, "; ") {
			set, err := ParseSet(text)
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, set)
		}
		got, err := LoadWith("t.yaml", []byte(file(c.was)), sets)
		if err != nil {
			t.Errorf("%s with %s: %v", c.was, c.sets, err)
			continue
		}
		want := load(t, file(c.want))
		for i, way := range []string{"up", "down"} {
			g, w := []Direction{got.Links[0].Up, got.Links[0].Down}[i], []Direction{want.Links[0].Up, want.Links[0].Down}[i]
			if !reflect.DeepEqual(g, w) {
				t.Errorf("%s with %s: %s is\n%+v\nwant\n%+v", c.was, c.sets, way, g, w)
			}
		}
	}
}
