package emu

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/tap"
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

// A modelNetwork is the model broker's host behind a switch.
type modelNetwork struct {
	world *World
	sw    *link.Switch
	point *pcaps.Point // at the broker's port, or nil
}

var brokerMAC = [6]byte{0x02, 0, 0, 0, 0, 0x01}

const brokerMTU = 1500

func (w *World) newModelNetwork() (network, error) {
	n := &modelNetwork{world: w, sw: w.newSwitch()}
	var err error
	if n.point, err = w.point(w.sc.Name+"."+string(scenarios.PointBroker), scenarios.PointBroker, 0); err != nil {
		return nil, err
	}
	var host *stack.Host
	port := n.sw.Port(link.SinkFunc(func(f *link.Frame) {
		if n.point != nil {
			w.files.fail(n.point.Capture(w.loop.Now(), f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
		}
		host.Put(f)
	}))
	w.uplink(n.sw, port)
	w.files.belongs(n.point, "")
	var points []*pcaps.Point
	out := link.Sink(port)
	if n.point != nil {
		points = append(points, n.point)
		out = link.SinkFunc(func(f *link.Frame) {
			n.sent(f)
			port.Put(f)
		})
	}
	n.sw.OnDrop(func(f *link.Frame, v link.Verdict) { w.switchDrop(f, v, points) })
	host, err = stack.New(w.loop, w.trace, stack.Config{
		Node: brokerNode, MAC: wire.MAC(brokerMAC), Addr: w.sc.Broker.Address, MTU: brokerMTU, Profile: stack.Linux(),
		Addr6: w.sc.Broker.Address6.Prefix, Advertise: w.advertised(),
	}, out)
	if err != nil {
		return nil, fmt.Errorf("emu: broker: %w", err)
	}
	w.onClose(func() error { host.Close(); return nil })
	w.onCount(func() { w.counters(brokerNode, stageStack, hostValues(host.Counters())...) })
	w.server, err = w.newServer(host)
	return n, err
}

// sent records a frame of the broker. A frame for all has no one fate.
func (n *modelNetwork) sent(f *link.Frame) {
	f.ID = n.world.ids.Next()
	fate := pcaps.FatePending
	if toGroup(f) {
		fate = pcaps.FateFinal
	}
	n.world.files.fail(n.point.Capture(n.world.loop.Now(), f.ID, pcaps.Outbound, f.Data, fate))
}

// toGroup reports whether the frame is a broadcast or multicast.
func toGroup(f *link.Frame) bool { return len(f.Data) > 0 && f.Data[0]&1 != 0 }

// A brokerTap completes the records of the broker's port.
type brokerTap struct{ fateTap }

// Left completes the record of a frame that arrives.
func (t *brokerTap) Left(d *link.Direction, f *link.Frame) {
	if !toGroup(f) {
		t.fateTap.Left(d, f)
	}
}

// Dropped completes the record of a frame that does not.
func (t *brokerTap) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	if !toGroup(f) {
		t.fateTap.Dropped(d, f, v)
	}
}

func (n *modelNetwork) attach(device *scenarios.Device, l *link.Link) (link.Sink, error) {
	if err := n.world.recordPeer(device.Name, l, scenarios.PointPeer); err != nil {
		return nil, err
	}
	if n.point != nil {
		l.Down.Observe(&brokerTap{fateTap{n.world.files, n.point}})
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

// A model broker does not notice a device's cable.
func (*modelNetwork) carrier(bool) {}

// A tapNetwork is a TAP interface behind a switch: the machine that hilnet runs
// on, and the real broker there.
type tapNetwork struct {
	world  *World
	sw     *link.Switch
	tap    *tap.TAP
	points []*pcaps.Point
	sole   bool // one device: its link is the TAP's cable
}

// tapNode is the TAP's name in the trace.
const tapNode = "tap"

// edgeReorder is how late the loop may hear of a frame that was read from the
// TAP: captures put it in the place of its time stamp nevertheless.
const edgeReorder = time.Second

func (w *World) newTapNetwork() (network, error) {
	n := &tapNetwork{world: w, sw: w.newSwitch(), sole: len(w.sc.Devices) == 1}
	cfg := w.sc.Broker.Tap
	ns, err := w.namespace(cfg.Netns)
	if err != nil {
		return nil, err
	}
	n.tap, err = tap.Open(tap.Config{
		Name: cfg.Name, Address: cfg.Address, Address6: cfg.Address6.Prefix, Namespace: ns.Path(),
		Node: tapNode, Loop: w.loop, Trace: w.trace, Clock: w.pacer.Now, Received: n.received, Sent: n.sent,
	})
	if err != nil {
		return nil, &EnvironmentError{Op: "open the TAP", Err: err, Hint: tapHint(err)}
	}
	w.onClose(n.tap.Close) // again, where the run does not come to its end
	w.onStop(n.tap.Close)
	w.onCount(func() { w.counters(tapNode, n.tap.Name(), tapValues(n.tap.Counters())...) })
	for _, p := range []scenarios.Point{scenarios.PointPeer, scenarios.PointBroker} {
		point, err := w.point(w.sc.Name+"."+string(p), p, edgeReorder)
		if err != nil {
			return nil, err
		}
		w.files.belongs(point, "")
		if point != nil {
			n.points = append(n.points, point)
		}
	}
	n.sw.OnDrop(func(f *link.Frame, v link.Verdict) {
		var waiting []*pcaps.Point
		if n.sole {
			waiting = n.points
		}
		w.switchDrop(f, v, waiting)
	})
	port := n.sw.Port(n.tap)
	w.uplink(n.sw, port)
	w.onStart(func() error { return n.tap.Start(port) })
	if e := w.sc.Broker.Exec; e != nil {
		p, err := w.newProgram(brokerNode, e, ns, []string{"HILNET_TAP=" + n.tap.Name()})
		if err != nil {
			return nil, err
		}
		w.onStart(func() error { p.start(); return nil })
	}
	return n, nil
}

func tapHint(err error) string {
	if errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return "a TAP needs root or CAP_NET_ADMIN: run it with sudo, or give the scenario a model broker"
	}
	return ""
}

func (n *tapNetwork) attach(device *scenarios.Device, l *link.Link) (link.Sink, error) {
	for _, p := range n.points {
		if n.sole {
			l.Down.Observe(&fateTap{n.world.files, p})
		}
	}
	return n.world.join(n.sw, device, l), nil
}

// carrier pulls the cable at the kernel's end too, when there is only one device.
func (n *tapNetwork) carrier(on bool) {
	if !n.sole || n.tap.Carrier() == on {
		return
	}
	if err := n.tap.SetCarrier(on); err != nil {
		n.world.loop.Cancel(&EnvironmentError{Op: "set the TAP's carrier", Err: err})
	}
}

// received records a frame from the kernel where and when it was read.
func (n *tapNetwork) received(f *link.Frame, at sim.Time) {
	f.ID = n.world.ids.Next()
	fate := pcaps.FateFinal
	if n.sole {
		fate = pcaps.FatePending
	}
	for _, p := range n.points {
		n.world.files.fail(p.Capture(at, f.ID, pcaps.Outbound, f.Data, fate))
	}
}

// sent records a frame that the kernel took.
func (n *tapNetwork) sent(f *link.Frame, at sim.Time) {
	for _, p := range n.points {
		n.world.files.fail(p.Capture(at, f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
	}
}

// brokerAddr returns where the devices connect to.
func (w *World) brokerAddr() netip.AddrPort {
	return netip.AddrPortFrom(w.sc.Broker.Address.Addr(), uint16(w.sc.Broker.Port))
}
