package play_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"hilnet/emu/certs"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// A caller is a connection to the player of which only the end is noted.
type caller struct{ aborted bool }

func (*caller) Write([]byte, []int) {}
func (*caller) Close()              {}
func (c *caller) Abort()            { c.aborted = true }
func (*caller) Remote() string      { return "caller" }

// Clients that do not say who they are, or begin a CONNECT that has no end, neither
// fill the memory nor keep the recorded client away; each is counted.
func TestClientsThatDoNotSayWhoTheyAreAreBoundedAndCounted(t *testing.T) {
	const callers, each, allowed = 2000, 1 << 20, 64 << 20
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	p := &pipe{loop: loop}
	s := expecting(2)
	player, err := play.New(play.Config{Loop: loop, Script: s, As: script.Broker, Network: p})
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	part := bytes.Repeat([]byte{0}, each)
	copy(part, []byte{0x10, 0xff, 0xff, 0xff, 0x07}) // a CONNECT of almost 16 MiB
	held, refused := 0, 0
	var first *play.Events
	for i := range callers {
		c := &caller{}
		e := p.accept(c)
		if e == nil {
			refused++
			continue
		}
		first = e
		if i >= 100 {
			continue // it says nothing
		}
		if e.Data(part); !c.aborted {
			held += each
		}
	}
	if held == 0 || held > allowed || refused == 0 {
		t.Errorf("%d bytes are held, %d clients refused", held, refused)
	}
	first.Closed(errors.New("reset")) // one was at the limit
	c := &caller{}
	e := p.accept(c)
	if e == nil {
		t.Fatal("the recorded client is refused")
	}
	e.Data(s.Conversations[0].Events[0].Raw)
	if c.aborted {
		t.Error("the recorded client is thrown out")
	}
	if r := player.Report(); r.Strangers != callers {
		t.Errorf("%d of %d strangers are counted", r.Strangers, callers)
	}
}

// What a peer sends waits in the peer while the loop is busy, in TLS too, where the
// pieces that are read are shorter.
func TestAPeerThatFloodsABusyLoopWaits(t *testing.T) {
	valid := certs.Validity{From: time.Unix(0, 0), Until: time.Unix(1<<33, 0)}
	key, err := certs.NewECDSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.NewAuthority(rand.Reader, "ca", key, valid)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue(certs.Request{Name: "b", Server: true, Key: key, Valid: valid})
	if err != nil {
		t.Fatal(err)
	}
	for _, secure := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		pacer, err := sim.NewRealPacer(1)
		if err != nil {
			t.Fatal(err)
		}
		defer pacer.Close()
		loop := sim.NewLoop(sim.Config{Pacer: pacer})
		defer loop.Close()
		network := play.NewHostNetwork(loop, listener.Addr().String())
		if secure {
			network.Secure(&tls.Config{InsecureSkipVerify: true}, nil)
		}
		const flood = 64 << 20
		sent := make(chan int, 1)
		go func() {
			n := 0
			defer func() { sent <- n }()
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if secure {
				conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}})
			}
			for part := make([]byte, 32<<10); n < flood; {
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // then nobody reads
				k, err := conn.Write(part)
				if n += k; err != nil {
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error(err)
					}
					return
				}
			}
		}()
		got, n := 0, 0
		network.Dial(nil, &play.Events{Connected: func() {}, Closed: func(error) { loop.Stop() }, Data: func(b []byte) {
			if got += len(b); n == 0 {
				n = <-sent // the loop is busy meanwhile
			}
		}})
		if err := loop.StartPacer(); err != nil {
			t.Fatal(err)
		}
		if err := loop.Run(sim.Never); err != nil {
			t.Fatal(err)
		}
		network.Stop()
		<-network.Drained()
		if n == 0 || n > flood/2 || got > n+32<<10 || !secure && got < n {
			t.Errorf("TLS %v: %d bytes were sent to a loop that was busy, %d came", secure, n, got)
		}
	}
}
