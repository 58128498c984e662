package emu

import (
	"fmt"
	"math"
	"time"

	"hilnet/link"
	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack"
	"hilnet/trace"
)

// appPriority is the application threads' priority: below the client's thread,
// as in NetX's own samples.
const appPriority = 20

// A device is one model device: what stays when it reboots, and the machine that
// runs at the moment.
type device struct {
	*machine
	world    *World
	cfg      *scenarios.Device
	network  network
	wire     link.Sink // the way to the network
	nicState setting[nic.State]

	on    bool // the machine runs
	cuts  int  // power cuts that last
	boots int  // starts so far
	// The counters of the machines before this one.
	pastNIC, pastStack []trace.Value

	sessions int // of TLS, begun so far

	startAt sim.Time // when it starts for the first time
	epoch   int      // changes with every event of the power, so that an old plan to start is void
}

// A machine is a device from one start to the next reboot or power cut: kernel,
// pool, NIC, stack, client, application.
type machine struct {
	kernel *rtos.Kernel
	pool   *nic.Pool
	nic    *nic.NIC
	host   host
	host6  *stack.Host // of a device that speaks IPv6, else nil
	addressing
	port   link.Sink // for arriving frames
	halted bool
	client *mqtt.Client

	// What the application knows, from the client's events.
	changed   sim.Cond // signalled when one of these changes
	connected bool
	queued    int  // received messages that wait for message_get
	wanted    bool // the application wants a connection: reconnect works for it
	trying    bool // an attempt to connect is under way
	numbers   map[*scenarios.Publish]int

	topicRead, messageRead []byte // what message_get copies into
}

func (w *World) newDevice(cfg *scenarios.Device) (*device, error) {
	d := &device{world: w, cfg: cfg}
	d.nicState = setting[nic.State]{base: nic.LinkUp, apply: func(s nic.State) {
		if d.on { // one that is off gets it when it starts
			d.nic.SetState(s)
		}
	}}
	var err error
	if d.machine, err = w.newMachine(d); err != nil {
		return nil, err
	}
	w.onClose(func() error { d.host.Close(); return nil })
	return d, nil
}

// newMachine makes a machine on which nothing runs yet.
func (w *World) newMachine(d *device) (*machine, error) {
	cfg := d.cfg
	m := &machine{numbers: map[*scenarios.Publish]int{}, kernel: rtos.NewKernel(w.loop, rtos.Config{})}
	var err error
	m.pool, err = nic.NewPool(m.kernel, w.trace, nic.PoolConfig{
		Name: scenarios.StagePool, Node: cfg.Name, Payload: int(cfg.Pool.Payload),
		Packets: cfg.Pool.Packets, Memory: int(cfg.Pool.Memory),
	})
	if err != nil {
		return nil, err
	}
	m.nic, err = nic.New(w.loop, m.kernel, w.trace, nic.Config{
		Node: cfg.Name, MAC: cfg.MAC, RXPool: m.pool, MTU: cfg.MTU,
	})
	if err != nil {
		return nil, err
	}
	socket, err := w.newStack(m, d)
	if err != nil {
		return nil, err
	}
	quirks := cfg.Quirks.Client()
	mc := mqtt.Config{
		Kernel: m.kernel, Pool: m.pool, Socket: socket, Trace: w.trace,
		Node: cfg.Name, ClientID: cfg.MQTT.ClientID, ThreadPriority: cfg.MQTT.ThreadPriority, Quirks: &quirks,
	}
	if cfg.Quirks.Fixed() {
		mc.Mode, mc.OfflineQueue = mqtt.ModeFixed, cfg.MQTT.OfflineQueue
	}
	if cfg.MQTT.Persist && d.machine != nil { // what its flash held
		mc.Session = d.client.Session()
	}
	m.client, err = mqtt.Create(mc)
	if err != nil {
		m.host.Close()
		return nil, err
	}
	return m, nil
}

// start starts the application.
func (d *device) start() {
	if d.dhcp != nil {
		d.dhcp.Start() // its port is free: nothing else runs yet
	}
	app := d.world.opt.Apps[d.cfg.App]
	d.kernel.NewThread(d.cfg.Name+" app", appPriority, func(th *rtos.Thread) {
		if app != nil {
			app(th.Task(), d.client)
			return
		}
		d.do(th.Task(), d.cfg.Steps)
	})
	if d.cfg.Reconnect > 0 {
		d.kernel.NewThread(d.cfg.Name+" reconnect", appPriority, func(th *rtos.Thread) { d.keepConnected(th.Task()) })
	}
}

// observe tells a device's application of its client's events.
func (w *World) observe(e *trace.Event) {
	if d := w.byName[e.Node]; d != nil && d.on {
		d.observe(e)
	}
}

// observe keeps what the application knows of its client.
func (d *device) observe(e *trace.Event) {
	switch e.Kind {
	case trace.KindConnected:
		d.connected = e.Status == 0
	case trace.KindDisconnected:
		if d.connected = false; d.client.Mode() == mqtt.ModeNetX { // the fixed client keeps them
			d.queued = 0
		}
	case trace.KindAcked: // the client's queue is shorter
	case trace.KindReceived:
		d.queued = int(e.Count)
	case trace.KindMessageGet:
		if !took(e) {
			return
		}
		d.queued--
	default:
		return
	}
	d.changed.Broadcast()
}

// ticks turns a wait into clock ticks, rounded up.
func (d *device) ticks(wait time.Duration) rtos.Ticks {
	tick := time.Second / time.Duration(d.kernel.TicksPerSecond())
	n := (wait + tick - 1) / tick
	return rtos.Ticks(min(int64(n), math.MaxUint32-1))
}

// connect connects with the scenario's options.
func (d *device) connect(t *sim.Task) mqtt.Status {
	m := &d.cfg.MQTT
	d.trying = true
	defer func() {
		d.trying = false
		d.changed.Broadcast()
	}()
	peer, status := d.find(t, d.peer(t))
	if !status.OK() {
		d.unconnected(status)
		return status
	}
	// NetX forgets both at every disconnect, so they are set before each connect.
	if m.Login != nil {
		if s := d.client.LoginSet([]byte(m.Login.User), []byte(m.Login.Password)); !s.OK() {
			return s
		}
	}
	if m.Will != nil {
		if s := d.client.WillMessageSet([]byte(m.Will.Topic), []byte(m.Will.Message), m.Will.Retain, uint8(m.Will.QoS)); !s.OK() {
			return s
		}
	}
	keepalive, wait := uint32(m.Keepalive.Std()/time.Second), d.ticks(m.Wait.Std())
	if m.TLS != nil {
		setup := func(_ *mqtt.Client, s *mqtt.TLSSession) mqtt.Status { return d.session(s) }
		return d.client.SecureConnect(peer, setup, keepalive, m.CleanSession, wait)
	}
	return d.client.Connect(peer, keepalive, m.CleanSession, wait)
}

// keepConnected connects again, a pause after a connection has ended or an
// attempt has failed.
func (d *device) keepConnected(t *sim.Task) {
	backoff := mqtt.Backoff{After: d.cfg.Reconnect.Std()}
	if b := d.cfg.Backoff; b != nil {
		backoff.Max, backoff.Factor, backoff.Jitter = b.Max.Std(), b.Factor, float64(b.Jitter)
	}
	draws := sim.NewRand(d.world.sc.Seed, fmt.Sprintf("reconnect/%s/%d", d.cfg.Name, d.boots))
	failed := 0
	for {
		for !d.wanted || d.connected || d.trying {
			if d.connected {
				failed = 0
			}
			t.Wait(&d.changed, -1)
		}
		t.Sleep(backoff.Pause(failed, draws))
		if d.wanted && !d.connected && !d.trying {
			failed++
			d.connect(t)
		}
	}
}
