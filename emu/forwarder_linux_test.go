package emu_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
)

// What our link is measured beside: a program that reads a frame from one TAP and
// writes it to another, and does nothing else.

// forwarderVariable names the descriptors' namespaces and the delay.
const forwarderVariable = "HILNET_TEST_FORWARDER"

// startForwarder starts the forwarder in a process of its own.
func (p *realPair) startForwarder(what string, delay time.Duration) {
	cmd := exec.Command(os.Args[0], "-test.run", "^TestForwardAsTheEnvironmentSays$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %v", forwarderVariable, what, p.near.Name, p.far.Name, delay))
	linktest.Start(p.b, cmd).WaitFor(p.b, "forwards")
	p.await()
}

// TestForwardAsTheEnvironmentSays is what startForwarder runs; it is no test.
func TestForwardAsTheEnvironmentSays(t *testing.T) {
	words := strings.Fields(os.Getenv(forwarderVariable))
	if len(words) != 4 {
		t.Skip("runs only beside benchmarks")
	}
	delay, err := time.ParseDuration(words[3])
	if err != nil {
		t.Fatal(err)
	}
	near, far := openBareTAP(t, words[1], "t0"), openBareTAP(t, words[2], "t1")
	ended := make(chan error)
	forward := forwardFrames
	if words[0] == "sleep" {
		forward = func(from, to int) error { return forwardLate(from, to, delay) }
	}
	go func() { ended <- forward(near, far) }()
	go func() { ended <- forward(far, near) }()
	fmt.Println("forwards")
	t.Fatal(<-ended)
}

// openBareTAP opens the TAP in a namespace.
func openBareTAP(t *testing.T, netns, name string) (fd int) {
	t.Helper()
	linktest.In(t, netns).Do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	})
	return fd
}

// forwardFrames is the bare forwarder.
func forwardFrames(from, to int) error {
	buf := make([]byte, 2048)
	for {
		n, err := unix.Read(from, buf)
		if err != nil {
			return err
		}
		if _, err := unix.Write(to, buf[:n]); err != nil {
			return err
		}
	}
}

// forwardLate has each frame wait in a goroutine of its own, as one would write
// it at first.
func forwardLate(from, to int, delay time.Duration) error {
	buf := make([]byte, 2048)
	for {
		n, err := unix.Read(from, buf)
		if err != nil {
			return err
		}
		frame := append([]byte(nil), buf[:n]...)
		go func() {
			time.Sleep(delay)
			_, _ = unix.Write(to, frame) // the interface may be gone at the end
		}()
	}
}
