package mqtt_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

func TestMosquittosClientScriptsOverTCP(t *testing.T) {
	linktest.NoLeaks(t)
	for _, s := range scripts() {
		t.Run(s.name, func(t *testing.T) { s.playTCP(t) })
	}
}

// playTCP is the server on a socket of this machine. The clock runs ten times
// as fast, so that a keepalive of 5 s takes half a second.
func (s *script) playTCP(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pacer, err := sim.NewRealPacer(10)
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Pacer: pacer})
	kernel := rtos.NewKernel(loop, rtos.Config{})
	log := trace.NewLog(loop.Now)
	pool, err := nic.NewPool(kernel, log, nic.PoolConfig{Payload: 256, Packets: 16})
	if err != nil {
		t.Fatal(err)
	}
	socket := newHostSocket(loop, kernel, pool)
	c, err := mqtt.Create(mqtt.Config{
		Kernel: kernel, Pool: pool, Socket: socket, Trace: log, ClientID: s.id, Mode: mqtt.ModeFixed, ResendAfterClean: s.resend,
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		err := s.serve(l)
		loop.Post(func() { loop.After(200*time.Millisecond, loop.Stop) })
		served <- err
	}()
	var program error
	kernel.NewThread("app", 10, func(th *rtos.Thread) {
		program = s.run(c, th, l.Addr().(*net.TCPAddr).AddrPort())
	})
	if err := loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(sim.Time(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // the server goes, if it still waits
	if err := <-served; err != nil {
		t.Error(err)
	}
	kernel.NewThread("end", 9, func(*rtos.Thread) {
		program = errors.Join(program, s.messages(c))
		c.Disconnect()
		loop.Stop()
	})
	if err := loop.Run(loop.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if program != nil {
		t.Error(program)
	}
	if pool.Free() != pool.Total() && c.TransmitDepth() == 0 {
		t.Errorf("packets are lost: %v", pool.Holdings())
	}
	socket.close()
	if err := loop.Close(); err != nil {
		t.Error(err)
	}
}

// serve plays the server's part on a listener.
func (s *script) serve(l net.Listener) error {
	for i, moves := range s.server {
		if err := serveOne(l, moves); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	return nil
}

func serveOne(l net.Listener, moves []move) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // what counts was read
	if err := c.SetDeadline(sim.WallClock().Add(20 * time.Second)); err != nil {
		return err
	}
	for _, m := range moves {
		if m.hangUp {
			return nil
		}
		if m.send != "" {
			if _, err := io.WriteString(c, m.send); err != nil {
				return err
			}
			continue
		}
		got := make([]byte, len(m.want))
		n, err := io.ReadFull(c, got)
		if err != nil || string(got) != m.want {
			return fmt.Errorf("got % x (%v), want % x", got[:n], err, m.want)
		}
	}
	return nil
}
