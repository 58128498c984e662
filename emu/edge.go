package emu

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/tap"
	taphost "hilnet/tap/host"
	"hilnet/tap/socket"
	"hilnet/trace"
)

// This file is real brokers behind one interface of the machine's: a TAP, a
// socket, or a NIC that a board is at.

// An edgeNetwork is such an interface behind a switch.
type edgeNetwork struct {
	world      *World
	sw         *link.Switch
	edge       edge
	points     []*pcaps.Point
	sole       bool // one device: its link is the edge's cable
	on         bool // the cable is in
	setCarrier func(on bool) error
}

// tapNode is the TAP's name in the trace.
const tapNode = "tap"

// edgeReorder is how late the loop may hear of a frame that was read at an edge:
// captures put it in the place of its time stamp nevertheless.
const edgeReorder = time.Second

func (w *World) newTapNetwork() (network, error) { return w.newEdgeNetwork((*edgeNetwork).openTap) }
func (w *World) newSocketNetwork() (network, error) {
	return w.newEdgeNetwork((*edgeNetwork).openSocket)
}
func (w *World) newBoardNetwork() (network, error) { return w.newEdgeNetwork((*edgeNetwork).openBoard) }

// newEdgeNetwork makes a network of what open opens.
func (w *World) newEdgeNetwork(open func(*edgeNetwork) error) (network, error) {
	n := &edgeNetwork{world: w, sw: w.newSwitch(), sole: len(w.sc.Devices) == 1, on: true}
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
	if err := open(n); err != nil {
		return nil, err
	}
	port, err := w.brokerPort(n.sw, n.edge, func(f *link.Frame, v link.Verdict) {
		var waiting []*pcaps.Point
		if n.sole {
			waiting = n.points
		}
		w.switchDrop(f, v, waiting)
	})
	if err != nil {
		return nil, err
	}
	w.onStart(func() error { return n.edge.Start(port) })
	return n, nil
}

// keep has the edge closed at the end of the run.
func (n *edgeNetwork) keep(e edge) {
	n.edge = e
	n.world.onClose(e.Close) // again, where the run does not come to its end
	n.world.onStop(e.Close)
}

func (n *edgeNetwork) openTap() error {
	w, cfg := n.world, n.world.sc.Broker.Tap
	ns, err := w.namespace(cfg.Netns)
	if err != nil {
		return err
	}
	t, err := n.newTAP(tap.Config{Name: cfg.Name, Address: cfg.Address, Address6: cfg.Address6.Prefix, Namespace: ns.Path()})
	if err != nil {
		return err
	}
	n.setCarrier = t.SetCarrier
	return w.startBroker(ns, "HILNET_TAP="+t.Name())
}

// newTAP opens a TAP as the edge.
func (n *edgeNetwork) newTAP(cfg tap.Config) (*tap.TAP, error) {
	w := n.world
	cfg.Node, cfg.Loop, cfg.Trace, cfg.Clock = tapNode, w.loop, w.trace, w.pacer.Now
	cfg.Received, cfg.Sent = n.received, n.sent
	t, err := tap.Open(cfg)
	if err != nil {
		return nil, &EnvironmentError{Op: "open the TAP", Err: err, Hint: tapHint(err)}
	}
	n.keep(t)
	w.onCount(func() { w.counters(tapNode, t.Name(), tapValues(t.Counters())...) })
	return t, nil
}

func tapHint(err error) string {
	if errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return "a TAP needs root or CAP_NET_ADMIN: run it with sudo, or as `unshare -rn emu run …`; a broker of kind gateway or model needs neither"
	}
	return ""
}

// openBoard bridges a TAP to the interface that the broker is at.
func (n *edgeNetwork) openBoard() error {
	w := n.world
	ns, err := w.namespace("")
	if err != nil {
		return err
	}
	lease, err := w.takeLease()
	if err != nil {
		return err
	}
	fail := func(err error) error {
		return &EnvironmentError{Op: "bridge the TAP of the broker", Err: err, Hint: dutHint(err)}
	}
	b, err := taphost.NewBridge(lease, ns)
	if err != nil {
		return fail(err)
	}
	w.onClose(b.Close)
	w.watchBridge(b, tapNode, fail, func(uint64) {}) // its counters are those of our TAP
	nic := w.sc.Broker.Board.NIC
	if err := b.JoinNIC(nic, brokerMTU); err != nil {
		return fail(err)
	}
	if _, err := n.newTAP(tap.Config{Name: b.Ours(), MTU: brokerMTU}); err != nil {
		return err
	}
	if err := b.JoinOurs(); err != nil {
		return fail(err)
	}
	n.setCarrier = b.SetOther
	return w.startBroker(ns, "HILNET_NIC="+nic)
}

// stageSocket is the socket's in the trace.
const stageSocket = "socket"

func (n *edgeNetwork) openSocket() error {
	w, cfg := n.world, n.world.sc.Broker.Socket
	s, err := w.openSocketAt(brokerNode, cfg, n.received, n.sent)
	if err != nil {
		return err
	}
	n.keep(s)
	w.onCount(func() { w.counters(brokerNode, stageSocket, socketValues(s.Counters())...) })
	env := []string{"HILNET_SOCKET=" + cfg.Path}
	if cfg.Remote != "" {
		env = append(env, "HILNET_REMOTE="+cfg.Remote)
	}
	return w.startBroker(nil, env...)
}

func socketValues(c socket.Counters) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueRead, c.Read), value(scenarios.ValueDelivered, c.Delivered), value(scenarios.ValueBacklog, c.Backlog),
		value(scenarios.ValueMalformed, c.Malformed), value(scenarios.ValuePut, c.Put), value(scenarios.ValueWritten, c.Written),
		value(scenarios.ValueWriteFailed, c.WriteFailed), value("waiting", c.Waiting), value("overflow", c.Overflow),
		value("no_peer", c.NoPeer), value("connections", c.Connections),
	}
}

// openSocketAt opens the socket of a device or of the broker.
func (w *World) openSocketAt(node string, cfg *scenarios.DeviceSocket, received, sent func(*link.Frame, sim.Time)) (*socket.Socket, error) {
	if err := w.fillPaths(node, cfg); err != nil {
		return nil, err
	}
	mode := socket.Stream
	if cfg.Mode == scenarios.SocketDgram {
		mode = socket.Dgram
	}
	s, err := socket.Open(socket.Config{
		Mode: mode, Path: cfg.Path, Remote: cfg.Remote, Node: node, Stage: stageSocket,
		Loop: w.loop, Trace: w.trace, Clock: w.pacer.Now, Received: received, Sent: sent,
	})
	if err != nil {
		return nil, &EnvironmentError{Op: "open the socket of " + node, Err: err, Hint: "choose another path"}
	}
	return s, nil
}

// fillPaths gives sockets that the scenario does not name a place of the run's own.
func (w *World) fillPaths(node string, s *scenarios.DeviceSocket) error {
	for _, p := range []struct {
		path   *string
		ending string
		needed bool
	}{{&s.Path, ".sock", true}, {&s.Remote, ".remote.sock", s.Mode == scenarios.SocketDgram}} {
		if *p.path != "" || !p.needed {
			continue
		}
		lease, err := w.takeLease()
		if err != nil {
			return err
		}
		*p.path = filepath.Join(lease.Folder(), node+p.ending)
	}
	return nil
}

// startBroker has the program start that the scenario runs for its broker.
func (w *World) startBroker(ns *taphost.Namespace, env ...string) error {
	e := w.sc.Broker.Exec
	if e == nil {
		return nil
	}
	if ns == nil {
		var err error
		if ns, err = w.namespace(""); err != nil {
			return err
		}
	}
	p, err := w.newProgram(brokerNode, e, ns, env)
	if err != nil {
		return err
	}
	w.onStart(func() error { p.start(); return nil })
	return nil
}

func (n *edgeNetwork) attach(device *scenarios.Device, l *link.Link) (link.Sink, error) {
	for _, p := range n.points {
		if n.sole {
			l.Down.Observe(&brokerTap{fateTap: fateTap{n.world.files, p}, world: n.world})
		}
	}
	return n.world.join(n.sw, device, l), nil
}

// carrier pulls the cable at the far end too, when there is only one device and
// the far end has a cable.
func (n *edgeNetwork) carrier(on bool) {
	if !n.sole || n.setCarrier == nil || n.on == on {
		return
	}
	n.on = on
	if err := n.setCarrier(on); err != nil {
		n.world.loop.Cancel(&EnvironmentError{Op: "set the carrier of the broker's end", Err: err})
	}
}

// received records a frame of the broker where and when it was read.
func (n *edgeNetwork) received(f *link.Frame, at sim.Time) {
	f.ID = n.world.ids.Next()
	fate := pcaps.FateFinal
	if n.sole && !n.world.toServices(f) {
		fate = pcaps.FatePending
	}
	for _, p := range n.points {
		n.world.files.fail(p.Capture(at, f.ID, pcaps.Outbound, f.Data, fate))
	}
}

// sent records a frame that was given to the broker.
func (n *edgeNetwork) sent(f *link.Frame, at sim.Time) {
	for _, p := range n.points {
		n.world.files.fail(p.Capture(at, f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
	}
}
