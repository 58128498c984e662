package segment

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/wire"
)

var (
	deviceMAC  = wire.MAC{2, 0, 0, 0, 0, 2}
	peerMAC    = wire.MAC{2, 0, 0, 0, 0, 1}
	deviceAddr = netip.MustParseAddr("10.0.0.2")
	peerAddr   = netip.MustParseAddr("10.0.0.1")
)

// tcp builds a segment between the device and the peer.
func tcp(fromDevice bool, devicePort uint16, flags wire.TCPFlags, seq, ack uint32, payload string) []byte {
	f := make([]byte, 54+len(payload))
	src, dst, from, to := deviceAddr, peerAddr, deviceMAC, peerMAC
	ports := [2]uint16{devicePort, 1883}
	if !fromDevice {
		src, dst, from, to, ports = dst, src, to, from, [2]uint16{1883, devicePort}
	}
	copy(f, to[:])
	copy(f[6:], from[:])
	f[12] = 8
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(40+len(payload)))
	copy(ip[12:], src.AsSlice())
	copy(ip[16:], dst.AsSlice())
	t := ip[20:]
	binary.BigEndian.PutUint16(t, ports[0])
	binary.BigEndian.PutUint16(t[2:], ports[1])
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	t[12], t[13] = 5<<4, byte(flags)
	copy(t[20:], payload)
	var l wire.Layers
	if err := l.Parse(f); err != nil {
		panic(err)
	}
	l.TCP.UpdateChecksum(src, dst, l.Payload)
	return f
}

const (
	syn = wire.TCPSyn
	ack = wire.TCPAck
)

// session is a recording: handshake, ten bytes of the device, five of the peer.
func session() []Frame {
	ms := time.Millisecond
	return []Frame{
		{0, tcp(true, 40000, syn, 1000, 0, "")},
		{1 * ms, tcp(false, 40000, syn|ack, 5000, 1001, "")},
		{2 * ms, tcp(true, 40000, ack, 1001, 5001, "")},
		{3 * ms, tcp(true, 40000, ack, 1001, 5001, "0123456789")},
		{4 * ms, tcp(false, 40000, ack, 5001, 1011, "")},
		{50 * ms, tcp(false, 40000, ack, 5001, 1011, "hello")},
	}
}

// live is a player and what it sent.
type live struct {
	loop   *sim.Loop
	player *Player
	sent   []wire.TCP
	at     []sim.Time
}

func start(t *testing.T, frames []Frame) *live {
	t.Helper()
	l := &live{loop: sim.NewLoop(sim.Config{})}
	t.Cleanup(func() { l.loop.Close() })
	var err error
	l.player, err = New(Config{Loop: l.loop, Frames: frames, Device: deviceMAC, Out: link.SinkFunc(func(f *link.Frame) {
		var layers wire.Layers
		if err := layers.Parse(append([]byte(nil), f.Data...)); err != nil {
			t.Error(err)
		}
		l.sent, l.at = append(l.sent, layers.TCP), append(l.at, l.loop.Now())
		f.Release()
	})})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *live) device(at time.Duration, frame []byte) {
	l.loop.At(sim.Time(at), func() { l.player.Put(link.CopyFrame(frame)) })
}

// The peer's segments have the live device's port and numbers, and an answer
// keeps its distance from what it answers.
func TestThePeerFollowsTheLiveDevicesNumbersAndTimes(t *testing.T) {
	l := start(t, session())
	ms := time.Millisecond
	l.device(10*ms, tcp(true, 50123, syn, 0xfffffff0, 0, ""))
	l.device(30*ms, tcp(true, 50123, ack, 0xfffffff1, 5001, "0123456789"))
	if err := l.loop.Run(sim.Time(time.Second)); err != nil {
		t.Fatal(err)
	}
	if len(l.sent) != 3 || !l.player.Done() {
		t.Fatalf("%d segments, %+v", len(l.sent), l.player.Stats())
	}
	for i, want := range []struct {
		at  time.Duration
		ack uint32
	}{{11 * ms, 0xfffffff1}, {31 * ms, 0xfffffffb}, {50 * ms, 0xfffffffb}} {
		if s := l.sent[i]; l.at[i] != sim.Time(want.at) || s.Ack() != want.ack || s.DstPort() != 50123 || s.SrcPort() != 1883 {
			t.Errorf("segment %d at %v: ack %#x, port %d", i, l.at[i], s.Ack(), s.DstPort())
		}
	}
}

// What the device has not sent is not answered.
func TestThePeerWaitsForWhatItAnswers(t *testing.T) {
	l := start(t, session())
	l.device(0, tcp(true, 40000, syn, 1000, 0, ""))
	if err := l.loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if s := l.player.Stats(); s.Sent != 1 || l.player.Done() || s.Frames != 3 {
		t.Errorf("%+v", s)
	}
}

// A live device that sends without end takes no memory, and its frames no longer
// the more there are.
func TestALiveDeviceThatSendsWithoutEndTakesNoMemory(t *testing.T) {
	l := start(t, session())
	l.player.hear(parse(tcp(true, 40000, syn, 1000, 0, "")))
	c := l.player.conns[0]
	seq := uint32(1001)
	for range 5_000_000 {
		c.live.arrive(seq-1000, 0)
		seq += 1000
	}
	if len(c.live.at) > len(session()) || len(c.live.ends) > len(session()) {
		t.Errorf("%d moments are held", len(c.live.at))
	}
	if c.live.high < 4_999_000_000 {
		t.Errorf("it has reached %d", c.live.high)
	}
}

func parse(f []byte) *wire.Layers {
	var l wire.Layers
	if err := l.Parse(f); err != nil {
		panic(err)
	}
	return &l
}

// Positions go on where sequence numbers wrap.
func TestAReachGoesOnWhereNumbersWrap(t *testing.T) {
	var recorded, live reach
	for i := range 20 {
		end := int64(i) * 500_000_000
		recorded.add(uint32(end), sim.Time(i))
		live.await(end)
	}
	for i := range 20 {
		live.arrive(uint32(int64(i)*500_000_000), sim.Time(100+i))
	}
	for i := range 20 {
		a, ok1 := recorded.when(int64(i)*500_000_000 - int64(min(i, 1)))
		b, ok2 := live.when(int64(i) * 500_000_000)
		if !ok1 || !ok2 || a != sim.Time(i) || b != sim.Time(100+i) {
			t.Errorf("position %d: %v %v, %v %v", i, a, ok1, b, ok2)
		}
	}
	if _, ok := live.when(20 * 500_000_000); ok {
		t.Error("what was not sent was reached")
	}
}

func TestARecordingThatCannotBePlayedIsAnError(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	out := link.SinkFunc(func(f *link.Frame) { f.Release() })
	for name, cfg := range map[string]Config{
		"no loop":     {Out: out},
		"no way out":  {Loop: loop},
		"cut frame":   {Loop: loop, Out: out, Frames: []Frame{{0, make([]byte, 5)}}},
		"many frames": {Loop: loop, Out: out, Frames: make([]Frame, MaxFrames+1)},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkWhen(b *testing.B) {
	var r reach
	for i := range MaxFrames {
		r.add(uint32(i*100), sim.Time(i))
	}
	for b.Loop() {
		if _, ok := r.when(MaxFrames * 50); !ok {
			b.Fatal("not reached")
		}
	}
}
