package mqtt

// The client of ModeFixed: what goes out. Reading list: OASIS MQTT Version
// 3.1.1, 3.1.2.4 (session state), 4.3 (quality of service), 4.4 (delivery
// retry), 4.6 (order).

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// A Mode says which client a Client is.
type Mode uint8

// The modes.
const (
	// ModeNetX is NetX Duo's client, with the bugs of Config.Quirks.
	ModeNetX Mode = iota
	// ModeFixed is a client that has NetX's functions and threads and keeps to
	// the standard: QoS 2 both ways, exactly once for as long as the session
	// lasts, subscriptions made again for a broker that has forgotten them,
	// messages taken while there is no connection, and no patience with a broker
	// that breaks a rule.
	ModeFixed
)

// Drop reasons of ModeFixed.
const (
	// DropOfflineQueue: Publish was called without a connection, and as many
	// messages as Config.OfflineQueue waited already.
	DropOfflineQueue trace.DropReason = "offline_queue_full"
	// DropRepeated: the broker repeated a QoS 2 PUBLISH before its PUBREL; it was
	// acknowledged again and not passed on again [MQTT-4.3.3-2].
	DropRepeated trace.DropReason = "qos2_duplicate"
	// DropDeleted: the client was deleted with messages that wait for their
	// acknowledgement.
	DropDeleted trace.DropReason = "client_deleted"
)

const (
	maxField   = 65_535 // bytes of a string or of binary data
	maxFilters = 1_000  // subscriptions of a client
	maxSeconds = 65_535 // of keepalive
	poolShares = 4      // see quarter
)

// fixed is the state of ModeFixed. The client's mutex guards it.
type fixed struct {
	exchanges []*exchange // PUBREL first, in the order of PUBREC [MQTT-4.6.0-4], then PUBLISH in that of the calls
	unused    []*exchange
	filters   []filter // in the order of the calls
	incoming  []uint16 // QoS 2 messages taken and not released, sorted

	generation uint32 // changes with every end of a connection
	flushing   bool   // a thread sends what is pending
	began      bool   // there was a session, and
	clean      bool   // it was a clean one
	abort      bool   // the connection ends by RST
	pingUnsent bool   // a PINGRESP is awaited whose PINGREQ found no packet

	packet  codec.Packet // what is being handled
	scratch []byte
}

// An exchange is one message on its way to the broker.
type exchange struct {
	id       uint16
	qos      uint8
	retain   bool
	released bool        // PUBREC has come; PUBCOMP is awaited
	sent     bool        // at least once
	pending  bool        // to be sent in this connection
	p        *nic.Packet // the PUBLISH, nil once released
	topic    string
	hash     uint64
	at       sim.Time // of the call
}

// A filter is a subscription, or the end of one that the broker must hear of.
type filter struct {
	name    string
	qos     uint8
	wanted  bool
	granted bool
	pending bool   // SUBSCRIBE or UNSUBSCRIBE is to be sent
	id      uint16 // of the one that waits for its acknowledgement; 0: none
}

// chooseQuirks returns the quirks of a configuration, after a look at its mode.
func (cfg *Config) chooseQuirks() (Quirks, error) {
	switch {
	case cfg.Mode > ModeFixed:
		return Quirks{}, fmt.Errorf("mqtt: no mode has the number %d", cfg.Mode)
	case cfg.OfflineQueue < 0:
		return Quirks{}, fmt.Errorf("mqtt: offline queue of %d messages", cfg.OfflineQueue)
	case cfg.Mode == ModeFixed && cfg.Quirks != nil && *cfg.Quirks != NoQuirks():
		return Quirks{}, errors.New("mqtt: a client with quirks cannot be a fixed one")
	case cfg.Mode == ModeNetX && (cfg.OfflineQueue > 0 || cfg.ResendAfterClean || cfg.Session != nil):
		return Quirks{}, errors.New("mqtt: offline queue and kept sessions are for the fixed client only")
	case cfg.Mode == ModeFixed && (len(cfg.ClientID) > maxField || codec.ValidString([]byte(cfg.ClientID)) != nil):
		return Quirks{}, fmt.Errorf("mqtt: %q cannot be a client identifier", cfg.ClientID)
	case cfg.Mode == ModeFixed:
		return NoQuirks(), nil
	case cfg.Quirks != nil:
		return *cfg.Quirks, nil
	}
	return NetX642(), nil
}

// Mode returns the client's mode.
func (c *Client) Mode() Mode { return c.cfg.Mode }

// mayConnect refuses what no CONNECT can say.
func (c *Client) mayConnect(keepAliveSeconds uint32, cleanSession bool) bool {
	return keepAliveSeconds <= maxSeconds &&
		(cleanSession || c.cfg.ClientID != "") && // [MQTT-3.1.3-7]
		utf8.Valid(c.user)
}

// publishFixed is Publish of ModeFixed. At QoS 1 and 2 it takes the message or
// refuses it: what it took is sent as soon as, and as often as, it can be.
func (c *Client) publishFixed(topic string, message []byte, retain bool, qos uint8, wait rtos.Ticks, at sim.Time) (uint16, Status) {
	length := 2 + len(topic) + len(message)
	if qos > 0 {
		length += 2
	}
	if qos > 2 || len(topic) > maxField || codec.ValidTopic([]byte(topic)) != nil || length > codec.MaxRemainingLength {
		return 0, InvalidParameter
	}
	if !c.enter("Publish") {
		return 0, MutexFailure
	}
	status := c.room(topic, message, qos)
	c.mutex.Put()
	if status != Success {
		return 0, status
	}
	p, status := c.buildPublish(topic, message, retain, qos, length, wait)
	if status != Success {
		return 0, status
	}
	if !c.enter("Publish") {
		p.Release()
		return 0, MutexFailure
	}
	defer c.mutex.Put()
	// Building may have waited: look again.
	if status := c.room(topic, message, qos); status != Success {
		p.Release()
		return 0, status
	}
	if qos == 0 {
		return 0, c.sendOnce(p, wait)
	}
	id := c.takeID()
	quarter := c.quarter()
	switch {
	case id == 0: // all 65,535 are in use
		status = nic.TxQueueDepth
	case p.Packets() > quarter || c.pool.Free() < 2*quarter:
		status = PacketPoolFailure
	}
	if status != Success {
		p.Release()
		return 0, status
	}
	setID(p, length, len(topic), id)
	p.SetHolder("mqtt transmit queue")
	x := c.fixed.newExchange()
	*x = exchange{
		id: id, qos: qos, retain: retain, p: p, topic: topic, hash: trace.MessageHash(topic, message), at: at,
		pending: c.state == StateConnected,
	}
	c.fixed.exchanges = append(c.fixed.exchanges, x)
	c.flush(wait)
	return id, Success
}

// quarter is the share of the pool by which the client keeps it from being
// filled with what waits: messages that wait for an acknowledgement leave two of
// it free, what is handed to TCP leaves one, and answers leave half of one.
// Without that no acknowledgement would find a packet, and nothing would ever
// move again.
func (c *Client) quarter() int { return max(1, c.pool.Total()/poolShares) }

// room says whether there is any for a message. The caller holds the mutex.
func (c *Client) room(topic string, message []byte, qos uint8) Status {
	online := c.state == StateConnected
	if qos == 0 || c.cfg.OfflineQueue == 0 && !online {
		if !online {
			return NotConnected
		}
		return Success
	}
	if depth := c.cfg.TransmitQueueDepth; depth > 0 && len(c.fixed.exchanges) >= depth {
		return nic.TxQueueDepth
	}
	if online {
		return Success
	}
	unsent := 0
	for _, x := range c.fixed.exchanges {
		if !x.sent {
			unsent++
		}
	}
	if unsent < c.cfg.OfflineQueue {
		return Success
	}
	c.emit(trace.Event{
		Kind: trace.KindDrop, Stage: "mqtt offline queue", Reason: DropOfflineQueue, Topic: topic, QoS: qos,
		Len: len(message), Hash: trace.MessageHash(topic, message), Count: int64(unsent),
	})
	return nic.TxQueueDepth
}

// buildPublish returns a PUBLISH whose identifier is still 0.
func (c *Client) buildPublish(topic string, message []byte, retain bool, qos uint8, length int, wait rtos.Ticks) (*nic.Packet, Status) {
	p, status := c.allocate(wait)
	if status != Success {
		return nil, PacketPoolFailure
	}
	header := byte(packetPublish<<4) | qos<<1
	if retain {
		header |= publishRetain
	}
	ok := c.appendHeader(p, header, length, wait) == Success && c.appendField(p, []byte(topic), wait) == Success
	if qos > 0 {
		ok = ok && p.Append([]byte{0, 0}, c.pool, wait) == Success
	}
	if len(message) > 0 {
		ok = ok && p.Append(message, c.pool, wait) == Success
	}
	if !ok {
		p.Release()
		return nil, PacketPoolFailure
	}
	return p, Success
}

// setID writes the identifier into a PUBLISH, wherever in the chain it is.
func setID(p *nic.Packet, length, topic int, id uint16) {
	at := 2 + 2 + topic
	for length >>= 7; length > 0; length >>= 7 {
		at++
	}
	for i, b := range []byte{byte(id >> 8), byte(id)} {
		off, q := at+i, p
		for off >= len(q.Bytes()) {
			off -= len(q.Bytes())
			q = q.Next()
		}
		q.Bytes()[off] = b
	}
}

// sendOnce sends a packet that nobody will miss. The caller holds the mutex.
func (c *Client) sendOnce(p *nic.Packet, wait rtos.Ticks) Status {
	c.touch()
	c.mutex.Put()
	status := c.socket.Send(p, wait)
	c.mutex.Get(rtos.WaitForever)
	if status != Success {
		p.Release()
		return CommunicationFailure
	}
	return Success
}

// subUnsubFixed is Subscribe and Unsubscribe of ModeFixed.
func (c *Client) subUnsubFixed(name string, qos uint8, wanted bool) (uint16, Status) {
	if len(name) > maxField || codec.ValidFilter([]byte(name)) != nil {
		return 0, InvalidParameter
	}
	if !c.enter("Subscribe") {
		return 0, MutexFailure
	}
	defer c.mutex.Put()
	if c.state != StateConnected && c.cfg.OfflineQueue == 0 {
		return 0, NotConnected
	}
	f := c.fixed
	i := f.findFilter(name)
	if i < 0 {
		if len(f.filters) >= maxFilters {
			return 0, nic.TxQueueDepth
		}
		f.filters = append(f.filters, filter{name: name})
		i = len(f.filters) - 1
	}
	f.filters[i] = filter{name: name, qos: qos, wanted: wanted, pending: c.state == StateConnected}
	c.flush(rtos.WaitForever)
	if i = f.findFilter(name); i >= 0 {
		return f.filters[i].id, Success
	}
	return 0, Success
}

func (f *fixed) findFilter(name string) int {
	return slices.IndexFunc(f.filters, func(x filter) bool { return x.name == name })
}

// freeID returns the identifier of the next packet that needs one, 0 if all are
// in use [MQTT-2.3.1-4].
func (c *Client) freeID() uint16 {
	for range maxField {
		if !c.fixed.uses(c.nextID) {
			return c.nextID
		}
		c.advanceID()
	}
	return 0
}

func (f *fixed) uses(id uint16) bool {
	return slices.ContainsFunc(f.exchanges, func(x *exchange) bool { return x.id == id }) ||
		slices.ContainsFunc(f.filters, func(x filter) bool { return x.id == id })
}

func (f *fixed) find(id uint16) int {
	return slices.IndexFunc(f.exchanges, func(x *exchange) bool { return x.id == id })
}

// depth counts what waits for an acknowledgement.
func (f *fixed) depth() int {
	n := len(f.exchanges)
	for i := range f.filters {
		if f.filters[i].pending || f.filters[i].id != 0 {
			n++
		}
	}
	return n
}

func (f *fixed) newExchange() *exchange {
	if n := len(f.unused); n > 0 {
		x := f.unused[n-1]
		f.unused = f.unused[:n-1]
		return x
	}
	return new(exchange)
}

// remove ends the exchange at i.
func (f *fixed) remove(i int) {
	x := f.exchanges[i]
	if x.p != nil {
		x.p.Release()
	}
	f.exchanges = slices.Delete(f.exchanges, i, i+1)
	*x = exchange{}
	f.unused = append(f.unused, x)
}
