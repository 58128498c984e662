package live

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

// serving serves a stub until the end of the test.
func serving(t *testing.T, s *server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// dial connects and returns a function that sends a request and reads its answer.
func dial(t *testing.T, addr string) (ask func(text string) (int, error), conn net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	return func(text string) (int, error) {
		if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}, c
}

// flood is how many requests a check sends; make soak sends a million.
func flood() int {
	if os.Getenv(linktest.SoakEnv) != "" {
		return 1_000_000
	}
	return 10_000
}

// A flood of requests of all sorts, most of them bad, leaves no memory, no
// goroutine and no connection behind.
func TestAFloodOfRequestsLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.NoLeaks(t)
	s := stub("")
	addr := serving(t, s)
	head := " HTTP/1.1\nHost: " + addr + "\n"
	sorts := []string{
		"GET /metrics" + head + "\n",
		"GET /" + head + "\n",
		"GET /metrics" + head + "Origin: http://evil.example\n\n",
		"GET /scenario HTTP/1.1\nHost: evil.example\n\n",
		"POST /do" + head + "Content-Type: application/json\nContent-Length: 2\n\n{}",
		"POST /do" + head + "Content-Type: text/plain\nContent-Length: 2\n\n{}",
		"GET /nothing/at/all?" + strings.Repeat("x", 500) + head + "\n",
		"DELETE /do" + head + "X-Long: " + strings.Repeat("y", 4000) + "\n\n",
	}
	const clients = 4
	each := func(n int) {
		var all sync.WaitGroup
		for k := range clients {
			all.Go(func() {
				ask, conn := dial(t, addr)
				defer conn.Close()
				for i := range n / clients {
					code, err := ask(sorts[(i+k)%len(sorts)])
					if err != nil || code < 200 || code >= 500 {
						t.Errorf("request %d: %d %v", i, code, err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	each(1000) // buffers and pools get their size
	before := heap()
	n := flood()
	began := time.Now()
	each(n)
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("%d requests leave %d bytes behind", n, grown)
	}
	t.Logf("%d requests in %v", n, time.Since(began))
	answered := uint64(0)
	for i := range s.served.requests {
		answered += s.served.requests[i].Load()
	}
	if answered != uint64(n/clients*clients+1000) {
		t.Errorf("%d answers are counted, of %d", answered, n+1000)
	}
}

// Connections beyond the limit are closed, streams beyond theirs are told, and
// there is room again when others go.
func TestConnectionsAndStreamsHaveALimit(t *testing.T) {
	linktest.NoLeaks(t)
	s := stub("")
	s.hub.tell("m", []byte("{}"))
	addr := serving(t, s)
	open := func() (net.Conn, int) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: %s\r\n\r\n", addr)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return c, 0
		}
		return c, resp.StatusCode
	}
	s.heavy = newBucket(1000, 1000)
	var conns []net.Conn
	count := map[int]int{}
	for range maxConns + 5 {
		c, code := open()
		conns = append(conns, c)
		count[code]++
	}
	if count[200] != maxStreams || count[503] != maxConns-maxStreams || count[0] != 5 {
		t.Errorf("answers: %v", count)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for range 200 {
		if s.served.listener.open.Load() == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond) // the server notices soon
	}
	c, code := open()
	defer c.Close()
	if code != 200 || s.served.listener.refused.Load() != 5 {
		t.Errorf("%d when there is room again; %d were refused", code, s.served.listener.refused.Load())
	}
}

// A reader that stands still is cut off, and nobody notices but it.
func TestAReaderThatStandsStillIsCutOff(t *testing.T) {
	linktest.NoLeaks(t)
	s := stub("")
	var written atomic.Int64
	out := &stuck{written: &written}
	for range 3 * maxRead / 1000 {
		s.hub.tell("m", make([]byte, 1000))
	}
	s.ServeHTTP(out, request("GET", "/events", "localhost:1"))
	if s.served.cut.Load() != 1 || written.Load() == 0 || s.served.streams.Load() != 0 {
		t.Errorf("%d cut off, %d bytes written", s.served.cut.Load(), written.Load())
	}
}

// stuck takes a little and then runs into its deadline.
type stuck struct {
	header  http.Header
	written *atomic.Int64
	began   bool
}

// Header returns the headers.
func (w *stuck) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

// WriteHeader does nothing.
func (w *stuck) WriteHeader(int) {}

// Write takes the first megabyte.
func (w *stuck) Write(p []byte) (int, error) {
	if w.began {
		return 0, os.ErrDeadlineExceeded
	}
	w.began = true
	w.written.Add(int64(len(p)))
	return len(p), nil
}

// Flush does nothing.
func (w *stuck) Flush() {}

// Too many orders are refused until a second has passed.
func TestOrdersHaveARate(t *testing.T) {
	s := stub("")
	now := time.Unix(1000, 0)
	b := newBucket(actionsBurst, actionsSecond)
	taken := 0
	for range 3 * actionsBurst {
		if b.take(now) {
			taken++
		}
	}
	for range 3 * actionsBurst {
		if b.take(now.Add(time.Second)) {
			taken++
		}
	}
	if taken != actionsBurst+actionsSecond {
		t.Errorf("%d orders in a second", taken)
	}
	s.actions = newBucket(1, 0)
	codes := ""
	for range 2 {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, request("POST", "/do", "localhost:1", "Content-Type", "application/json"))
		codes += fmt.Sprintf("%d %s;", w.Code, w.Result().Header.Get("Retry-After"))
	}
	if codes != "400 ;429 1;" {
		t.Error(codes)
	}
}
