package scenarios

import (
	"testing"

	"hilnet/trace"
)

func BenchmarkLoad(b *testing.B) {
	data, err := Source("link-drop")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load("link-drop.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}

// One message: published, arrived, acknowledged.
func BenchmarkTally(b *testing.B) {
	s, err := Open("link-drop")
	if err != nil {
		b.Fatal(err)
	}
	t := NewTally(s)
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		n++
		for _, e := range []trace.Event{publish(n, 0), arrive(n, false), acked(1)} {
			t.Add(&e)
		}
	}
}
