package mqtt

import (
	"errors"
	"fmt"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// Kinds of event beside those of package trace.
const (
	// The client changed its state: Text.
	KindState trace.Kind = "mqtt.state"
	// The broker acknowledged an UNSUBSCRIBE: Topic, ID.
	KindUnsubscribed trace.Kind = "mqtt.unsubscribed"
)

// DropCleanSession is the reason for which messages that wait for their
// acknowledgement are forgotten: the client connects with a clean session.
const DropCleanSession trace.DropReason = "clean_session"

// A State is a state of the client, with NetX's numbers.
type State uint8

// The states of a client.
const (
	StateInitialize State = iota
	StateIdle
	StateConnecting
	StateConnected
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case StateInitialize:
		return "initialize"
	case StateIdle:
		return "idle"
	case StateConnecting:
		return "connecting"
	case StateConnected:
		return "connected"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// DefaultThreadPriority is the client thread's priority when Config has none.
const DefaultThreadPriority = 5

// Config configures a Client.
type Config struct {
	Kernel   *rtos.Kernel
	Pool     *nic.Pool
	Socket   Socket
	Trace    *trace.Log
	Node     string // device, for the trace
	Name     string // of the client's thread; "" is "mqtt"
	ClientID string // may be empty

	ThreadPriority int // 0: DefaultThreadPriority

	// TransmitQueueDepth is NXD_MQTT_MAXIMUM_TRANSMIT_QUEUE_DEPTH: so many
	// messages may wait for their acknowledgement. 0: unlimited, as by default.
	TransmitQueueDepth int

	Quirks *Quirks // nil: NetX642, in ModeFixed none

	// Mode is ModeNetX unless it is said. What follows is for ModeFixed only.
	Mode Mode
	// OfflineQueue is how many QoS 1 and 2 messages Publish takes while there is
	// no connection, to be sent when there is one. 0: none, it returns
	// NotConnected.
	OfflineQueue int
	// ResendAfterClean sends what was not acknowledged again even after a clean
	// session has begun, as libmosquitto and paho do. [MQTT-3.1.2-6] forbids it.
	ResendAfterClean bool
	// Session is what an earlier client kept over a reset, see Client.Session.
	Session *Session
}

// queued is a packet that waits for an acknowledgement. What decides is in the
// packet, as in NetX: the identifier in its headroom and its fixed header.
type queued struct {
	p     *nic.Packet
	topic string
	hash  uint64
	at    sim.Time // of the call
}

// A Client is an NXD_MQTT_CLIENT.
type Client struct {
	// The notifies that NetX has no function for: set them before Connect.

	// ConnectNotify is called with the result of an attempt to connect that
	// came as far as the broker's answer, or failed in the background.
	ConnectNotify func(c *Client, status Status)
	// AckReceiveNotify is called for PUBACK (4), PUBREL (6), SUBACK (9) and
	// UNSUBACK (11), with the queued packet that was acknowledged.
	AckReceiveNotify func(c *Client, packetType uint8, id uint16, p *nic.Packet)
	// PacketReceiveNotify sees what arrived before the client does. If it
	// returns true it owns the packet and the client forgets it.
	PacketReceiveNotify func(c *Client, p *nic.Packet) bool

	// SubscribeRefusedNotify is called when the broker has refused a subscription
	// (SUBACK 0x80), after AckReceiveNotify. NetX has nothing of the kind: with the
	// quirk SubackRefusalIgnored nobody is told.
	SubscribeRefusedNotify func(c *Client, filter string, id uint16)

	cfg    Config
	quirks Quirks
	kernel *rtos.Kernel
	pool   *nic.Pool
	tcp    Socket        // of Config
	socket Socket        // what is sent and received by: tcp, or secure
	secure *secureSocket // nil: no TLS
	mutex  *rtos.Mutex
	events *rtos.EventFlags
	thread *rtos.Thread
	timer  *rtos.Timer // nil: none

	receiveNotify    func(c *Client, depth int)
	disconnectNotify func(c *Client)

	state        State
	ipv4         bool // of the last server
	blocking     bool // a Connect waits in its caller's thread
	established  bool // the TCP connection, at some time since Connect
	receiveReady bool // arriving data raise the receive event
	deleted      bool
	cleanSession bool

	running runningCallbacks

	keepalive       rtos.Ticks
	pingTimeout     rtos.Ticks
	deadline        rtos.Ticks // of the next send: nxd_mqtt_timeout
	pingSent        rtos.Ticks
	pingOutstanding bool

	fixed *fixed // nil: ModeNetX

	nextID  uint16
	tx      []queued
	rx      []*nic.Packet
	partial *nic.Packet // a message that has not arrived in full
	stalled *nic.Packet // begins with a message that was announced but not copied: CopyDrop is off
	resume  *nic.Packet // what was behind it, once that was read
	owed    []owed      // answers that found no packet: PoolDeadlock is off

	user, password         []byte
	willTopic, willMessage []byte
	willFlags              byte // QoS, and 0x80 for retain
}

// willRetain is NetX's bit for retain in nxd_mqtt_client_will_qos_retain.
const willRetain = 0x80

// Create makes a client and starts its thread: nxd_mqtt_client_create.
func Create(cfg Config) (*Client, error) {
	switch {
	case cfg.Kernel == nil:
		return nil, errors.New("mqtt: create without a kernel")
	case cfg.Pool == nil:
		return nil, errors.New("mqtt: create without a packet pool")
	case cfg.Socket == nil:
		return nil, errors.New("mqtt: create without a socket")
	case cfg.TransmitQueueDepth < 0:
		return nil, fmt.Errorf("mqtt: transmit queue of %d messages", cfg.TransmitQueueDepth)
	}
	if cfg.Name == "" {
		cfg.Name = "mqtt"
	}
	if cfg.ThreadPriority == 0 {
		cfg.ThreadPriority = DefaultThreadPriority
	}
	quirks, err := cfg.chooseQuirks()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, quirks: quirks, kernel: cfg.Kernel, pool: cfg.Pool, tcp: cfg.Socket, socket: cfg.Socket,
		mutex:  rtos.NewMutex(cfg.Kernel, cfg.Name),
		events: rtos.NewEventFlags(cfg.Kernel, cfg.Name),
		state:  StateIdle,
		nextID: initialPacketID,
	}
	if cfg.Mode == ModeFixed {
		c.fixed = new(fixed)
		if cfg.Session != nil {
			if err := c.restore(cfg.Session); err != nil {
				return nil, err
			}
		}
	}
	c.tcp.ReceiveNotify(func() {
		if c.receiveReady {
			c.events.Set(eventPacketReceive)
		}
	})
	c.tcp.EstablishNotify(func() {
		c.established = true
		if !c.blocking && !c.quirks.NoEstablishNotify {
			c.events.Set(eventEstablished)
		}
	})
	c.tcp.DisconnectNotify(func() {
		if !c.established && (c.blocking || c.quirks.SilentConnectFailure) {
			return // NetX calls it for a connection that was established only.
		}
		c.events.Set(eventDisconnected)
	})
	c.thread = c.kernel.NewThread(cfg.Name, cfg.ThreadPriority, c.run)
	return c, nil
}

// State returns the client's state.
func (c *Client) State() State { return c.state }

// ID returns the client identifier.
func (c *Client) ID() string { return c.cfg.ClientID }

// Quirks returns the quirks that the client has.
func (c *Client) Quirks() Quirks { return c.quirks }

// Kernel returns the device's kernel.
func (c *Client) Kernel() *rtos.Kernel { return c.kernel }

// ReceiveDepth returns the number of messages that wait for MessageGet.
func (c *Client) ReceiveDepth() int {
	if c.stalled != nil {
		return len(c.rx) + 1
	}
	return len(c.rx)
}

// TransmitDepth returns the number of packets that wait for an acknowledgement.
func (c *Client) TransmitDepth() int {
	if c.fixed != nil {
		return c.fixed.depth()
	}
	return len(c.tx)
}

// LoginSet sets user name and password for the next Connect; nil is none, empty
// is sent as empty. Both are cleared at every disconnect. Lengths wrap at 65,536.
func (c *Client) LoginSet(user, password []byte) Status {
	if c.fixed != nil && max(len(user), len(password)) > maxField {
		return InvalidParameter
	}
	if !c.enter("LoginSet") {
		return MutexFailure
	}
	c.user, c.password = truncated(user), truncated(password)
	c.mutex.Put()
	return Success
}

// truncated cuts b to the length that NetX's USHORT field gives it.
func truncated(b []byte) []byte {
	if b == nil {
		return nil
	}
	return b[:uint16(len(b))]
}

// WillMessageSet sets the will for the next Connect. It is cleared at every
// disconnect.
func (c *Client) WillMessageSet(topic, message []byte, retain bool, qos uint8) Status {
	switch {
	case len(topic) == 0 || qos > 2:
		return InvalidParameter
	case qos == 2 && c.fixed == nil:
		return QoS2NotSupported
	case c.fixed != nil && (codec.ValidTopic(topic) != nil || len(message) > maxField):
		return InvalidParameter
	}
	if !c.enter("WillMessageSet") {
		return MutexFailure
	}
	c.willTopic, c.willMessage = topic, message
	if !c.quirks.WillFlagsSticky {
		c.willFlags = 0
	}
	if retain {
		c.willFlags = willRetain // NetX: "=", so this also clears an earlier QoS
	}
	c.willFlags |= qos
	c.mutex.Put()
	return Success
}

// ReceiveNotifySet sets the function that is called with the number of waiting
// messages for each that arrives.
func (c *Client) ReceiveNotifySet(fn func(c *Client, depth int)) Status {
	if fn == nil {
		return nic.PtrError
	}
	c.enter("ReceiveNotifySet") // NetX does not look at the result
	c.receiveNotify = fn
	c.mutex.Put()
	return Success
}

// DisconnectNotifySet sets the function that is called when a connection has
// ended, for whatever reason. NetX takes no mutex here, nor does this.
func (c *Client) DisconnectNotifySet(fn func(c *Client)) Status {
	c.disconnectNotify = fn
	return Success
}

// WebsocketSet is not modelled: it returns nic.NotSupported, and the connection
// stays plain TCP.
func (c *Client) WebsocketSet(host, path string) Status {
	c.notModelled("websocket_set " + host + path)
	return nic.NotSupported
}

// CloudCreate is not modelled: nxd_mqtt_client_cloud_create shares a thread
// with other clients of an NX_CLOUD.
func CloudCreate(Config) (*Client, Status) { return nil, nic.NotSupported }

// notModelled leaves a trace of a call that did nothing.
func (c *Client) notModelled(what string) {
	c.emit(trace.Event{Kind: trace.KindApp, Status: uint32(nic.NotSupported), Text: what + ": not modelled"})
}

// enter takes the client's mutex for a call of the application and reports
// whether that went well: it does not once the client is deleted.
func (c *Client) enter(call string) bool {
	t := c.kernel.Current()
	if t == nil {
		panic(fmt.Sprintf("mqtt: %s called in interrupt context: call it from a thread of the client's kernel", call))
	}
	since := c.kernel.Loop().Now()
	owner := c.mutex.Owner()
	ok := c.mutex.Get(rtos.WaitForever)
	if waited := c.kernel.Loop().Now().Sub(since); waited > 0 {
		c.emit(trace.Event{
			Kind: trace.KindWait, Stage: t.Name(), Count: int64(waited),
			Text: fmt.Sprintf("%s waited for the client's mutex, held by %s", call, owner.Name()),
		})
	}
	return ok
}

func (c *Client) emit(e trace.Event) {
	e.Node, e.Client = c.cfg.Node, c.cfg.ClientID
	c.cfg.Trace.Emit(e)
}

func (c *Client) setState(s State) {
	if c.state != s {
		c.state = s
		c.emit(trace.Event{Kind: KindState, Text: s.String(), Count: int64(s)})
	}
}
