package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

var viewAt = regexp.MustCompile(`live view on (http://\S+)`)

// showsARun shows that --ui is where a page is served, and what it may be.
func showsARun(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := call(t, "run", "clean-link", "--ui", "127.0.0.1:0", "--ui-stay", "0s")
	if code != exitPass || !viewAt.MatchString(errs) || !strings.Contains(out, "clean-link: pass") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := call(t, "run", "clean-link", "--ui", "0.0.0.0:0", "--ui-stay", "0s"); code != exitPass || !regexp.MustCompile(`live view on http://\S+/\?token=[A-Z2-7]{26}\n`).MatchString(errs) {
		t.Errorf("an address that others reach: exit %d, %s", code, errs)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"clean-link --ui nonsense", "127.0.0.1:8088", exitUsage},
		{"clean-link --ui 127.0.0.1", "127.0.0.1:8088", exitUsage},
		{"clean-link link-drop --ui 127.0.0.1:0", "shows one run", exitUsage},
		{"clean-link --ui 127.0.0.1:0 --ui-stay -1s", "negative", exitUsage},
		{"clean-link --ui-stay 1s", "add --ui", exitUsage},
		{"clean-link --ui " + taken.Addr().String(), "choose another address", exitEnvironment},
		{"no-such --ui 127.0.0.1:0 --ui-stay 0s", "no-such", exitUsage},
	} {
		if code, _, errs := call(t, append([]string{"run"}, strings.Fields(c.args)...)...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %s", c.args, code, errs)
		}
	}
}

// A pipeText is what a command has written so far.
type pipeText struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds to the text.
func (p *pipeText) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *pipeText) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// A sight is a command that goes on, with its live view.
type sight struct {
	out  pipeText // standard output and error
	url  string
	stop func()
	code chan int
}

// inSight runs a command in a folder of its own until it is stopped, or ends.
func inSight(t *testing.T, args ...string) *sight {
	t.Helper()
	t.Chdir(t.TempDir())
	s := &sight{code: make(chan int, 1)}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() { s.code <- run(ctx, args, nil, &s.out, &s.out) }()
	for end := time.Now().Add(time.Minute); s.url == ""; time.Sleep(5 * time.Millisecond) {
		if m := viewAt.FindStringSubmatch(s.out.String()); m != nil {
			s.url = m[1]
		} else if time.Now().After(end) {
			t.Fatalf("no live view:\n%s", s.out.String())
		}
	}
	return s
}

// get asks the live view until it answers with code.
func (s *sight) get(t *testing.T, path string, code int) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(s.url + path)
		if err == nil {
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode == code {
				return string(text)
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v %v\n%s", path, resp, err, s.out.String())
		}
	}
}

// ends stops the command as Ctrl-C does, and sees how it ends.
func (s *sight) ends(t *testing.T, code int) {
	t.Helper()
	s.stop()
	select {
	case got := <-s.code:
		if got != code {
			t.Errorf("exit %d, want %d\n%s", got, code, s.out.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the command does not end")
	}
	http.DefaultClient.CloseIdleConnections()
}

// staysInSight shows that the page is there behind the run as long as --ui-stay
// says, and that Ctrl-C ends it without making another result of the run.
func staysInSight(t *testing.T) {
	s := inSight(t, "run", "clean-link", "--ui", "127.0.0.1:0", "--ui-stay", "10m")
	if text := s.get(t, "report", http.StatusOK); !strings.Contains(text, "<title>pass: clean-link</title>") {
		t.Error("the page of the run is not served")
	}
	if text := s.get(t, "metrics", http.StatusOK); !strings.Contains(text, "\nhilnet_published_total 50\n") || !strings.Contains(text, "\nhilnet_run_ended 1\n") {
		t.Error(text)
	}
	s.ends(t, exitPass)
	s = inSight(t, "run", "clean-link", "--ui", "127.0.0.1:0", "--set", "clock=real")
	s.get(t, "", http.StatusOK)
	s.ends(t, exitInterrupted)
	if _, err := os.Stat("clean-link.device.pcapng"); err != nil {
		t.Error(err)
	}
}

// A run in virtual time writes the same trace and captures in sight and out of it,
// and nobody's hand reaches it.
func TestTheLiveViewChangesNothingOfARun(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	t.Chdir(t.TempDir())
	if code, _, errs := call(t, "run", "link-drop", "--out", "alone"); code != exitPass {
		t.Fatal(errs)
	}
	alone, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := inSight(t, "run", "link-drop", "--out", "seen", "--ui", "127.0.0.1:0")
	s.get(t, "report", http.StatusOK)
	resp, err := http.Post(s.url+"do", "application/json", strings.NewReader(`{"begin":{"do":"blackhole"}}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusConflict || !strings.Contains(string(text), "virtual time") {
		t.Errorf("%d %s %v", resp.StatusCode, text, err)
	}
	_ = resp.Body.Close()
	s.ends(t, exitPass)
	for _, name := range []string{"link-drop.trace.jsonl", "link-drop.device.pcapng", "link-drop.peer.pcapng"} {
		want, err := os.ReadFile(alone + "/alone/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("seen/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s differs: %d bytes, %d without a live view", name, len(got), len(want))
		}
	}
}

// The commands of the page on the live view do what it says, in the order of the
// page; the port is any free one.
func TestTheCommandsOfTheLivePageWork(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "bash", "curl")
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "live.md"))
	if err != nil {
		t.Fatal(err)
	}
	const address, at = "127.0.0.1:8088", "http://127.0.0.1:8088/"
	found := regexp.MustCompile(`(?m)^(emu|curl) .*$`).FindAllString(string(page), -1)
	if len(found) < 10 || !strings.HasPrefix(found[0], "emu run") {
		t.Fatalf("the page has the commands %q", found)
	}
	s := inSight(t, strings.Fields(strings.Replace(strings.TrimPrefix(found[0], "emu "), address, "127.0.0.1:0", 1))...)
	for !regexp.MustCompile(`(?m)^hilnet_acknowledged_total [1-9]`).MatchString(s.get(t, "metrics", http.StatusOK)) {
		time.Sleep(20 * time.Millisecond)
	}
	for _, line := range found[1:] {
		if args, ok := strings.CutPrefix(line, "emu "); ok {
			if code, out, errs := call(t, strings.Fields(args)...); code != exitPass {
				t.Errorf("%s: exit %d\n%s%s", line, code, out, errs)
			}
			continue
		}
		out, err := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(line, at, s.url, 1)).CombinedOutput()
		if err != nil || strings.Contains(string(out), "error") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	text, err := os.ReadFile("by-hand.yaml")
	if err != nil || !strings.Contains(string(text), "do: loss") || !strings.Contains(string(text), "stood still") {
		t.Errorf("%s %v", text, err)
	}
	s.ends(t, exitInterrupted)
}

// An address that others reach is closed to who lacks the token, wherever from.
func TestAnAddressThatOthersReachNeedsTheToken(t *testing.T) {
	s := inSight(t, "run", "clean-link", "--ui", "0.0.0.0:0")
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	token := at.Query().Get("token")
	addrs := []string{"127.0.0.1"}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			addrs = append(addrs, n.IP.String())
		}
	}
	for _, addr := range addrs {
		for _, c := range []struct {
			header string
			code   int
		}{{"", http.StatusUnauthorized}, {"Bearer wrong", http.StatusUnauthorized}, {"Bearer " + token, http.StatusOK}} {
			if code := ask(t, net.JoinHostPort(addr, at.Port()), "/metrics", c.header); code != c.code {
				t.Errorf("%s with %q: %d, want %d", addr, c.header, code, c.code)
			}
		}
	}
	for end := time.Now().Add(time.Minute); ask(t, at.Host, "/report", "Bearer "+token) != http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the run is not over")
		}
	}
	s.ends(t, exitPass)
}

// ask returns the status of an answer to a request with credentials.
func ask(t *testing.T, host, path, authorization string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
