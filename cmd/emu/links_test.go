package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/scenarios"
)

// pageLink is a link to another page, or to a picture.
var pageLink = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)\s]*)?\)`)

// Every link of the documentation leads somewhere, and the list of pages has
// every page.
func TestTheDocumentationLeadsToPagesThatAreThere(t *testing.T) {
	root := linktest.Root(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	guides, err := filepath.Glob(filepath.Join(root, "docs", "guides", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, guides...)
	list := filepath.Join(root, "docs", "README.md")
	listed := map[string]bool{list: true}
	links := 0
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pageLink.FindAllStringSubmatch(string(text), -1) {
			to := filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s leads to %s, which is not there", strings.TrimPrefix(page, root), m[1])
			}
			if page == list {
				listed[to] = true
			}
			links++
		}
	}
	if links < 120 {
		t.Errorf("%d links", links)
	}
	for _, page := range pages {
		if !listed[page] {
			t.Errorf("docs/README.md does not list %s", strings.TrimPrefix(page, root))
		}
	}
}

var (
	sourceName = regexp.MustCompile(`\[([a-z][a-z_-]*)\](?:[^(]|$)`)
	sourceRow  = regexp.MustCompile(`(?m)^\| \[([a-z_-]+)\] \| .*https?://|(?m)^\| \[([a-z_-]+)\] \| Linux, `)
)

// What the comparison says of another tool has a source, in each row and each
// paragraph, and every source is used.
func TestTheComparisonNamesItsSources(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "comparison.md"))
	if err != nil {
		t.Fatal(err)
	}
	body, sources, ok := strings.Cut(string(text), "## Sources")
	if !ok {
		t.Fatal("the page has no sources")
	}
	used, have := map[string]bool{}, map[string]bool{}
	for _, m := range sourceName.FindAllStringSubmatch(body, -1) {
		used[m[1]] = true
	}
	for _, m := range sourceRow.FindAllStringSubmatch(sources, -1) {
		have[m[1]+m[2]] = true
	}
	for name := range used {
		if !have[name] {
			t.Errorf("[%s] has no source", name)
		}
	}
	for name := range have {
		if !used[name] {
			t.Errorf("the source [%s] is for nothing", name)
		}
	}
	rows := 0
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "| **") && !strings.HasPrefix(line, "| **hilnet**") {
			rows++
			if !sourceName.MatchString(line) {
				t.Errorf("no source: %s", line)
			}
		}
	}
	if rows != 6 || len(have) < 12 {
		t.Errorf("%d tools, %d sources", rows, len(have))
	}
}

var scenarioBlock = regexp.MustCompile("(?ms)^```yaml\n(version: 1\n.*?)^```$")

// A whole scenario on a page is valid.
func TestTheScenariosOfTheGuidesAreValid(t *testing.T) {
	guides, err := filepath.Glob(filepath.Join(linktest.Root(t), "docs", "guides", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range scenarioBlock.FindAllStringSubmatch(string(text), -1) {
			n++
			if _, err := scenarios.Load(filepath.Base(guide), []byte(m[1])); err != nil {
				t.Errorf("%s: %v", guide, err)
			}
		}
	}
	if n == 0 {
		t.Error("no guide has a scenario")
	}
}
