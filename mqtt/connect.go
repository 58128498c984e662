package mqtt

import (
	"fmt"
	"net/netip"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// Control packet types of MQTT 3.1.1, 2.2.1.
const (
	packetConnect     = 1
	packetConnack     = 2
	packetPublish     = 3
	packetPuback      = 4
	packetPubrec      = 5
	packetPubrel      = 6
	packetPubcomp     = 7
	packetSubscribe   = 8
	packetSuback      = 9
	packetUnsubscribe = 10
	packetUnsuback    = 11
	packetPingreq     = 12
	packetPingresp    = 13
	packetDisconnect  = 14
)

const (
	protocolLevel   = 4
	initialPacketID = 1

	connectUser       = 0x80
	connectPassword   = 0x40
	connectWillRetain = 0x20
	connectWill       = 0x04
	connectClean      = 0x02

	connackLength  = 4
	connackMaxCode = 5

	// maxConnectLength is NetX's idea of the longest message: 127^4.
	maxConnectLength = 127 * 127 * 127 * 127
)

// Connect connects to the broker at server: nxd_mqtt_client_connect.
//
// With a wait it returns when the broker has answered, after at most that many
// ticks for TCP, again as many for sending and once more for the answer. With
// rtos.NoWait it returns nic.InProgress and ConnectNotify gets the result (in
// NetX's default build it never does: see the quirk no_establish_notify).
// keepAliveSeconds 0 switches keepalive off; its low 16 bits go to the broker.
func (c *Client) Connect(server netip.AddrPort, keepAliveSeconds uint32, cleanSession bool, wait rtos.Ticks) Status {
	return c.connect(server, nil, keepAliveSeconds, cleanSession, wait)
}

// connect is Connect, and SecureConnect with a session.
func (c *Client) connect(server netip.AddrPort, session *TLSSession, keepAliveSeconds uint32, cleanSession bool, wait rtos.Ticks) Status {
	switch {
	case !server.Addr().IsValid():
		return InvalidParameter
	case server.Port() == 0:
		return nic.InvalidPort
	case c.fixed != nil && !c.mayConnect(keepAliveSeconds, cleanSession):
		return InvalidParameter
	}
	if !c.enter("Connect") {
		return MutexFailure
	}
	c.emit(trace.Event{Kind: trace.KindConnect, Text: server.String(), Count: int64(keepAliveSeconds)})
	if status := c.refuseConnect(); status != Success {
		c.mutex.Put()
		c.emit(trace.Event{Kind: trace.KindConnected, Status: uint32(status)})
		return status
	}
	if c.fixed != nil {
		c.events.Clear(allEvents &^ eventDelete) // of the connection before
	}
	c.useTLS(session)
	c.startTimer(keepAliveSeconds)
	c.cleanSession = cleanSession
	c.blocking = wait != rtos.NoWait
	c.receiveReady = !c.blocking
	c.established = false
	c.ipv4 = server.Addr().Unmap().Is4()
	c.setState(StateConnecting)
	c.mutex.Put()

	status := c.socket.Connect(server, wait)
	if status != Success && status != nic.InProgress {
		c.mutex.Get(rtos.WaitForever)
		c.setState(StateIdle)
		c.mutex.Put()
		c.socket.Unbind()
		c.deleteTimer()
		c.blocking = false
		c.emit(trace.Event{Kind: trace.KindConnected, Status: uint32(ConnectFailure), Text: "TCP: " + status.String()})
		return ConnectFailure
	}
	if !c.blocking {
		return nic.InProgress
	}
	c.established = true
	defer func() { c.blocking = false }()
	return c.handshake(wait)
}

// refuseConnect checks the state.
func (c *Client) refuseConnect() Status {
	switch c.state {
	case StateIdle:
		return Success
	case StateConnected:
		return AlreadyConnected
	case StateConnecting:
		return Connecting
	}
	return InvalidState
}

// handshake is the second half of a blocking Connect. Meanwhile the caller runs
// at the priority of the client's thread.
func (c *Client) handshake(wait rtos.Ticks) Status {
	caller := c.kernel.Current()
	priority := caller.SetPriority(c.thread.Priority())
	what := "TLS: "
	status := c.startTLS(wait)
	if status == Success {
		what = "CONNECT: "
		status = c.sendConnect(wait)
	}
	if status != Success {
		caller.SetPriority(priority)
		c.endConnection(rtos.NoWait)
		c.emit(trace.Event{Kind: trace.KindConnected, Status: uint32(ConnectFailure), Text: what + status.String()})
		return ConnectFailure
	}
	p, status := c.receiveConnack(wait)
	caller.SetPriority(priority)
	if c.fixed != nil && status == Success {
		return c.accepted(p, wait)
	}
	if status != Success {
		c.endConnection(rtos.NoWait)
		c.emit(trace.Event{Kind: trace.KindConnected, Status: uint32(CommunicationFailure), Text: "no CONNACK: " + status.String()})
		return CommunicationFailure
	}
	status = c.processConnack(p, wait)
	rest := (*nic.Packet)(nil)
	if status == Success && p.Len() > connackLength { // ConnackAlone is off
		rest = p.Advance(connackLength, c.quirks.ChainTailLost)
	} else {
		p.Release()
	}
	if status != Success {
		return status
	}
	c.receiveReady = true
	if rest != nil {
		c.mutex.Get(rtos.WaitForever)
		c.parse(rest)
		c.mutex.Put()
	}
	if !c.quirks.ConnackRace {
		c.events.Set(eventPacketReceive)
	}
	return Success
}

// receiveConnack receives one segment, whatever it holds; without the quirk
// ConnackAlone as many as a CONNACK needs.
func (c *Client) receiveConnack(wait rtos.Ticks) (*nic.Packet, Status) {
	p, status := c.socket.Receive(wait)
	for status == Success && !c.quirks.ConnackAlone && p.Len() < connackLength && !c.broken(p) {
		var more *nic.Packet
		if more, status = c.socket.Receive(wait); status != Success {
			p.Release()
			return nil, status
		}
		p.Link(more)
	}
	return p, status
}

// sendConnect is _nxd_mqtt_client_connect_packet_send. It returns NetX's status
// of sending as it is.
func (c *Client) sendConnect(wait rtos.Ticks) Status {
	flags := byte(0)
	fields := [][]byte{[]byte(c.cfg.ClientID)}
	if c.willTopic != nil {
		flags |= connectWill | c.willFlags&3<<3
		if c.willFlags&willRetain != 0 {
			flags |= connectWillRetain
		}
		fields = append(fields, c.willTopic, c.willMessage)
	}
	if c.user != nil {
		flags |= connectUser
		fields = append(fields, c.user)
		if c.password != nil {
			flags |= connectPassword
			fields = append(fields, c.password)
		}
	}
	if c.cleanSession {
		flags |= connectClean
	}
	if c.fixed != nil {
		c.beginSession()
	} else if c.cleanSession {
		for _, q := range c.tx {
			c.emit(trace.Event{
				Kind: trace.KindDrop, Stage: "mqtt tx queue", Reason: DropCleanSession, Topic: q.topic, ID: idOf(q.p), Hash: q.hash,
			})
			q.p.Release()
		}
		c.tx = nil
	}
	length := 10
	for _, f := range fields {
		length += 2 + len(f)
	}
	if length > maxConnectLength {
		return InternalError
	}
	p, status := c.allocate(wait)
	if status != Success {
		return status
	}
	seconds := c.keepalive / c.kernel.TicksPerSecond()
	ok := c.appendHeader(p, packetConnect<<4, length, wait) == Success &&
		c.appendField(p, []byte("MQTT"), wait) == Success &&
		p.Append([]byte{protocolLevel, flags, byte(seconds >> 8), byte(seconds)}, c.pool, wait) == Success
	for _, f := range fields {
		ok = ok && c.appendField(p, f, wait) == Success
	}
	if !ok {
		p.Release()
		return PacketPoolFailure
	}
	status = c.socket.Send(p, wait)
	if status != Success {
		p.Release()
	}
	c.touch()
	return status
}

// processConnack is _nxd_mqtt_process_connack.
func (c *Client) processConnack(p *nic.Packet, wait rtos.Ticks) Status {
	status := c.judgeConnack(p)
	if status == Success {
		c.mutex.Get(rtos.WaitForever)
		c.setState(StateConnected)
		if c.quirks.IDRestart {
			c.nextID = initialPacketID
		}
		if c.fixed != nil {
			c.resumed(sessionPresent(p))
		}
		c.mutex.Put()
	}
	c.connectResult(status)
	if status != Success {
		c.endConnection(rtos.NoWait)
		return status
	}
	if c.cleanSession || len(c.tx) == 0 || c.fixed != nil {
		return Success
	}
	c.mutex.Get(rtos.WaitForever)
	status = c.retransmit(wait)
	c.mutex.Put()
	if status != Success {
		c.emit(trace.Event{Kind: trace.KindConnected, Status: uint32(status), Text: "retransmission"})
		if !c.quirks.HalfOpenRetransmit {
			c.endConnection(rtos.NoWait)
		}
	}
	return status
}

func sessionPresent(p *nic.Packet) bool {
	var b [connackLength]byte
	p.ExtractOffset(0, b[:])
	return b[2]&1 != 0
}

// judgeConnack says what a CONNACK means.
func (c *Client) judgeConnack(p *nic.Packet) Status {
	var b [connackLength]byte
	n, _ := p.ExtractOffset(0, b[:])
	present := b[2]&1 != 0
	switch {
	case c.fixed != nil && c.broken(p):
		return ServerMessageFailure
	case n == connackLength && c.quirks.ConnackAlone && p.Len() > connackLength && b[0]>>4 == packetConnack:
		c.dropMalformed(p, fmt.Sprintf("CONNACK with %d bytes behind it in one segment", p.Len()-connackLength))
		return ServerMessageFailure
	case n != connackLength || c.quirks.ConnackAlone && p.Len() != connackLength:
		return ServerMessageFailure
	case b[0]>>4 != packetConnack || b[1] != 2:
		return ServerMessageFailure
	case c.cleanSession && present:
		return ServerMessageFailure
	case b[3] > connackMaxCode:
		return ServerMessageFailure
	case b[3] > 0:
		return ErrorConnectReturnCode + Status(b[3])
	}
	return Success
}

// connectResult reports how an attempt to connect ended.
func (c *Client) connectResult(status Status) {
	c.emit(trace.Event{Kind: trace.KindConnected, Status: uint32(status)})
	if c.ConnectNotify != nil {
		c.callback("connect_notify", func() { c.ConnectNotify(c, status) })
	}
}

// retransmit is _nxd_mqtt_client_retransmit_message: copies of the queued
// PUBLISH packets go out in order, DUP set, under their old identifiers. The
// caller holds the mutex.
func (c *Client) retransmit(wait rtos.Ticks) Status {
	for i := 0; i < len(c.tx); i++ {
		q := c.tx[i]
		if q.p.Bytes()[0]>>4 != packetPublish {
			continue
		}
		p, status := q.p.Copy(c.pool, wait)
		if status != Success {
			return PacketPoolFailure
		}
		p.SetHolder(c.kernel.Current().Name())
		c.mutex.Put()
		status = c.socket.Send(p, wait)
		if status != Success {
			p.Release()
		}
		if !c.mutex.Get(wait) {
			return MutexFailure
		}
		if status != Success {
			return CommunicationFailure
		}
		c.emit(trace.Event{Kind: trace.KindRepublish, Topic: q.topic, ID: idOf(q.p), Hash: q.hash, QoS: 1, Dup: true})
	}
	c.touch()
	return Success
}
