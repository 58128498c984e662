package nic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hilnet/sim/rtos"
	"hilnet/trace"
)

// alignment is NX_PACKET_ALIGNMENT: sizeof(ULONG) on a 32-bit device.
const alignment = 4

// The sizes of NX_PACKET on a 32-bit device, by NetX configuration.
const (
	HeaderBytesIPv6   = 60 // IPv6 compiled in: the default
	HeaderBytesNoIPv6 = 56 // NX_DISABLE_IPV6
)

// Limits of a PoolConfig, far above what the devices in question have.
const (
	MaxPayload = 1 << 20
	MaxPackets = 1 << 20
)

// PoolConfig configures a Pool. Give Packets or Memory, not both.
type PoolConfig struct {
	Name        string // "" is "pool"
	Node        string // device, for the trace
	Payload     int    // bytes of data a packet holds, headroom included
	Packets     int    // number of packets
	Memory      int    // bytes handed to nx_packet_pool_create, from an aligned address
	HeaderBytes int    // sizeof(NX_PACKET); 0: HeaderBytesIPv6
	// LowWatermark is the number of free packets below which a stack takes no
	// more data: nx_packet_pool_low_watermark_set, which a build has only with
	// NX_ENABLE_LOW_WATERMARK. 0 is a build without.
	LowWatermark int
}

// PoolStats are the counters of nx_packet_pool_info_get and, beyond them, the
// fewest packets ever free.
type PoolStats struct {
	Total            int
	Free             int
	MinFree          int
	Leaked           int // taken away by Leak
	Waiting          int // threads suspended on the pool now
	EmptyRequests    uint64
	EmptySuspensions uint64
	InvalidReleases  uint64
}

// A Holding says how many packets one part of the device holds.
type Holding struct {
	Holder  string
	Packets int
}

// A Pool is an NX_PACKET_POOL: a fixed number of packets of one size, handed
// out last in, first out. Memory of a packet is taken from the host when it is
// first used, so an idle device costs little.
type Pool struct {
	name    string
	node    string
	kernel  *rtos.Kernel
	trace   *trace.Log
	payload int
	stride  int
	total   int
	low     int // watermark

	packets []*Packet // all that were ever handed out, in that order
	free    *Packet   // stack of released packets, by QueueNext
	leaked  int
	waiters *rtos.WaitQueue
	stats   PoolStats
	lowest  int // packets free since the last call of Lowest
}

// Stride returns the bytes of pool memory that one packet takes.
func Stride(payload, headerBytes int) int { return align(align(headerBytes) + payload) }

func align(n int) int { return (n + alignment - 1) / alignment * alignment }

// NewPool returns a pool with all packets free. The kernel is the one whose
// threads may wait for packets; without one nobody can.
func NewPool(kernel *rtos.Kernel, tr *trace.Log, cfg PoolConfig) (*Pool, error) {
	if cfg.Name == "" {
		cfg.Name = "pool"
	}
	if cfg.HeaderBytes == 0 {
		cfg.HeaderBytes = HeaderBytesIPv6
	}
	switch {
	case cfg.Payload <= 0 || cfg.Payload > MaxPayload:
		return nil, fmt.Errorf("nic: pool %q: payload of %d bytes, want 1 to %d", cfg.Name, cfg.Payload, MaxPayload)
	case cfg.HeaderBytes < 0:
		return nil, fmt.Errorf("nic: pool %q: header of %d bytes", cfg.Name, cfg.HeaderBytes)
	case (cfg.Packets != 0) == (cfg.Memory != 0):
		return nil, fmt.Errorf("nic: pool %q: give either packets or memory", cfg.Name)
	}
	stride := Stride(cfg.Payload, cfg.HeaderBytes)
	if cfg.Memory != 0 {
		cfg.Packets = cfg.Memory / alignment * alignment / stride
		if cfg.Packets <= 0 {
			return nil, fmt.Errorf("nic: pool %q: %w: a packet takes %d bytes, memory is %d",
				cfg.Name, ErrPoolMemory, stride, cfg.Memory)
		}
	}
	if cfg.Packets < 0 || cfg.Packets > MaxPackets {
		return nil, fmt.Errorf("nic: pool %q: %d packets, want 1 to %d", cfg.Name, cfg.Packets, MaxPackets)
	}
	if cfg.LowWatermark < 0 || cfg.LowWatermark > cfg.Packets {
		return nil, fmt.Errorf("nic: pool %q: low watermark of %d packets, want 0 to %d", cfg.Name, cfg.LowWatermark, cfg.Packets)
	}
	p := &Pool{
		low: cfg.LowWatermark, name: cfg.Name, node: cfg.Node, kernel: kernel, trace: tr,
		payload: cfg.Payload, stride: stride, total: cfg.Packets,
	}
	p.stats.MinFree = cfg.Packets
	p.stats.Free = cfg.Packets
	p.lowest = cfg.Packets
	if kernel != nil {
		p.waiters = rtos.NewWaitQueue(kernel, "a packet of "+cfg.Name)
	}
	return p, nil
}

// ErrPoolMemory is wrapped by NewPool's error when not one packet fits, which
// nx_packet_pool_create reports as NX_SIZE_ERROR.
var ErrPoolMemory = errors.New("memory too small")

// Name returns the pool's name.
func (p *Pool) Name() string { return p.name }

// Payload returns the bytes a packet holds.
func (p *Pool) Payload() int { return p.payload }

// Memory returns the bytes of memory the pool takes on the device.
func (p *Pool) Memory() int { return p.total * p.stride }

// Total returns the number of packets of the pool.
func (p *Pool) Total() int { return p.total }

// Free returns the number of packets that can be allocated now.
func (p *Pool) Free() int { return p.stats.Free }

// Lowest returns the fewest packets that were free at any moment since it was
// called last.
func (p *Pool) Lowest() int {
	n := p.lowest
	p.lowest = p.stats.Free
	return n
}

// LowWatermark returns the pool's watermark, 0 in a build without.
func (p *Pool) LowWatermark() int { return p.low }

// Low reports whether fewer packets are free than the watermark says.
func (p *Pool) Low() bool { return p.stats.Free < p.low }

// Stats returns the pool's counters.
func (p *Pool) Stats() PoolStats {
	s := p.stats
	s.Total, s.Leaked = p.total, p.leaked
	if p.waiters != nil {
		s.Waiting = p.waiters.Len()
	}
	return s
}

// Allocate takes a packet with headroom for the headers that typ names:
// nx_packet_allocate. If the pool is empty the current thread waits for a
// release, first come first served, at most wait ticks; in interrupt context
// nobody waits. It returns NoPacket when there was none in time, and
// InvalidParameters if the headroom alone is larger than a packet.
func (p *Pool) Allocate(typ PacketType, wait rtos.Ticks) (*Packet, Status) {
	if p.payload < int(typ) {
		return nil, InvalidParameters
	}
	if p.stats.Free > 0 {
		pkt := p.take()
		pkt.reset(typ, p.holder())
		return pkt, Success
	}
	p.stats.EmptyRequests++
	var thread *rtos.Thread
	if p.kernel != nil {
		thread = p.kernel.Current()
	}
	if thread == nil {
		wait = rtos.NoWait
	}
	p.trace.Emit(trace.Event{Kind: trace.KindPoolEmpty, Node: p.node, Stage: p.name, Text: p.holder(), Count: waitCount(wait)})
	if wait == rtos.NoWait {
		return nil, NoPacket
	}
	p.stats.EmptySuspensions++
	since := p.kernel.Loop().Now()
	handed, ok := p.waiters.Suspend(wait)
	p.trace.Emit(trace.Event{
		Kind: trace.KindWait, Node: p.node, Stage: thread.Name(), Text: "a packet of " + p.name,
		Count: int64(p.kernel.Loop().Now().Sub(since)),
	})
	if !ok {
		return nil, NoPacket
	}
	pkt := handed.(*Packet)
	pkt.reset(typ, thread.Name())
	return pkt, Success
}

// waitCount is a wait as an event's Count: ticks, -1 for ever.
func waitCount(wait rtos.Ticks) int64 {
	if wait == rtos.WaitForever {
		return -1
	}
	return int64(wait)
}

// holder names who is asking.
func (p *Pool) holder() string {
	if p.kernel != nil {
		if t := p.kernel.Current(); t != nil {
			return t.Name()
		}
	}
	return "interrupt"
}

// take removes a packet from the free ones, of which there is at least one.
func (p *Pool) take() *Packet {
	pkt := p.free
	if pkt != nil {
		p.free = pkt.QueueNext
	} else {
		// Released packets lie on top of those never used, so these come in
		// the order of their addresses, as in a new NX_PACKET_POOL.
		pkt = &Packet{pool: p}
		p.packets = append(p.packets, pkt)
	}
	pkt.state, pkt.next, pkt.QueueNext = allocated, nil, nil
	p.stats.Free--
	p.lowest = min(p.lowest, p.stats.Free)
	if p.stats.Free < p.stats.MinFree {
		p.stats.MinFree = p.stats.Free
		p.trace.Emit(trace.Event{Kind: trace.KindPoolLow, Node: p.node, Stage: p.name, Count: int64(p.stats.Free)})
	}
	return pkt
}

// giveBack takes a packet that nobody holds any more: the first waiting thread
// gets it, without a look at the free ones, else it goes on top of these.
func (p *Pool) giveBack(pkt *Packet) {
	pkt.holder = "hand-over"
	pkt.state = allocated
	pkt.QueueNext, pkt.next, pkt.last = nil, nil, nil
	if p.waiters != nil && p.waiters.Wake(pkt) {
		return
	}
	pkt.state, pkt.holder = free, ""
	pkt.QueueNext = p.free
	p.free = pkt
	p.stats.Free++
}

// leakHolder holds the packets that Leak took.
const leakHolder = "leak"

// Leak takes up to n free packets away, as a leak in an application does, and
// returns how many it got.
func (p *Pool) Leak(n int) int {
	got := 0
	for ; got < n && p.stats.Free > 0; got++ {
		pkt := p.take()
		pkt.reset(Receive, leakHolder)
		pkt.state = leaked
		p.leaked++
	}
	if got > 0 {
		p.trace.Emit(trace.Event{Kind: trace.KindPoolLeak, Node: p.node, Stage: p.name, Count: int64(got)})
	}
	return got
}

// Restore gives up to n of the packets that Leak took back and returns how many.
func (p *Pool) Restore(n int) int {
	n = min(max(n, 0), p.leaked)
	if n == 0 {
		return 0
	}
	p.trace.Emit(trace.Event{Kind: trace.KindPoolLeak, Node: p.node, Stage: p.name, Count: int64(-n)})
	left := n
	for i := len(p.packets) - 1; i >= 0 && left > 0; i-- {
		if pkt := p.packets[i]; pkt.state == leaked {
			left--
			p.leaked--
			p.giveBack(pkt)
		}
	}
	return n
}

// Holdings returns who holds how many packets, sorted by holder.
func (p *Pool) Holdings() []Holding {
	var all []Holding
	for _, pkt := range p.packets {
		if pkt.state == free {
			continue
		}
		i, found := slices.BinarySearchFunc(all, pkt.holder, func(h Holding, name string) int {
			return strings.Compare(h.Holder, name)
		})
		if !found {
			all = slices.Insert(all, i, Holding{Holder: pkt.holder})
		}
		all[i].Packets++
	}
	return all
}

// Check proves that no packet was lost or counted twice: free, leaked and
// allocated packets add up to the total, the free list holds exactly the free
// ones, and no chain of an allocated packet runs into a free one.
func (p *Pool) Check() error {
	onList := 0
	for pkt := p.free; pkt != nil; pkt = pkt.QueueNext {
		if pkt.state != free {
			return fmt.Errorf("nic: pool %q: packet %d is on the free list, held by %q", p.name, p.index(pkt), pkt.holder)
		}
		if onList++; onList > len(p.packets) {
			return fmt.Errorf("nic: pool %q: the free list is a circle", p.name)
		}
	}
	var count [leaked + 1]int
	for i, pkt := range p.packets {
		count[pkt.state]++
		steps := 0
		for next := pkt.next; next != nil && (pkt.state == allocated || pkt.state == tcpQueued); next = next.next {
			if next.state == free && next.pool == p {
				return fmt.Errorf("nic: pool %q: the chain of packet %d (%s) holds a free packet", p.name, i, pkt.holder)
			}
			if steps++; steps > MaxPackets {
				return fmt.Errorf("nic: pool %q: the chain of packet %d is a circle", p.name, i)
			}
		}
	}
	unused := p.total - len(p.packets)
	switch {
	case count[free] != onList:
		return fmt.Errorf("nic: pool %q: %d packets are free, %d on the list", p.name, count[free], onList)
	case count[free]+unused != p.stats.Free:
		return fmt.Errorf("nic: pool %q: %d packets are free, the counter says %d", p.name, count[free]+unused, p.stats.Free)
	case count[leaked] != p.leaked:
		return fmt.Errorf("nic: pool %q: %d packets are leaked, the counter says %d", p.name, count[leaked], p.leaked)
	case unused < 0 || count[free]+count[allocated]+count[tcpQueued]+count[leaked] != len(p.packets):
		return fmt.Errorf("nic: pool %q: %d of %d packets in use: %v", p.name, len(p.packets), p.total, count)
	}
	return nil
}

func (p *Pool) index(pkt *Packet) int { return slices.Index(p.packets, pkt) }
