package distance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
	"hilnet/wire"
)

// A Capture is what a device did, as the capture of its end of the link tells it.
type Capture struct {
	Frames uint64 `json:"frames"`
	Device string `json:"device"` // its address
	// Interface is the name of the interface that the device was seen at; empty where
	// the capture has no names.
	Interface   string `json:"interface"`
	Connections int    `json:"connections"`
	Samples     int    `json:"samples"`
	// Outages are those of the link, -1 when nobody knows. What the device did in them is
	// compared if both captures' are known, and as many of each kind in the same order.
	Outages int `json:"outages"`
	// NotRead are frames that tell nothing here, conversations in TLS whose messages are
	// not known, and what did not fit into a limit, by the reason.
	NotRead []Count `json:"not_read"`
	// First is when the device was first seen to do something.
	First pcaps.Stamp `json:"-"`
	// Problem is why reading ended before the end of the file.
	Problem error `json:"-"`

	outages []string // their kinds
	samples [behaviours][]sample
}

// A Count is a number with the reason for it.
type Count struct {
	Reason string `json:"reason"`
	N      uint64 `json:"n"`
}

// Of returns how many samples of a behaviour there are.
func (c *Capture) Of(b Behaviour) int { return len(c.samples[b]) }

// ErrTooLong says that a capture has more than Config.MaxSamples.
var ErrTooLong = errors.New("distance: the capture is too long")

// ErrNoDevice says that no frame of the device is in a capture.
var ErrNoDevice = errors.New("distance: no frame of the device")

// A reading is a Capture while it is read.
type reading struct {
	*Capture
	in      *pcaps.Reader
	config  Config
	seen    bool         // a frame of the device
	lane    int          // the interface of the first one
	heard   bool         // a segment for the device
	heardAt int          // its interface
	device  netip.Addr   // not valid: not known yet
	also    []netip.Addr // its other addresses
	mac     wire.MAC     // of Config.Device, if it is one
	byMAC   bool
	keys    tlsdec.Keys
	table   *flow.Table
	byID    map[uint64]*connection // looked up only
	last    *connection            // that the device opened
	all     []*connection

	start      pcaps.Stamp             // of the first frame
	hosts      map[netip.Addr]wire.MAC // looked up only
	requests   []arpFrame
	dhcpFrames []dhcpFrame
	dnsFrames  []dnsFrame
	ndFrames   []ndFrame
	told       uint64 // frames of the last three
	sent       []deed // frames of any host, when outages are known
	progress   []sim.Time
	n          int // what is kept, against MaxSamples
	err        error
}

// A deed is a frame that a host sent.
type deed struct {
	at    sim.Time
	frame uint64
	from  netip.Addr
	kind  string
}

// Read reads a capture to its end, or to where it is cut or damaged.
func Read(ctx context.Context, in *pcaps.Reader, config Config) (*Capture, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	r := &reading{Capture: &Capture{NotRead: []Count{}, Outages: -1}, in: in, config: config, byID: map[uint64]*connection{}, hosts: map[netip.Addr]wire.MAC{}}
	r.keys.Add(config.KeyLog)
	if config.Outages != nil {
		r.Outages = len(config.Outages)
	}
	for i := range config.Outages {
		r.Capture.outages = append(r.Capture.outages, config.Outages[i].Kind)
	}
	if err := r.wants(config.Device); err != nil {
		return nil, err
	}
	var err error
	if r.table, err = flow.New(flow.Config{MQTTPorts: config.MQTTPorts, Secure: r.keys.Open}, (*handler)(r)); err != nil {
		return nil, err
	}
	if err := r.frames(ctx); err != nil {
		return nil, err
	}
	r.table.Close()
	r.finish()
	switch {
	case r.err != nil:
		return nil, r.err
	case !r.seen && config.Device != "":
		return nil, fmt.Errorf("%w %s", ErrNoDevice, config.Device)
	case !r.seen:
		return nil, fmt.Errorf("%w: nobody opens a connection, or asks for an address", ErrNoDevice)
	}
	if r.device.IsValid() {
		r.Device = r.device.String()
	}
	return r.Capture, nil
}

// wants takes the name of the device.
func (r *reading) wants(device string) error {
	if device == "" {
		return nil
	}
	if addr, err := netip.ParseAddr(device); err == nil {
		r.device = addr.Unmap()
		return nil
	}
	m, err := wire.ParseMAC(device)
	if err != nil {
		return fmt.Errorf("distance: device %q is neither an IP address nor a MAC such as 02:00:00:00:00:01", device)
	}
	r.mac, r.byMAC = m, true
	return nil
}

// frames takes all frames. Those of interfaces are taken for one another's, so that
// the directions may have one each; that nothing is in them twice, own sees to.
func (r *reading) frames(ctx context.Context) error {
	scan := pcaps.Scan{Secrets: func(lines []byte) { r.keys.Add(lines) }}
	for p, err := range scan.Frames(ctx, r.in) {
		if err != nil {
			return err
		}
		if r.Frames++; r.Frames == 1 {
			r.start = p.At
		}
		if r.otherEnd(p.Packet) {
			r.notRead("captured at the other end of the link, too", 1)
			continue
		}
		r.frame(flow.Frame{
			Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.At.Sub(r.start)), Number: p.Number,
			Direction: flow.Direction(p.Direction()),
		}, p.Lane, r.name(p.Interface))
		if r.err != nil {
			break
		}
	}
	r.Problem = scan.Problem
	return nil
}

// frame takes a frame.
func (r *reading) frame(f flow.Frame, lane int, name string) {
	r.ethernet(&f, place{f.At, f.Number, lane, name})
	result := r.table.Feed(f)
	if result.Conversation == nil {
		return
	}
	c := r.connection(result.Conversation)
	if c == nil || result.Ignored != flow.NoReason && result.Ignored != flow.ReasonBadChecksum {
		return
	}
	if result.Side == c.device {
		r.own(lane, name)
		c.sends(r, &f, &result)
	} else {
		r.foreign(lane)
		c.hears(r, &f, &result)
	}
	c.last = f.At
}

// ethernet looks at what TCP is not told of.
func (r *reading) ethernet(f *flow.Frame, p place) {
	if f.Link != flow.LinkEthernet {
		return
	}
	var l wire.Layers
	if l.Parse(f.Data) != nil && l.ARP == nil && l.IPv4 == nil && l.IPv6 == nil {
		return
	}
	from, kind := netip.Addr{}, "IP"
	switch {
	case l.ARP != nil:
		from, kind = l.ARP.Sender(), "ARP"
		r.keep(1)
		r.requests = append(r.requests, arpFrame{
			place: p, request: l.ARP.Operation() == wire.ARPRequest,
			sender: l.ARP.Sender(), target: l.ARP.Target(), broadcast: l.Ethernet.Dst() == wire.BroadcastMAC,
		})
	case l.IPv4 != nil, l.IPv6 != nil:
		from = l.Src().Unmap()
		switch {
		case l.TCP != nil:
			kind = "TCP"
		case l.UDP != nil:
			kind = "UDP"
			r.datagram(p, &l)
		case l.ICMPv6 != nil:
			r.icmpv6(p, &l)
		}
	}
	r.neighbour(from, l.Ethernet.Src())
	if r.byMAC && l.Ethernet.Src() == r.mac && from.IsValid() && !from.IsUnspecified() {
		r.learn(from)
	}
	if len(r.config.Outages) > 0 && from.IsValid() {
		r.keep(1)
		r.sent = append(r.sent, deed{f.At, f.Number, from, kind})
	}
}

// maxAddresses is how many addresses a device has beside its first one.
const maxAddresses = 16

// learn takes an address that the device sends from.
func (r *reading) learn(a netip.Addr) {
	switch {
	case !r.device.IsValid():
		r.device = a
	case r.owns(a):
	case len(r.also) == maxAddresses:
		r.notRead(fmt.Sprintf("of an address beyond the first %d of the device", maxAddresses), 1)
	default:
		r.also = append(r.also, a)
	}
}

// owns reports whether an address is the device's.
func (r *reading) owns(a netip.Addr) bool {
	return a.IsValid() && (a == r.device || slices.Contains(r.also, a))
}

// keep counts what takes memory.
func (r *reading) keep(n int) {
	if r.n += n; r.n > r.config.MaxSamples && r.err == nil {
		r.err = fmt.Errorf("%w: it has more than %d deeds (replay cut writes a part)", ErrTooLong, r.config.MaxSamples)
	}
}

// add appends a sample and returns its place.
func (r *reading) add(b Behaviour, s sample) int {
	r.keep(1)
	r.Samples++
	r.samples[b] = append(r.samples[b], s)
	return len(r.samples[b]) - 1
}

// connection finds the device's connection of a conversation, nil for those of others.
func (r *reading) connection(of *flow.Conversation) *connection {
	if c := r.byID[of.ID]; c != nil {
		return c
	}
	if !r.device.IsValid() {
		if of.Client == flow.NoSide || r.byMAC {
			return nil
		}
		r.device = of.Half(of.Client).Addr.Addr().Unmap()
	}
	c := &connection{of: of}
	switch {
	case r.owns(of.A.Addr.Addr().Unmap()):
		c.device = flow.SideA
	case r.owns(of.B.Addr.Addr().Unmap()):
		c.device = flow.SideB
	default:
		return nil
	}
	const cost = 8 // in samples
	r.keep(cost)
	r.byID[of.ID] = c
	r.all = append(r.all, c)
	r.Connections++
	return c
}

// finish takes what only the end of the capture tells.
func (r *reading) finish() {
	for _, c := range r.all {
		c.end(r)
	}
	if !r.device.IsValid() {
		for _, q := range r.requests {
			if q.request && !q.sender.IsUnspecified() && !r.byMAC {
				r.device = q.sender
				break
			}
		}
	}
	r.arp()
	r.dhcp()
	r.dns()
	r.nd()
	r.outages()
	for b := range r.samples { // some are known only at the end of a connection
		slices.SortStableFunc(r.samples[b], func(x, y sample) int { return cmp.Compare(x.at, y.at) })
	}
	r.First = r.start
	first := sim.Time(math.MaxInt64)
	for b := range r.samples {
		if all := r.samples[b]; len(all) > 0 {
			first = min(first, all[0].at)
		}
	}
	if r.Samples > 0 {
		r.First += pcaps.Stamp(first)
	}
	for _, c := range r.all {
		if why := tlsdec.Unread(c.of); why != "" {
			r.notRead("session in TLS: "+why, 1)
		}
	}
	for i, n := range r.table.Stats().Ignored {
		if n = r.ignored(flow.Reason(i), n); n > 0 {
			r.notRead(flow.Reason(i).String(), n)
		}
	}
}

func (r *reading) notRead(why string, n uint64) {
	if i := slices.IndexFunc(r.NotRead, func(x Count) bool { return x.Reason == why }); i >= 0 {
		r.NotRead[i].N += n
		return
	}
	r.NotRead = append(r.NotRead, Count{why, n})
}
