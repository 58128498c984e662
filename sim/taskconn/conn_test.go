package taskconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/sim/taskconn"
)

// digestOnly makes the test below print its digest, in another process.
const digestOnly = "TASKCONN_DIGEST_ONLY"

func TestTLSRepeatsInTwoProcesses(t *testing.T) {
	own := digest(t, world{}, 7)
	if os.Getenv(digestOnly) != "" {
		t.Logf("digest: %s.", own)
		return
	}
	if other := digest(t, world{}, 8); other == own {
		t.Error("another seed gives the same bytes")
	}
	for _, procs := range []string{"1", "4"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTLSRepeatsInTwoProcesses$", "-test.v")
		for _, e := range os.Environ() {
			if !strings.HasPrefix(e, "GODEBUG=") { // the other process shall see to it by itself
				cmd.Env = append(cmd.Env, e)
			}
		}
		cmd.Env = append(cmd.Env, digestOnly+"=1", "GOMAXPROCS="+procs)
		out, err := cmd.CombinedOutput()
		found := regexp.MustCompile(`digest: (.*)\.\n`).FindSubmatch(out)
		if err != nil || found == nil {
			t.Fatalf("GOMAXPROCS=%s: %v\n%s", procs, err, out)
		}
		if got := string(found[1]); got != own {
			t.Errorf("GOMAXPROCS=%s:\n%s\nhere:\n%s", procs, got, own)
		}
	}
}

// The gate above must go red when a Rand moves on with single bytes.
func TestSabotageAPlainReaderDoesNotRepeat(t *testing.T) {
	seen := map[string]bool{}
	for range 12 {
		seen[digest(t, world{plain: true}, 7)] = true
		if len(seen) > 1 {
			return
		}
	}
	t.Error("12 runs with a plain reader are all alike: the gate tests nothing")
}

func TestReadWaitsForItsTask(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	var c *taskconn.Conn
	var got []string
	loop.Go("reader", func(task *sim.Task) {
		c = taskconn.OnTask(task, taskconn.Config{})
		b := make([]byte, 3)
		for {
			n, err := c.Read(b)
			got = append(got, loop.Now().String()+" "+string(b[:n]))
			if err != nil {
				got = append(got, err.Error())
				return
			}
		}
	})
	loop.After(time.Second, func() { c.Feed([]byte("hello")) })
	loop.After(2*time.Second, func() { c.Feed([]byte("x")); c.Fail(io.EOF); c.Fail(net.ErrClosed); c.Feed([]byte("late")) })
	if err := errors.Join(loop.Run(sim.Time(time.Minute)), loop.Close()); err != nil {
		t.Fatal(err)
	}
	want := "1s hel|1s lo|2s x|2s |EOF"
	if s := strings.Join(got, "|"); strings.ReplaceAll(s, ".000000000", "") != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

func TestBuffersAreBounded(t *testing.T) {
	c := taskconn.New(taskconn.Config{Limit: 10, Fill: func() error { return taskconn.ErrWouldBlock }})
	if n, err := c.Write(make([]byte, 10)); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, taskconn.ErrFull) {
		t.Errorf("a write beyond the limit: %v", err)
	}
	if got := len(c.Take()); got != 10 || c.Unsent() != 0 {
		t.Errorf("took %d", got)
	}
	c.Feed(make([]byte, 8))
	c.Feed(make([]byte, 3))
	b := make([]byte, 20)
	if n, err := c.Read(b); n != 8 || err != nil {
		t.Errorf("read %d, %v; want what fitted", n, err)
	}
	if _, err := c.Read(b); !errors.Is(err, taskconn.ErrFull) {
		t.Errorf("then %v", err)
	}
}

func TestCloseEndsBothDirections(t *testing.T) {
	c := taskconn.New(taskconn.Config{Fill: func() error { return taskconn.ErrWouldBlock }})
	c.Feed([]byte("unread"))
	if _, err := c.Write([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if !bytes.Equal(c.Take(), []byte("kept")) {
		t.Error("what was written is lost")
	}
	if err := c.SetDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("deadline: %v", err)
	}
}
