package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"hilnet/sim"
	"hilnet/stack"
	"hilnet/trace"
)

type flowKey struct{ from, to netip.AddrPort }

// maxQuote is how much of a packet an ICMP error quotes (RFC 792: its header and
// eight bytes), the IP options included.
const maxQuote = 60 + 8

// A flow is the datagrams between a device's port and one of somebody else's, and
// the machine's socket for them.
type flow struct {
	gw       *Gateway
	key      flowKey
	number   uint64
	out      chan []byte  // for the writer
	arriving atomic.Int64 // on their way to the loop

	ctx    context.Context // ends with the flow
	cancel context.CancelFunc

	// The loop's.
	quote []byte // of the newest packet
	last  sim.Time
	idle  *sim.Timer
	ended bool
}

// datagram is called with each datagram of a device.
func (g *Gateway) datagram(d *stack.Datagram) {
	key := flowKey{d.From, d.To}
	f := g.flows[key]
	if f == nil {
		if len(g.flows) >= MaxFlows {
			g.drop(trace.DropGatewayLimit, d.Frame, len(d.Packet), fmt.Sprintf("%d UDP flows, as many as the gateway takes", MaxFlows))
			return
		}
		f = g.newFlow(key)
	}
	f.last = g.cfg.Loop.Now()
	f.quote = append(f.quote[:0], d.Packet[:min(len(d.Packet), maxQuote)]...)
	select {
	case f.out <- bytes.Clone(d.Payload):
		g.count.Datagrams++
	default:
		g.drop(trace.DropGatewayQueue, d.Frame, len(d.Packet), fmt.Sprintf("%v to %v: the machine's socket takes no more datagrams", d.From, d.To))
	}
}

func (g *Gateway) newFlow(key flowKey) *flow {
	g.last++
	f := &flow{gw: g, key: key, number: g.last, out: make(chan []byte, MaxDatagrams)}
	f.ctx, f.cancel = context.WithCancel(g.ctx)
	f.idle = g.cfg.Loop.NewTimer(f.checkIdle)
	f.idle.ResetAfter(FlowIdle)
	g.flows[key] = f
	g.count.Flows++
	g.work(f.run)
	return f
}

// run writes, on a goroutine of its own.
func (f *flow) run() {
	ctx, cancel := context.WithTimeout(f.ctx, DialTimeout)
	defer cancel()
	target, err := f.gw.policy.target(ctx, f.key.to)
	var host net.Conn
	if err == nil {
		var d net.Dialer
		host, err = d.DialContext(ctx, "udp", target)
	}
	if err != nil {
		f.gw.post(func() { f.failed(err) })
		return
	}
	stop := context.AfterFunc(f.ctx, func() { _ = host.Close() }) // nothing is lost with a UDP socket
	defer stop()
	defer host.Close()
	f.gw.work(func() { f.read(host) })
	for {
		select {
		case data := <-f.out:
			_, err := host.Write(data)
			if errors.Is(err, syscall.ECONNREFUSED) { // what became of the one before: this one was not sent
				if !f.report(err, 0) {
					return
				}
				_, err = host.Write(data)
			}
			if err != nil && !f.report(err, len(data)) {
				return
			}
		case <-f.ctx.Done():
			return
		}
	}
}

// read reads, on a goroutine of its own.
func (f *flow) read(host net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := host.Read(buf)
		if err != nil {
			if !f.report(err, 0) {
				return
			}
			continue
		}
		data := bytes.Clone(buf[:n])
		if f.arriving.Add(1) > MaxDatagrams {
			f.arriving.Add(-1)
			if !f.gw.post(func() {
				f.gw.drop(trace.DropGatewayQueue, 0, n, fmt.Sprintf("%v to %v: the loop does not keep up", f.key.to, f.key.from))
			}) {
				return
			}
			continue
		}
		if !f.gw.post(func() { f.fromHost(data) }) {
			return
		}
	}
}

// report tells the loop of an error at the socket, and whether the socket is of
// use still.
func (f *flow) report(err error, n int) (more bool) {
	switch {
	case f.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
		return false
	case errors.Is(err, syscall.EMSGSIZE):
		return f.gw.post(func() {
			f.gw.drop(trace.DropTooLong, 0, n, fmt.Sprintf("%v to %v: %v", f.key.from, f.key.to, err))
		})
	case errors.Is(err, syscall.ECONNREFUSED):
		return f.gw.post(func() { f.refused(failure{trace.DropGatewayRefused, stack.PortUnreachable, err.Error()}) })
	}
	return f.gw.post(func() { f.refused(failureOf(err)) })
}

func (f *flow) fromHost(data []byte) {
	f.arriving.Add(-1)
	if f.ended {
		f.gw.drop(trace.DropGatewayUndelivered, 0, len(data), fmt.Sprintf("%v to %v: the flow has ended", f.key.to, f.key.from))
		return
	}
	f.last = f.gw.cfg.Loop.Now()
	f.gw.count.DatagramsBack++
	f.gw.cfg.Host.SendDatagram(f.key.to, f.key.from, data)
}

// refused tells the device that a datagram went nowhere.
func (f *flow) refused(why failure) {
	if f.ended {
		return
	}
	f.gw.drop(why.reason, 0, len(f.quote), fmt.Sprintf("UDP %v to %v: %s", f.key.from, f.key.to, why.text))
	if why.icmp == 0 {
		why.icmp = stack.HostUnreachable // there is no RST of UDP
	}
	f.gw.cfg.Host.SendUnreachable(why.icmp, f.quote)
}

// failed ends a flow that has no socket; the device's next datagram tries again.
func (f *flow) failed(err error) {
	if !f.ended {
		f.refused(failureOf(err))
		f.end()
	}
}

func (f *flow) checkIdle() {
	if quiet := f.gw.cfg.Loop.Now().Sub(f.last); quiet < FlowIdle {
		f.idle.ResetAfter(FlowIdle - quiet)
		return
	}
	f.end()
}

// end closes the flow's socket. What waits for it has no way any more.
func (f *flow) end() {
	if f.ended {
		return
	}
	f.ended = true
	delete(f.gw.flows, f.key)
	f.idle.Stop()
	f.cancel()
	for {
		select {
		case data := <-f.out:
			f.gw.drop(trace.DropGatewayUndelivered, 0, len(data), fmt.Sprintf("UDP %v to %v: a datagram of %d bytes", f.key.from, f.key.to, len(data)))
		default:
			return
		}
	}
}
