package frames

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"hilnet/wire"
)

// A RewriteConfig says what changes in frames before they go out. The zero value
// changes nothing.
//
// Checksums are repaired by what changed (RFC 1624), so that one that was wrong
// in the capture stays wrong, and one that the capture cut off is no matter.
// FixChecksums computes them anew instead, for captures that were taken in front
// of a network card that fills them in.
type RewriteConfig struct {
	// MACs maps Ethernet addresses, in Ethernet and ARP; the first that fits counts.
	MACs []MACMap
	// Src and Dst, if set, are every frame's addresses, after MACs. With both, frames
	// of captures without Ethernet headers can be sent too.
	Src, Dst *wire.MAC
	// Networks maps IP addresses, in IP, ARP, neighbour discovery and what ICMP
	// errors quote; the first that fits counts.
	Networks []NetworkMap
	// Ports maps TCP and UDP ports.
	Ports []PortMap
	// VLAN is what becomes of the outermost tag.
	VLAN VLANChange
	// TTL changes time to live and hop limit, TOS is the type of service and
	// traffic class.
	TTL TTLChange
	TOS *uint8
	// MTU cuts longer IP packets, 68 or more. 0: none.
	MTU          int
	FixChecksums bool
	// Cut says what is done with frames that the capture holds only in part.
	Cut CutFrames
}

// A MACMap maps one Ethernet address to another.
type MACMap struct{ From, To wire.MAC }

// A NetworkMap maps the addresses of one network to those of another of the same
// size: the bits behind the prefix stay.
type NetworkMap struct{ From, To netip.Prefix }

// A PortMap maps one port to another.
type PortMap struct{ From, To uint16 }

// A VLANChange is what becomes of VLAN tags. The zero value keeps them.
type VLANChange struct {
	Strip bool   // take the outermost away
	Set   bool   // give the outermost this identifier, adding a tag where there is none
	ID    uint16 // 0 to 4095
}

// A TTLChange changes the time to live. The zero value keeps it.
type TTLChange struct {
	Set   bool  // to Value
	Value uint8 // 1 to 255
	Add   int   // otherwise: add this, and stay between 1 and 255
}

// CutFrames is what is done with frames that the capture holds only in part.
type CutFrames uint8

// What is done with them.
const (
	PadCut  CutFrames = iota // zeros make them as long as they were
	SendCut                  // they go out as they are
	SkipCut                  // they don't go out
)

// Validate returns an error for a config that cannot be carried out.
func (c *RewriteConfig) Validate() error {
	for _, n := range c.Networks {
		if !n.From.IsValid() || !n.To.IsValid() || n.From.Bits() != n.To.Bits() || n.From.Addr().Is4() != n.To.Addr().Is4() {
			return fmt.Errorf("frames: networks %v and %v are not of one size", n.From, n.To)
		}
	}
	switch {
	case c.VLAN.ID > 4095:
		return fmt.Errorf("frames: VLAN %d is not between 0 and 4095", c.VLAN.ID)
	case c.VLAN.Set && c.VLAN.Strip:
		return errors.New("frames: a VLAN tag is either set or stripped")
	case c.TTL.Set && c.TTL.Value == 0:
		return errors.New("frames: a time to live of 0 is not sent")
	case c.MTU != 0 && (c.MTU < 68 || c.MTU > 65535):
		return fmt.Errorf("frames: mtu %d is not between 68 and 65,535", c.MTU)
	}
	return nil
}

// The reasons why a frame of the capture cannot be sent.
var (
	errLinkType = errors.New("no_ethernet_header")
	errCut      = errors.New("cut_in_capture")
	errRunt     = errors.New("too_short")
)

// A rewriter changes frames, one after the other.
type rewriter struct {
	cfg    RewriteConfig
	layers wire.Layers
	edits  bool // something is looked for behind the Ethernet header

	padded, unread, uncut uint64 // see SourceStats
}

func newRewriter(cfg RewriteConfig) (*rewriter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &rewriter{cfg: cfg}
	r.edits = len(cfg.MACs)+len(cfg.Networks)+len(cfg.Ports)+cfg.MTU > 0 || cfg.TTL != TTLChange{} || cfg.TOS != nil || cfg.FixChecksums
	return r, nil
}

// frame appends what is sent in place of a captured frame to b. The error is why
// it cannot be sent.
func (r *rewriter) frame(b []byte, linkType uint16, data []byte, length int) ([]byte, error) {
	cut := length > len(data)
	if cut && r.cfg.Cut == SkipCut {
		return b, errCut
	}
	start := len(b)
	if linkType != linkEthernet {
		etherType, payload, ok := ethernetOf(linkType, data)
		if !ok || r.cfg.Src == nil || r.cfg.Dst == nil {
			return b, errLinkType
		}
		b = append(b, make([]byte, wire.EthernetHeaderLen)...)
		wire.PutEthernet(b[start:], *r.cfg.Dst, *r.cfg.Src, etherType)
		length += wire.EthernetHeaderLen - (len(data) - len(payload))
		data = payload
	}
	b = append(b, data...)
	if cut && r.cfg.Cut == PadCut {
		if n := length - (len(b) - start); n > 0 {
			b = append(b, make([]byte, n)...)
		}
		r.padded++
	}
	if len(b)-start < wire.EthernetHeaderLen {
		return b[:start], errRunt
	}
	f := r.change(b[start:])
	b = b[:start+len(f)]
	return r.tag(b, start), nil
}

// change edits a frame in place and returns what is left of it.
func (r *rewriter) change(f []byte) []byte {
	c := &r.cfg
	e := wire.Ethernet(f)
	for _, at := range [...]int{0, 6} {
		mapMAC(c.MACs, f[at:])
	}
	if c.Dst != nil {
		e.SetDst(*c.Dst)
	}
	if c.Src != nil {
		e.SetSrc(*c.Src)
	}
	if !r.edits {
		return f
	}
	if err := r.layers.Parse(f); err != nil {
		r.unread++ // what is in front of the unreadable part is changed
	}
	l := &r.layers
	switch {
	case l.ARP != nil:
		r.changeARP(l.ARP)
		return f
	case l.IPv4 == nil && l.IPv6 == nil:
		return f
	}
	r.changeIP(l)
	f = r.shorten(f, l)
	if c.FixChecksums {
		fixChecksums(l)
	}
	return f
}

func mapMAC(maps []MACMap, b []byte) {
	for i := range maps {
		if wire.MAC(b[:6]) == maps[i].From {
			copy(b, maps[i].To[:])
			return
		}
	}
}

func (r *rewriter) changeARP(a wire.ARP) {
	for _, at := range [...]int{8, 18} {
		mapMAC(r.cfg.MACs, a[at:])
		if to, ok := r.mapAddr(netip.AddrFrom4([4]byte(a[at+6:]))); ok {
			copy(a[at+6:], to.AsSlice())
		}
	}
}

// mapAddr returns what an address becomes.
func (r *rewriter) mapAddr(a netip.Addr) (to netip.Addr, changed bool) {
	for _, n := range r.cfg.Networks {
		if !n.From.Contains(a) {
			continue
		}
		to, bits := a.As16(), n.From.Bits()
		from := n.To.Masked().Addr().As16()
		if a.Is4() {
			bits += 96
		}
		for i := range to {
			if k := bits - 8*i; k >= 8 {
				to[i] = from[i]
			} else if k > 0 {
				mask := byte(0xff) << (8 - k)
				to[i] = from[i]&mask | to[i]&^mask
			}
		}
		mapped := netip.AddrFrom16(to)
		if a.Is4() {
			mapped = mapped.Unmap()
		}
		return mapped, mapped != a
	}
	return a, false
}

// tag does what is asked for with the VLAN tag of the frame that begins at start.
func (r *rewriter) tag(b []byte, start int) []byte {
	const addresses, tagLen = 12, 4
	v := r.cfg.VLAN
	if !v.Strip && !v.Set {
		return b
	}
	f := b[start:]
	t := binary.BigEndian.Uint16(f[addresses:])
	tagged := (t == wire.EtherTypeVLAN || t == wire.EtherTypeQinQ) && len(f) >= wire.EthernetHeaderLen+tagLen
	switch {
	case v.Strip && tagged:
		copy(f[addresses:], f[addresses+tagLen:])
		return b[:len(b)-tagLen]
	case v.Set && tagged:
		control := binary.BigEndian.Uint16(f[addresses+2:])
		binary.BigEndian.PutUint16(f[addresses+2:], control&0xf000|v.ID)
	case v.Set:
		b = append(b, 0, 0, 0, 0)
		f = b[start:]
		copy(f[addresses+tagLen:], f[addresses:])
		binary.BigEndian.PutUint16(f[addresses:], wire.EtherTypeVLAN)
		binary.BigEndian.PutUint16(f[addresses+2:], v.ID)
	}
	return b
}
