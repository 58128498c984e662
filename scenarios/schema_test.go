package scenarios

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	generator "github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "rewrite golden files")

// schemaMaker makes the JSON Schema from what the decoder reads: fieldsOf. The
// descriptions are the comments of the fields.
type schemaMaker struct {
	comments map[string]string
	defs     generator.Definitions
}

func makeSchema(t *testing.T) []byte {
	r := &generator.Reflector{}
	if err := r.AddGoComments("hilnet/scenarios", ".", generator.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	m := &schemaMaker{comments: map[string]string{}, defs: generator.Definitions{}}
	for name, text := range r.CommentMap {
		m.comments[strings.TrimPrefix(name, "hilnet/scenarios.")] = strings.Join(strings.Fields(text), " ")
	}
	root := m.object(reflect.TypeFor[File]())
	root.Version = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "hilnet scenario"
	root.Definitions = m.defs
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// property returns the schema of one key.
func (m *schemaMaker) property(owner reflect.Type, f *field) *generator.Schema {
	s := m.typ(f.typ)
	if s.Ref != "" {
		s = &generator.Schema{Ref: s.Ref}
	}
	for len(f.index) > 1 && owner.Field(f.index[0]).Anonymous { // inline
		owner, f = owner.Field(f.index[0]).Type, &field{index: f.index[1:], def: f.def, typ: f.typ, min: f.min, max: f.max}
	}
	s.Description = m.comments[owner.Name()+"."+owner.FieldByIndex(f.index).Name]
	switch {
	case f.def == "":
	case f.typ.Kind() == reflect.Slice:
		s.Default = strings.Split(strings.Trim(f.def, "[]"), ", ")
	case json.Valid([]byte(f.def)):
		s.Default = json.RawMessage(f.def)
	default:
		s.Default = f.def
	}
	switch f.typ.Kind() {
	case reflect.Slice:
		s.MinItems, s.MaxItems = count(f.min), count(f.max)
	case reflect.Int, reflect.Float64:
		if f.typ == reflect.TypeFor[Percent]() {
			break // a text
		}
		s.Minimum, s.Maximum = json.Number(f.min), json.Number(f.max)
	case reflect.String:
		if f.min != "" {
			s.MinLength = count(f.min)
		}
	}
	return s
}

func count(bound string) *uint64 {
	if bound == "" {
		return nil
	}
	n, err := strconv.ParseUint(bound, 10, 64)
	if err != nil {
		panic(err)
	}
	return &n
}

// typ returns the schema of a type, objects by reference. Where a value stands,
// a parameter may stand as well.
func (m *schemaMaker) typ(t reflect.Type) *generator.Schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := m.plain(t)
	if !isScalar(t) || t.Kind() == reflect.String && !t.Implements(enumType) {
		return s
	}
	m.defs["Parameter"] = &generator.Schema{
		Type: "string", Pattern: `\$\{[A-Za-z][A-Za-z0-9_]*\}`, Description: "A value with a parameter in it, such as ${loss}.",
	}
	param := &generator.Schema{Ref: "#/$defs/Parameter"}
	if len(s.AnyOf) > 0 {
		s.AnyOf = append(s.AnyOf, param)
		return s
	}
	return &generator.Schema{AnyOf: []*generator.Schema{s, param}}
}

const prefix6Pattern = `[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/[0-9]{1,3}`

// plain returns the schema of a type that is no pointer.
func (m *schemaMaker) plain(t reflect.Type) *generator.Schema {
	number := `[0-9]+(\.[0-9]+)?`
	duration := `(` + number + ` ?(ns|us|ms|s|m|h))+`
	text := func(pattern string) *generator.Schema {
		return &generator.Schema{Type: "string", Pattern: "^" + pattern + "$"}
	}
	or := func(a ...*generator.Schema) *generator.Schema { return &generator.Schema{AnyOf: a} }
	zero := &generator.Schema{Const: 0}
	switch {
	case t == reflect.TypeFor[Duration]():
		return or(text(duration), zero)
	case t == reflect.TypeFor[Pause]():
		return text(`(never|` + duration + `)`)
	case t == reflect.TypeFor[Rate]():
		return text(`(unlimited|` + number + ` ?(bit|kbit|Mbit|Gbit)(/s)?)`)
	case t == reflect.TypeFor[Size]():
		return or(text(number+` ?(B|kB|KiB|MB|MiB)`), &generator.Schema{Type: "integer", Minimum: "0"})
	case t == reflect.TypeFor[Percent]():
		return or(text(number+` ?%`), zero)
	case t == reflect.TypeFor[MAC]():
		return text(`[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}`)
	case t == prefixType:
		return text(`[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}`)
	case t == addrType:
		return text(`[0-9]{1,3}(\.[0-9]{1,3}){3}`)
	case t == address4Type:
		return text(`(dhcp|[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2})`)
	case t == prefix6Type:
		return text(prefix6Pattern)
	case t == address6Type:
		return text(`(slaac|none|` + prefix6Pattern + `)`)
	case t == reflect.TypeFor[Params]():
		return &generator.Schema{
			Type: "object", PropertyNames: &generator.Schema{Pattern: paramPattern.String()},
			AdditionalProperties: or(&generator.Schema{Type: "string"}, &generator.Schema{Type: "number"}, &generator.Schema{Type: "boolean"}),
		}
	case t == reflect.TypeFor[Quirks]():
		return &generator.Schema{Type: "string", Pattern: Quirks{}.pattern()}
	case t == reflect.TypeFor[TCPFlags]():
		return text(tcpFlagsPattern)
	case t == reflect.TypeFor[ByteRange]():
		return or(text(byteRangePattern), &generator.Schema{Type: "integer", Minimum: "0"})
	case t == reflect.TypeFor[Copies]():
		return or(text(copiesPattern), &generator.Schema{Type: "integer", Minimum: "1"})
	case t == reflect.TypeFor[QoS]():
		return &generator.Schema{Enum: []any{0, 1, 2}}
	case t == reflect.TypeFor[AnyQoS]():
		return &generator.Schema{Enum: []any{0, 1, 2, 3}}
	case t.Implements(reflect.TypeFor[interface{ Values() []string }]()):
		s := &generator.Schema{Type: "string"}
		for _, v := range reflect.Zero(t).Interface().(interface{ Values() []string }).Values() {
			s.Enum = append(s.Enum, v)
		}
		return s
	}
	switch t.Kind() {
	case reflect.String:
		return or(&generator.Schema{Type: "string"}, &generator.Schema{Type: "number"}, &generator.Schema{Type: "boolean"})
	case reflect.Bool:
		return &generator.Schema{Type: "boolean"}
	case reflect.Int, reflect.Uint64:
		return &generator.Schema{Type: "integer"}
	case reflect.Float64:
		return &generator.Schema{Type: "number"}
	case reflect.Slice:
		return &generator.Schema{Type: "array", Items: m.typ(t.Elem())}
	}
	if _, done := m.defs[t.Name()]; !done {
		m.defs[t.Name()] = nil // a step holds steps
		m.defs[t.Name()] = m.object(t)
	}
	ref := &generator.Schema{Ref: "#/$defs/" + t.Name()}
	if f := shortField(t); f != nil {
		return or(m.typ(f.typ), ref)
	}
	return ref
}

// object returns the schema of a mapping.
func (m *schemaMaker) object(t reflect.Type) *generator.Schema {
	s := &generator.Schema{
		Type: "object", Properties: generator.NewProperties(), AdditionalProperties: generator.FalseSchema,
		Description: m.comments[t.Name()],
	}
	for _, f := range fieldsOf(t) {
		s.Properties.Set(f.key, m.property(t, &f))
		if f.required {
			s.Required = append(s.Required, f.key)
		}
	}
	for _, f := range sharedFields(t) {
		s.Properties.Set(f.key, m.property(reflect.TypeFor[Direction](), &f))
	}
	switch t {
	case reflect.TypeFor[Step]():
		one := uint64(1)
		s.MinProperties, s.MaxProperties = &one, &one
		word := &generator.Schema{Type: "string"}
		for _, f := range fieldsOf(t) {
			if v := f.typ.Elem(); v == reflect.TypeFor[MessageGet]() || v.Kind() == reflect.Struct && !anyRequired(v) {
				word.Enum = append(word.Enum, f.key)
				p, _ := s.Properties.Get(f.key)
				s.Properties.Set(f.key, &generator.Schema{AnyOf: []*generator.Schema{p, {Type: "null"}}})
			}
		}
		return &generator.Schema{Description: s.Description, AnyOf: []*generator.Schema{word, s}}
	case reflect.TypeFor[Expectation]():
		return &generator.Schema{Description: s.Description, AnyOf: []*generator.Schema{{Type: "string"}, s}}
	case reflect.TypeFor[Action]():
		m.conditions(s)
	}
	return s
}

func anyRequired(t reflect.Type) bool {
	return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.required })
}

// conditions adds which keys each action takes.
func (m *schemaMaker) conditions(s *generator.Schema) {
	s.Properties.Set("value", &generator.Schema{Description: "The new level, with loss, delay or rate; with broker_delay_connack, broker_delay_acks and broker_coalesce a time."})
	for _, name := range ActionKind("").Values() {
		is := generator.NewProperties()
		is.Set("do", &generator.Schema{Const: name})
		then := &generator.Schema{Properties: generator.NewProperties()}
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			takes, must := ActionKind(name).takes(p.Key)
			if !takes {
				then.Properties.Set(p.Key, generator.FalseSchema)
			}
			if must && p.Key != "do" {
				then.Required = append(then.Required, p.Key)
			}
		}
		a := Action{Do: ActionKind(name)}
		if v, _, ok := a.value(); ok {
			then.Properties.Set("value", m.typ(v.Type()))
			if a.Do == SetRate {
				then.Properties.Set("value", &generator.Schema{AnyOf: []*generator.Schema{m.typ(v.Type()), m.typ(reflect.TypeFor[Percent]())}})
			}
		}
		s.AnyOf = []*generator.Schema{{Required: []string{"at"}}, {Required: []string{"every"}}, {Required: []string{"after"}}}
		s.AllOf = append(s.AllOf, &generator.Schema{If: &generator.Schema{Properties: is}, Then: then})
	}
}

func TestTheCommittedSchemaIsTheGeneratedOne(t *testing.T) {
	want := makeSchema(t)
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema, want) {
		t.Error("schema.json is not what the types say; run go test ./scenarios -run Schema -update and read the difference")
	}
}

func TestEveryKeyOfTheSchemaHasADescription(t *testing.T) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		o, ok := v.(map[string]any)
		if !ok {
			return
		}
		for name, p := range o {
			if props, ok := p.(map[string]any); ok && name == "properties" && !strings.Contains(path, "/allOf") {
				for key, s := range props {
					text := ""
					if s, ok := s.(map[string]any); ok {
						text, _ = s["description"].(string)
						if either, ok := s["anyOf"].([]any); ok && text == "" {
							text, _ = either[0].(map[string]any)["description"].(string)
						}
					}
					if text == "" {
						t.Errorf("%s/%s has no description", path, key)
					}
				}
			}
			walk(path+"/"+name, p)
		}
	}
	var doc any
	if err := json.Unmarshal(Schema, &doc); err != nil {
		t.Fatal(err)
	}
	walk("", doc)
}

// compiled returns the schema as an independent implementation reads it.
func compiled(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// document reads YAML without our decoder.
func document(t *testing.T, data []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatalf("%v in %s", err, asJSON)
	}
	return doc
}

func TestEveryLibraryScenarioMatchesTheSchema(t *testing.T) {
	schema := compiled(t)
	files, err := filepath.Glob("library/*.yaml")
	more, err2 := filepath.Glob("library/*/*.yaml")
	if files = append(files, more...); err != nil || err2 != nil || len(files) != len(Library()) {
		t.Fatalf("%d files, %v, %v", len(files), err, err2)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document(t, data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s, err := Load(name, data)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := s.Resolved()
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document(t, resolved)); err != nil {
			t.Errorf("%s, resolved: %v", name, err)
		}
	}
}
