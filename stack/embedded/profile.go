package embedded

import (
	"fmt"
	"math"
	"time"

	"hilnet/sim/rtos"
)

// A Profile holds every constant of one stack. The engine reads them and knows
// no stack by name. [NetXDuo] is the one that ships; its comments name the
// source of each value.
type Profile struct {
	Name string
	IP   IPProfile
	ARP  ARPProfile
	TCP  TCPProfile
}

// IPProfile holds the constants of IPv4 and of the engine's two timers, whose
// phases are fixed when the IP instance is made.
type IPProfile struct {
	FastPeriod time.Duration // timer of TCP
	SlowPeriod time.Duration // timer of ARP and reassembly

	FirstID      uint16 // identification of the first packet; each new packet takes the next
	TTL          uint8  // of what no socket sends: echo, RST for an unknown connection
	ErrorTTL     uint8  // of ICMP errors
	MinimumFrame int    // the driver pads shorter frames with zeros

	// Reassembly is how long fragments wait, in slow periods; a larger TTL of
	// a fragment counts instead. 0: fragments are not taken.
	Reassembly int
	// ReassemblyLimit bounds the packets held for reassembly; 0: by the pool only.
	ReassemblyLimit int
}

// ARPProfile holds the constants of address resolution, in slow periods.
type ARPProfile struct {
	Retry      int // between requests
	Retries    int // after the first request; then the entry and its queue are dropped
	QueueDepth int // packets waiting for one address; the oldest makes room
	Expire     int // life of an answer; 0: for ever
	Entries    int // of the table; the oldest makes room
	Defend     int // between two defences of the own address
}

// A Retry is a rule for sending again.
type Retry struct {
	First time.Duration // until the first retry
	// Multiples of First, by the number of retries done; the last one goes on.
	// Empty: First shifted left by the retries done times Shift.
	Multiples []int
	Shift     int
	Max       int // retries; the next expiry ends the connection
}

// TCPProfile holds the constants of TCP.
type TCPProfile struct {
	Window      uint32 // receive window when the socket does not say
	TTL         uint8  // when the socket does not say
	SYNOptions  []byte // behind the MSS option, padding included
	DefaultMSS  uint32 // of a peer that states none
	MinimumMSS  uint32 // a SYN that states less is reset; 0: any will do
	PortFirst   uint16 // client ports are drawn from here to 65535
	ISNIncrease uint32 // next connection's first number: the last one, this and a draw

	SYN, Data, FIN Retry

	AckDelay     time.Duration // a lone segment is acknowledged at the fast tick at which this has passed
	AckEvery     int           // data segments of which the last is acknowledged at once; 0: never
	WindowUpdate uint32        // a window that opened by 1/WindowUpdate is told at once

	TxQueue        int // unacknowledged packets of a socket; the next one waits
	RxQueue        int // packets in the receive queue from which on none is taken, if the pool has a low watermark
	MaxOutOfOrder  int // packets kept out of order; 0: by the pool only
	DuplicateAcks  int // that start a fast retransmit; 0: none does
	SegmentLimit   time.Duration
	FINWait2       time.Duration // 0: for ever
	ListenRequests int
	// InitialSegments gives the initial congestion window in segments by MSS.
	InitialSegments func(mss uint32) uint32
}

// interval returns the ticks until retry number retries+1.
func (r Retry) interval(first rtos.Ticks, retries int) int {
	if n := len(r.Multiples); n > 0 {
		return int(first) * r.Multiples[min(retries, n-1)]
	}
	return min(int(first)<<min(retries*r.Shift, 20), math.MaxInt32)
}

// rates are a profile's times in ticks of one kernel.
type rates struct {
	fast, slow     int64
	syn, data, fin rtos.Ticks
	ack            int
	timeWait       int
	finWait2       int
}

// ticks is how NetX turns a rate into ticks: rounded up.
func ticks(d time.Duration, perSecond int64) int64 {
	return int64((d*time.Duration(perSecond) + time.Second - 1) / time.Second)
}

func (p *Profile) rates(perSecond int64) rates {
	return rates{
		fast:     ticks(p.IP.FastPeriod, perSecond),
		slow:     ticks(p.IP.SlowPeriod, perSecond),
		syn:      rtos.Ticks(ticks(p.TCP.SYN.First, perSecond)),
		data:     rtos.Ticks(ticks(p.TCP.Data.First, perSecond)),
		fin:      rtos.Ticks(ticks(p.TCP.FIN.First, perSecond)),
		ack:      int(ticks(p.TCP.AckDelay, perSecond)),
		timeWait: int(ticks(2*p.TCP.SegmentLimit, perSecond)),
		finWait2: int(ticks(p.TCP.FINWait2, perSecond)),
	}
}

// maxPeriod bounds a profile's times, so that they fit in ticks.
const maxPeriod = 24 * time.Hour

// validate reports the first value that the engine cannot work with.
func (p *Profile) validate() error {
	t := &p.TCP
	for _, d := range []struct {
		name string
		d    time.Duration
		min  time.Duration
	}{
		{"fast period", p.IP.FastPeriod, time.Millisecond},
		{"slow period", p.IP.SlowPeriod, time.Millisecond},
		{"SYN retry", t.SYN.First, time.Millisecond},
		{"data retry", t.Data.First, time.Millisecond},
		{"FIN retry", t.FIN.First, time.Millisecond},
		{"ACK delay", t.AckDelay, 0},
		{"segment lifetime", t.SegmentLimit, 0},
		{"FIN_WAIT_2 limit", t.FINWait2, 0},
	} {
		if d.d < d.min || d.d > maxPeriod {
			return fmt.Errorf("embedded: profile %q: %s of %v, want %v to %v", p.Name, d.name, d.d, d.min, maxPeriod)
		}
	}
	switch {
	case t.Window == 0 || t.Window > maxWindow:
		return fmt.Errorf("embedded: profile %q: window of %d bytes, want 1 to %d", p.Name, t.Window, maxWindow)
	case len(t.SYNOptions)%4 != 0 || len(t.SYNOptions) > 36:
		return fmt.Errorf("embedded: profile %q: %d bytes of SYN options, want a multiple of 4 up to 36", p.Name, len(t.SYNOptions))
	case t.TxQueue <= 0 || t.WindowUpdate == 0 || t.DefaultMSS == 0 || t.InitialSegments == nil || t.PortFirst == 0:
		return fmt.Errorf("embedded: profile %q: transmit queue, window update, default MSS, first port and initial segments must be given", p.Name)
	case p.ARP.Retry <= 0 || p.ARP.QueueDepth <= 0 || p.ARP.Entries <= 0:
		return fmt.Errorf("embedded: profile %q: ARP retry, queue depth and entries must be given", p.Name)
	case p.IP.TTL == 0 || p.IP.ErrorTTL == 0 || t.TTL == 0:
		return fmt.Errorf("embedded: profile %q: a TTL is 0", p.Name)
	}
	return nil
}
