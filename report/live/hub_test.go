package live

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// read takes what there is, until nothing is left or the last message has a kind.
func drain(t *testing.T, r *reader, until string) (kinds []string, lost uint64) {
	t.Helper()
	for {
		messages, gone, more := r.next(t.Context(), nil)
		lost += gone
		for _, m := range messages {
			kinds = append(kinds, m.kind)
		}
		if !more || len(kinds) > 0 && kinds[len(kinds)-1] == until {
			return kinds, lost
		}
	}
}

// Who comes late gets everything, and of a state the newest only.
func TestALateReaderGetsEverything(t *testing.T) {
	h := newHub()
	for i := range 5 {
		h.tell(fmt.Sprint("m", i), nil)
		h.set("now", fmt.Append(nil, i))
	}
	h.tell("end", nil)
	h.set("over", nil)
	r := h.read(0)
	kinds, lost := drain(t, r, "over")
	if got := strings.Join(kinds, " "); got != "m0 m1 m2 m3 m4 end now over" || lost != 0 {
		t.Errorf("%s, %d lost", got, lost)
	}
	h.set("now", nil)
	if kinds, _ := drain(t, r, "now"); strings.Join(kinds, " ") != "now" {
		t.Errorf("then %q", kinds)
	}
	kinds, _ = drain(t, h.read(4), "over")
	if got := strings.Join(kinds, " "); got != "m4 end over now" && got != "m4 end now over" {
		t.Errorf("behind the fourth message: %s", got)
	}
	h.close()
	if messages, lost, more := r.next(t.Context(), nil); more || lost > 0 || len(messages) > 0 {
		t.Error("a closed hub has more to say")
	}
	h.tell("too late", nil)
	h.set("too late", nil)
}

// Nobody waits for a slow reader, nothing is kept for it beyond the hub's limits,
// and it is told exactly how much it missed.
func TestASlowReaderIsToldWhatItMissed(t *testing.T) {
	h := newHub()
	slow := h.read(0)
	h.tell("first", nil)
	if kinds, _ := drain(t, slow, "first"); len(kinds) != 1 {
		t.Fatal(kinds)
	}
	const messages, size = 4000, 16 << 10 // two and a half times what the hub holds
	for range messages {
		h.tell("m", make([]byte, size))
	}
	var stat runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stat)
	if h.bytes > hubBytes || stat.HeapAlloc > 2*hubBytes {
		t.Errorf("the hub holds %d bytes, the program %d", h.bytes, stat.HeapAlloc)
	}
	h.tell("last", nil)
	kinds, lost := drain(t, slow, "last")
	if uint64(len(kinds))+lost != messages+1 || lost < messages/2 || len(kinds) < 100 {
		t.Errorf("%d messages and %d lost of %d", len(kinds), lost, messages+1)
	}
	for range 2 * hubMessages {
		h.tell("small", nil)
	}
	if len(h.ring) > hubMessages || cap(h.ring) > 4*hubMessages {
		t.Errorf("the hub has %d messages, and room for %d", len(h.ring), cap(h.ring))
	}
}

// A reader that says it had what has not been told yet gets what comes next.
func TestAReaderFromTheFutureGetsWhatComes(t *testing.T) {
	h := newHub()
	h.tell("old", nil)
	r := h.read(1 << 60)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if messages, _, more := r.next(ctx, nil); len(messages) > 0 || more {
		t.Errorf("%v", messages)
	}
	h.tell("new", nil)
	if kinds, lost := drain(t, r, "new"); len(kinds) != 1 || lost != 0 {
		t.Errorf("%q, %d lost", kinds, lost)
	}
}
