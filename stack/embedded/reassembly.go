package embedded

import (
	"slices"

	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 791 section 3.2, nx_ip_fragment_assembly.c,
// nx_ip_fragment_timeout_check.c.

// maxDatagram is the largest IP packet.
const maxDatagram = 65535

// A datagram is one in reassembly.
type datagram struct {
	info      ipInfo
	id        uint16
	fragments []fragment // by offset
	left      int        // slow periods
}

type fragment struct {
	p          *nic.Packet // begins with its IP header
	offset     int         // in bytes
	length     int         // without the header
	more       bool
	headerSize int
}

const reassemblyHolder = "ip reassembly"

// reassemble takes a fragment that begins with its IP header.
func (ip *IP) reassemble(p *nic.Packet, h wire.IPv4, info ipInfo) {
	f := fragment{
		p: p, offset: h.FragmentOffset(), length: p.Len() - info.headerLen, more: h.MoreFragments(),
		headerSize: info.headerLen,
	}
	ip.count.Fragments++
	switch limit := ip.profile.IP.ReassemblyLimit; {
	case ip.profile.IP.Reassembly == 0:
		ip.drop(p, "reassembly", trace.DropUnknown)
		return
	case p.Pool().Low():
		ip.drop(p, "reassembly", DropLowPool)
		return
	case f.more && f.length%8 != 0, f.offset+f.length > maxDatagram-wire.IPv4HeaderLen:
		ip.drop(p, "reassembly", trace.DropMalformed)
		return
	case limit > 0 && ip.reassemblyPackets()+p.Packets() > limit:
		ip.drop(p, "reassembly", trace.DropQueueFull)
		return
	}
	p.SetHolder(reassemblyHolder)
	ttl, id := int(h.TTL()), h.ID()
	i := slices.IndexFunc(ip.datagrams, func(d *datagram) bool {
		return d.id == id && d.info.protocol == info.protocol && d.info.src == info.src && d.info.dst == info.dst
	})
	if i < 0 {
		d := &datagram{info: info, id: id, left: max(ip.profile.IP.Reassembly, ttl)}
		d.fragments = append(d.fragments, f)
		ip.datagrams = append(ip.datagrams, d)
		return
	}
	d := ip.datagrams[i]
	d.left = max(d.left, ttl)
	at, found := slices.BinarySearchFunc(d.fragments, f.offset, func(f fragment, offset int) int { return f.offset - offset })
	if found { // the newer one takes the place
		ip.drop(d.fragments[at].p, "reassembly", DropDuplicate)
		d.fragments[at] = f
	} else {
		d.fragments = slices.Insert(d.fragments, at, f)
	}
	if !d.complete() {
		return
	}
	ip.datagrams = slices.Delete(ip.datagrams, i, i+1)
	ip.count.Reassembled++
	head := d.fragments[0]
	head.p.Trim(head.headerSize)
	for _, f := range d.fragments[1:] {
		f.p.Trim(f.headerSize)
		head.p.Link(f.p)
	}
	d.info.headerLen = head.headerSize
	ip.dispatch(head.p, d.info)
}

// complete reports whether the fragments follow each other without a gap from 0
// to a last one. Overlapping ones never do.
func (d *datagram) complete() bool {
	next := 0
	for _, f := range d.fragments {
		if f.offset != next {
			return false
		}
		next += f.length
	}
	return !d.fragments[len(d.fragments)-1].more
}

func (ip *IP) reassemblyPackets() int {
	n := 0
	for _, d := range ip.datagrams {
		for _, f := range d.fragments {
			n += f.p.Packets()
		}
	}
	return n
}

// reassemblyTick gives up datagrams whose time is over, and tells the sender if
// the first fragment is here to be quoted.
func (ip *IP) reassemblyTick() {
	kept := ip.datagrams[:0]
	for _, d := range ip.datagrams {
		if d.left > 0 {
			d.left--
			kept = append(kept, d)
			continue
		}
		if first := d.fragments[0]; first.offset == 0 {
			first.p.Trim(first.headerSize)
			d.info.headerLen = first.headerSize
			ip.icmpError(first.p, d.info, wire.ICMPTimeExceeded, icmpReassemblyExceeded)
		}
		for _, f := range d.fragments {
			ip.drop(f.p, "reassembly", DropReassembly)
		}
	}
	clear(ip.datagrams[len(kept):])
	ip.datagrams = kept
}
