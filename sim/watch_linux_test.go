package sim_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/sim"
)

// A watched descriptor wakes a loop that sleeps, and is looked at by one that
// never does.
func TestAWatchedDescriptorIsReadAsSoonAsTheLoopCan(t *testing.T) {
	for name, busy := range map[string]bool{"the loop sleeps": false, "the loop never sleeps": true} {
		t.Run(name, func(t *testing.T) {
			loop := paced(t, 1)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			fd := int(r.Fd())
			if err := unix.SetNonblock(fd, true); err != nil {
				t.Fatal(err)
			}
			const n = 100
			got := 0
			buf := make([]byte, 1)
			if err := loop.Watch(fd, func() {
				k, err := unix.Read(fd, buf)
				if errors.Is(err, unix.EAGAIN) {
					return
				}
				if got += k; got == n {
					loop.Stop()
				}
			}); err != nil {
				t.Fatal(err)
			}
			if busy {
				var again func()
				again = func() { // takes longer than until the next is due
					for began := time.Now(); time.Since(began) < 20*time.Microsecond; {
					}
					if busy {
						loop.After(10*time.Microsecond, again)
					}
				}
				loop.At(0, again)
			}
			go func() {
				for range n {
					_, _ = w.Write([]byte{1})
					time.Sleep(50 * time.Microsecond)
				}
			}()
			if err := loop.Run(sim.Time(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if got != n || loop.Now() > sim.Time(30*time.Second) || busy != (loop.Naps() == 0) {
				t.Errorf("%d of %d by %v, %d naps", got, n, loop.Now(), loop.Naps())
			}
			loop.Unwatch(fd)
			busy = false
			before := got
			if _, err := w.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if err := loop.Run(loop.Now().Add(50 * time.Millisecond)); err != nil || got != before {
				t.Errorf("read %d more after Unwatch, %v", got-before, err)
			}
		})
	}
}

// What a descriptor wakes may end the Watch of another, or its own.
func TestAWatchMayEndItself(t *testing.T) {
	loop := paced(t, 1)
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := w.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		fd, calls := int(r.Fd()), 0
		if err := loop.Watch(fd, func() {
			if calls++; calls > 1 {
				t.Error("called after Unwatch")
			}
			loop.Unwatch(fd)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := loop.Run(loop.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
}
