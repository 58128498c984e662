package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hilnet/internal/linktest"
)

// devices goes to a folder with a recording of the real NetX Duo, field.pcap, a list of
// drops, and a run of clean-link in a.
func devices(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "2a-dead-link-8s.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, data := range map[string][]byte{"field.pcap": data, "drops.jsonl": []byte(`{"link":"link","dir":"up","frame":9}`)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errs := call(t, "run", "clean-link", "--out", "a", "--quiet"); code != exitPass {
		t.Fatal(errs)
	}
}

// distanceFlag shows what a flag of emu distance does, as a flagCase does.
func distanceFlag(without, with, pattern string) func(*testing.T) {
	return func(t *testing.T) {
		devices(t)
		show := func(args string) string {
			code, stdout, stderr := call(t, strings.Fields("distance "+args)...)
			return fmt.Sprintf("exit %d\n%s%s", code, stdout, stderr)
		}
		text, inverse := strings.CutPrefix(pattern, "!")
		re := regexp.MustCompile(text)
		before, after := show(without), show(without+" "+with)
		if re.MatchString(before) != inverse || re.MatchString(after) == inverse {
			t.Errorf("%s: looked for %s\nwithout:\n%s\nwith:\n%s", with, pattern, before, after)
		}
	}
}

const distanceSchema = "distance.schema.json"

// The committed schema is what the types say, and what the command prints fits it;
// -update writes it.
func TestTheSchemaOfDistancesIsThatOfTheTypes(t *testing.T) {
	root := linktest.Root(t)
	r := &generator.Reflector{Anonymous: true, AllowAdditionalProperties: true}
	for _, pkg := range []string{"replay/distance", "cmd/emu"} {
		if err := r.AddGoComments("hilnet", filepath.Join(root, pkg)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range r.CommentMap { // paths depend on where the repository is
		if _, rest, ok := strings.Cut(name, root+"/"); ok {
			r.CommentMap["hilnet/"+rest] = strings.ReplaceAll(text, "\n", " ")
		}
	}
	schema := r.Reflect(&distanceDocument{})
	schema.Title = "What emu distance --json prints, format hilnet-distance version 1"
	want, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	name := filepath.Join(root, "docs", distanceSchema)
	if *update {
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/%s is not what the types say (%v): go test ./cmd/emu -run SchemaOfDistances -update, and read the diff; when a key went away or changed its meaning, the version grows", distanceSchema, err)
	}
	compiled, err := jsonschema.NewCompiler().Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	devices(t)
	for _, args := range []string{"field.pcap --scenario 2a-dead-link-8s", "a/clean-link.device.pcapng netx", "field.pcap a/clean-link.device.pcapng"} {
		_, out, errs := call(t, strings.Fields("distance --json "+args)...)
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
		if err != nil {
			t.Fatalf("%s: %v\n%s", args, err, errs)
		}
		if err := compiled.Validate(document); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}
