package distance

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"hilnet/internal/golden"
	"hilnet/pcaps"
	"hilnet/wire"
)

// spread writes frames to a file with two interfaces; at says at which one each is, both
// for 2.
func spread(t *testing.T, all []*pcaps.Packet, names [2]string, at func(own bool) int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spread.pcapng")
	f, err := pcaps.Create(path, pcaps.Section{}, pcaps.WriterConfig{})
	for _, name := range names {
		if err == nil {
			_, err = f.AddInterface(pcaps.Interface{Name: name, LinkType: pcaps.LinkTypeEthernet, Resolution: pcaps.Nanoseconds})
		}
	}
	for _, p := range all {
		const both = 2
		where := at(wire.Ethernet(p.Data).Src() == golden.DeviceMAC)
		for i := range both {
			if p.Interface = i; (where == i || where == both) && err == nil {
				err = f.WritePacket(p)
			}
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A capture may have each direction at an interface of its own, and a merged recording
// both ends of a link; what has everything twice otherwise is refused, not counted twice.
func TestInterfacesAreDirectionsOrEnds(t *testing.T) {
	path := recording(t, "2a-dead-link-8s")
	plain, all := open(t, path, Config{}), packets(t, path)
	for _, c := range []struct {
		what  string
		names [2]string
		at    func(own bool) int
		want  error
	}{
		{"a direction each", [2]string{"tx", "rx"}, func(own bool) int { return map[bool]int{true: 0, false: 1}[own] }, nil},
		{"both ends, by hilnet's names", [2]string{"device", "peer"}, func(bool) int { return 2 }, nil},
		{"both ends", [2]string{"eth0", "eth1"}, func(bool) int { return 2 }, ErrInterfaces},
		{"one direction at both", [2]string{"eth0", "eth1"}, func(own bool) int { return map[bool]int{true: 0, false: 2}[own] }, ErrInterfaces},
	} {
		in, done, err := pcaps.Open(spread(t, all, c.names, c.at), pcaps.ReaderConfig{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(context.Background(), in, Config{})
		_ = done()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if err != nil {
			continue
		}
		if r, err := Compare(plain, got, Config{Tolerance: -1}); err != nil || r.Distance != 0 || got.Interface != c.names[0] {
			t.Errorf("%s: distance %v, at %q (%v)", c.what, r.Distance, got.Interface, err)
		}
	}
}
