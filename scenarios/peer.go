package scenarios

import (
	"fmt"
	"slices"

	"hilnet/stack/gateway"
)

// This file is the peers that hilnet does not model: a real broker behind a TAP,
// the machine's own sockets, an emulator or a board.

// A Gateway is the way from the emulated network to the machine's own sockets.
type Gateway struct {
	// Where connections to the broker's address and port lead: HOST:PORT, with an IPv4 address or a name that this machine resolves. Default: 127.0.0.1 and the broker's port.
	To string `yaml:"to" min:"1" max:"300" alt:"localhost:1884"`
	// What else devices may reach, as HOST or HOST:PORT; HOST is an IPv4 address, a network such as 192.0.2.0/24, or a name, which allows the addresses that this machine resolves it to. Beside these and to, only this machine's loopback can be reached, as the other ports of the broker's address.
	Allow []string `yaml:"allow" max:"100" alt:"[192.0.2.7:8883]"`
	// How many TCP connections there may be at a time, 1 to 65535; each takes a descriptor of this machine.
	Connections int `yaml:"connections" min:"1" max:"65535" default:"4096" alt:"1"`
	// A TCP connection that carries nothing for this long is reset. Default: never.
	Idle Duration `yaml:"idle" min:"1ms" max:"8760h" alt:"1s"`
}

// Real reports whether the broker is one that is not hilnet's, live.
func (k BrokerKind) Real() bool { return slices.Contains(realBrokers, k) }

var realBrokers = []BrokerKind{BrokerTap, BrokerGateway, BrokerSocket, BrokerBoard}

// AtEdge reports whether the broker is somewhere behind one interface of the
// machine's, at which hilnet sees its frames.
func (k BrokerKind) AtEdge() bool { return k.Real() && k != BrokerGateway }

// fillPeer sets what a real broker left out and depends on other values.
func (b *Broker) fillPeer() {
	switch {
	case b.Kind == BrokerGateway && b.Gateway == nil:
		b.Gateway = &Gateway{}
		setDefaults(valueOf(b.Gateway))
	case b.Kind == BrokerSocket && b.Socket == nil:
		b.Socket = &DeviceSocket{}
		setDefaults(valueOf(b.Socket))
	}
	if g := b.Gateway; g != nil && g.To == "" {
		g.To = fmt.Sprintf("127.0.0.1:%d", b.Port)
	}
}

// peerKeys are the sections of the broker that belong to its kinds.
func (b *Broker) peerKeys() []peerKey {
	return []peerKey{
		{"tap", b.Tap != nil, "TAP", []BrokerKind{BrokerTap}},
		{"gateway", b.Gateway != nil, "gateway", []BrokerKind{BrokerGateway}},
		{"socket", b.Socket != nil, "socket", []BrokerKind{BrokerSocket}},
		{"board", b.Board != nil, "board", []BrokerKind{BrokerBoard}},
	}
}

type peerKey struct {
	key   string
	set   bool
	name  string
	kinds []BrokerKind
}

// peer checks a broker's sections, and a real broker.
func (c *checker) peer() {
	b := &c.s.Broker
	for _, k := range b.peerKeys() {
		if k.set && !slices.Contains(k.kinds, b.Kind) {
			c.failf("broker."+k.key, fmt.Sprintf("add kind: %s, or remove %s", k.kinds[0], k.key), "a broker of kind %s has no %s", b.Kind, k.name)
		}
	}
	if !b.Kind.Real() {
		if b.Exec != nil {
			c.failf("broker.exec", "add kind: tap, gateway, socket or board, or remove exec", "a broker of kind %s needs no program", b.Kind)
		}
		return
	}
	if c.s.Clock != Real {
		why := "a real broker needs the real clock"
		if b.Kind == BrokerGateway {
			why = "the gateway leads to this machine's sockets, which know no virtual time"
		}
		c.failf("broker.kind", "add clock: real", "%s", why)
	}
	if c.s.Speed != 1 {
		c.failf("speed", "remove speed", "a real broker runs at speed 1")
	}
	switch b.Kind {
	case BrokerTap:
		c.brokerTap(b)
	case BrokerGateway:
		c.gateway("broker.gateway", b.Gateway)
	case BrokerSocket:
		c.socket("broker.socket", b.Socket, b.Exec, "the broker")
	case BrokerBoard:
		c.board("broker", b.Board, "broker")
	}
}

func (c *checker) brokerTap(b *Broker) {
	if b.Exec == nil && b.Tap.Netns == PrivateNetns {
		c.failf("broker.tap.netns", "add exec: with the broker, or name a namespace", "nobody is in a private namespace")
	}
	if !interfacePattern.MatchString(b.Tap.Name) {
		c.failf("broker.tap.name", "use letters, digits, hyphens and dots", "%q is not the name of an interface", b.Tap.Name)
	}
	if b.Tap.Netns != "" && !interfacePattern.MatchString(b.Tap.Netns) {
		c.failf("broker.tap.netns", "use the name that ip netns list shows", "%q is not the name of a network namespace", b.Tap.Netns)
	}
}

const destinationHint = "write an IPv4 address, a network or a name, and a port behind a colon, such as 192.0.2.7:8883"

func (c *checker) gateway(path string, g *Gateway) {
	if _, err := gateway.ParseTarget(g.To); err != nil {
		c.failf(path+".to", "write an IPv4 address or a name, and a port, such as 127.0.0.1:1883", "%v", err)
	}
	for i, text := range g.Allow {
		if _, err := gateway.ParseDestination(text); err != nil {
			c.failf(index(path+".allow", i), destinationHint, "%v", err)
		} else if slices.Contains(g.Allow[:i], text) {
			c.failf(index(path+".allow", i), "remove one of them", "%s stands here twice", text)
		}
	}
}

// Destinations returns what Allow says, of a scenario that was checked.
func (g *Gateway) Destinations() []gateway.Destination {
	all := make([]gateway.Destination, 0, len(g.Allow))
	for _, text := range g.Allow {
		d, err := gateway.ParseDestination(text)
		if err != nil {
			panic("scenarios: " + err.Error())
		}
		all = append(all, d)
	}
	return all
}
