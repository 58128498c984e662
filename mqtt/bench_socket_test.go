package mqtt_test

// The socket of the test bench, as mqtt.Socket wants it.

import (
	"net/netip"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
)

func (w *wire) ReceiveNotify(fn func())    { w.receive = fn }
func (w *wire) DisconnectNotify(fn func()) { w.disconnect = fn }
func (w *wire) EstablishNotify(fn func())  { w.establish = fn }

func (w *wire) Connect(to netip.AddrPort, wait rtos.Ticks) nic.Status {
	w.bound = true
	w.connections++
	w.say("tcp connect %v wait %d", to, int32(wait))
	finish := func() {
		w.connected = w.tcp.OK()
		if w.connected {
			w.establish()
		} else {
			w.disconnect()
		}
	}
	if wait == rtos.NoWait {
		w.loop.After(time.Millisecond, finish)
		return nic.InProgress
	}
	w.kernel.Current().Task().Sleep(time.Millisecond)
	w.kernel.Interrupt(finish)
	return w.tcp
}

func (w *wire) Send(p *nic.Packet, wait rtos.Ticks) nic.Status {
	if !w.connected {
		return nic.NotConnected
	}
	if !w.sendStatus.OK() {
		w.say("tcp send %v, wait %d", w.sendStatus, int32(wait))
		return w.sendStatus
	}
	frame := p.AppendTo(nil)
	w.say("D %s", codec.Summary(frame))
	p.SetHolder("tcp")
	if w.holdTCP {
		w.sent = append(w.sent, p)
	} else {
		p.Release()
	}
	if w.raw == nil {
		w.loop.After(time.Millisecond, func() { w.answer(frame) })
	} else {
		connection, latency := w.connections, time.Millisecond
		if w.latency != nil {
			latency = w.latency()
		}
		w.loop.After(latency, func() {
			if connection == w.connections && connection != w.lost {
				w.raw(frame)
			}
		})
	}
	if w.onSend != nil {
		w.onSend(frame[0] >> 4)
	}
	return nic.Success
}

func (w *wire) Receive(wait rtos.Ticks) (*nic.Packet, nic.Status) {
	if len(w.rx) > 0 {
		p := w.rx[0]
		w.rx = w.rx[1:]
		return p, nic.Success
	}
	if !w.connected {
		return nil, nic.NotConnected
	}
	p, ok := w.readers.Suspend(wait)
	if !ok {
		return nil, nic.NoPacket
	}
	return p.(*nic.Packet), nic.Success
}

// ackTCP releases what was sent.
func (w *wire) ackTCP() {
	for _, p := range w.sent {
		p.Release()
	}
	w.sent = nil
}

func (w *wire) Disconnect(wait rtos.Ticks) nic.Status {
	if !w.connected {
		return nic.NotConnected
	}
	w.connected = false
	for _, p := range w.rx {
		p.Release()
	}
	w.rx = nil
	if wait == rtos.NoWait {
		w.say("tcp RST")
		w.lost = w.connections
		w.ackTCP()
		return nic.Success
	}
	w.say("tcp FIN, wait %d", int32(wait))
	if w.closeTakes < 0 {
		w.closers.Suspend(wait)
	} else if w.closeTakes > 0 {
		w.kernel.Current().Task().Sleep(w.closeTakes)
	}
	w.ackTCP()
	return nic.Success
}

func (w *wire) Unbind() nic.Status { w.bound = false; return nic.Success }

func (w *wire) Delete() nic.Status {
	if w.bound {
		return nic.StillBound
	}
	w.deleted = true
	return nic.Success
}
