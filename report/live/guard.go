package live

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Reading list: RFC 9110 (7.4 misdirected requests), RFC 6454 (Origin), Fetch
// Metadata Request Headers (W3C), RFC 6265bis (SameSite), CSP level 3 (W3C).

const (
	cookieName = "hilnet-ui"
	tokenKey   = "token"
)

// A guard decides who may ask for something.
type guard struct {
	token string   // empty: whoever reaches the address may
	hosts []string // names of this machine, beside addresses and localhost
}

// A refusal is why a request is turned away.
type refusal struct {
	code int
	why  string
}

// check returns nil for a request that may be served. A page of another site must
// not steer a run through its reader's browser, nor read from it: not by a
// request across sites, nor by a name of its own that it has point to this
// address (DNS rebinding), nor in a frame.
func (g *guard) check(r *http.Request) *refusal {
	if !g.knownHost(r.Host) {
		return &refusal{http.StatusMisdirectedRequest, "this server is not called that; use its address, as emu printed it"}
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return &refusal{http.StatusForbidden, "a request of another site"}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // none: typed or a bookmark
	default:
		opens := r.Method == http.MethodGet && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
		if !opens { // a link to the page is all that others may have
			return &refusal{http.StatusForbidden, "a request of another site"}
		}
	}
	if r.Method == http.MethodPost {
		// What a form of another site cannot send without asking first.
		if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
			return &refusal{http.StatusUnsupportedMediaType, "say that it is JSON, by the header Content-Type: application/json"}
		}
	}
	if g.token != "" && !g.knows(r) {
		return &refusal{http.StatusUnauthorized, "the token is missing or wrong; open the address that emu printed, or send Authorization: Bearer TOKEN"}
	}
	return nil
}

// knownHost reports whether a Host header names this server: an address, or a
// name that nobody else can give.
func (g *guard) knownHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "localhost" {
		return true
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return g.token != "" || addr.IsLoopback()
	}
	for _, h := range g.hosts {
		if name == strings.ToLower(h) {
			return true
		}
	}
	return false
}

// knows reports whether a request carries the token.
func (g *guard) knows(r *http.Request) bool {
	if c, err := r.Cookie(cookieName); err == nil && g.same(c.Value) {
		return true
	}
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && g.same(bearer) || g.signsIn(r)
}

// signsIn reports whether a request is the first one of a browser, by the address
// that emu printed.
func (g *guard) signsIn(r *http.Request) bool {
	return g.token != "" && r.Method == http.MethodGet && r.URL.Path == "/" && g.same(r.URL.Query().Get(tokenKey))
}

func (g *guard) same(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}

// harden sets the headers that every answer has.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", nothing)
}

// nothing is the policy of what is no page.
const nothing = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
