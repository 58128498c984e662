package scenarios

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"hilnet/tap/socket"
)

// This file is the devices that hilnet does not model: a real stack, firmware or
// a board behind the link.

// PrivateNetns is the name of a network namespace that is made for the run and
// goes with it.
const PrivateNetns = "private"

// A DeviceTap is the TAP interface that a real device is at.
type DeviceTap struct {
	// Name of the interface, at most 15 characters. It is made when it does not exist. Default: dut0 for the first device, then counting up.
	Name string `yaml:"name" min:"1" max:"15" alt:"dut7"`
	// Which end of the TAP the device is. kernel: the device is the Linux kernel with the programs above it, and hilnet holds the descriptor. descriptor: the device opens the TAP itself, as QEMU, lwIP, RIOT and Zephyr do; hilnet has a TAP of its own, and a bridge joins the two.
	Side TapSide `yaml:"side" default:"kernel" alt:"descriptor"`
	// 2: a TAP, which has Ethernet. 3: a TUN, which has packets only, as a modem or a VPN has; hilnet speaks Ethernet and ARP for it, with the device's mac as a made-up address. IPv4 and side kernel only.
	Layer int `yaml:"layer" min:"2" max:"3" default:"2" alt:"3"`
	// Network namespace that the interface, and what exec runs, are in, as in ip netns; private: one that is made for the run and goes with it. Default: the one the program runs in.
	Netns string `yaml:"netns" min:"1" max:"64" alt:"private"`
}

// TapSide is the end of a TAP that a device is.
type TapSide string

// The ends of a TAP.
const (
	KernelSide     TapSide = "kernel"
	DescriptorSide TapSide = "descriptor"
)

// Values returns the valid ends.
func (TapSide) Values() []string { return []string{string(KernelSide), string(DescriptorSide)} }

// Layer3 is the layer of a DeviceTap that is a TUN.
const Layer3 = 3

// A DeviceSocket is the unix socket that an emulator sends its frames over.
type DeviceSocket struct {
	// stream: the emulator connects to us, as QEMU's -netdev stream does with server=off. dgram: each side has a socket, as with QEMU's -netdev dgram.
	Mode SocketMode `yaml:"mode" default:"stream" alt:"dgram"`
	// Path of our socket, at most 107 bytes. Default: in a folder of the run; what exec runs finds it in $HILNET_SOCKET.
	Path string `yaml:"path" min:"1" max:"107" alt:"/tmp/dut.sock"`
	// With dgram: path of the emulator's socket. Default: in a folder of the run; what exec runs finds it in $HILNET_REMOTE.
	Remote string `yaml:"remote" min:"1" max:"107" alt:"/tmp/emulator.sock"`
}

// SocketMode is how frames pass a unix socket.
type SocketMode string

// The modes of a socket.
const (
	SocketStream SocketMode = "stream"
	SocketDgram  SocketMode = "dgram"
)

// Values returns the valid modes.
func (SocketMode) Values() []string { return []string{string(SocketStream), string(SocketDgram)} }

// A QMP is QEMU's monitor, by which link_down pulls the cable inside QEMU.
type QMP struct {
	// Path of the monitor's socket, as in -qmp unix:PATH,server=on,wait=off. Default: in a folder of the run; what exec runs finds it in $HILNET_QMP.
	Path string `yaml:"path" min:"1" max:"107" alt:"/tmp/qmp.sock"`
	// The id of the -netdev whose cable it is.
	Device string `yaml:"device" min:"1" max:"64" default:"net0" alt:"net1"`
}

// A Board is a physical board at a network interface of this machine.
type Board struct {
	// The interface that the board is at. It must have no address, carry no route and be no bridge's: it is lent to hilnet for the run.
	NIC string `yaml:"nic" required:"true" min:"1" max:"15" alt:"eth7" short:"true"`
}

// An Exec is a program that runs beside the scenario.
type Exec struct {
	// What /bin/sh -c is given. It finds what the scenario knows in variables such as $HILNET_TAP, $HILNET_SOCKET, $HILNET_ADDRESS, $HILNET_BROKER and $HILNET_PORT (docs/hil.md has all). Its output is in the trace. All its processes end with the run.
	Command string `yaml:"command" required:"true" min:"1" max:"4096" alt:"echo other" short:"true"`
}

// Oracles are what no device may do, ours or real. Each is a finding when it does.
type Oracles struct {
	// The device leaves ARP requests for its address unanswered for this long while its peer goes on asking. Default: not watched.
	ARPUnanswered Duration `yaml:"arp_unanswered" min:"100ms" max:"8760h" alt:"1s"`
	// No TCP segment with new data or a new acknowledgement passes the device's end of the link for this long. Default: not watched.
	NoProgress Duration `yaml:"no_progress" min:"100ms" max:"8760h" alt:"1s"`
	// The device opens its next TCP connection sooner than this after the end of the last one. Default: not watched.
	ReconnectMin Duration `yaml:"reconnect_min" min:"1ms" max:"8760h" alt:"30s"`
	// The device opens no TCP connection for this long after the end of the last one. Default: not watched.
	ReconnectMax Duration `yaml:"reconnect_max" min:"1ms" max:"8760h" alt:"500ms"`
	// The device sends while its link is down and it knows it, for more than 100 ms after it went down.
	SendsWhileDown bool `yaml:"sends_while_down" default:"false" alt:"true"`
	// The device opens two TCP connections with the same initial sequence number.
	ISNRepeated bool `yaml:"isn_repeated" default:"false" alt:"true"`
}

// Model reports whether the device is one of hilnet's own.
func (d *Device) Model() bool { return d.Kind == KindModel }

// Models returns the devices that are hilnet's own.
func (s *Scenario) Models() int {
	n := 0
	for i := range s.Devices {
		if s.Devices[i].Model() {
			n++
		}
	}
	return n
}

// Execs returns the commands that the scenario runs on this machine.
func (s *Scenario) Execs() []string {
	var all []string
	for i := range s.Devices {
		if e := s.Devices[i].Exec; e != nil {
			all = append(all, e.Command)
		}
	}
	if e := s.Broker.Exec; e != nil {
		all = append(all, e.Command)
	}
	return all
}

// realKeys are the keys of a device that mean something for one that is not a
// model, by its kind.
var realKeys = map[DeviceKind][]string{
	KindTap:    {"name", "count", "kind", "mac", "address", "gateway", "mtu", "mqtt", "tap", "qmp", "exec"},
	KindSocket: {"name", "count", "kind", "mac", "address", "gateway", "mqtt", "socket", "qmp", "exec"},
	KindBoard:  {"name", "count", "kind", "mac", "address", "gateway", "mqtt", "board", "exec"},
}

// execKeys are keys that mean something with exec.
var execKeys = []string{"start", "start_spread", "boot"}

// real checks a device that is not a model.
func (c *checker) real(path string, d *Device) {
	if c.s.Clock != Real {
		c.failf(path+".kind", "add clock: real", "a device of kind %s needs the real clock", d.Kind)
	}
	if c.s.Speed != 1 {
		c.failf("speed", "remove speed", "a device of kind %s runs at speed 1", d.Kind)
	}
	standard := NewDevice()
	v, w := valueOf(d), valueOf(&standard)
	for _, f := range fieldsOf(v.Type()) {
		switch {
		case slices.Contains(realKeys[d.Kind], f.key), reflect.DeepEqual(v.FieldByIndex(f.index).Interface(), w.FieldByIndex(f.index).Interface()):
		case slices.Contains(execKeys, f.key):
			if d.Exec == nil {
				c.failf(join(path, f.key), "add exec: with the program, or remove it", "hilnet does not start the device %s, and knows nothing of its start", d.Name)
			}
		default:
			c.failf(join(path, f.key), "remove it", "a device of kind %s has no %s that hilnet could set", d.Kind, f.key)
		}
	}
	m := d.MQTT
	m.ClientID = ""
	if !reflect.DeepEqual(m, standard.MQTT) {
		c.failf(path+".mqtt", "keep client_id, by which the broker's events are told to be the device's", "a device of kind %s has an MQTT client of its own", d.Kind)
	}
	switch d.Kind {
	case KindTap:
		c.deviceTap(path+".tap", d)
	case KindSocket:
		c.socket(path+".socket", d.Socket, d.Exec, d.Name)
	case KindBoard:
		c.board(path, d.Board, "device")
	}
	if d.Gateway.IsValid() && d.Exec == nil && (d.Kind != KindTap || d.Tap.Side != KernelSide) {
		c.failf(path+".gateway", "remove it, and set it in the device", "hilnet cannot give a device of kind %s a gateway", d.Kind)
	}
}

func (c *checker) deviceTap(path string, d *Device) {
	t := d.Tap
	if !interfacePattern.MatchString(t.Name) {
		c.failf(path+".name", "use letters, digits, hyphens and dots", "%q is not the name of an interface", t.Name)
	}
	if t.Netns != "" && !interfacePattern.MatchString(t.Netns) {
		c.failf(path+".netns", "use the name that ip netns list shows, or private", "%q is not the name of a network namespace", t.Netns)
	}
	if t.Netns == PrivateNetns && d.Exec == nil {
		c.failf(path+".netns", "add exec: with the program that is the device, or name a namespace", "nobody is in a private namespace")
	}
	if d.QMP != nil && t.Side == KernelSide {
		c.failf(strings.TrimSuffix(path, "tap")+"qmp", "add side: descriptor to tap, or remove qmp", "a Linux kernel at the other end has no QEMU monitor")
	}
	if t.Layer == Layer3 && t.Side == DescriptorSide {
		c.failf(path+".layer", "remove side, or have the program open a TAP", "a bridge joins two TAPs, and a TUN has no Ethernet that it could join")
	}
	if t.Side == KernelSide && d.Gateway.IsValid() && t.Netns == "" {
		c.failf(strings.TrimSuffix(path, "tap")+"gateway", "put the device into a namespace: tap: {netns: private}", "a gateway would become this machine's own default route")
	}
}

// board checks the interface that a board is at.
func (c *checker) board(path string, b *Board, what string) {
	if b == nil {
		c.failf(path, "add board: {nic: eth1}", "a %s of kind board needs the interface that the board is at", what)
	} else if !interfacePattern.MatchString(b.NIC) {
		c.failf(path+".board.nic", "use the name that ip link shows", "%q is not the name of an interface", b.NIC)
	}
}

// socket checks the socket of whose.
func (c *checker) socket(path string, s *DeviceSocket, exec *Exec, whose string) {
	if s.Remote != "" && s.Mode == SocketStream {
		c.failf(path+".remote", "remove it, or write mode: dgram", "with stream the emulator connects to our socket")
	}
	for _, p := range []struct{ key, value string }{{"path", s.Path}, {"remote", s.Remote}} {
		if p.value == "" {
			continue
		}
		if err := socket.CheckPath(p.value); err != nil {
			c.failf(join(path, p.key), "choose a shorter path", "%v", err)
		}
	}
	if s.Path == "" && exec == nil {
		c.failf(path, "add path: with the socket that the emulator is told, or exec: with the emulator", "nobody would know where the socket of %s is", whose)
	}
	if s.Mode == SocketDgram && s.Remote == "" && exec == nil {
		c.failf(path, "add remote: with the emulator's socket, or exec: with the emulator", "nobody would know where the emulator's socket is")
	}
	if s.Path != "" && s.Path == s.Remote {
		c.failf(path+".remote", "choose another path", "both sides are at %s", s.Path)
	}
}

// fillReal sets what a real device left out and depends on other values.
func (d *Device) fillReal(position int) {
	switch d.Kind {
	case KindTap:
		if d.Tap == nil {
			d.Tap = &DeviceTap{}
			setDefaults(valueOf(d.Tap))
		}
		if d.Tap.Name == "" {
			d.Tap.Name = fmt.Sprintf("dut%d", position)
		}
	case KindSocket:
		if d.Socket == nil {
			d.Socket = &DeviceSocket{}
			setDefaults(valueOf(d.Socket))
		}
	}
}

// downs checks that an action on a real device is one that its kind allows.
func (c *checker) downs(path string, a *Action, d *Device) {
	if d.Model() {
		return
	}
	switch a.Do {
	case Leak, ReleaseLeak:
		c.failf(path+".do", "leave it to devices of kind model", "hilnet has no hold of the packet pool of %s, a device of kind %s", d.Name, d.Kind)
	case ResetDevice, PowerCut:
		if d.Exec == nil {
			c.failf(path+".do", "add exec: to the device", "hilnet did not start %s and cannot end it", d.Name)
		}
	case LinkDown:
		if (d.Kind == KindSocket || d.Kind == KindTap && d.Tap.Side == DescriptorSide) && d.QMP == nil {
			c.failf(path+".do", "add qmp: {} to the device when it is QEMU; else use blackhole, or tx_error at a TAP",
				"the cable of %s is inside the program that emulates it", d.Name)
		}
	case TxError:
		if d.Kind != KindTap || d.Tap.Side != DescriptorSide {
			why := "hilnet cannot make the sending of frames fail inside " + d.Name
			if d.Kind == KindTap {
				why = "a Linux kernel's TAP takes every frame while its carrier is on"
			}
			c.failf(path+".do", "use link_down or blackhole; tx_error is for tap: {side: descriptor}", "%s", why)
		}
	}
}

// allDowns is downs for an action on several devices.
func (c *checker) allDowns(path string, a *Action) {
	for i := range c.s.Devices {
		if d := &c.s.Devices[i]; !d.Model() && slices.Contains(a.Devices, d.Name) {
			c.downs(path, a, d)
		}
	}
}

// realNames checks that real devices do not share what only one can have.
func (c *checker) realNames() {
	taken := map[string]string{}
	take := func(path, what, name, netns string) {
		key := what + " " + name + " in " + netns
		if netns == PrivateNetns {
			return // each has its own
		}
		if other, found := taken[key]; found {
			c.failf(path, "give each its own", "the %s %s is taken by %s", what, name, other)
		}
		taken[key] = path
	}
	if t := c.s.Broker.Tap; t != nil {
		take("broker.tap.name", "interface", t.Name, t.Netns)
	}
	sockets := func(path string, s *DeviceSocket) {
		for _, p := range []string{s.Path, s.Remote} {
			if p != "" && s.Path != s.Remote { // else that is said already
				take(path+".socket", "socket", p, "")
			}
		}
	}
	if b := &c.s.Broker; b.Kind == BrokerBoard && b.Board != nil {
		take("broker.board.nic", "interface", b.Board.NIC, "")
	} else if b.Kind == BrokerSocket {
		sockets("broker", b.Socket)
	}
	for i := range c.s.Devices {
		d, path := &c.s.Devices[i], index("devices", i)
		switch {
		case d.Kind == KindTap:
			take(path+".tap.name", "interface", d.Tap.Name, d.Tap.Netns)
		case d.Kind == KindBoard && d.Board != nil:
			take(path+".board.nic", "interface", d.Board.NIC, "")
		case d.Kind == KindSocket:
			sockets(path, d.Socket)
		}
	}
}

// start checks that a device starts before the run ends.
func (c *checker) start(path string, d *Device) {
	if d.Start+d.StartSpread >= c.s.Duration {
		what := path + ".start"
		if d.Start < c.s.Duration {
			what = path + ".start_spread"
		}
		c.failf(what, "make the run longer, or let it start earlier", "%s may start at %s, and the run ends at %s", d.Name, d.Start+d.StartSpread, c.s.Duration)
	}
}

// modelOnly checks that a model has no key of a real device.
func (c *checker) modelOnly(path string, d *Device) {
	for _, k := range []struct {
		key string
		set bool
	}{{"tap", d.Tap != nil}, {"socket", d.Socket != nil}, {"board", d.Board != nil}, {"qmp", d.QMP != nil}, {"exec", d.Exec != nil}} {
		if k.set {
			c.failf(join(path, k.key), "add kind: tap, socket or board, or remove it", "a device of kind model has no %s", k.key)
		}
	}
}
