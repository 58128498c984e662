package emu

import (
	"fmt"
	"math"
	"time"

	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack"
	"hilnet/trace"
	"hilnet/wire"
)

// appPriority is the application threads' priority: below the client's thread,
// as in NetX's own samples.
const appPriority = 20

// A device is one model device: kernel, pool, NIC, stack, client, application.
type device struct {
	world    *World
	cfg      *scenarios.Device
	kernel   *rtos.Kernel
	pool     *nic.Pool
	nic      *nic.NIC
	host     *stack.Host
	client   *mqtt.Client
	nicState setting[nic.State]

	// What the application knows, from the client's events.
	changed   sim.Cond // signalled when one of these changes
	connected bool
	queued    int  // received messages that wait for message_get
	unacked   int  // QoS 1 messages published and not acknowledged
	wanted    bool // the application wants a connection: reconnect works for it
	trying    bool // an attempt to connect is under way
	numbers   map[*scenarios.Publish]int
}

func (w *World) newDevice(cfg *scenarios.Device) (*device, error) {
	d := &device{world: w, cfg: cfg, numbers: map[*scenarios.Publish]int{}}
	d.kernel = rtos.NewKernel(w.loop, rtos.Config{})
	var err error
	d.pool, err = nic.NewPool(d.kernel, w.trace, nic.PoolConfig{
		Name: scenarios.StagePool, Node: cfg.Name, Payload: int(cfg.Pool.Payload),
		Packets: cfg.Pool.Packets, Memory: int(cfg.Pool.Memory),
	})
	if err != nil {
		return nil, err
	}
	d.nic, err = nic.New(w.loop, d.kernel, w.trace, nic.Config{
		Node: cfg.Name, MAC: cfg.MAC, RXPool: d.pool, MTU: cfg.MTU,
	})
	if err != nil {
		return nil, err
	}
	d.nicState = setting[nic.State]{base: nic.LinkUp, apply: d.nic.SetState}
	d.host, err = stack.New(w.loop, w.trace, stack.Config{
		Node: cfg.Name, MAC: wire.MAC(cfg.MAC), Addr: cfg.Address, Gateway: cfg.Gateway, MTU: cfg.MTU,
		Profile: w.profile(d),
	}, nil)
	if err != nil {
		return nil, err
	}
	w.onClose(func() error { d.host.Close(); return nil })
	if err := d.host.Attach(d.kernel, d.nic); err != nil {
		return nil, err
	}
	quirks := mqtt.NetX642()
	if cfg.Quirks.None {
		quirks = mqtt.NoQuirks()
	}
	d.client, err = mqtt.Create(mqtt.Config{
		Kernel: d.kernel, Pool: d.pool, Socket: d.host.NewSocket(cfg.Name + " socket"), Trace: w.trace,
		Node: cfg.Name, ClientID: cfg.MQTT.ClientID, ThreadPriority: cfg.MQTT.ThreadPriority, Quirks: &quirks,
	})
	if err != nil {
		return nil, err
	}
	w.trace.Subscribe(d.observe)
	return d, nil
}

func stackProfile(p scenarios.Profile) stack.Profile {
	switch p {
	case scenarios.ProfileNetX:
		return stack.NetX()
	case scenarios.ProfileLinux:
		return stack.Linux()
	}
	panic(fmt.Sprintf("emu: profile %q passed validation", p))
}

// start starts the application.
func (d *device) start() {
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

// observe keeps what the application knows of its client.
func (d *device) observe(e *trace.Event) {
	if e.Node != d.cfg.Name {
		return
	}
	switch e.Kind {
	case trace.KindConnected:
		d.connected = e.Status == 0
	case trace.KindDisconnected:
		d.connected, d.queued = false, 0
	case trace.KindPublish:
		if e.Status != 0 || e.QoS == 0 {
			return
		}
		d.unacked++
	case trace.KindAcked:
		d.unacked--
	case trace.KindReceived:
		d.queued = int(e.Count)
	case trace.KindMessageGet:
		if e.Status != 0 {
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
func (d *device) connect() mqtt.Status {
	m := &d.cfg.MQTT
	d.trying = true
	defer func() {
		d.trying = false
		d.changed.Broadcast()
	}()
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
	return d.client.Connect(d.world.brokerAddr(), uint32(m.Keepalive.Std()/time.Second), m.CleanSession, d.ticks(m.Wait.Std()))
}

// keepConnected connects again, a pause after a connection has ended or an
// attempt has failed.
func (d *device) keepConnected(t *sim.Task) {
	pause := d.cfg.Reconnect.Std()
	for {
		for !d.wanted || d.connected || d.trying {
			t.Wait(&d.changed, -1)
		}
		t.Sleep(pause)
		if d.wanted && !d.connected && !d.trying {
			d.connect()
		}
	}
}
