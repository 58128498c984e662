package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"hilnet/mqtt/broker/serve"
	"hilnet/mqtt/codec"
	"hilnet/trace"
)

// A state that cannot be written is found at the start, not when what the broker
// knows is lost.
func TestABrokerWhoseStateCannotBeWrittenDoesNotBegin(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := call(t, "broker", "--listen", "127.0.0.1:0", "--for", "10ms", "--state", "missing/broker.json")
	if code != exitEnvironment || strings.Contains(out, "listening") || !strings.Contains(errs, "--state") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs = call(t, "broker", "--listen", "127.0.0.1:0", "--for", "10ms", "--state", "broker.json"); code != exitPass {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	all, err := os.ReadDir(".")
	if err != nil || len(all) != 1 {
		t.Errorf("%v is left (%v)", all, err)
	}
}

// A fullDisk takes one write, the header.
type fullDisk struct{ writes int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.writes++; d.writes > 1 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

// A broker whose trace cannot be written any more ends and says so: it must not
// go on for hours without.
func TestABrokerWhoseTraceFillsTheDiskEnds(t *testing.T) {
	w, err := trace.NewWriter(&fullDisk{}, trace.Header{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := serve.Config{Trace: writeOrEnd(w, cancel)}
	s, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Serve(ctx, l)
		ended <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	out := codec.AppendConnect(nil, &codec.Connect{ClientID: []byte("id"), CleanSession: true})
	for i := range 1_000 { // events of 100 bytes, more than wait to be written
		out = codec.AppendPublish(out, &codec.Publish{Topic: fmt.Appendf(nil, "t/%d", i)})
	}
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil || !errors.Is(w.Err(), syscall.ENOSPC) {
			t.Errorf("%v, %v", err, w.Err())
		}
	case <-time.After(20 * time.Second):
		t.Error("the broker goes on")
		cancel()
		<-ended
	}
}
