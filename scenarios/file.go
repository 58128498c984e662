package scenarios

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A File is what a scenario file may hold: a Scenario, and two keys whose work
// is done when Load returns.
type File struct {
	Scenario `yaml:",inline"`

	// Files whose keys hold here too, by their path from this file. Where both have a key, this file's counts; devices, links, timeline and expect are joined, those of the included files first. An included file needs no version and no name, and may include others.
	Include []string `yaml:"include" max:"16"`
	// Named values. ${name} in any value of this file, and of the files that it includes, becomes the value of that name; $${ is a plain ${. A file's own value counts before that of a file it includes. emu run --set name=value changes one.
	Params Params `yaml:"params"`
}

// Params are the named values of a file.
type Params []Param

// A Param is a named value, as it is written in a file.
type Param struct{ Name, Value string }

// Parameters returns the parameters of the file that s was loaded from, with the
// values that were used.
func (s *Scenario) Parameters() []Param {
	if s.src == nil {
		return nil
	}
	return slices.Clone(s.src.params)
}

// Limits of what a file may include.
const (
	maxIncludeDepth = 8
	maxIncluded     = 32
)

// joined are the lists that several files add to.
var joined = []string{"devices", "links", "timeline", "expect"}

// A parsedFile is one file, read and parsed.
type parsedFile struct {
	text    *textFile
	root    ast.Node
	anchors map[string]ast.Node
	pairs   []pair
}

// A loader reads a file and those that it includes.
type loader struct {
	d     *decoder
	open  func(name string) ([]byte, error)
	docs  []parsedFile // in the order in which they are decoded: included ones first
	bytes int
	from  map[string]place // where a file that is being read or was read was asked for
	stack []string         // files that are being read, the outermost first
}

// read reads a file's text and what it includes.
func (l *loader) read(name string, data []byte) *Error {
	t := &textFile{file: name, number: len(l.from)}
	d := l.d
	if l.bytes += len(data); l.bytes > MaxFile && len(l.from) > 0 {
		return newError(l.from[name], "include", fmt.Errorf("with %s the files are larger than %d bytes", name, MaxFile))
	}
	if err := t.read(data); err != nil {
		return err
	}
	root, err := t.parse(string(data))
	if err != nil {
		return err
	}
	doc := parsedFile{text: t, root: root, anchors: anchorsOf(root)}
	d.text, d.anchors = t, doc.anchors
	// Another version may have other keys: it is named before they are.
	before := len(d.errs)
	if n, ok := d.enter(root, ""); ok {
		doc.root = n
		d.version(n)
		if len(d.errs) == before {
			doc.pairs, _ = d.pairs(n, "")
		}
	}
	if len(d.errs) > before {
		return nil
	}
	l.stack = append(l.stack, name)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	if err := l.include(name, &doc); err != nil {
		return err
	}
	l.docs = append(l.docs, doc)
	return nil
}

// include reads what a document includes.
func (l *loader) include(name string, doc *parsedFile) *Error {
	i := slices.IndexFunc(doc.pairs, func(p pair) bool { return p.key == "include" })
	if i < 0 {
		return nil
	}
	d := l.d
	var names []string
	before := len(d.errs)
	f := fieldOf[File]("include")
	d.field(doc.pairs[i], "", &f, valueOf(&names))
	if len(d.errs) > before {
		return nil
	}
	places := make([]place, len(names))
	for i := range names {
		places[i] = d.src.places[index("include", i)]
	}
	for i, what := range names {
		at, where := places[i], index("include", i)
		refuse := func(err error) *Error { return newError(d.at(at), where, err) }
		file := path.Join(path.Dir(strings.ReplaceAll(name, `\`, "/")), what)
		switch {
		case what == "" || path.IsAbs(what):
			return refuse(hint("write its path from this file", "%q is not the path of a file to include", what))
		case slices.Contains(l.stack, file):
			return refuse(hint("remove one of the two", "%s", l.cycle(file, at)))
		case len(l.stack) >= maxIncludeDepth:
			return refuse(fmt.Errorf("more than %d files include one another", maxIncludeDepth))
		case len(l.from) >= maxIncluded:
			return refuse(fmt.Errorf("more than %d files", maxIncluded))
		}
		if first, twice := l.from[file]; twice {
			return refuse(hint("remove one of them", "%s is included twice, first in %s", file, first))
		}
		l.from[file] = at
		data, err := l.open(file)
		if err != nil {
			return refuse(hint("the path begins where this file is", "cannot include %s: %v", what, plainError(err)))
		}
		if err := l.read(file, data); err != nil || len(d.errs) > before {
			return err
		}
		d.text, d.anchors = doc.text, doc.anchors
	}
	return nil
}

// cycle tells how a file comes to include itself.
func (l *loader) cycle(file string, at place) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s includes itself: ", path.Base(file))
	for _, f := range l.stack[slices.Index(l.stack, file)+1:] {
		fmt.Fprintf(&b, "%s includes %s, ", l.from[f], path.Base(f))
	}
	fmt.Fprintf(&b, "%s includes %s", at, path.Base(file))
	return b.String()
}

// parameters collects the parameters of all documents, the including file's
// before the included one's, and those that overrides set.
func (l *loader) parameters(sets []Set) {
	d := l.d
	for i := range l.docs {
		doc := &l.docs[i]
		for _, p := range doc.pairs {
			if p.key == "params" {
				d.text, d.anchors = doc.text, doc.anchors
				d.params(p.value, i == len(l.docs)-1)
			}
		}
	}
	for _, s := range sets {
		if p := d.src.param(s.Key); p != nil {
			p.Value = s.Value
		}
	}
}

// param returns the parameter of a name, or nil.
func (s *source) param(name string) *Param {
	if i := slices.IndexFunc(s.params, func(p Param) bool { return p.Name == name }); i >= 0 {
		return &s.params[i]
	}
	return nil
}

var paramPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// params decodes the parameters of one file. Those of the main file must be used.
func (d *decoder) params(n ast.Node, main bool) {
	pairs, ok := d.pairs(n, "params")
	if !ok {
		return
	}
	for _, p := range pairs {
		where := join("params", p.key)
		if !paramPattern.MatchString(p.key) {
			d.fail(p.place, where, hint("use letters, digits and underscores", "%q is not the name of a parameter", p.key))
			continue
		}
		var value string
		before := len(d.errs)
		d.literal = true
		d.value(p.value, where, valueOf(&value))
		d.literal = false
		if len(d.errs) > before {
			continue
		}
		if old := d.src.param(p.key); old != nil {
			old.Value = value
		} else {
			d.src.params = append(d.src.params, Param{p.key, value})
		}
		if main {
			d.unused[p.key] = d.at(p.place)
		}
	}
}

// expand puts parameters in the place of ${name} in a value. used is the last
// one.
func (d *decoder) expand(s string, at place, where string) (expanded, used string, ok bool) {
	if d.literal || !strings.Contains(s, "${") {
		return s, "", true
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "$${"):
			b.WriteString("${")
			i += 3
			continue
		case !strings.HasPrefix(s[i:], "${"):
			b.WriteByte(s[i])
			i++
			continue
		}
		name, _, closed := strings.Cut(s[i+2:], "}")
		p := d.src.param(name)
		switch {
		case !closed:
			d.fail(at, where, hint("write ${name}, or $${ for a plain ${", "${ without }"))
			return "", "", false
		case p == nil:
			var names []string
			for _, p := range d.src.params {
				names = append(names, p.Name)
			}
			h := didYouMean(name, names)
			if h == "" {
				h = "add params: with a value for it, or write $${ for a plain ${"
			}
			d.fail(at, where, hint(h, "no parameter is called %q", name))
			return "", "", false
		}
		delete(d.unused, name)
		used = name
		b.WriteString(p.Value)
		i += len("${}") + len(name)
		if d.expanded += len(p.Value); d.expanded > MaxFile {
			d.fail(at, where, fmt.Errorf("parameters put more than %d bytes into the file", MaxFile))
			panic(errTooMany)
		}
	}
	return b.String(), used, true
}

// escape writes a text so that expand gives it back.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }
