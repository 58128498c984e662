package emu

import (
	"fmt"
	"net/netip"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/stack"
	"hilnet/trace"
	"hilnet/wire"
)

// A network is what the links lead to.
type network interface {
	// attach gives the far end of a device's link, which is recorded there.
	attach(device *scenarios.Device, l *link.Link) (link.Sink, error)
	// carrier follows the state of a device's NIC: whether its cable is in.
	carrier(on bool)
}

// newSwitch makes the switch in front of a broker whose port is the first one.
func (w *World) newSwitch() *link.Switch {
	sw := link.NewSwitch()
	w.onCount(func() { w.counters(brokerNode, link.StageSwitch, switchValues(sw.Counters())...) })
	return sw
}

// join adds a device's port to a switch.
func (w *World) join(sw *link.Switch, device *scenarios.Device, l *link.Link) link.Sink {
	p := sw.Port(l.Down)
	if w.sc.Access == scenarios.AccessIsolated {
		p.Own(device.Address.Addr())
		w.own6(p, device.Address6, wire.MAC(device.MAC))
	}
	return p
}

// uplink makes a port the one that leads to the broker.
func (w *World) uplink(sw *link.Switch, p *link.Port) {
	if w.sc.Access != scenarios.AccessIsolated {
		return
	}
	sw.Uplink(p)
	b := &w.sc.Broker
	p.Own(b.Address.Addr())
	w.own6(p, scenarios.Address6{Prefix: b.Address6.Prefix}, wire.MAC(brokerMAC))
	if b.Tap != nil {
		p.Own(b.Tap.Address.Addr())
		w.own6(p, scenarios.Address6{Prefix: b.Tap.Address6.Prefix}, wire.MAC(brokerMAC))
	}
}

// switchDrop reports a frame that leaves a switch through no port. What the
// switch filters is no loss: it is counted, and stands in the captures of points.
func (w *World) switchDrop(f *link.Frame, v link.Verdict, points []*pcaps.Point) {
	if v.Reason != link.DropFiltered {
		w.trace.Emit(trace.Event{
			Kind: trace.KindDrop, Node: brokerNode, Stage: v.Stage, Reason: v.Reason, Frame: f.ID, Len: len(f.Data), Text: v.Text,
		})
	}
	for _, p := range points {
		w.files.fail(p.Fate(f.ID, pcaps.Fate{Kind: pcaps.Dropped, Stage: brokerNode + "/" + v.Stage, Rule: v.Text, Reason: string(v.Reason)}))
	}
}

// A modelNetwork is a host of ours behind a switch: the model broker's, or the
// gateway.
type modelNetwork struct {
	world *World
	sw    *link.Switch
	point *pcaps.Point // at the broker's port, or nil
}

var brokerMAC = [6]byte{0x02, 0, 0, 0, 0, 0x01}

const brokerMTU = 1500

func (w *World) newModelNetwork() (network, error) {
	n, host, err := w.newHostNetwork()
	if err != nil {
		return nil, err
	}
	w.server, err = w.newServer(host)
	return n, err
}

// newHostNetwork makes a host behind a switch, on which nobody listens yet.
func (w *World) newHostNetwork() (*modelNetwork, *stack.Host, error) {
	n := &modelNetwork{world: w, sw: w.newSwitch()}
	var err error
	if n.point, err = w.point(w.sc.Name+"."+string(scenarios.PointBroker), scenarios.PointBroker, 0); err != nil {
		return nil, nil, err
	}
	var points []*pcaps.Point
	if n.point != nil {
		points = append(points, n.point)
	}
	var host *stack.Host
	port, err := w.brokerPort(n.sw, link.SinkFunc(func(f *link.Frame) {
		if n.point != nil {
			w.files.fail(n.point.Capture(w.loop.Now(), f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
		}
		host.Put(f)
	}), func(f *link.Frame, v link.Verdict) { w.switchDrop(f, v, points) })
	if err != nil {
		return nil, nil, err
	}
	w.files.belongs(n.point, "")
	out := link.Sink(port)
	if n.point != nil {
		out = link.SinkFunc(func(f *link.Frame) {
			n.sent(f)
			port.Put(f)
		})
	}
	host, err = stack.New(w.loop, w.trace, stack.Config{
		Node: brokerNode, MAC: wire.MAC(brokerMAC), Addr: w.sc.Broker.Address, MTU: brokerMTU, Profile: stack.Linux(),
		Addr6: w.sc.Broker.Address6.Prefix, Advertise: w.advertised(),
	}, out)
	if err != nil {
		return nil, nil, fmt.Errorf("emu: broker: %w", err)
	}
	w.onClose(func() error { host.Close(); return nil })
	w.onCount(func() { w.counters(brokerNode, stageStack, hostValues(host.Counters())...) })
	return n, host, nil
}

// sent records a frame of the broker. A frame for all has no one fate.
func (n *modelNetwork) sent(f *link.Frame) {
	f.ID = n.world.ids.Next()
	fate := pcaps.FatePending
	if toGroup(f) || n.world.toServices(f) {
		fate = pcaps.FateFinal
	}
	n.world.files.fail(n.point.Capture(n.world.loop.Now(), f.ID, pcaps.Outbound, f.Data, fate))
}

// toGroup reports whether the frame is a broadcast or multicast.
func toGroup(f *link.Frame) bool { return len(f.Data) > 0 && f.Data[0]&1 != 0 }

// A brokerTap completes the records of a point at the broker, but for frames
// that were not captured there as pending.
type brokerTap struct {
	fateTap
	world  *World
	groups bool // what goes to several devices has no one fate
}

func (t *brokerTap) skips(f *link.Frame) bool {
	return t.groups && toGroup(f) || t.world.fromServices(f)
}

// Left completes the record of a frame that arrives.
func (t *brokerTap) Left(d *link.Direction, f *link.Frame) {
	if !t.skips(f) {
		t.fateTap.Left(d, f)
	}
}

// Dropped completes the record of a frame that does not.
func (t *brokerTap) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	if !t.skips(f) {
		t.fateTap.Dropped(d, f, v)
	}
}

// Duplicated completes the record.
func (t *brokerTap) Duplicated(d *link.Direction, f *link.Frame, v link.Verdict) {
	if !t.world.fromServices(f) {
		t.fateTap.Duplicated(d, f, v)
	}
}

// Corrupted completes the record.
func (t *brokerTap) Corrupted(d *link.Direction, f *link.Frame, v link.Verdict) {
	if !t.world.fromServices(f) {
		t.fateTap.Corrupted(d, f, v)
	}
}

func (n *modelNetwork) attach(device *scenarios.Device, l *link.Link) (link.Sink, error) {
	if err := n.world.recordPeer(device.Name, l, scenarios.PointPeer); err != nil {
		return nil, err
	}
	if n.point != nil {
		l.Down.Observe(&brokerTap{fateTap: fateTap{n.world.files, n.point}, world: n.world, groups: true})
	}
	return n.world.join(n.sw, device, l), nil
}

// recordPeer records the far end of a device's link, in a file for each point.
func (w *World) recordPeer(device string, l *link.Link, points ...scenarios.Point) error {
	for _, p := range points {
		peer, err := w.point(w.captureName(device, p), p, 0)
		if err != nil {
			return err
		}
		w.files.belongs(peer, device)
		if peer != nil {
			l.Up.Observe(&receiverTap{w.files, peer})
			l.Down.Observe(&senderTap{w.files, peer})
		}
	}
	return nil
}

// A host of ours does not notice a device's cable.
func (*modelNetwork) carrier(bool) {}

// brokerAddr returns where the devices connect to.
func (w *World) brokerAddr() netip.AddrPort {
	return netip.AddrPortFrom(w.sc.Broker.Address.Addr(), uint16(w.sc.Broker.Port))
}
