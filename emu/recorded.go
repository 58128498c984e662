package emu

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/replay/segment"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// MaxRecording bounds the size of a recording that is a broker, in bytes.
const MaxRecording = 256 << 20

// A recordedPeer is a capture file whose peer answers the device.
type recordedPeer struct {
	name   string // as the scenario names it
	frames []segment.Frame
	device wire.MAC // the device's, in the frames too
	player *segment.Player
}

// readRecording reads the scenario's recording and sees that it fits. What is
// wrong with it is wrong with the scenario, and has a place there.
func readRecording(sc *scenarios.Scenario) (*recordedPeer, error) {
	cfg, d := sc.Broker.Capture, &sc.Devices[0]
	r := &recordedPeer{name: cfg.File, device: wire.MAC(d.MAC)}
	path := sc.FilePath(recordingFile, cfg.File)
	if err := r.read(path); err != nil {
		return nil, sc.ErrorAt(recordingFile, fmt.Sprintf("cannot play %s: %v", path, err), "name a pcap or pcapng file of whole Ethernet frames; the path begins where the scenario file is")
	}
	recorded := wire.MAC(cfg.Device)
	if cfg.Device == (scenarios.MAC{}) {
		recorded = r.device
	}
	s := r.survey(recorded)
	switch {
	case s.frames == 0:
		return nil, sc.ErrorAt("broker.capture", fmt.Sprintf("%s has no frame of the device %v", cfg.File, scenarios.MAC(recorded)),
			"set device: to the one that the device has there: "+strings.Join(s.others, ", "))
	case len(s.own) > 0 && !slices.Contains(s.own, d.Address.Addr()):
		return nil, sc.ErrorAt("devices[0].address", fmt.Sprintf("the device is %v here and %v in %s", d.Address.Addr(), s.own[0], cfg.File),
			fmt.Sprintf("set its address: to %v/%d", s.own[0], d.Address.Bits()))
	case !slices.Contains(s.peers, sc.Broker.Address.Addr()):
		return nil, sc.ErrorAt("broker.address", fmt.Sprintf("the device of %s sends nothing to %v", cfg.File, sc.Broker.Address.Addr()),
			fmt.Sprintf("set the broker's address: to one of: %v", s.peers))
	}
	r.rename(recorded)
	return r, nil
}

const recordingFile = "broker.capture.file"

// read reads the frames, in the order of their times.
func (r *recordedPeer) read(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		var p *os.PathError
		if errors.As(err, &p) {
			return p.Err
		}
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case info.Size() > MaxRecording:
		return fmt.Errorf("it is larger than %d bytes", int64(MaxRecording))
	}
	for p, err := range pcaps.Packets(path) {
		n := len(r.frames) + 1
		var l wire.Layers
		switch {
		case err != nil:
			return err
		case n > segment.MaxFrames:
			return fmt.Errorf("it has more than %d frames", segment.MaxFrames)
		case p.LinkType != pcaps.LinkTypeEthernet:
			return fmt.Errorf("frame %d is not an Ethernet frame", n)
		case p.OriginalLen > len(p.Data):
			return fmt.Errorf("frame %d was cut from %d bytes to %d when it was recorded", n, p.OriginalLen, len(p.Data))
		}
		if err := l.Parse(p.Data); err != nil {
			return fmt.Errorf("frame %d: %w", n, err)
		}
		r.frames = append(r.frames, segment.Frame{At: time.Duration(p.Time), Data: bytes.Clone(p.Data)})
	}
	if len(r.frames) == 0 {
		return errors.New("it has no frames")
	}
	slices.SortStableFunc(r.frames, func(a, b segment.Frame) int { return cmp.Compare(a.At, b.At) })
	begin := r.frames[0].At
	for i := range r.frames {
		r.frames[i].At -= begin
	}
	return nil
}

// A survey is what a recording has of a device.
type survey struct {
	frames int
	own    []netip.Addr // that it sends from
	peers  []netip.Addr // that it sends to or asks for
	others []string     // hardware addresses of other senders
}

func (r *recordedPeer) survey(device wire.MAC) *survey {
	s := &survey{}
	note := func(list *[]netip.Addr, a netip.Addr) {
		if a.IsValid() && !a.IsUnspecified() && !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	for _, f := range r.frames {
		var l wire.Layers
		if err := l.Parse(f.Data); err != nil {
			panic(fmt.Sprintf("emu: a frame that was parsed before: %v", err))
		}
		if src := l.Ethernet.Src(); src != device {
			if name := scenarios.MAC(src).String(); !slices.Contains(s.others, name) && len(s.others) < 10 {
				s.others = append(s.others, name)
			}
			continue
		}
		s.frames++
		if l.ARP != nil {
			note(&s.own, l.ARP.Sender())
			note(&s.peers, l.ARP.Target())
		} else {
			note(&s.own, l.Src())
			note(&s.peers, l.Dst())
		}
	}
	return s
}

// Where a frame has hardware addresses: destination and source; in ARP's body
// the sender's and the target's (RFC 826).
const (
	etherTypeAt  = 12
	arpSenderAt  = 14 + 8
	arpTargetAt  = 14 + 18
	arpFrameSize = 14 + 28
)

// rename gives the recorded device the live one's hardware address.
func (r *recordedPeer) rename(recorded wire.MAC) {
	if recorded == r.device {
		return
	}
	for _, f := range r.frames {
		places := []int{0, 6}
		if binary.BigEndian.Uint16(f.Data[etherTypeAt:]) == wire.EtherTypeARP && len(f.Data) >= arpFrameSize {
			places = append(places, arpSenderAt, arpTargetAt)
		}
		for _, at := range places {
			if wire.MAC(f.Data[at:at+6]) == recorded {
				copy(f.Data[at:], r.device[:])
			}
		}
	}
}

// A recordedNetwork is the peer of a recording at the far end of the only link.
type recordedNetwork struct{ world *World }

func (w *World) newRecordedNetwork() (network, error) { return recordedNetwork{w}, nil }

func (n recordedNetwork) attach(device *scenarios.Device, l *link.Link) (link.Sink, error) {
	w := n.world
	if err := w.recordPeer(device.Name, l, scenarios.PointPeer, scenarios.PointBroker); err != nil {
		return nil, err
	}
	cfg := w.sc.Broker.Capture
	player, err := segment.New(segment.Config{
		Loop: w.loop, Frames: w.recording.frames, Device: w.recording.device,
		Start: sim.Time(cfg.Start), Delay: cfg.Delay.Std(), Out: l.Down,
	})
	if err != nil {
		return nil, fmt.Errorf("emu: broker: %w", err)
	}
	w.recording.player = player
	return player, nil
}

// A recorded broker does not notice a device's cable.
func (recordedNetwork) carrier(bool) {}

// count writes how the play went into the trace. Without a recording it does
// nothing.
func (r *recordedPeer) count(w *World) {
	if r == nil {
		return
	}
	s := r.player.Stats()
	w.counters(brokerNode, scenarios.StageRecording,
		trace.Value{Name: scenarios.ValueFrames, N: int64(s.Frames)},
		trace.Value{Name: scenarios.ValueSent, N: int64(s.Sent)},
		trace.Value{Name: scenarios.ValueHeld, N: int64(s.Held)},
		trace.Value{Name: scenarios.ValueMaxHeld, N: int64(s.MaxHeld)},
		trace.Value{Name: scenarios.ValueForeign, N: int64(s.Foreign)},
		trace.Value{Name: scenarios.ValueNotSent, N: int64(s.Frames - s.Sent)})
}

// note tells a reader of the result how the play went.
func (r *recordedPeer) note() string {
	s := r.player.Stats()
	return fmt.Sprintf("the broker is the recording %s: %d of its %d frames were sent, %d of them held back until the device had sent what they answer (%v at most), %d never; %d frames of the device belong to nothing in it",
		r.name, s.Sent, s.Frames, s.Held, s.MaxHeld.Round(time.Millisecond), s.Frames-s.Sent, s.Foreign)
}
