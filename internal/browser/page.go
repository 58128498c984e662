package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// A Page is a tab.
type Page struct {
	b        *Browser
	session  string
	problems []string // guarded by b.mu, as are the others below
	requests []string
}

// Page opens an empty tab of a size in pixels; dark asks for the dark colours.
func (b *Browser) Page(width, height int, dark bool) *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	b.into(b.must("", "Target.createTarget", map[string]any{"url": "about:blank"}), &target)
	var attached struct{ SessionID string }
	b.into(b.must("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &attached)
	p := &Page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		p.must(domain+".enable", nil)
	}
	p.Resize(width, height)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.must("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
	return p
}

func (b *Browser) into(raw json.RawMessage, v any) {
	b.t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		b.t.Fatal(err)
	}
}

func (p *Page) must(method string, params any) json.RawMessage {
	p.b.t.Helper()
	return p.b.must(p.session, method, params)
}

// note keeps what the page logs and asks for.
func (p *Page) note(m *message) {
	switch m.Method {
	case "Runtime.exceptionThrown":
		var e struct {
			ExceptionDetails struct {
				Text      string
				Exception struct{ Description string }
			}
		}
		_ = json.Unmarshal(m.Params, &e) // an empty one is noted as well
		p.problems = append(p.problems, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case "Runtime.consoleAPICalled":
		var c struct {
			Type string
			Args []struct{ Value any }
		}
		if json.Unmarshal(m.Params, &c) == nil && (c.Type == "error" || c.Type == "warning" || c.Type == "assert") {
			p.problems = append(p.problems, fmt.Sprint(c.Type, ": ", c.Args))
		}
	case "Log.entryAdded":
		var l struct {
			Entry struct{ Level, Text, URL string }
		}
		if json.Unmarshal(m.Params, &l) == nil && l.Entry.Level != "verbose" && l.Entry.Level != "info" {
			p.problems = append(p.problems, l.Entry.Level+": "+l.Entry.Text+" "+l.Entry.URL)
		}
	case "Network.requestWillBeSent":
		var r struct {
			Request struct{ URL string }
		}
		if json.Unmarshal(m.Params, &r) == nil {
			p.requests = append(p.requests, r.Request.URL)
		}
	}
}

// Problems returns the errors and warnings that the page logged, and its uncaught
// exceptions.
func (p *Page) Problems() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return slices.Clone(p.problems)
}

// Requests returns the addresses that the page asked for, its own included.
func (p *Page) Requests() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return slices.Clone(p.requests)
}

// Resize gives the page another size.
func (p *Page) Resize(width, height int) {
	p.b.t.Helper()
	p.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
}

// Open opens an address and waits until a condition holds there.
func (p *Page) Open(url, condition string) {
	p.b.t.Helper()
	var got struct{ ErrorText string }
	p.b.into(p.must("Page.navigate", map[string]any{"url": url}), &got)
	if got.ErrorText != "" {
		p.b.t.Fatalf("%s: %s", url, got.ErrorText)
	}
	p.Wait(condition)
}

// Wait waits until an expression of the page's script is true.
func (p *Page) Wait(condition string) {
	p.b.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if ok, _ := p.try(condition).(bool); ok {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.b.t.Fatalf("%s does not become true; the page says %q", condition, p.Problems())
}

// try evaluates an expression; nil when that throws.
func (p *Page) try(expression string) any {
	raw, err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	var r struct{ Result struct{ Value any } }
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return nil
	}
	return r.Result.Value
}

// Eval evaluates an expression, or a promise, and stores its value in v if that
// is not nil. The test fails when it throws.
func (p *Page) Eval(expression string, v any) {
	p.b.t.Helper()
	raw := p.must("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true})
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.b.into(raw, &r)
	if r.ExceptionDetails != nil {
		p.b.t.Fatalf("%s: %s %s", expression, r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	}
	if v != nil {
		if err := json.Unmarshal(r.Result.Value, v); err != nil {
			p.b.t.Fatalf("%s: %v in %s", expression, err, r.Result.Value)
		}
	}
}

// Key presses a key: one that writes a character, or a name such as ArrowDown.
func (p *Page) Key(key string) {
	p.b.t.Helper()
	down := map[string]any{"type": "keyDown", "key": key}
	if len([]rune(key)) == 1 {
		down["text"] = key
	}
	p.must("Input.dispatchKeyEvent", down)
	p.must("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key})
}

// Click presses the mouse at a place of the window.
func (p *Page) Click(x, y float64) {
	p.b.t.Helper()
	for _, what := range []string{"mousePressed", "mouseReleased"} {
		p.must("Input.dispatchMouseEvent", map[string]any{"type": what, "x": x, "y": y, "button": "left", "clickCount": 1})
	}
}

// Picture writes the page as PNG: what the window shows, or all of it.
func (p *Page) Picture(file string, all bool) {
	p.b.t.Helper()
	var shot struct{ Data string }
	p.b.into(p.must("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": all}), &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		p.b.t.Fatal(err)
	}
}
