// Package browser drives Chromium for tests of pages, by the DevTools protocol
// over a pipe, with the standard library alone. It is not a browser automation
// library: it opens a page, runs script in it, presses keys, takes pictures and
// traces, and notes what the page logged and asked for.
//
// A Browser and its Pages belong to the goroutine of one test. They end with it.
//
// Reading list: the Chrome DevTools Protocol, domains Target, Page, Runtime,
// Network, Log, Input, Emulation and Tracing; Chromium's
// content/browser/devtools/devtools_pipe_handler.cc for the pipe.
package browser

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

// patience is how long a test waits for the browser: it is for machines that are
// very busy.
const patience = 60 * time.Second

// A Browser is a Chromium process with a profile of its own.
type Browser struct {
	t     testing.TB
	write *os.File
	cmd   *exec.Cmd

	mu      sync.Mutex // guards the rest
	next    int
	waiting map[int]chan reply
	pages   map[string]*Page // by session
	traced  []json.RawMessage
	done    chan struct{} // a trace is complete
	failed  error
}

type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

type reply struct {
	result json.RawMessage
	err    error
}

// Need is the program that Start needs.
const Need = "chromium"

// Start starts Chromium without a window. The test is skipped where there is
// none, or fails where it is required.
func Start(t testing.TB) *Browser {
	t.Helper()
	linktest.Require(t, Need)
	profile, err := os.MkdirTemp("", "hilnet-browser")
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, waiting: map[int]chan reply{}, pages: map[string]*Page{}}
	cmd := exec.Command(Need, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--disable-default-apps", "--disable-extensions", "--mute-audio", "--force-color-profile=srgb",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	inRead, inWrite, err1 := os.Pipe()
	outRead, outWrite, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{inRead, outWrite} // descriptors 3 and 4
	cmd.Dir = profile
	b.write, b.cmd = inWrite, cmd
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = inRead.Close(), outWrite.Close() // the process has its own
	go b.read(outRead)
	t.Cleanup(func() { b.stop(profile, outRead) })
	return b
}

// stop ends the process and removes its profile.
func (b *Browser) stop(profile string, out *os.File) {
	ended := make(chan error, 1)
	go func() { ended <- b.cmd.Wait() }()
	_, _ = b.call("", "Browser.close", nil)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = b.cmd.Process.Kill() // it has had its time
		<-ended
	}
	_, _ = b.write.Close(), out.Close()
	// Its children may still write for a moment.
	for range 20 {
		if os.RemoveAll(profile) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// read takes messages until the pipe ends.
func (b *Browser) read(r io.Reader) {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			b.fail(fmt.Errorf("the browser's pipe ended: %w", err))
			return
		}
		var m message
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			b.fail(err)
			return
		}
		b.take(&m)
	}
}

func (b *Browser) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err
	for id, c := range b.waiting {
		c <- reply{err: err}
		delete(b.waiting, id)
	}
}

func (b *Browser) take(m *message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.ID != 0 {
		c := b.waiting[m.ID]
		delete(b.waiting, m.ID)
		if c == nil {
			return
		}
		if m.Error != nil {
			c <- reply{err: errors.New(m.Error.Message)}
			return
		}
		c <- reply{result: m.Result}
		return
	}
	switch m.Method {
	case "Tracing.dataCollected":
		var p struct{ Value []json.RawMessage }
		if json.Unmarshal(m.Params, &p) == nil {
			b.traced = append(b.traced, p.Value...)
		}
	case "Tracing.tracingComplete":
		if b.done != nil {
			close(b.done)
			b.done = nil
		}
	default:
		if p := b.pages[m.SessionID]; p != nil {
			p.note(m)
		}
	}
}

// call sends a command and waits for its result.
func (b *Browser) call(session, method string, params any) (json.RawMessage, error) {
	b.mu.Lock()
	if b.failed != nil {
		b.mu.Unlock()
		return nil, b.failed
	}
	b.next++
	m := message{ID: b.next, Method: method, SessionID: session}
	c := make(chan reply, 1)
	b.waiting[m.ID] = c
	var err error
	if params != nil {
		m.Params, err = json.Marshal(params)
	}
	var text []byte
	if err == nil {
		text, err = json.Marshal(m)
	}
	if err == nil {
		_, err = b.write.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case r := <-c:
		return r.result, r.err
	case <-time.After(patience):
		return nil, fmt.Errorf("%s: no answer in %v", method, patience)
	}
}

// must is call for what cannot fail in a test that is well.
func (b *Browser) must(session, method string, params any) json.RawMessage {
	b.t.Helper()
	r, err := b.call(session, method, params)
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	return r
}

// A TraceEvent is an event of Chromium's trace.
type TraceEvent struct {
	Name     string  `json:"name"`
	Category string  `json:"cat"`
	Phase    string  `json:"ph"`
	Process  int     `json:"pid"`
	Thread   int     `json:"tid"`
	Duration float64 `json:"dur"` // microseconds
	// CPU is the part of Duration in which the thread ran: the rest of it, the
	// machine had other things to do.
	CPU  float64 `json:"tdur"`
	At   float64 `json:"ts"`
	Args struct {
		Name string `json:"name"`
	} `json:"args"`
}

// Trace returns the events of the browser while fn runs.
func (b *Browser) Trace(categories string, fn func()) []TraceEvent {
	b.t.Helper()
	done := make(chan struct{})
	b.mu.Lock()
	b.traced, b.done = nil, done
	b.mu.Unlock()
	b.must("", "Tracing.start", map[string]any{
		"transferMode": "ReportEvents", "traceConfig": map[string]any{"includedCategories": strings.Split(categories, ",")},
	})
	fn()
	b.must("", "Tracing.end", nil)
	select {
	case <-done:
	case <-time.After(patience):
		b.t.Fatal("the trace did not end")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []TraceEvent
	for _, raw := range b.traced {
		var e TraceEvent
		if json.Unmarshal(raw, &e) == nil {
			all = append(all, e)
		}
	}
	return all
}
