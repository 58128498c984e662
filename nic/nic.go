package nic

import (
	"errors"
	"fmt"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// A State is the state of a NIC's way to the wire.
type State uint8

// The states of a NIC.
const (
	LinkUp   State = iota + 1 // frames pass
	LinkDown                  // no carrier, and the driver knows it: frames of both directions are dropped
	TxError                   // carrier, but the driver's send fails; frames still arrive
)

// String returns the name that traces use.
func (s State) String() string {
	switch s {
	case LinkUp:
		return "link_up"
	case LinkDown:
		return "link_down"
	case TxError:
		return "tx_error"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// DefaultMTU is Ethernet's.
const DefaultMTU = 1500

// DefaultRXOffset is the space in front of an arriving frame with which a
// driver aligns the IP header behind the 14 bytes of the Ethernet header.
const DefaultRXOffset = 2

// etherOverhead is the Ethernet header, with one VLAN tag.
const etherOverhead = 18

// Config configures a NIC.
type Config struct {
	Node     string
	MAC      [6]byte
	RXPool   *Pool // packets for arriving frames
	RXOffset int   // 0: DefaultRXOffset; negative: none
	RXRing   int   // packets that the driver's receive ring holds for good
	MTU      int   // 0: DefaultMTU
}

// Counters count frames. RX frames are delivered or dropped, TX frames sent or
// dropped.
type Counters struct {
	RxFrames, RxBytes                             uint64 // delivered to the stack
	TxFrames, TxBytes                             uint64 // put on the wire
	RxNoPacket, RxLinkDown, RxTooLong, RxNoUpper  uint64
	TxLinkDown, TxErrors, TxTooLong, StateChanges uint64
}

// A NIC is the network interface of a device and its driver. As a link.Sink it
// takes the frames that arrive.
type NIC struct {
	kernel *rtos.Kernel
	trace  *trace.Log
	cfg    Config
	upper  func(*Packet)
	wire   link.Sink
	state  State
	notify []func(State)
	count  Counters
}

// New returns a NIC with its link up. If the pool cannot fill the receive ring
// that is an error, as it would be in the driver's start.
func New(loop *sim.Loop, kernel *rtos.Kernel, tr *trace.Log, cfg Config) (*NIC, error) {
	switch {
	case cfg.RXPool == nil:
		return nil, errors.New("nic: no pool for arriving frames")
	case kernel == nil || kernel.Loop() != loop:
		return nil, errors.New("nic: the kernel belongs to another loop")
	case cfg.MTU < 0 || cfg.RXRing < 0:
		return nil, fmt.Errorf("nic: MTU %d, receive ring of %d packets", cfg.MTU, cfg.RXRing)
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.RXOffset == 0 {
		cfg.RXOffset = DefaultRXOffset
	}
	cfg.RXOffset = max(cfg.RXOffset, 0)
	if cfg.RXOffset >= cfg.RXPool.payload {
		return nil, fmt.Errorf("nic: receive offset %d in packets of %d bytes", cfg.RXOffset, cfg.RXPool.payload)
	}
	// A frame takes its packets from the ring and the driver refills the ring
	// from the pool, or drops the frame if it cannot. Packets are all alike, so
	// that is the same as a ring that keeps its packets and frames that take new
	// ones.
	if free := cfg.RXPool.Free(); free < cfg.RXRing {
		return nil, fmt.Errorf("nic: receive ring of %d packets, pool %q has %d", cfg.RXRing, cfg.RXPool.name, free)
	}
	for range cfg.RXRing {
		p, status := cfg.RXPool.Allocate(Receive, rtos.NoWait)
		if status != Success {
			return nil, fmt.Errorf("nic: receive ring: %v", status)
		}
		p.SetHolder("rx ring")
	}
	return &NIC{kernel: kernel, trace: tr, cfg: cfg, state: LinkUp}, nil
}

// MAC returns the interface's hardware address.
func (n *NIC) MAC() [6]byte { return n.cfg.MAC }

// MTU returns the largest IP packet the interface takes.
func (n *NIC) MTU() int { return n.cfg.MTU }

// RXPool returns the pool that arriving frames are put into.
func (n *NIC) RXPool() *Pool { return n.cfg.RXPool }

// Counters returns the NIC's counters.
func (n *NIC) Counters() Counters { return n.count }

// State returns the NIC's state.
func (n *NIC) State() State { return n.state }

// SetUpper sets the stack that gets arriving frames: a whole Ethernet frame in a
// chain that the stack then owns. It is called in interrupt context.
func (n *NIC) SetUpper(fn func(*Packet)) { n.upper = fn }

// SetWire sets the link that sent frames enter. Without one there is no carrier.
func (n *NIC) SetWire(wire link.Sink) { n.wire = wire }

// OnState adds a function that is called after each change of state, in
// interrupt context. The stack itself does nothing about it: neither does NetX.
func (n *NIC) OnState(fn func(State)) { n.notify = append(n.notify, fn) }

// SetState changes the state. Frames that are on the link then go on; those
// that arrive while the link is down are dropped here.
func (n *NIC) SetState(s State) {
	if s == n.state {
		return
	}
	if s < LinkUp || s > TxError {
		panic(fmt.Sprintf("nic: state %v", s))
	}
	n.state = s
	n.count.StateChanges++
	n.trace.Emit(trace.Event{Kind: trace.KindNIC, Node: n.cfg.Node, Text: s.String()})
	n.kernel.Interrupt(func() {
		for _, fn := range n.notify {
			fn(s)
		}
	})
}

// Transmit is the driver's send: the frame goes to the wire, or is dropped with
// a reason. As with NX_LINK_PACKET_SEND, the stack is not told which.
func (n *NIC) Transmit(f *link.Frame) {
	switch {
	case len(f.Data) > n.cfg.MTU+etherOverhead:
		n.count.TxTooLong++
		n.drop(f, "tx", trace.DropTooLong)
	case n.state == LinkDown || n.wire == nil:
		n.count.TxLinkDown++
		n.drop(f, "tx", trace.DropLinkDown)
	case n.state == TxError:
		n.count.TxErrors++
		n.drop(f, "tx", trace.DropTxError)
	default:
		n.count.TxFrames++
		n.count.TxBytes += uint64(len(f.Data))
		n.wire.Put(f)
	}
}

// Put is the driver's receive interrupt: the frame is copied into packets, all
// or none, without waiting, and handed up.
func (n *NIC) Put(f *link.Frame) {
	switch {
	case n.state == LinkDown:
		n.count.RxLinkDown++
		n.drop(f, "rx", trace.DropLinkDown)
	case len(f.Data) > n.cfg.MTU+etherOverhead:
		n.count.RxTooLong++
		n.drop(f, "rx", trace.DropTooLong)
	case n.upper == nil:
		n.count.RxNoUpper++
		n.drop(f, "rx", trace.DropNoUpper)
	default:
		n.kernel.Interrupt(func() { n.receive(f) })
	}
}

func (n *NIC) receive(f *link.Frame) {
	p, status := n.cfg.RXPool.Allocate(Receive, rtos.NoWait)
	if status == Success {
		p.SetHolder("rx")
		p.start, p.end = n.cfg.RXOffset, n.cfg.RXOffset
		if status = p.Append(f.Data, n.cfg.RXPool, rtos.NoWait); status != Success {
			p.Release()
		}
	}
	if status != Success {
		n.count.RxNoPacket++
		n.drop(f, "rx", trace.DropRxPool)
		return
	}
	n.count.RxFrames++
	n.count.RxBytes += uint64(len(f.Data))
	f.Release()
	n.upper(p)
}

func (n *NIC) drop(f *link.Frame, way string, reason trace.DropReason) {
	n.trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: n.cfg.Node, Stage: "nic/" + way, Frame: f.ID, Reason: reason, Len: len(f.Data),
	})
	f.Release()
}
