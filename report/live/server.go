package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A server answers requests about one run. It knows nothing of the run but what
// its fields give.
type server struct {
	guard    guard
	hub      *hub
	run      string // tells this run from others that were served at the same address
	page     []byte
	policy   string
	scenario func() ([]byte, error)
	do       func([]byte) (any, error)
	metrics  func(*served) []byte

	streams chan struct{}
	actions *bucket
	heavy   *bucket
	served  served
	http    *http.Server

	mu     sync.Mutex // guards the rest
	report []byte     // nil: the run goes on
}

// served counts what the server did.
type served struct {
	listener *listener
	requests [6]atomic.Uint64 // by the hundreds of the status code
	streams  atomic.Int64
	lost     atomic.Uint64 // messages that readers did not get
	cut      atomic.Uint64 // streams whose reader was too slow
}

// prepare completes a server that has the fields above.
func (s *server) prepare() {
	s.streams = make(chan struct{}, maxStreams)
	s.actions = newBucket(actionsBurst, actionsSecond)
	s.heavy = newBucket(heavyBurst, heavySecond)
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
}

// serve serves until ctx is done, and then tells readers that this was all.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	s.served.listener = &listener{Listener: l}
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.served.listener) }()
	select {
	case err := <-failed:
		s.hub.close()
		return err
	case <-ctx.Done():
	}
	s.hub.close()
	words, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if s.http.Shutdown(words) != nil {
		_ = s.http.Close() // who still does not take it has had its time
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A counted notes the status of an answer.
type counted struct {
	http.ResponseWriter
	s *served
}

// WriteHeader counts the answer.
func (c *counted) WriteHeader(code int) {
	c.s.requests[min(max(code/100, 0), 5)].Add(1)
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// A route is an address of the server.
type route struct {
	method string
	heavy  bool
	serve  func(*server, http.ResponseWriter, *http.Request)
}

var routes = map[string]route{ // looked up only
	"/":         {http.MethodGet, true, (*server).servePage},
	"/events":   {http.MethodGet, true, (*server).serveEvents},
	"/do":       {http.MethodPost, false, (*server).serveDo},
	"/scenario": {http.MethodGet, true, (*server).serveScenario},
	"/report":   {http.MethodGet, true, (*server).serveReport},
	"/metrics":  {http.MethodGet, false, (*server).serveMetrics},
}

// ServeHTTP answers a request.
func (s *server) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w := &counted{out, &s.served}
	harden(w.Header())
	_ = http.NewResponseController(out).SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder of tests has none
	if no := s.guard.check(r); no != nil {
		refuse(w, no.code, no.why)
		return
	}
	at, ok := routes[r.URL.Path]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "there are /, /events, /do, /scenario, /report and /metrics")
	case r.Method != at.method && (r.Method != http.MethodHead || at.method != http.MethodGet):
		w.Header().Set("Allow", at.method)
		refuse(w, http.StatusMethodNotAllowed, "this takes "+at.method)
	case at.heavy && !s.heavy.take(time.Now()), at.method == http.MethodPost && !s.actions.take(time.Now()):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "too many requests; wait a second")
	default:
		at.serve(s, w, r)
	}
}

// refuse answers with an error, as JSON.
func refuse(w http.ResponseWriter, code int, why string) {
	answer(w, code, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("live: answer %v: %v", v, err)) // they are ours
	}
	write(w, code, "application/json", append(text, '\n'))
}

func write(w http.ResponseWriter, code int, kind string, text []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	_, _ = w.Write(text) // whoever asked may have gone
}

// servePage serves the page. A browser that comes with the token gets it as a
// cookie, and an address without it: that one may be seen and kept.
func (s *server) servePage(w http.ResponseWriter, r *http.Request) {
	if s.guard.signsIn(r) {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.guard.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		w.Header().Set("Location", "/")
		write(w, http.StatusSeeOther, "text/plain; charset=utf-8", nil)
		return
	}
	w.Header().Set("Content-Security-Policy", s.policy+"; frame-ancestors 'none'")
	write(w, http.StatusOK, "text/html; charset=utf-8", s.page)
}

func (s *server) serveReport(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	text := s.report
	s.mu.Unlock()
	if text == nil {
		refuse(w, http.StatusNotFound, "the run is not over yet, or left nothing to report")
		return
	}
	// The page names the digest of its own script; here it is kept from everything else.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	write(w, http.StatusOK, "text/html; charset=utf-8", text)
}

func (s *server) serveScenario(w http.ResponseWriter, _ *http.Request) {
	text, err := s.scenario()
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="by-hand.yaml"`)
	write(w, http.StatusOK, "application/yaml", text)
}

func (s *server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", s.metrics(&s.served))
}

func (s *server) serveDo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body cannot be read, or has more than %d bytes", maxBody))
		return
	}
	result, err := s.do(body)
	code := http.StatusConflict
	switch {
	case errors.Is(err, errOrder):
		code = http.StatusBadRequest
	case err == nil:
		code = http.StatusOK
	}
	if r.URL.Query().Has("say") {
		code = http.StatusOK // the page says what is wrong: no error of the browser's beside it
	}
	if err != nil {
		refuse(w, code, err.Error())
		return
	}
	answer(w, http.StatusOK, result)
}

// position reads where a reader stands: RUN-NUMBER, as in the id of a message. ok
// is false when that was another run.
func (s *server) position(r *http.Request) (after uint64, ok bool) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, true
	}
	run, number, _ := strings.Cut(text, "-")
	after, err := strconv.ParseUint(number, 10, 63)
	return after, err == nil && run == s.run
}

// serveEvents streams messages until the run is over or the reader has gone. A
// reader that is slow holds nothing but its connection: it is cut off when a write
// takes too long, comes back with the number of its last message, and is told how
// many are gone.
func (s *server) serveEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d pages listen already; close one", maxStreams))
		return
	}
	s.served.streams.Add(1)
	defer func() {
		s.served.streams.Add(-1)
		<-s.streams
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	after, ours := s.position(r)
	out := &stream{to: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // nothing more is read; a recorder of tests has none
	if !ours {
		out.event("", "other", []byte("{}"))
		_ = out.flush() // whoever asked may have gone
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	out.buffer.WriteString("retry: 1000\n\n")
	for from := s.hub.read(after); ; {
		messages, lost, more := from.next(r.Context(), beat.C)
		if lost > 0 {
			s.served.lost.Add(lost)
			out.event("", "lost", fmt.Appendf(nil, `{"messages":%d}`, lost))
		}
		for _, m := range messages {
			id := ""
			if m.id > 0 {
				id = s.run + "-" + strconv.FormatUint(m.id, 10)
			}
			out.event(id, m.kind, m.data)
		}
		switch {
		case r.Context().Err() != nil:
			return
		case !more:
			out.event("", "bye", []byte("{}"))
		case len(messages) == 0 && lost == 0:
			out.buffer.WriteString(": still here\n\n")
		}
		if err := out.flush(); err != nil || !more {
			if err != nil {
				s.served.cut.Add(1)
			}
			return
		}
	}
}

// A stream writes events.
type stream struct {
	to      io.Writer
	control *http.ResponseController
	buffer  bytes.Buffer
}

// event adds an event; data is one line.
func (s *stream) event(id, kind string, data []byte) {
	if id != "" {
		s.buffer.WriteString("id: " + id + "\n")
	}
	s.buffer.WriteString("event: " + kind + "\ndata: ")
	s.buffer.Write(data)
	s.buffer.WriteString("\n\n")
}

// flush sends what was added, in time or not at all.
func (s *stream) flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.to.Write(s.buffer.Bytes())
	s.buffer.Reset()
	if s.buffer.Cap() > 2*maxRead {
		s.buffer = bytes.Buffer{}
	}
	if err == nil {
		err = s.control.Flush()
	}
	return err
}
