package scenarios

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
)

const referencePage = "../docs/language.md"

// makeReference makes docs/language.md: the words of testdata/language.md, with
// tables of what the types say.
func makeReference(t *testing.T) []byte {
	t.Helper()
	r := &generator.Reflector{}
	if err := r.AddGoComments("hilnet/scenarios", ".", generator.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	comment := func(typ reflect.Type, field string) string {
		name := "hilnet/scenarios." + typ.Name()
		if field != "" {
			name += "." + field
		}
		return strings.ReplaceAll(strings.Join(strings.Fields(r.CommentMap[name]), " "), "|", `\|`)
	}
	head, err := os.ReadFile("testdata/language.md")
	if err != nil {
		t.Fatal(err)
	}
	var actions strings.Builder
	for _, name := range ActionKind("").Values() {
		keys := strings.ReplaceAll(strings.Join(actionKeys[ActionKind(name)], "`, `"), "!", "")
		fmt.Fprintf(&actions, "| `%s` | `%s` |\n", name, keys)
	}
	names := func(typ reflect.Type) string {
		var b strings.Builder
		nameTable(&b, typ, comment)
		return strings.TrimSuffix(b.String(), "\n")
	}
	page := strings.NewReplacer(
		"{{actions}}", strings.TrimSuffix(actions.String(), "\n"), "{{outcome}}", names(reflect.TypeFor[Outcome]()),
		"{{pool}}", names(reflect.TypeFor[PoolOutcome]()), "{{way}}", names(reflect.TypeFor[WayOutcome]()),
	).Replace(string(head))
	var b bytes.Buffer
	b.WriteString(page)
	keyTables(&b, comment)
	return b.Bytes()
}

// nameTable writes the names that an expectation may use.
func nameTable(b *strings.Builder, typ reflect.Type, comment func(reflect.Type, string) string) {
	last := ""
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag := f.Tag.Get("expr")
		switch {
		case f.Anonymous:
			nameTable(b, f.Type, comment)
		case tag != "" && tag != "-":
			// Fields under one comment share it.
			text := comment(typ, f.Name)
			if text == "" {
				text = last
			}
			last = text
			fmt.Fprintf(b, "| `%s` | %s |\n", tag, text)
		}
	}
}

// keyTables writes a table for each type of the language.
func keyTables(b *bytes.Buffer, comment func(reflect.Type, string) string) {
	queue := []reflect.Type{reflect.TypeFor[File]()}
	for n := 0; n < len(queue); n++ {
		typ := queue[n]
		title := typ.Name()
		if title == "File" {
			title = "The file"
		}
		fmt.Fprintf(b, "### %s\n\n| key | value | default | what it is |\n|---|---|---|---|\n", title)
		fields := fieldsOf(typ)
		if typ == reflect.TypeFor[Action]() {
			fmt.Fprintf(b, "| `value` | a share, duration or rate | | With loss, delay and rate: the new level; a rate may also be a share of what the link has in the scenario. |\n")
		}
		for _, f := range fields {
			owner, index := typ, f.index
			for len(index) > 1 {
				owner, index = owner.Field(index[0]).Type, index[1:]
			}
			value, sub := valueWords(f.typ)
			if sub != nil && !slices.Contains(queue, sub) {
				queue = append(queue, sub)
			}
			def := ""
			switch {
			case f.required:
				def = "required"
			case f.def != "":
				def = "`" + f.def + "`"
			}
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.key, value, def, comment(owner, owner.Field(index[0]).Name))
		}
		if len(sharedFields(typ)) > 0 {
			b.WriteString("\nThe keys of `up` and `down` may stand here too, for both ways.\n")
		}
		b.WriteString("\n")
	}
	b.Truncate(b.Len() - 1)
}

// valueWords says what kind of value a type is, and which type has keys of its own.
func valueWords(t reflect.Type) (string, reflect.Type) {
	list := ""
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && !isScalar(t) && t != reflect.TypeFor[Params]() {
		if t.Kind() == reflect.Slice {
			list = "list of "
		}
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[Params]():
		return "names with values", nil
	case t.Implements(reflect.TypeFor[enum]()):
		return list + "`" + strings.Join(reflect.Zero(t).Interface().(enum).Values(), "`, `") + "`", nil
	case isScalar(t):
		words := map[string]string{
			"string": "text", "int": "number", "uint64": "number", "float64": "number", "bool": "`true`, `false`", "Prefix": "address/length", "Prefix6": "IPv6 address/length", "Address6": "IPv6 address/length, `slaac`, `none`",
			"Addr": "address", "Pause": "duration, `never`", "Quirks": "`default`, `none`, single ones", "QoS": "`0`, `1`, `2`", "AnyQoS": "`0` to `3`", "Percent": "share", "MAC": "Ethernet address", "TCPFlags": "such as `SYN+ACK`", "ByteRange": "such as `0..99`", "Copies": "`first`, `all`, number",
		}
		if w, ok := words[t.Name()]; ok {
			return list + w, nil
		}
		return list + strings.ToLower(t.Name()), nil
	}
	short := ""
	if f := shortField(t); f != nil && list == "" {
		words, _ := valueWords(f.typ)
		short = words + " or "
	}
	return fmt.Sprintf("%s%s[%s](#%s)", list, short, t.Name(), strings.ToLower(t.Name())), t
}

func TestTheCommittedReferenceIsTheGeneratedOne(t *testing.T) {
	want := makeReference(t)
	if *update {
		if err := os.WriteFile(referencePage, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/language.md is not what the types and testdata/language.md say; run go test ./scenarios -run Reference -update and read the difference")
	}
}

func TestTheReferenceSaysSomethingOfEveryKey(t *testing.T) {
	page := string(makeReference(t))
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "| `") && strings.HasSuffix(line, "|  |") {
			t.Errorf("nothing is said: %s", line)
		}
	}
	for _, k := range Keys() {
		if key := k.Path[strings.LastIndexByte(k.Path, '.')+1:]; !strings.Contains(page, "| `"+key+"` |") {
			t.Errorf("%s is missing", k.Path)
		}
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestEveryExampleInTheDocumentsIsAValidScenario(t *testing.T) {
	schema, examples := compiled(t), 0
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../README.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range yamlBlock.FindAllSubmatch(data, -1) {
			if !bytes.Contains(block[1], []byte("version: 1\n")) {
				continue // not a scenario
			}
			examples++
			name := fmt.Sprintf("%s, example %d", filepath.Base(page), i+1)
			if _, err := Load(name, block[1]); err != nil {
				t.Errorf("%v", err)
				continue
			}
			if err := schema.Validate(document(t, block[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if examples < 7 {
		t.Errorf("only %d examples", examples)
	}
}
