package taskconn_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hilnet/sim/taskconn"
)

// server answers whatever a client sends with the same bytes.
func failureOf(t *testing.T, answer string, after error) taskconn.Failure {
	t.Helper()
	var c *taskconn.Conn
	fed := false
	c = taskconn.New(taskconn.Config{Fill: func() error {
		if fed || answer == "" {
			return after
		}
		fed = true
		c.Feed([]byte(answer))
		return nil
	}})
	err := tls.Client(c, &tls.Config{ServerName: "broker", Time: func() time.Time { return epoch }}).Handshake()
	if err == nil {
		t.Fatal("the handshake succeeded")
	}
	return taskconn.Diagnose(err)
}

func TestDiagnoseSaysWhoFoundWhat(t *testing.T) {
	alert := func(n byte) string { return string([]byte{21, 3, 3, 0, 2, 2, n}) }
	for _, tc := range []struct {
		name, answer string
		after        error
		want         string
	}{
		{"version", alert(70), nil, "version remote 70"},
		{"unknown authority", alert(48), nil, "unknown_ca remote 48"},
		{"expired", alert(45), nil, "expired remote 45"},
		{"bad certificate", alert(42), nil, "certificate_refused remote 42"},
		{"handshake failure", alert(40), nil, "handshake_refused remote 40"},
		{"certificate required", alert(116), nil, "no_certificate remote 116"},
		{"an alert that says nothing", alert(80), nil, "handshake_refused remote 80"},
		{"MQTT", "\x20\x02\x00\x00hello", nil, "not_tls local 0"},
		{"silence", "", taskconn.ErrWouldBlock, "timeout local 0"},
		{"the end", "", io.EOF, "closed local 0"},
		{"a reset", "", fmt.Errorf("reset: %w", net.ErrClosed), "closed local 0"},
		{"half a record", "\x16\x03\x03", io.EOF, "closed local 0"},
		{"something else", "", errors.New("disk full"), "protocol local 0"},
	} {
		f := failureOf(t, tc.answer, tc.after)
		side := map[bool]string{true: "local", false: "remote"}[f.Local]
		if got := fmt.Sprintf("%s %s %d", f.Cause, side, f.Alert); got != tc.want {
			t.Errorf("%s: %s (%v), want %s", tc.name, got, f.Err, tc.want)
		}
		if !strings.HasPrefix(f.String(), string(f.Cause)) || !strings.Contains(f.String(), f.Err.Error()) {
			t.Errorf("%s: words %q", tc.name, f)
		}
	}
}

func TestAnAlertInClearIsNotABadRecord(t *testing.T) {
	stream := "\x16\x03\x01\x00\x03abc" + "\x14\x03\x03\x00\x01\x01" + "\x15\x03\x03\x00\x02\x02\x30"
	bad := taskconn.Failure{Cause: taskconn.CauseBadRecord, Local: true, Err: io.EOF}
	for n := 1; n <= len(stream); n++ {
		var a taskconn.Alerts
		for rest := []byte(stream); len(rest) > 0; rest = rest[min(n, len(rest)):] {
			a.Watch(rest[:min(n, len(rest))])
		}
		if f := a.Explain(bad); f.Cause != taskconn.CauseUnknownCA || f.Local || f.Alert != 48 {
			t.Errorf("in parts of %d: %v", n, f)
		}
	}
	var a taskconn.Alerts
	a.Watch([]byte("\x15\x03\x03\x00\x02\x01\x00" + "\x17\x03\x03\x00\x07" + "\x15\x03\x03\x00\x02\x02\x30"))
	if f := a.Explain(bad); f != bad {
		t.Errorf("a warning, and the bytes of another record: %v", f)
	}
	a.Watch([]byte("\x15\x03\x03\x00\x02\x02\x30"))
	other := taskconn.Failure{Cause: taskconn.CauseExpired, Local: true, Err: io.EOF}
	if f := a.Explain(other); f != other {
		t.Errorf("another failure: %v", f)
	}
}

func FuzzAlerts(f *testing.F) {
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x30"), 3)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n = min(max(n, 1), 1<<16)
		bad := taskconn.Failure{Cause: taskconn.CauseBadRecord, Local: true, Err: io.EOF}
		var whole, parts taskconn.Alerts
		whole.Watch(data)
		for rest := data; len(rest) > 0; rest = rest[min(n, len(rest)):] {
			parts.Watch(rest[:min(n, len(rest))])
		}
		if a, b := whole.Explain(bad), parts.Explain(bad); a.Alert != b.Alert {
			t.Errorf("%v, in parts of %d %v", a, n, b)
		}
	})
}
