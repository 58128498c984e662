package emu

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/tap"
	taphost "hilnet/tap/host"
	"hilnet/trace"
)

// This file is devices that are not models: a real stack, firmware or a board,
// at a TAP, a socket or a NIC of this machine. The link begins where their frames
// are read.

// An edge is where frames leave this process.
type edge interface {
	link.Sink
	Start(next link.Sink) error
	Close() error
}

// A dut is one device under test.
type dut struct {
	world   *World
	cfg     *scenarios.Device
	network network
	edge    edge
	up      link.Sink
	point   *pcaps.Point // at the device's end, or nil
	program *program     // nil: hilnet does not start it
	monitor *monitor     // nil: none

	setLink  func(up bool) error // nil: the scenario never asks
	setError func(on bool) error // likewise
	linkDown setting[bool]
	txError  setting[bool]
	counted  func() []trace.Value // as of a NIC
	bytes    struct{ rx, tx uint64 }
	beyond   uint64 // frames to the device that the kernel dropped behind our TAP
	shut     uint64 // frames to the device while the interface behind our TAP was down
	isShut   bool
}

// newDUT opens what the device is at.
func (w *World) newDUT(cfg *scenarios.Device) (*dut, error) {
	d := &dut{world: w, cfg: cfg}
	d.linkDown.apply = func(down bool) { d.change(d.setLink, !down, nic.LinkDown, down) }
	d.txError.apply = func(on bool) { d.change(d.setError, on, nic.TxError, on) }
	if cfg.QMP != nil {
		if err := d.useMonitor(); err != nil {
			return nil, err
		}
	}
	var err error
	switch cfg.Kind {
	case scenarios.KindTap:
		err = d.openTap()
	case scenarios.KindSocket:
		err = d.openSocket()
	case scenarios.KindBoard:
		err = d.openBoard()
	default:
		panic(fmt.Sprintf("emu: a device of kind %q passed validation", cfg.Kind))
	}
	if err != nil {
		return nil, err
	}
	w.onStart(func() error { return d.edge.Start(link.SinkFunc(d.put)) })
	return d, nil
}

// change does what the timeline asks of the device's end, and says so; a monitor says
// so itself when it is done.
func (d *dut) change(fn func(bool) error, value bool, state nic.State, on bool) {
	if err := fn(value); err != nil {
		d.world.loop.Cancel(&EnvironmentError{Op: fmt.Sprintf("set %s of %s", state, d.cfg.Name), Err: err})
		return
	}
	if d.monitor == nil || state != nic.LinkDown {
		d.changed(state, on)
	}
}

// changed says what state the device's end is in now.
func (d *dut) changed(state nic.State, on bool) {
	if !on {
		state = nic.LinkUp
	}
	d.world.trace.Emit(trace.Event{Kind: trace.KindNIC, Node: d.cfg.Name, Text: state.String()})
	if state != nic.TxError {
		d.network.carrier(!on || state == nic.LinkUp)
	}
}

// put takes a frame of the device.
func (d *dut) put(f *link.Frame) { d.up.Put(f) }

// take gives a frame to the device. A bridge says nothing of those for an interface
// that is down.
func (d *dut) take(f *link.Frame) {
	if !d.isShut {
		d.edge.Put(f)
		return
	}
	d.shut++
	d.world.trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: d.cfg.Name, Stage: stageBridge, Reason: trace.DropLinkDown,
		Frame: f.ID, Len: len(f.Data), Text: "the interface that the device is at is down",
	})
	f.Release()
}

// stageBridge is the bridge between our TAP and the device, in the trace.
const stageBridge = "bridge"

// received records a frame where and when it was read.
func (d *dut) received(f *link.Frame, at sim.Time) {
	f.ID = d.world.ids.Next()
	d.bytes.tx += uint64(len(f.Data))
	if d.point != nil {
		d.world.files.fail(d.point.Capture(at, f.ID, pcaps.Outbound, f.Data, pcaps.FatePending))
	}
}

// sent records a frame that was given to the device.
func (d *dut) sent(f *link.Frame, at sim.Time) {
	d.bytes.rx += uint64(len(f.Data))
	if d.point != nil {
		d.world.files.fail(d.point.Capture(at, f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
	}
}

// keep has what the device is at closed at the end of the run.
func (d *dut) keep(e edge) {
	d.edge = e
	d.world.onClose(e.Close) // again, where the run does not come to its end
	d.world.onStop(e.Close)
}

// openTap opens our TAP, at whose kernel's end the device is, or which a bridge
// joins to the device's own.
func (d *dut) openTap() error {
	cfg := d.cfg.Tap
	ns, err := d.world.namespace(cfg.Netns)
	if err != nil {
		return err
	}
	if cfg.Side == scenarios.DescriptorSide {
		return d.openBridged(ns, func(b *taphost.Bridge) error { return b.JoinTAP(cfg.Name, ownerOfTAPs(), d.cfg.MTU) })
	}
	var address netip.Prefix // with DHCP, what is at the TAP asks for one itself
	if !d.cfg.Address.DHCP {
		address = d.cfg.Address.Prefix
	}
	config := tap.Config{Name: cfg.Name, Address: address, MAC: d.cfg.MAC[:], MTU: d.cfg.MTU}
	open := d.newTAP
	if cfg.Layer == scenarios.Layer3 {
		open, config.MAC, config.Layer3 = d.newTUN, nil, true
	}
	t, err := open(ns, config)
	if err != nil {
		return err
	}
	d.setLink = t.SetCarrier
	if g := d.cfg.Gateway; g.IsValid() {
		if err := ns.SetGateway(g.String(), cfg.Name); err != nil {
			return &EnvironmentError{Op: "set the gateway", Err: err}
		}
	}
	return d.startProgram(ns)
}

// open opens an interface for the device.
func (d *dut) open(ns *taphost.Namespace, cfg tap.Config) (*tap.TAP, error) {
	w := d.world
	cfg.Namespace, cfg.Node = ns.Path(), d.cfg.Name
	cfg.Loop, cfg.Trace, cfg.Clock, cfg.Sent = w.loop, w.trace, w.pacer.Now, d.sent
	t, err := tap.Open(cfg)
	if err != nil {
		return nil, &EnvironmentError{Op: "open the TAP of " + d.cfg.Name, Err: err, Hint: dutHint(err)}
	}
	return t, nil
}

// newTAP opens a TAP as the device's edge.
func (d *dut) newTAP(ns *taphost.Namespace, cfg tap.Config) (*tap.TAP, error) {
	cfg.Received = d.received
	t, err := d.open(ns, cfg)
	if err != nil {
		return nil, err
	}
	d.keep(t)
	d.counted = func() []trace.Value {
		c := t.Counters()
		return d.nicValues(c.Delivered, c.Backlog+c.KernelDropped, c.Written-min(d.beyond, c.Written), c.WriteFailed+c.NoCarrier+d.beyond+d.shut)
	}
	return t, nil
}

// nicValues are the device's counters as those of a NIC.
func (d *dut) nicValues(from, lostFrom, to, lostTo uint64) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueRxFrames, to), value(scenarios.ValueRxBytes, d.bytes.rx),
		value(scenarios.ValueTxFrames, from), value(scenarios.ValueTxBytes, d.bytes.tx),
		value(scenarios.ValueRxDropped, lostTo), value(scenarios.ValueTxDropped, lostFrom),
	}
}

func dutHint(err error) string {
	if strings.Contains(err.Error(), "unshare -rn") {
		return "a device of kind socket needs no rights; emu doctor tells more"
	}
	if errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return "a TAP needs root or CAP_NET_ADMIN: run it with sudo, or as `unshare -rn emu run …`; a device of kind socket needs neither; emu doctor tells more"
	}
	return "emu doctor tells what this machine lacks"
}

// ownerOfTAPs is who may open a TAP that is made for a run: the user who called
// sudo, so that the emulator need not run as root.
func ownerOfTAPs() int {
	if id, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil && os.Geteuid() == 0 {
		return id
	}
	return os.Geteuid()
}

// openBridged makes a bridge between a TAP of ours and what join adds.
func (d *dut) openBridged(ns *taphost.Namespace, join func(*taphost.Bridge) error) error {
	lease, err := d.world.takeLease()
	if err != nil {
		return err
	}
	fail := func(err error) error {
		return &EnvironmentError{Op: "bridge the TAP of " + d.cfg.Name, Err: err, Hint: dutHint(err)}
	}
	b, err := taphost.NewBridge(lease, ns)
	if err != nil {
		return fail(err)
	}
	d.world.onClose(b.Close)
	d.world.watchBridge(b, d.cfg.Name, fail, func(n uint64) { d.beyond = n })
	if err := join(b); err != nil {
		return fail(err)
	}
	if _, err := d.newTAP(ns, tap.Config{Name: b.Ours(), MTU: d.cfg.MTU}); err != nil {
		return err
	}
	if err := b.JoinOurs(); err != nil {
		return fail(err)
	}
	setOther := func(up bool) error {
		d.isShut = !up
		return b.SetOther(up)
	}
	if d.cfg.Kind == scenarios.KindBoard {
		d.setLink = setOther
	} else {
		d.setError = func(on bool) error { return setOther(!on) }
	}
	return d.startProgram(ns)
}

// watchBridge sees to it that a bridge is whole at the end of the run, and that what
// the kernel has dropped in it is counted.
func (w *World) watchBridge(b *taphost.Bridge, node string, fail func(error) error, lost func(frames uint64)) {
	w.onStop(func() error {
		if err := b.Whole(); err != nil {
			return fail(err)
		}
		n, err := b.Dropped()
		if err != nil {
			return fail(err)
		}
		if n > 0 {
			lost(n)
			w.trace.Emit(trace.Event{
				Kind: trace.KindDrop, Node: node, Stage: b.Other(), Reason: trace.DropTapUnread,
				Text:   "the kernel dropped them in front of " + b.Other() + ", whose queue was full",
				Values: []trace.Value{{Name: scenarios.ValueFrames, N: int64(n)}},
			})
		}
		return nil
	})
}

func (d *dut) openBoard() error {
	ns, err := d.world.namespace("")
	if err != nil {
		return err
	}
	return d.openBridged(ns, func(b *taphost.Bridge) error { return b.JoinNIC(d.cfg.Board.NIC, d.cfg.MTU) })
}

func (d *dut) openSocket() error {
	w := d.world
	s, err := w.openSocketAt(d.cfg.Name, d.cfg.Socket, d.received, d.sent)
	if err != nil {
		return err
	}
	d.keep(s)
	d.counted = func() []trace.Value {
		c := s.Counters()
		return d.nicValues(c.Delivered, c.Backlog+c.Malformed, c.Written, c.WriteFailed+c.Overflow+c.NoPeer)
	}
	ns, err := w.namespace("")
	if err != nil {
		return err
	}
	return d.startProgram(ns)
}

// namespace opens a network namespace for the run.
func (w *World) namespace(name string) (*taphost.Namespace, error) {
	open := taphost.OpenNamespace
	if name == scenarios.PrivateNetns {
		open = func(string) (*taphost.Namespace, error) { return taphost.NewNamespace() }
	}
	ns, err := open(name)
	if err != nil {
		return nil, &EnvironmentError{Op: "open the network namespace", Err: err, Hint: dutHint(err)}
	}
	w.onClose(ns.Close)
	return ns, nil
}

// takeLease notes, once for a run, that it takes things of the machine.
func (w *World) takeLease() (*taphost.Lease, error) {
	if w.lease != nil {
		return w.lease, nil
	}
	lease, err := taphost.TakeLease()
	if err != nil {
		return nil, &EnvironmentError{Op: "prepare the machine", Err: err}
	}
	w.lease = lease
	w.onClose(lease.End)
	return lease, nil
}
