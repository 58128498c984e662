package emu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

// toxiproxy, a peer of the delay benchmark: a TCP proxy whose toxic "latency"
// holds what passes.

const (
	toxiproxyAPI      = "127.0.0.1:8474"
	toxiproxyListen   = delayPort + 1
	toxiproxyUpstream = delayPort
)

// toxiproxy builds the proxy's server from the module that names its version.
func toxiproxy(b *testing.B) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "go", "tool", "-n", "server") // builds it where that was not done before
	cmd.Dir = filepath.Join(linktest.Root(b), "tools", "toxiproxy")
	path, err := cmd.Output()
	if err != nil {
		b.Skipf("needs the module of toxiproxy, in tools/toxiproxy: %v", err)
	}
	return strings.TrimSpace(string(path))
}

// delaysOfToxiproxy is delays for TCP messages over loopback, with the proxy
// between.
func delaysOfToxiproxy(b *testing.B, delay time.Duration) []time.Duration {
	linktest.Require(b, "netns", "tcpdump")
	ns := linktest.Namespace(b)
	proxy := linktest.Start(b, ns.Command(toxiproxy(b)))
	proxy.WaitFor(b, "Starting HTTP server")
	configureToxiproxy(b, ns, delay)
	var server net.Listener
	ns.Do(func() (err error) {
		server, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", toxiproxyUpstream))
		return err
	})
	defer server.Close()
	go func() {
		if c, err := server.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, c) // until the proxy ends it
			_ = c.Close()
		}
	}()
	capture := ns.Tcpdump("lo")
	var conn net.Conn
	ns.Do(func() (err error) {
		conn, err = net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", toxiproxyListen))
		return err
	})
	defer conn.Close()
	sendNumbers(b, conn)
	time.Sleep(2*delay + delayPatience)
	path := capture.Finish()
	return lateness(b, arrivals(b, path, toxiproxyListen), arrivals(b, path, toxiproxyUpstream), delay)
}

// configureToxiproxy makes a proxy with the toxic.
func configureToxiproxy(b *testing.B, ns *linktest.Net, delay time.Duration) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (c net.Conn, err error) {
		tried := ns.Try(func() error {
			c, err = net.Dial("tcp4", toxiproxyAPI)
			return err
		})
		return c, tried
	}}}
	post := func(path, body string) error {
		r, err := client.Post("http://"+toxiproxyAPI+path, "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode/100 != 2 {
			err = fmt.Errorf("%s: %s", r.Status, text)
		}
		return errors.Join(err, r.Body.Close())
	}
	proxy := fmt.Sprintf(`{"name":"p","listen":"127.0.0.1:%d","upstream":"127.0.0.1:%d","enabled":true}`, toxiproxyListen, toxiproxyUpstream)
	var err error
	for range 100 { // its API listens a moment after it says that it starts
		if err = post("/proxies", proxy); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err == nil {
		err = post("/proxies/p/toxics", fmt.Sprintf(`{"type":"latency","stream":"upstream","attributes":{"latency":%d}}`, delay.Milliseconds()))
	}
	if err != nil {
		b.Fatal(err)
	}
}
