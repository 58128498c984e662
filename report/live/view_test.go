package live_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/report"
	"hilnet/report/live"
	"hilnet/report/page"
	"hilnet/scenarios"
)

// telemetry publishes for twenty seconds, in real time that is five times as fast.
const telemetry = `
version: 1
name: telemetry
seed: 1
clock: real
speed: 5
duration: 20s
devices:
  - profile: netx
    pool: {packets: 24, payload: 1536B}
    mqtt: {client_id: device, keepalive: 30s, clean_session: false, wait: 5s}
    reconnect: 1s
    steps:
      - connect
      - every: {period: 200ms, do: [{publish: {topic: telemetry, payload: 'message {n}', qos: 1}}]}
links:
  - {delay: 10ms}
broker: {kind: model}
expect:
  - {text: the application publishes, that: published > 20}
  - {text: every frame is accounted for, that: conservation_errors == 0}
`

// A shown is a run with a view.
type shown struct {
	t    *testing.T
	url  string
	dir  string
	sc   *scenarios.Scenario
	view *live.View
	done chan *emu.Result
	stop func()
}

// show runs a scenario in sight, changed by replacing words of its text.
func show(t *testing.T, text, token string, words ...string) *shown {
	t.Helper()
	sc, err := scenarios.Load("mine.yaml", []byte(strings.NewReplacer(words...).Replace(text)))
	if err != nil {
		t.Fatal(err)
	}
	s := &shown{t: t, dir: t.TempDir(), sc: sc, done: make(chan *emu.Result, 1)}
	w, err := emu.New(sc, emu.Options{Out: s.dir, Samples: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.view, err = live.New(live.Config{World: w, Scenario: sc, Source: "mine.yaml", Token: token, Hosts: []string{"bench"}}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String() + "/"
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.view.Serve(ctx, l) }()
	running, end := context.WithCancel(context.Background())
	go func() {
		result, err := w.Run(running)
		if err != nil && running.Err() == nil {
			t.Error(err)
		}
		s.done <- result
	}()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		end()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(func() {
		s.stop()
		select {
		case r := <-s.done:
			s.done <- r
		case <-time.After(20 * time.Second):
			t.Error("the run does not end")
		}
	})
	return s
}

// result waits for the end of the run and tells the view of it.
func (s *shown) result() *emu.Result {
	s.t.Helper()
	r := <-s.done
	s.done <- r
	run := report.NewRun(r, r.Source)
	source := page.Source{Run: &run}
	for _, name := range r.Files {
		switch {
		case strings.HasSuffix(name, ".pcapng"):
			source.Captures = append(source.Captures, name)
		case strings.HasSuffix(name, ".samples.jsonl"):
			source.Samples = name
		default:
			source.Trace = name
		}
	}
	b, err := source.Read()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.view.End(b); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// ask sends a request and returns the answer.
func (s *shown) ask(method, path, body string, headers ...string) (int, string, http.Header) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// do does something by hand, which must go well, and returns its number.
func (s *shown) do(order string) int {
	s.t.Helper()
	for range 100 {
		code, text, _ := s.ask("POST", "do", order)
		if strings.Contains(text, "not begun") {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		var done struct{ ID int }
		if code != 200 || json.Unmarshal([]byte(text), &done) != nil {
			s.t.Fatalf("%s: %d %s", order, code, text)
		}
		return done.ID
	}
	s.t.Fatal("the run does not begin")
	return 0
}

// A told is a message of the stream.
type told struct{ id, kind, data string }

// listen reads the stream from a place on.
func (s *shown) listen(after string) (next func() (told, bool), end func()) {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.url+"events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatal(resp, err)
	}
	in := bufio.NewReader(resp.Body)
	return func() (told, bool) {
		var m told
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return m, false
			}
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch key {
			case "id":
				m.id = value
			case "event":
				m.kind = value
			case "data":
				m.data = value
			case "":
				if m.kind != "" {
					return m, true
				}
			}
		}
	}, func() { _ = resp.Body.Close() }
}

// What is done by hand happens, is in the trace at its moment, and can be saved as
// a scenario whose run does the same at the same times.
func TestWhatIsDoneByHandCanBeDoneAgain(t *testing.T) {
	linktest.NoLeaks(t)
	s := show(t, telemetry, "", "duration: 20s", "duration: 10m")
	time.Sleep(200 * time.Millisecond)
	cut := s.do(`{"begin":{"do":"blackhole"}}`)
	time.Sleep(200 * time.Millisecond)
	s.do(`{"end":` + jsonOf(cut) + `}`)
	loss := s.do(`{"begin":{"do":"loss","value":"50%","direction":"up","for":"400ms"}}`)
	delay := s.do(`{"begin":{"do":"delay","value":"40ms"}}`)
	time.Sleep(10 * time.Millisecond)
	s.do(`{"begin":{"do":"rate","value":"200kbit"}}`)
	s.do(`{"begin":{"do":"link_down","for":"300ms"}}`)
	s.do(`{"begin":{"do":"leak","packets":3}}`)
	s.do(`{"begin":{"do":"release","packets":2}}`)
	s.do(`{"pause":true}`)
	time.Sleep(300 * time.Millisecond)                     // of which the run knows nothing
	delay = s.do(`{"begin":{"do":"delay","value":"4ms"}}`) // in place of the other
	if code, text, _ := s.ask("POST", "do", `{"begin":{"do":"delay","value":"5ms"}}`); code != 409 || !strings.Contains(text, "this very moment") {
		t.Errorf("two delays begin at one moment: %d %s", code, text)
	}
	s.do(`{"begin":{"do":"tx_error","for":"200ms"}}`)
	s.do(`{"end":` + jsonOf(delay) + `}`)
	s.do(`{"pause":false}`)
	s.do(`{"begin":{"do":"broker_crash","for":"500ms"}}`)
	time.Sleep(200 * time.Millisecond) // a second of the run
	if code, text, _ := s.ask("POST", "do", `{"end":`+jsonOf(loss)+`}`); code != 409 || !strings.Contains(text, "holds") {
		t.Errorf("what has ended by itself ends again: %d %s", code, text)
	}
	_, saved, _ := s.ask("GET", "scenario", "")
	s.stop()
	if first := s.result(); first.Verdict != emu.Interrupted {
		t.Errorf("the run ends with %s", first.Verdict)
	}

	again, err := scenarios.LoadWith("saved.yaml", []byte(saved), []scenarios.Set{{Key: "clock", Value: "virtual"}, {Key: "speed"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, saved)
	}
	if again.Name != "telemetry-by-hand" || len(again.Timeline) != 10 || !strings.Contains(saved, "stood still for ") {
		t.Errorf("the saved scenario is\n%s", saved)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), again, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	// What happens at one moment has an order of its own in each.
	want, got := actions(t, filepath.Join(s.dir, "telemetry.trace.jsonl")), actions(t, filepath.Join(dir, "telemetry-by-hand.trace.jsonl"))
	if len(want) != 17 || strings.Join(want, "\n") != strings.Join(got, "\n") {
		t.Errorf("by hand:\n%s\nagain:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// actions are the timeline's events of a trace, without what says who did them
// and how long they last.
func actions(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range bytes.Lines(text) {
		var e struct {
			T          int64
			Kind, Node string
			Text       string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "action" && !strings.Contains(e.Text, "pause") {
			what, _, _ := strings.Cut(strings.TrimSuffix(e.Text, " until undone"), " for ")
			all = append(all, jsonOf(e.T)+" "+e.Node+" "+what)
		}
	}
	slices.Sort(all)
	return all
}

// A page that lost its connection goes on where it was: it gets every message
// once; and one of another run is told so.
func TestAPageGoesOnWhereItWas(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes real time")
	}
	linktest.NoLeaks(t)
	s := show(t, telemetry, "", "duration: 20s", "duration: 6s")
	s.result()
	var whole []told
	next, end := s.listen("")
	for m, ok := next(); ok; m, ok = next() {
		if m.id != "" {
			whole = append(whole, m)
		}
		if m.kind == "end" {
			break
		}
	}
	end()
	if len(whole) < 4 {
		t.Fatalf("%d messages", len(whole))
	}
	const had = 2
	next, end = s.listen(whole[had-1].id)
	for _, want := range whole[had:] {
		m, ok := next()
		for ok && m.id == "" { // a state
			m, ok = next()
		}
		if !ok || m != want {
			t.Fatalf("%s %s instead of %s %s", m.id, m.kind, want.id, want.kind)
		}
	}
	s.stop()
	last := ""
	for m, ok := next(); ok; m, ok = next() {
		last = m.kind
	}
	if last != "bye" {
		t.Errorf("the last message is %q", last)
	}
	end()
}

// What is left over from another run at this address is told apart.
func TestAPageOfAnotherRunIsToldSo(t *testing.T) {
	s := show(t, strings.Replace(telemetry, "clock: real\nspeed: 5\n", "", 1), "")
	s.result()
	for _, at := range []string{"another-3", "nonsense", "-", "x-99999999999999999999"} {
		next, end := s.listen(at)
		if m, ok := next(); !ok || m.kind != "other" {
			t.Errorf("%s: %+v", at, m)
		}
		end()
	}
}
