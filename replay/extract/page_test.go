package extract

import (
	"flag"
	"fmt"
	"testing"

	"hilnet/internal/linktest"
)

var update = flag.Bool("update", false, "rewrite the tables in the docs")

// table tests that docs/extract.md has a table.
func table(t *testing.T, name, text string) {
	t.Helper()
	linktest.Section(t, *update, "extract.md", fmt.Sprintf("<!-- %s: go test ./replay/extract -update -->\n", name),
		fmt.Sprintf("<!-- end of %s -->\n", name), text, "go test ./replay/extract -update")
}
