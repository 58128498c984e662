package traces

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed data
var data embed.FS

// An Entry is a trace that comes with hilnet.
type Entry struct {
	Name, Summary   string
	Licence, Source string
	path            string
}

const (
	c2tcp  = "github.com/Soheil-ab/c2tcp 4b5b2413, traces/"
	akamai = "github.com/akamai/cell-emulation-util 1c38676b, cellular_emulation.sh"
)

var library = func() []Entry {
	all := []Entry{
		{"nyc-4g-subway", "4G downlink in the subway of New York, 120 s, mean 6.7 Mbit/s", "MIT", c2tcp + "downlink-4g-with-cross-subway.pps", "mit-c2tcp/nyc-4g-subway-first120s.down"},
		{"nyc-4g-timessquare", "4G downlink at Times Square, New York, 120 s, mean 9.0 Mbit/s", "MIT", c2tcp + "downlink-4g-with-cross-times", "mit-c2tcp/nyc-4g-timessquare-first120s.down"},
	}
	for _, kind := range []struct {
		name    string
		classes []string
	}{
		{"experience", []string{"fair", "good", "noloss", "passable", "poor", "verypoor"}},
		{"loss", []string{"good", "median", "poor"}},
	} {
		for _, class := range kind.classes {
			all = append(all, Entry{
				"akamai-" + kind.name + "-" + class, "cellular, class " + class + " by " + kind.name + ": round trip, rate and loss in 200 steps of 70 ms",
				"Apache-2.0", akamai, "apache2-akamai/" + kind.name + "_based-" + class + ".csv",
			})
		}
	}
	return all
}()

// Library returns the traces that come with hilnet.
func Library() []Entry { return append([]Entry(nil), library...) }

// A Trace is what a name of the library stands for: one of its fields is not nil.
type Trace struct {
	Opportunities *Opportunities
	Conditions    *Conditions
}

// loaded are the traces that were asked for, by name: nobody changes them.
var loaded struct {
	mu     sync.Mutex
	traces map[string]Trace
}

// Load returns a trace of the library, which is not to be changed.
func Load(name string) (Trace, error) {
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	t, ok := loaded.traces[name]
	if ok {
		return t, nil
	}
	t, err := load(name)
	if err == nil {
		if loaded.traces == nil {
			loaded.traces = map[string]Trace{}
		}
		loaded.traces[name] = t
	}
	return t, err
}

func load(name string) (t Trace, err error) {
	for _, e := range library {
		if e.Name != name {
			continue
		}
		text, err := data.ReadFile("data/" + e.path)
		if err != nil {
			return t, fmt.Errorf("traces: %w", err)
		}
		if strings.HasSuffix(e.path, ".csv") {
			t.Conditions, err = ReadAkamai(bytes.NewReader(text), e.path)
			if err == nil {
				t.Conditions.Name, t.Conditions.Source = e.Name, e.Source
			}
			return t, err
		}
		t.Opportunities, err = ReadOpportunities(bytes.NewReader(text), e.path)
		return t, err
	}
	var names []string
	for _, e := range library {
		names = append(names, e.Name)
	}
	return t, fmt.Errorf("traces: there is no trace %q; there are %s", name, strings.Join(names, ", "))
}
