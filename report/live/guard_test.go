package live

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// request makes a request of headers, in pairs.
func request(method, path, host string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader("{}"))
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// Pages of other sites, names that point here, frames, forms and whoever lacks the
// token are turned away; the page itself, a typed address, a link and curl are not.
func TestWhoMayAsk(t *testing.T) {
	const json, here = "application/json", "127.0.0.1:8088"
	open, closed := guard{}, guard{secret, []string{"Bench"}}
	for _, c := range []struct {
		name string
		g    guard
		r    *http.Request
		code int
	}{
		{"a typed address", open, request("GET", "/", here, "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 0},
		{"by name", open, request("GET", "/", "localhost:8088"), 0},
		{"by name in capitals", open, request("GET", "/", "LOCALHOST:8088"), 0},
		{"IPv6", open, request("GET", "/metrics", "[::1]:8088"), 0},
		{"the page itself", open, request("POST", "/do", here, "Content-Type", json, "Origin", "http://"+here, "Sec-Fetch-Site", "same-origin"), 0},
		{"curl", open, request("POST", "/do", here, "Content-Type", "application/json; charset=utf-8"), 0},
		{"a link", open, request("GET", "/", here, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 0},

		{"a frame", open, request("GET", "/", here, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), 403},
		{"an image of another site", open, request("GET", "/events", here, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"), 403},
		{"a link to the stream", open, request("GET", "/events", here, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 403},
		{"another port of this machine", open, request("GET", "/events", here, "Sec-Fetch-Site", "same-site"), 403},
		{"fetch of another site", open, request("POST", "/do", here, "Content-Type", json, "Origin", "http://evil.example"), 403},
		{"fetch of another port", open, request("POST", "/do", here, "Content-Type", json, "Origin", "http://127.0.0.1:9999"), 403},
		{"fetch of another scheme", open, request("POST", "/do", here, "Content-Type", json, "Origin", "https://"+here), 403},
		{"fetch of a sandbox", open, request("POST", "/do", here, "Content-Type", json, "Origin", "null"), 403},
		{"a form of an old browser", open, request("POST", "/do", here, "Content-Type", "text/plain"), 415},
		{"a form without a type", open, request("POST", "/do", here), 415},
		{"DNS rebinding", open, request("POST", "/do", "evil.example:8088", "Content-Type", json, "Origin", "http://evil.example:8088", "Sec-Fetch-Site", "same-origin"), 421},
		{"a name that ends in localhost", open, request("GET", "/", "evil.localhost:8088"), 421},
		{"an address that is not loopback", open, request("GET", "/", "192.0.2.1:8088"), 421},
		{"no host", open, request("GET", "/", ""), 421},

		{"no token", closed, request("GET", "/", "192.0.2.1:8088"), 401},
		{"a wrong token", closed, request("GET", "/?token=wrong", "192.0.2.1:8088"), 401},
		{"an empty token", closed, request("GET", "/?token=", "192.0.2.1:8088"), 401},
		{"the token elsewhere", closed, request("GET", "/metrics?token="+secret, "192.0.2.1:8088"), 401},
		{"the token of a post", closed, request("POST", "/?token="+secret, "192.0.2.1:8088", "Content-Type", json), 401},
		{"a wrong cookie", closed, request("GET", "/", "192.0.2.1:8088", "Cookie", cookieName+"=wrong"), 401},
		{"a wrong bearer", closed, request("GET", "/", "192.0.2.1:8088", "Authorization", "Bearer "), 401},
		{"basic", closed, request("GET", "/", "192.0.2.1:8088", "Authorization", "Basic "+secret), 401},
		{"no token from here", closed, request("GET", "/", here), 401},
		{"rebinding with a token", closed, request("GET", "/?token="+secret, "evil.example:8088"), 421},
		{"the token", closed, request("GET", "/?token="+secret, "192.0.2.1:8088"), 0},
		{"the token by name", closed, request("GET", "/?token="+secret, "bench:8088"), 0},
		{"the cookie", closed, request("POST", "/do", "192.0.2.1:8088", "Content-Type", json, "Cookie", cookieName+"="+secret, "Origin", "http://192.0.2.1:8088"), 0},
		{"the cookie across sites", closed, request("POST", "/do", "192.0.2.1:8088", "Content-Type", json, "Cookie", cookieName+"="+secret, "Origin", "http://evil.example"), 403},
		{"a bearer", closed, request("GET", "/metrics", "192.0.2.1:8088", "Authorization", "Bearer "+secret), 0},
	} {
		code := 0
		if no := c.g.check(c.r); no != nil {
			code = no.code
		}
		if code != c.code {
			t.Errorf("%s: %d, want %d", c.name, code, c.code)
		}
	}
}

// stub is a server of a run that does nothing.
func stub(token string) *server {
	s := &server{
		guard: guard{token: token}, hub: newHub(), run: "r", page: []byte("<!doctype html>"), policy: "default-src 'none'",
		scenario: func() ([]byte, error) { return []byte("version: 1\n"), nil },
		do:       func(body []byte) (any, error) { _, err := readOrder(body); return map[string]int{}, err },
		metrics:  func(s *served) []byte { x := &exposition{}; s.expose(x); return x.Bytes() },
	}
	s.prepare()
	return s
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	s := stub("")
	for _, c := range []struct {
		method, path string
		code         int
		headers      []string
	}{
		{"GET", "/", 200, nil}, {"HEAD", "/", 200, nil}, {"GET", "/metrics", 200, nil}, {"GET", "/scenario", 200, nil},
		{"GET", "/report", 404, nil}, {"GET", "/nothing", 404, nil}, {"GET", "/../etc/passwd", 404, nil}, {"GET", "/do", 405, nil},
		{"POST", "/", 405, []string{"Content-Type", "application/json"}}, {"PUT", "/do", 405, nil}, {"OPTIONS", "/do", 405, nil},
		{"POST", "/do", 400, []string{"Content-Type", "application/json"}},
		{"POST", "/do?say", 200, []string{"Content-Type", "application/json"}},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, request(c.method, c.path, "localhost:1", c.headers...))
		h := w.Result().Header
		if w.Code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Cache-Control", "Content-Type"} {
			if h.Get(name) == "" {
				t.Errorf("%s %s has no %s", c.method, c.path, name)
			}
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %v", c.method, c.path, h)
		}
	}
}

// The token becomes a cookie that no script reads and no other site sends, and
// goes out of the address.
func TestATokenGoesOutOfTheAddress(t *testing.T) {
	s := stub(secret)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request("GET", "/?token="+secret, "192.0.2.1:1"))
	h := w.Result().Header
	cookie := h.Get("Set-Cookie")
	if w.Code != 303 || h.Get("Location") != "/" || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
		t.Fatalf("%d %v", w.Code, h)
	}
	value, _, _ := strings.Cut(cookie, ";")
	again := httptest.NewRecorder()
	s.ServeHTTP(again, request("GET", "/", "192.0.2.1:1", "Cookie", value))
	if again.Code != 200 || strings.Contains(again.Body.String(), secret) {
		t.Errorf("%d %s", again.Code, again.Body)
	}
}

func FuzzOrder(f *testing.F) {
	for _, text := range []string{`{"begin":{"do":"loss"}}`, `{"end":1}`, `{"pause":true}`, `{}`, `{"end":1,"pause":true}`, `{"end":1}x`, `[]`, `{"begin":null}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if o, err := readOrder(body); (o == nil) == (err == nil) {
			t.Fatalf("%+v, %v", o, err)
		}
	})
}
