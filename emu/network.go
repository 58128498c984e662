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
	"hilnet/wire"
)

// A network is what the links lead to.
type network interface {
	// attach gives the far end of a device's link, which is recorded there.
	attach(device string, l *link.Link) (link.Sink, error)
	// carrier follows the state of a device's NIC: whether its cable is in.
	carrier(on bool)
}

// A modelNetwork is the model broker's host behind a switch.
type modelNetwork struct {
	world *World
	sw    *link.Switch
}

var brokerMAC = [6]byte{0x02, 0, 0, 0, 0, 0x01}

const brokerMTU = 1500

func (w *World) newModelNetwork() (network, error) {
	n := &modelNetwork{world: w, sw: link.NewSwitch()}
	var host *stack.Host
	port := n.sw.Port(link.SinkFunc(func(f *link.Frame) { host.Put(f) }))
	host, err := stack.New(w.loop, w.trace, stack.Config{
		Node: brokerNode, MAC: wire.MAC(brokerMAC), Addr: w.sc.Broker.Address, MTU: brokerMTU, Profile: stack.Linux(),
	}, port)
	if err != nil {
		return nil, fmt.Errorf("emu: broker: %w", err)
	}
	w.onClose(func() error { host.Close(); return nil })
	w.server, err = w.newServer(host)
	return n, err
}

func (n *modelNetwork) attach(device string, l *link.Link) (link.Sink, error) {
	if err := n.world.recordPeer(device, l); err != nil {
		return nil, err
	}
	return n.sw.Port(l.Down), nil
}

// recordPeer records the far end of a device's link.
func (w *World) recordPeer(device string, l *link.Link) error {
	peer, err := w.point(w.captureName(device, scenarios.PointPeer), scenarios.PointPeer, 0)
	if err != nil || peer == nil {
		return err
	}
	l.Up.Observe(&receiverTap{w.files, peer})
	l.Down.Observe(&senderTap{w.files, peer})
	return nil
}

// A model broker does not notice a device's cable.
func (*modelNetwork) carrier(bool) {}

// A tapNetwork is a TAP interface behind a switch: the machine that hilnet runs
// on, and the real broker there.
type tapNetwork struct {
	world *World
	sw    *link.Switch
	tap   *tap.TAP
	point *pcaps.Point
	sole  bool // one device: its link is the TAP's cable
}

// edgeReorder is how late the loop may hear of a frame that was read from the
// TAP: captures put it in the place of its time stamp nevertheless.
const edgeReorder = time.Second

func (w *World) newTapNetwork() (network, error) {
	n := &tapNetwork{world: w, sw: link.NewSwitch(), sole: len(w.sc.Devices) == 1}
	cfg := w.sc.Broker.Tap
	var err error
	n.tap, err = tap.Open(tap.Config{
		Name: cfg.Name, Address: cfg.Address, Namespace: cfg.Netns,
		Loop: w.loop, Trace: w.trace, Clock: w.pacer.Now, Received: n.received, Sent: n.sent,
	})
	if err != nil {
		return nil, &EnvironmentError{Op: "open the TAP", Err: err, Hint: tapHint(err)}
	}
	w.onClose(n.tap.Close) // again, where the run does not come to its end
	w.onStop(n.tap.Close)
	if n.point, err = w.point(w.sc.Name+"."+string(scenarios.PointPeer), scenarios.PointPeer, edgeReorder); err != nil {
		return nil, err
	}
	w.onStart(func() error { return n.tap.Start(n.sw.Port(n.tap)) })
	return n, nil
}

func tapHint(err error) string {
	if errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return "a TAP needs root or CAP_NET_ADMIN: run it with sudo, or give the scenario a model broker"
	}
	return ""
}

func (n *tapNetwork) attach(_ string, l *link.Link) (link.Sink, error) {
	if n.point != nil && n.sole {
		l.Down.Observe(&fateTap{n.world.files, n.point})
	}
	return n.sw.Port(l.Down), nil
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
	if n.point == nil {
		return
	}
	fate := pcaps.FateFinal
	if n.sole {
		fate = pcaps.FatePending
	}
	n.world.files.fail(n.point.Capture(at, f.ID, pcaps.Outbound, f.Data, fate))
}

// sent records a frame that the kernel took.
func (n *tapNetwork) sent(f *link.Frame, at sim.Time) {
	if n.point != nil {
		n.world.files.fail(n.point.Capture(at, f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
	}
}

// brokerAddr returns where the devices connect to.
func (w *World) brokerAddr() netip.AddrPort {
	return netip.AddrPortFrom(w.sc.Broker.Address.Addr(), uint16(w.sc.Broker.Port))
}
