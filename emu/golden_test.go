package emu_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/golden"
	"hilnet/link"
	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/replay/segment"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack/embedded"
	"hilnet/trace"
	"hilnet/wire"
)

// replayed is what the model did in the recorded device's place.
type replayed struct {
	frames []golden.Seen
	app    []string
	player segment.Stats
}

// goldenOptions change a replay in ways that the comparison must not notice.
type goldenOptions struct {
	rand  *sim.Rand     // where the first sequence numbers and ports come from
	delay time.Duration // of the peer's frames
	// differing is the number of frames that must differ, for a known reason.
	differing int
}

// What the recording machine took for the device's work: NetX ran as a Linux
// process there, and the recordings show 0.2 to 0.4 ms from a frame for the
// device to its answer, and up to 0.2 ms between two frames of one call. The
// stack's own rules know no processor time.
const (
	rxLatency = 100 * time.Microsecond
	txTime    = 250 * time.Microsecond
)

// A busySocket spends the time that a call of the real one takes.
type busySocket struct {
	mqtt.Socket
	kernel *rtos.Kernel
}

// Send returns when the driver has sent the packet.
func (s busySocket) Send(p *nic.Packet, wait rtos.Ticks) mqtt.Status {
	status := s.Socket.Send(p, wait)
	if th := s.kernel.Current(); th != nil {
		th.Task().Sleep(txTime)
	}
	return status
}

// replayRecording puts the model in the recorded device's place: its
// application makes the recorded calls, and its peer is the recording.
func replayRecording(t *testing.T, r *golden.Recording, opt goldenOptions) *replayed {
	t.Helper()
	loop := sim.NewLoop(sim.Config{})
	log := trace.NewLog(loop.Now)
	kernel := rtos.NewKernel(loop, rtos.Config{})
	pool, err := nic.NewPool(kernel, log, nic.PoolConfig{Node: "device", Payload: r.PoolPayload, Packets: r.PoolPackets})
	if err != nil {
		t.Fatal(err)
	}
	iface, err := nic.New(loop, kernel, log, nic.Config{Node: "device", MAC: golden.DeviceMAC, RXPool: pool})
	if err != nil {
		t.Fatal(err)
	}
	ip, err := embedded.New(loop, kernel, log, embedded.Config{
		Node: "device", Addr: netip.MustParsePrefix("10.50.0.2/24"), Pool: pool, NIC: iface, Rand: opt.rand, Latency: rxLatency,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range staticNeighbours(r) {
		ip.AddStaticARP(n.addr, n.mac)
	}
	quirks := mqtt.NetX642()
	if strings.HasPrefix(r.Name, "3e") { // built with NX_ENABLE_EXTENDED_NOTIFY_SUPPORT
		quirks.NoEstablishNotify = false
	}
	client, err := mqtt.Create(mqtt.Config{
		Kernel: kernel, Pool: pool, Trace: log, Node: "device", ClientID: r.ClientID(), Quirks: &quirks, ThreadPriority: 5,
		Socket: busySocket{ip.NewTCPSocket(embedded.SocketConfig{Window: 8192, TTL: 128, DontFragment: true}), kernel},
	})
	if err != nil {
		t.Fatal(err)
	}
	out := &replayed{}
	player, err := segment.New(segment.Config{
		Loop: loop, Frames: r.Frames, Device: golden.DeviceMAC, Start: sim.Time(r.Begin), Delay: opt.delay, Out: iface,
	})
	if err != nil {
		t.Fatal(err)
	}
	var frames []segment.Frame
	keep := func(f *link.Frame) {
		frames = append(frames, segment.Frame{At: time.Duration(loop.Now()), Data: slices.Clone(f.Data)})
	}
	iface.SetWire(link.SinkFunc(func(f *link.Frame) { keep(f); player.Put(f) }))
	player.Tap(keep)
	app := &golden.App{Kernel: kernel, Pool: pool, Client: client}
	kernel.NewThread("app", 10, func(th *rtos.Thread) {
		app.Attach()
		app.Run(th, r.Steps)
	})
	if err := loop.Run(sim.Time(r.End + opt.delay + time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := pool.Check(); err != nil {
		t.Error(err)
	}
	if err := ip.Check(); err != nil {
		t.Error(err)
	}
	out.frames, out.app, out.player = golden.DeviceFrames(0, frames), app.Log, player.Stats()
	if err := loop.Close(); err != nil {
		t.Error(err)
	}
	return out
}

type neighbour struct {
	addr netip.Addr
	mac  wire.MAC
}

// staticNeighbours are the hosts that the recorded device sent IP packets to
// without ever asking for their address: it had static entries for them.
func staticNeighbours(r *golden.Recording) []neighbour {
	asked := map[netip.Addr]bool{}
	var found []neighbour
	for _, f := range r.Frames {
		var l wire.Layers
		if l.Parse(f.Data) != nil || l.Ethernet.Src() != golden.DeviceMAC {
			continue
		}
		if l.ARP != nil {
			asked[l.ARP.Target()] = true
		} else if l.IPv4 != nil && !asked[l.Dst()] {
			asked[l.Dst()] = true
			found = append(found, neighbour{l.Dst(), l.Ethernet.Dst()})
		}
	}
	return found
}

// compareGolden replays a recording and compares.
func compareGolden(t *testing.T, r *golden.Recording, opt goldenOptions) golden.Comparison {
	t.Helper()
	want := golden.DeviceFrames(r.Begin, r.Frames)
	got := replayRecording(t, r, opt)
	c := golden.Compare(want, got.frames)
	if len(c.Differing) != opt.differing {
		t.Errorf("%d of %d frames match; player %+v\n%s", c.Matching, c.Frames, got.player, strings.Join(c.Differing, "\n"))
	}
	gotApp, gotCallbacks := golden.Threads(got.app)
	wantApp, wantCallbacks := golden.Threads(r.AppLog())
	if !slices.Equal(gotApp, wantApp) || !slices.Equal(gotCallbacks, wantCallbacks) {
		t.Errorf("the application's log differs:\n got  %s\n want %s", strings.Join(got.app, "\n      "), strings.Join(r.AppLog(), "\n      "))
	}
	return c
}

// The model's frames, results and pool are those of the recorded device.
func TestGolden(t *testing.T) {
	var table strings.Builder
	for _, name := range golden.Names(t) {
		t.Run(name, func(t *testing.T) {
			r := golden.Load(t, name)
			c := compareGolden(t, r, goldenOptions{})
			fmt.Fprintf(&table, "%-36s %6d %8d %9d\n", name, c.Frames, c.Matching, len(c.Differing))
		})
	}
	t.Logf("\n%-36s %6s %8s %9s\n%s", "recording", "frames", "matching", "differing", table.String())
}

// races are recordings in which the peer's answer came while the device was
// still busy with the call that it answers, and stopped it. An answer that is 5 ms
// late finds the call done, in the model as it would on the device: the number
// is that of the frames that then differ. docs/fidelity.md has the details.
var races = map[string]int{
	"3c-refused-and-nonblocking": 1, // the broker's RST kept the FIN from being sent
	"9-scripted-peer-quirks":     2, // the ACK's packet decides what stale byte PUBCOMP sends
}

// No part of the model knows a recording: it matches with other sequence
// numbers and ports, and with a peer that is 5 ms slower.
func TestGoldenWithOtherNumbersAndASlowerPeer(t *testing.T) {
	for _, name := range golden.Names(t) {
		t.Run(name, func(t *testing.T) {
			r := golden.Load(t, name)
			compareGolden(t, r, goldenOptions{rand: sim.NewRand(7, "another boot")})
			compareGolden(t, r, goldenOptions{delay: 5 * time.Millisecond, differing: races[name]})
		})
	}
}

// The comparison sees one frame that is missing, late or different.
func TestGoldenComparisonSeesAMutation(t *testing.T) {
	for _, name := range golden.Names(t) {
		t.Run(name, func(t *testing.T) {
			r := golden.Load(t, name)
			got := replayRecording(t, r, goldenOptions{})
			want := golden.DeviceFrames(r.Begin, r.Frames)
			differing := len(golden.Compare(want, got.frames).Differing)
			n := len(want) / 2
			for what, mutate := range map[string]func([]golden.Seen) []golden.Seen{
				"one frame removed": func(s []golden.Seen) []golden.Seen { return slices.Delete(s, n, n+1) },
				"one frame 300 ms late": func(s []golden.Seen) []golden.Seen {
					s[n].At += 300 * time.Millisecond
					return s
				},
				"one wrong identifier": func(s []golden.Seen) []golden.Seen {
					s[n].Text = strings.Replace(s[n].Text, "id ", "id 9", 1) + "'"
					return s
				},
			} {
				if c := golden.Compare(mutate(slices.Clone(want)), got.frames); len(c.Differing) <= differing {
					t.Errorf("%s: not seen", what)
				}
			}
		})
	}
}
