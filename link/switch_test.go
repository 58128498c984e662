package link_test

import (
	"fmt"
	"strings"
	"testing"

	"hilnet/link"
)

func TestASwitchLearnsWhereAddressesAre(t *testing.T) {
	var log []string
	sw := link.NewSwitch()
	ports := make([]*link.Port, 3)
	for i := range ports {
		ports[i] = sw.Port(link.SinkFunc(func(f *link.Frame) {
			log = append(log, fmt.Sprint(i))
			f.Release()
		}))
	}
	const all = 0xff
	send := func(from int, dst, src byte, want string) {
		t.Helper()
		log = nil
		f := link.NewFrame(60)
		clear(f.Data)
		f.Data[0], f.Data[5] = dst&1, dst
		f.Data[6], f.Data[11] = 0, src
		ports[from].Put(f)
		if got := strings.Join(log, " "); got != want {
			t.Errorf("from %d to %d: left at %q, want %q", from, dst, got, want)
		}
	}
	send(0, 20, 10, "1 2")  // unknown: flooded
	send(1, 10, 20, "0")    // learned
	send(0, 20, 10, "1")    // learned
	send(0, all, 10, "1 2") // broadcast
	send(2, all, 30, "0 1")
	send(2, 30, 40, "")  // its own segment
	send(1, 10, 30, "0") // address 30 moves to port 1
	send(0, 30, 10, "1")
	ports[0].Put(link.NewFrame(5))
	want := link.SwitchCounters{In: 9, Forwarded: 4, Flooded: 3, Filtered: 1, Malformed: 1}
	if got := sw.Counters(); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}
