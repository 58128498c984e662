//go:build unix

package socket_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/tap/socket"
)

// monitor answers as QEMU's does, with one answer to a command.
func monitor(t *testing.T, greeting string, answers ...string) (path string, commands <-chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "qmp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintln(c, greeting)
		r := bufio.NewScanner(c)
		for _, a := range answers {
			if !r.Scan() {
				return
			}
			got <- r.Text()
			fmt.Fprintln(c, a)
		}
		r.Scan()
	}()
	return path, got
}

const greeting = `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}`

func TestSetLinkAsksTheMonitor(t *testing.T) {
	linktest.NoLeaks(t)
	event := `{"event": "NIC_RX_FILTER_CHANGED"}` + "\n"
	path, commands := monitor(t, greeting, `{"return": {}}`, event+`{"return": {}}`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := socket.SetLink(ctx, path, "net0", false); err != nil {
		t.Fatal(err)
	}
	<-commands
	if got := <-commands; got != `{"arguments":{"name":"net0","up":false},"execute":"set_link"}` {
		t.Errorf("asked %s", got)
	}
}

func TestSetLinkSaysWhatTheMonitorSays(t *testing.T) {
	linktest.NoLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	path, _ := monitor(t, greeting, `{"return": {}}`, `{"error": {"class": "DeviceNotFound", "desc": "Device 'net7' not found"}}`)
	if err := socket.SetLink(ctx, path, "net7", true); err == nil || !strings.Contains(err.Error(), "Device 'net7' not found") {
		t.Errorf("%v", err)
	}
	path, _ = monitor(t, "220 mail ESMTP")
	if err := socket.SetLink(ctx, path, "net0", true); err == nil || !strings.Contains(err.Error(), "no QMP monitor") {
		t.Errorf("%v", err)
	}
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := socket.SetLink(short, filepath.Join(t.TempDir(), "none"), "net0", true); err == nil || !strings.Contains(err.Error(), "-qmp unix:") {
		t.Errorf("%v", err)
	}
	// One that says nothing holds up nobody for longer than allowed.
	path, _ = monitor(t, greeting, `{"return": {}}`)
	short, stop = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := socket.SetLink(short, path, "net0", true); err == nil {
		t.Error("no answer is no error")
	}
}
