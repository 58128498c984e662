package mqtt

import (
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// The events of the client's thread. They are flags: two of a kind are one.
const (
	eventTimeout       uint32 = 0x01
	eventPacketReceive uint32 = 0x02
	eventDelete        uint32 = 0x08
	eventPingTimeout   uint32 = 0x10
	eventDisconnected  uint32 = 0x20
	eventEstablished   uint32 = 0x40
	allEvents          uint32 = 0xFFFFFFFF
)

// socketTimeoutSeconds bounds the wait for TCP's closing handshake when
// DisconnectForever is off.
const socketTimeoutSeconds = 5

// retry is how long the client waits for packets before it looks again, when
// CopyDrop or PoolDeadlock is off: a tick.
const retry rtos.Ticks = 1

// run is _nxd_mqtt_thread_entry.
func (c *Client) run(*rtos.Thread) {
	for {
		wait := rtos.WaitForever
		if c.stalled != nil || c.resume != nil || len(c.owed) > 0 || c.fixed != nil && c.waiting() {
			wait = retry
		}
		events, ok := c.events.Get(allEvents, true, true, wait)
		if !ok {
			events = eventPacketReceive
		}
		c.process(events)
		if events&eventDelete != 0 {
			return
		}
	}
}

// process is _nxd_mqtt_client_event_process. The order is NetX's. After the
// receive event the mutex is not held, and what follows lives with that: a Put
// too many does nothing.
func (c *Client) process(events uint32) {
	c.mutex.Get(rtos.WaitForever)
	c.sendOwed()
	if c.fixed != nil && c.state == StateConnected {
		c.flush(rtos.NoWait)
	}
	if events&eventTimeout != 0 && c.state == StateConnected {
		c.sendSimple(packetPingreq)
	}
	if events&eventEstablished != 0 {
		c.connectionEstablished()
	}
	if events&eventPacketReceive != 0 {
		c.receive()
	}
	if events&eventPingTimeout != 0 {
		if c.state == StateConnected { // the timer goes on while TCP closes, and tells again what is over then
			c.emit(trace.Event{Kind: trace.KindPingTimeout, Count: int64(c.kernel.Now() - c.pingSent)})
		}
		c.processDisconnect(c.pingCause())
	}
	if events&eventDisconnected != 0 {
		c.processDisconnect("TCP connection closed or reset")
	}
	if events&eventDelete != 0 {
		c.processDelete()
		return
	}
	c.mutex.Put()
}

// connectionEstablished is _nxd_mqtt_tcp_establish_process, of a non-blocking
// Connect.
func (c *Client) connectionEstablished() {
	status := Success
	if s := c.secure; s != nil {
		c.mutex.Put()
		status = c.startTLS(rtos.NoWait)
		c.mutex.Get(rtos.WaitForever)
		if s.abandoned != 0 || s.gone() {
			return // another event ends the attempt, or has ended it
		}
	}
	if status == Success {
		status = c.sendConnect(rtos.NoWait)
	}
	if status == Success {
		return
	}
	c.endConnection(rtos.NoWait)
	c.connectResult(status)
}

// tick is _nxd_mqtt_periodic_timer_entry, once a second from the call of
// Connect on, in interrupt context.
func (c *Client) tick() {
	now := c.kernel.Now()
	if c.pingOutstanding && now-c.pingSent >= c.pingTimeout {
		c.events.Set(eventPingTimeout)
		return
	}
	second := c.kernel.TicksPerSecond()
	left := c.deadline - now
	if left <= second || !c.quirks.KeepaliveWrap && int32(left) < 0 {
		c.events.Set(eventTimeout)
	}
}

// startTimer starts the keepalive timer of a new connection.
func (c *Client) startTimer(seconds uint32) {
	second := c.kernel.TicksPerSecond()
	c.keepalive = rtos.Ticks(seconds) * second
	if seconds == 0 {
		return
	}
	c.pingTimeout = second // NXD_MQTT_PING_TIMEOUT_DELAY
	if !c.quirks.ShortPingTimeout {
		c.pingTimeout = max(c.keepalive, second)
	}
	c.timer = rtos.NewTimer(c.kernel, c.tick, second, second)
	c.timer.Activate()
}

func (c *Client) deleteTimer() {
	if c.timer != nil {
		c.timer.Delete()
		c.timer = nil
	}
}

// touch moves the keepalive deadline after something was sent.
func (c *Client) touch() { c.deadline = c.kernel.Now() + c.keepalive }

// sendSimple is _nxd_mqtt_send_simple_message: PINGREQ or DISCONNECT. The
// caller holds the mutex.
func (c *Client) sendSimple(packetType uint8) Status {
	wait := rtos.WaitForever
	if !c.quirks.PoolDeadlock {
		wait = rtos.NoWait
	}
	p, status := c.allocate(wait)
	if status != Success {
		if packetType == packetPingreq {
			c.owe(packetPingreq, 0)
			c.pingStarved()
		}
		return InternalError
	}
	b := p.Extend(2)
	if b == nil {
		p.Release()
		return nic.SizeError
	}
	b[0], b[1] = packetType<<4, 0

	c.mutex.Put()
	status = c.socket.Send(p, rtos.WaitForever)
	held := c.mutex.Get(rtos.WaitForever)
	if status != Success {
		p.Release()
		status = CommunicationFailure
	}
	if !held {
		return MutexFailure
	}
	if packetType == packetPingreq {
		c.emit(trace.Event{Kind: trace.KindPingReq, Status: uint32(status)})
		if !c.pingOutstanding || c.fixed != nil && c.fixed.pingUnsent {
			c.pingSent = c.kernel.Now()
			c.pingOutstanding = true
		}
		if c.fixed != nil {
			c.fixed.pingUnsent = false
		}
	}
	c.touch()
	return status
}

// endConnection is _nxd_mqtt_client_connection_end.
func (c *Client) endConnection(wait rtos.Ticks) {
	c.mutex.Get(rtos.WaitForever)
	c.setState(StateIdle)
	c.mutex.Put()
	c.socket.Disconnect(wait)
	c.socket.Unbind()
	if c.keepalive != 0 {
		c.deleteTimer()
	}
}

// processDisconnect is _nxd_mqtt_process_disconnect. It gives the mutex up
// while TCP closes and holds it when it returns.
func (c *Client) processDisconnect(cause string) {
	connected := c.state == StateConnected
	if !connected && c.state != StateConnecting {
		return
	}
	wait := rtos.WaitForever // NXD_MQTT_SOCKET_TIMEOUT
	if !c.quirks.DisconnectForever {
		wait = socketTimeoutSeconds * c.kernel.TicksPerSecond()
	}
	if c.fixed != nil && c.fixed.abort {
		wait = rtos.NoWait
	}
	c.mutex.Put()
	c.endConnection(wait)
	held := c.mutex.Get(rtos.WaitForever)
	if c.fixed != nil {
		c.endFixed(connected, cause)
		return
	}

	kept := c.tx[:0]
	for _, q := range c.tx {
		if kind := q.p.Bytes()[0] >> 4; kind == packetSubscribe || kind == packetUnsubscribe {
			q.p.Release()
		} else {
			kept = append(kept, q)
		}
	}
	clear(c.tx[len(kept):])
	c.tx = kept

	if connected {
		c.emit(trace.Event{Kind: trace.KindDisconnected, Text: cause, Count: int64(len(c.rx))})
		if c.disconnectNotify != nil {
			c.callback("disconnect_notify", func() { c.disconnectNotify(c) })
		}
	} else {
		c.connectResult(ConnectFailure)
	}
	if held {
		c.dropUnread()
		c.events.Clear(eventPacketReceive)
	}
	c.pingOutstanding = false
	c.pingSent = 0
	if c.quirks.CredentialsCleared {
		c.user, c.password = nil, nil
		c.willTopic, c.willMessage, c.willFlags = nil, nil, 0
	}
	c.releasePartial()
}

// dropUnread empties the receive queue. NetX's release function only unlinks,
// so every packet of it is lost to the pool for good.
func (c *Client) dropUnread() {
	for _, p := range c.rx {
		m, status := parsePublish(p)
		if status == Success {
			c.emit(m.event(p, trace.Event{Kind: trace.KindDrop, Stage: "mqtt rx queue", Reason: trace.DropUnread, Count: int64(p.Packets())}))
		}
		if c.quirks.UnreadLeak {
			p.SetHolder("leaked: unread at disconnect")
		} else {
			p.Release()
		}
	}
	clear(c.rx)
	c.rx = c.rx[:0]
}

func (c *Client) releasePartial() {
	for _, p := range []**nic.Packet{&c.partial, &c.stalled, &c.resume} {
		if *p != nil {
			(*p).Release()
			*p = nil
		}
	}
	c.owed = nil
}

// processDelete is the end of _nxd_mqtt_client_event_process.
func (c *Client) processDelete() {
	if c.state == StateConnected || c.state == StateConnecting && !c.quirks.DeleteConnectingHang {
		if c.state == StateConnected && !c.quirks.DeleteWithoutDisconnect {
			c.sendSimple(packetDisconnect)
		}
		c.processDisconnect("client deleted")
	}
	c.deleteTimer()
	c.events.Delete()
	c.dropUnread()
	c.releasePartial()
	for _, q := range c.tx {
		q.p.Release()
	}
	c.tx = nil
	if c.fixed != nil {
		c.dropSession()
	}
	c.mutex.Put()
	c.mutex.Delete()
	c.deleted = c.socket.Delete() == Success
}

// Disconnect sends DISCONNECT, even without a connection, closes the connection
// and returns when TCP has closed: nxd_mqtt_client_disconnect. It succeeds even
// if there was nothing to disconnect.
func (c *Client) Disconnect() Status {
	if !c.enter("Disconnect") {
		if c.keepalive != 0 {
			c.deleteTimer()
		}
		return MutexFailure
	}
	c.sendSimple(packetDisconnect)
	c.processDisconnect("application")
	if c.fixed != nil && c.cleanSession {
		c.fixed.filters = nil // a session that ends in order takes its subscriptions along
	}
	c.mutex.Put()
	return Success
}

// Delete ends the client and its thread: nxd_mqtt_client_delete. It returns
// when the socket is deleted, for which it looks once a second, and never if
// that fails.
func (c *Client) Delete() Status {
	t := c.kernel.Current()
	if t == nil {
		panic("mqtt: Delete called in interrupt context: call it from a thread of the client's kernel")
	}
	c.events.Set(eventDelete)
	for !c.deleted {
		t.Sleep(c.kernel.TicksPerSecond())
	}
	return Success
}
