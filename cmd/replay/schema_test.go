package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hilnet/internal/linktest"
)

// schemas are the documents of the commands whose schema is in docs, by file.
var schemas = []struct {
	file, title string
	document    any
}{
	{"analysis.schema.json", "What replay analyze --json prints, format hilnet-analysis version 1", &analysisDocument{}},
	{"comparison.schema.json", "What replay compare --json prints, format hilnet-comparison version 1", &compareDocument{}},
	{"play.schema.json", "What replay play --json prints, format hilnet-play version 1", &playDocument{}},
	{"play-plan.schema.json", "What replay play --plan --json prints, format hilnet-play-plan version 1", &planDocument{}},
}

// The committed schemas are what the types say; -update writes them.
func TestTheSchemasAreThoseOfTheTypes(t *testing.T) {
	root := linktest.Root(t)
	for _, s := range schemas {
		r := &generator.Reflector{Anonymous: true, AllowAdditionalProperties: true}
		for _, pkg := range []string{"pcaps/analyze", "replay/compare", "replay/play", "cmd/replay"} {
			if err := r.AddGoComments("hilnet", filepath.Join(root, pkg)); err != nil {
				t.Fatal(err)
			}
		}
		// Paths of the comments depend on where the repository is.
		for name, text := range r.CommentMap {
			if _, rest, ok := strings.Cut(name, root+"/"); ok {
				r.CommentMap["hilnet/"+rest] = strings.ReplaceAll(text, "\n", " ")
			}
		}
		schema := r.Reflect(s.document)
		schema.Title = s.title
		want, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, '\n')
		name := filepath.Join(root, "docs", s.file)
		if *update {
			if err := os.WriteFile(name, want, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what the types say (%v): go test ./cmd/replay -update, and read the diff; when a key went away or changed its meaning, the version grows", s.file, err)
		}
	}
}

func compiled(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// An independent validator accepts what the commands print of every recording of a
// device, and refuses it when something is missing.
func TestDocumentsAreWhatTheirSchemasSay(t *testing.T) {
	recordings, err := filepath.Glob(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "*.pcap"))
	if err != nil || len(recordings) < 10 {
		t.Fatal(recordings, err)
	}
	for i, s := range schemas {
		schema := compiled(t, s.file)
		for n, recording := range recordings {
			args := []string{"analyze", "--json", recording, recordings[0]}
			switch i {
			case 1:
				args = []string{"compare", "--json", recording, recordings[(n+1)%len(recordings)]}
			case 2:
				args = []string{"play", "--json", mqttCaptures(t)[n], "--as", "client", "--against", "model", "--synthetic"}
			case 3:
				args = []string{"play", "--json", recording, "--as", "broker", "--plan"}
			}
			_, out := call(t, args...)
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			if err := schema.Validate(doc); err != nil {
				t.Errorf("%q: %v", args, err)
			}
			if strings.Contains(out, ": null") {
				t.Errorf("%q: a list is null", args)
			}
			whole := doc.(map[string]any)
			for _, key := range []string{"format", "version"} {
				kept := whole[key]
				delete(whole, key)
				if schema.Validate(doc) == nil {
					t.Errorf("the schema accepts a document without %s", key)
				}
				whole[key] = kept
			}
		}
	}
}
