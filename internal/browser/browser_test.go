package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/browser"
)

// What tests of pages rely on: errors, requests and long tasks of a page that has
// them are seen.
func TestABadPageIsSeenToBeBad(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	b := browser.Start(t)
	file := filepath.Join(t.TempDir(), "bad.html")
	const text = `<!doctype html><title>bad</title><img src="http://elsewhere.invalid/x.png"><script>
		console.error('logged'); setTimeout(() => { throw new Error('thrown'); }); setTimeout(() => { window.ready = true; }, 50);
		addEventListener('keydown', e => { window.key = e.key; }); addEventListener('mousedown', e => { window.at = e.clientX; });
		function busy() { for (const t = performance.now(); performance.now() - t < 200;); }</script>`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := b.Page(800, 600, false)
	p.Open("file://"+file, "window.ready === true")
	problems, requests := strings.Join(p.Problems(), "\n"), strings.Join(p.Requests(), "\n")
	for _, want := range []string{"logged", "thrown"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%s is not among the problems %q", want, problems)
		}
	}
	if !strings.Contains(requests, "http://elsewhere.invalid/x.png") {
		t.Errorf("the request is not among %q", requests)
	}
	p.Key("n")
	p.Click(77, 50)
	var key string
	var at int
	p.Eval("window.key", &key)
	p.Eval("window.at", &at)
	if key != "n" || at != 77 {
		t.Errorf("the page got the key %q and a click at %d", key, at)
	}
	long := 0.0
	for _, e := range b.Trace("toplevel,disabled-by-default-devtools.timeline,devtools.timeline", func() {
		p.Eval("new Promise(r => setTimeout(() => { busy(); setTimeout(r, 50); }))", nil) // a task is in the trace once it has ended
	}) {
		if strings.HasSuffix(e.Name, "RunTask") {
			long = max(long, e.Duration)
		}
	}
	if long < 190_000 {
		t.Errorf("a task of 200 ms is %v µs in the trace", long)
	}
	picture := filepath.Join(t.TempDir(), "p.png")
	p.Picture(picture, true)
	if info, err := os.Stat(picture); err != nil || info.Size() < 500 {
		t.Errorf("the picture: %v", err)
	}
}
