package extract

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"hilnet/pcaps/flow"
	"hilnet/wire"
)

// ErrNoDevice is a capture in which nobody opens a TCP connection.
var ErrNoDevice = errors.New("extract: the capture has no TCP connection, so it does not say which side is the device: name its address")

// tapWindow is how soon after a frame the same one again is the tap's doing.
const tapWindow = int64(1e6)

// ends finds the device and gives each frame its direction.
func (c *Capture) ends() (netip.Addr, error) {
	device := c.cfg.Device
	if !device.IsValid() {
		if device = c.guess(); !device.IsValid() {
			return device, ErrNoDevice
		}
	}
	own := c.hardware(device)
	found := false
	for i := range c.packets {
		p := &c.packets[i]
		switch {
		case p.src == device && p.dst == device:
			p.way = c.within(p)
			found = found || p.way != noWay
		case p.src == device:
			p.way, found = up, true
		case p.dst == device:
			p.way = down
		case p.hasMAC && own[p.srcMAC]:
			p.way = up
		case p.hasMAC && len(own) > 0 && (own[p.dstMAC] || p.dstMAC.IsMulticast()):
			p.way = down
		default:
			p.way = noWay
		}
		found = found || p.way != noWay && p.dst == device
	}
	if !found {
		return device, fmt.Errorf("extract: %s has no frame of the device %v", c.File, device)
	}
	c.twins()
	return device, nil
}

// within gives a frame between two ends on one host, as on a loopback interface, its
// direction: from who opened the connection or to it.
func (c *Capture) within(p *packet) way {
	i, found := slices.BinarySearchFunc(c.conns, p.conn, func(v *flow.Conversation, id uint64) int { return cmp.Compare(v.ID, id) })
	switch {
	case !found:
		return noWay
	case p.side == clientOf(c.conns[i]):
		return up
	}
	return down
}

// guess returns who opened the connections: to an MQTT port if there are such, and
// with the most frames.
func (c *Capture) guess() netip.Addr {
	type host struct {
		addr   netip.Addr
		mqtt   bool
		frames int
	}
	var hosts []host
	at := map[netip.Addr]int{} // looked up only
	for _, v := range c.conns {
		client := v.Client
		if client == flow.NoSide {
			client = flow.SideA
		}
		addr := v.Half(client).Addr.Addr()
		i, known := at[addr]
		if !known {
			i = len(hosts)
			at[addr], hosts = i, append(hosts, host{addr: addr})
		}
		hosts[i].mqtt = hosts[i].mqtt || v.Protocol == flow.ProtocolMQTT || v.Role == flow.RoleByPort || c.mqttPort(v.Half(client.Peer()).Addr.Port())
		hosts[i].frames += v.A.Frames + v.B.Frames
	}
	best := host{}
	for _, h := range hosts {
		if h.mqtt && !best.mqtt || h.mqtt == best.mqtt && h.frames > best.frames {
			best = h
		}
	}
	if best.addr.IsValid() {
		return best.addr
	}
	return c.asker()
}

// asker returns who asks for others in vain, where there is no connection at all.
func (c *Capture) asker() netip.Addr {
	answered := map[netip.Addr]bool{} // looked up only
	for i := range c.packets {
		if p := &c.packets[i]; p.arp && p.flags == arpReply {
			answered[p.src] = true
		}
	}
	for i := range c.packets {
		if p := &c.packets[i]; p.arp && p.flags != arpReply && p.src != p.dst && !p.src.IsUnspecified() && !answered[p.dst] {
			return p.src
		}
	}
	return netip.Addr{}
}

// arpReply stands in the flags of an ARP packet that answers.
const arpReply = wire.TCPFlags(wire.ARPReply)

func (c *Capture) mqttPort(port uint16) bool {
	const plain, tls = 1883, 8883
	return slices.Contains(c.cfg.MQTTPorts, port) || len(c.cfg.MQTTPorts) == 0 && port == plain || port == tls
}

// hardware returns the device's hardware addresses: those that its packets come
// from and nobody else's do. Behind a router it has none here.
func (c *Capture) hardware(device netip.Addr) map[wire.MAC]bool {
	own, shared := map[wire.MAC]bool{}, map[wire.MAC]bool{} // looked up only
	for i := range c.packets {
		p := &c.packets[i]
		switch {
		case !p.hasMAC || !p.src.IsValid():
		case p.src == device:
			own[p.srcMAC] = true
		case p.src.Is6() != device.Is6() || p.src.IsLinkLocalUnicast() || p.src.IsUnspecified():
			// may be another address of the same host
		default:
			shared[p.srcMAC] = true
		}
	}
	maps.DeleteFunc(own, func(m wire.MAC, _ bool) bool { return shared[m] })
	return own
}

// twins marks frames that the tap saw twice. Segments without data and IP
// identification are alike, so they are not judged.
func (c *Capture) twins() {
	const look = 64
	for i := range c.packets {
		p := &c.packets[i]
		p.twin = false
		if p.arp || p.conn == 0 || p.payload == 0 && (!p.v4 || p.ipID == 0) {
			continue
		}
		for j := i - 1; j >= 0 && j >= i-look && p.at-c.packets[j].at < tapWindow; j-- {
			if q := &c.packets[j]; q.lane == p.lane && q.key == p.key && q.body == p.body && q.way == p.way && p.at >= q.at && (!p.hasID || q.id == p.id) {
				p.twin = true
				break
			}
		}
	}
}

// split makes two captures of one that has two interfaces.
func (c *Capture) split() (*Capture, *Capture) {
	if c.lanes != 2 {
		return c, nil
	}
	a, b := *c, *c
	a.packets, b.packets = nil, nil
	a.lanes, b.lanes = 1, 1
	first := c.packets[0].lane
	for i := range c.packets {
		if c.packets[i].lane == first {
			a.packets = append(a.packets, c.packets[i])
		} else {
			b.packets = append(b.packets, c.packets[i])
		}
	}
	return &a, &b
}

// list returns the frames of a direction, by index, without what the tap doubled.
func (c *Capture) list(w way) []int {
	var all []int
	for i := range c.packets {
		if c.packets[i].way == w && !c.packets[i].twin {
			all = append(all, i)
		}
	}
	return all
}
