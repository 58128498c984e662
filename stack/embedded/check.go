package embedded

import "fmt"

// A Holding says what packets one part of the stack holds, by their number in
// chains.
type Holding struct {
	Holder  string
	Packets int
}

// Holdings returns the packets that the instance holds now, in a fixed order
// and without parts that hold none: what a pool misses and is not here is the
// application's or the driver's.
func (ip *IP) Holdings() []Holding {
	var all []Holding
	add := func(holder string, n int) {
		if n > 0 {
			all = append(all, Holding{holder, n})
		}
	}
	inbox := 0
	for p := ip.inbox; p != nil; p = p.QueueNext {
		inbox += p.Packets()
	}
	add(inboxHolder, inbox)
	waiting := 0
	for _, e := range ip.arp {
		for p := e.queue; p != nil; p = p.QueueNext {
			if !p.Queued() { // else counted with its socket
				waiting += p.Packets()
			}
		}
	}
	add(arpHolder, waiting)
	add(reassemblyHolder, ip.reassemblyPackets())
	for _, s := range ip.sockets {
		tx, ready, early := 0, 0, 0
		for _, t := range s.tx {
			tx += t.p.Packets()
		}
		for _, r := range s.rx {
			if r.ready {
				ready += r.p.Packets()
			} else {
				early += r.p.Packets()
			}
		}
		add(transmitHolder, tx)
		add(receiveHolder, ready)
		add(outOfOrderHolder, early)
	}
	syns := 0
	for _, l := range ip.listeners {
		for _, w := range l.queue {
			syns += w.p.Packets()
		}
	}
	add("tcp listen queue", syns)
	datagrams := 0
	for _, s := range ip.udp {
		for _, d := range s.queue {
			datagrams += d.p.Packets()
		}
	}
	add("udp rx", datagrams)
	return all
}

// Check proves what the engine promises of itself between events: nothing is
// left in its inbox, queues are in order and without overlap, and its sums are
// those of its queues.
func (ip *IP) Check() error {
	if ip.depth != 0 || (ip.inbox != nil && !ip.arrival.Armed()) {
		return fmt.Errorf("embedded: %d calls inside, inbox empty: %v", ip.depth, ip.inbox == nil)
	}
	for _, s := range ip.sockets {
		if err := s.check(); err != nil {
			return fmt.Errorf("embedded: socket %q in %v: %w", s.cfg.Name, s.state, err)
		}
	}
	for _, e := range ip.arp {
		n := 0
		for p := e.queue; p != nil; p = p.QueueNext {
			n++
		}
		if n != e.queued || n > ip.profile.ARP.QueueDepth || (e.known && n > 0) {
			return fmt.Errorf("embedded: ARP entry %v has %d packets, its count says %d", e.addr, n, e.queued)
		}
	}
	return nil
}

func (s *TCPSocket) check() error {
	if len(s.tx) > s.ip.profile.TCP.TxQueue {
		return fmt.Errorf("%d packets in the transmit queue", len(s.tx))
	}
	bytes := uint32(0)
	for i, t := range s.tx {
		if !t.p.Queued() || t.p.Holder() != transmitHolder {
			return fmt.Errorf("packet %d of the transmit queue is held by %q", i, t.p.Holder())
		}
		if i > 0 && t.seq != s.tx[i-1].seq+s.tx[i-1].length {
			return fmt.Errorf("packet %d of the transmit queue has number %d", i, t.seq)
		}
		bytes += t.length
	}
	if bytes != s.outstanding {
		return fmt.Errorf("%d bytes in the transmit queue, %d outstanding", bytes, s.outstanding)
	}
	early := false
	for i := range s.rx {
		r := &s.rx[i]
		if i > 0 && before(r.seq, s.rx[i-1].end()) {
			return fmt.Errorf("packet %d of the receive queue overlaps", i)
		}
		if r.ready && early {
			return fmt.Errorf("packet %d of the receive queue is ready, one before it is not", i)
		}
		early = early || !r.ready
	}
	if s.rxWindow > s.rxDefault {
		return fmt.Errorf("receive window of %d, at most %d", s.rxWindow, s.rxDefault)
	}
	return nil
}
