package emu

import (
	"net/netip"
	"slices"

	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
	"hilnet/scenarios"
	"hilnet/trace"
)

// This file is what the timeline makes the model broker do wrong. Where faults of
// one kind overlap for a device, the one that began last counts.

// A serverFault is one that lasts.
type serverFault struct {
	id     int
	action *scenarios.Action
	hits   devices
}

// devices are whom an action on the broker happens to: everybody, or the devices
// of these names, client identifiers and addresses.
type devices struct {
	all     bool
	clients map[string]bool // looked up only, as the next
	addrs   map[netip.Addr]bool
}

func (s *server) devices(a *scenarios.Action) devices {
	names := s.world.sc.Targets(a)
	if len(names) == 0 {
		return devices{all: true}
	}
	d := devices{clients: make(map[string]bool, len(names)), addrs: make(map[netip.Addr]bool, len(names))}
	for _, name := range names {
		cfg := s.world.config(name)
		d.clients[cfg.MQTT.ClientID] = true
		d.addrs[cfg.Address.Addr()] = true
	}
	return d
}

func (d devices) client(name string) bool { return d.all || d.clients[name] }

// fault does an action on the broker and returns what undoes it.
func (s *server) fault(a *scenarios.Action, id int) (undo func()) {
	switch a.Do {
	case scenarios.BrokerCrash:
		s.crash(a.State == scenarios.StateKept)
		return s.restart
	case scenarios.BrokerForget:
		s.forgetSessions(a)
		return nil
	case scenarios.BrokerGarbage:
		n := 0
		if data, _ := a.Bytes(); s.broker != nil {
			n = s.broker.Inject(s.now(), s.devices(a).client, data)
			s.flush()
		}
		s.missed(a, n, "nobody was connected")
		return nil
	}
	forget := func() {
		s.faults = slices.DeleteFunc(s.faults, func(f serverFault) bool { return f.id == id })
	}
	forget() // of one that is never undone, the former time
	s.faults = append(s.faults, serverFault{id, a, s.devices(a)})
	s.setFaults()
	return func() {
		forget()
		s.setFaults()
	}
}

// forgetSessions loses sessions, those that a broker which is down has kept
// included.
func (s *server) forgetSessions(a *scenarios.Action) {
	n := 0
	if s.broker != nil {
		n = s.broker.Forget(s.now(), s.devices(a).client)
		s.flush()
	} else if b, err := broker.Restore(s.cfg, s.saved); s.saved != nil && err == nil {
		n = b.Forget(s.now(), s.devices(a).client)
		s.saved = b.Snapshot()
	}
	s.missed(a, n, "nobody had a session")
}

// missed leaves an event of an action that has happened to nobody.
func (s *server) missed(a *scenarios.Action, n int, why string) {
	if n == 0 {
		s.world.trace.Emit(trace.Event{Kind: trace.KindAction, Node: brokerNode, Text: describe(a) + " did nothing: " + why})
	}
}

// setFaults gives the broker the faults that are its own, and the connections
// theirs.
func (s *server) setFaults() {
	if s.broker == nil {
		return
	}
	if len(s.faults) == 0 {
		s.broker.SetFaults(nil)
	} else {
		s.broker.SetFaults(s.faultsOf)
	}
	for _, c := range s.ordered() {
		s.listen(c)
		s.pump(c)
	}
	s.flush()
}

// faultsOf returns the broker's own faults for a client.
func (s *server) faultsOf(client string) (f broker.Faults) {
	for i := range s.faults {
		a := s.faults[i].action
		if !s.faults[i].hits.client(client) {
			continue
		}
		switch a.Do {
		case scenarios.BrokerRefuse:
			f.Refuse = codec.ReturnCode(a.Code)
		case scenarios.BrokerDelayConnack:
			f.ConnackDelay = a.Delay.Std()
		case scenarios.BrokerDelayAcks:
			f.AckDelay = a.Delay.Std()
		case scenarios.BrokerAcks:
			f.Acks = map[scenarios.AckFault]broker.AckFault{
				scenarios.AcksMissing: broker.AcksMissing, scenarios.AcksWrong: broker.AcksWrong, scenarios.AcksRepeated: broker.AcksRepeated,
			}[a.Fault]
		}
	}
	return f
}

// connFault returns the action of a kind that holds for a connection, or nil. A
// connection is a device's by its address, or by its client identifier once it
// has a session.
func (s *server) connFault(c *serverConn, kind scenarios.ActionKind) (found *scenarios.Action) {
	for i := range s.faults {
		if f := &s.faults[i]; f.action.Do == kind && (f.hits.all || s.isFrom(c, f.hits)) {
			found = f.action
		}
	}
	return found
}

func (s *server) isFrom(c *serverConn, d devices) bool {
	if d.addrs[c.conn.Remote().Addr()] {
		return true
	}
	client := s.broker.Client(c.id)
	return client != "" && d.clients[client]
}

// listen reads from a connection, or does not.
func (s *server) listen(c *serverConn) {
	if s.conns[c.id] == nil {
		return
	}
	hears := len(s.faults) == 0 || s.connFault(c, scenarios.BrokerStopReading) == nil
	if hears == c.hears {
		return
	}
	if c.hears = hears; hears {
		c.conn.OnData(c.onData)
	} else {
		c.conn.OnData(nil)
	}
}

// collects reports whether what is to be written waits for more.
func (s *server) collects(c *serverConn) bool {
	if c.waits != nil && c.waits.Armed() {
		return true
	}
	if len(s.faults) == 0 || len(c.backlog) == 0 || c.ripe {
		return false
	}
	a := s.connFault(c, scenarios.BrokerCoalesce)
	if a == nil {
		return false
	}
	if c.waits == nil {
		c.waits = s.world.loop.NewTimer(func() {
			c.ripe = true
			s.pump(c)
			c.ripe = false
			s.flush()
		})
	}
	c.waits.ResetAfter(a.Delay.Std())
	s.broker.Backlog(s.now(), c.id, len(c.backlog))
	return true
}

// write writes the backlog, in pieces if it has to, and returns how much TCP took.
func (s *server) write(c *serverConn) int {
	piece := len(c.backlog)
	if len(s.faults) > 0 {
		if a := s.connFault(c, scenarios.BrokerSplit); a != nil {
			piece = int(a.Piece)
		}
	}
	total := 0
	for rest := c.backlog; len(rest) > 0; {
		n := c.conn.Write(rest[:min(piece, len(rest))])
		total += n
		rest = rest[n:]
		if n < piece {
			break
		}
	}
	return total
}

// crash ends the broker as a process that dies does: its connections are reset,
// and those who connect are refused.
func (s *server) crash(keep bool) {
	s.crashes++
	if s.broker == nil {
		if !keep {
			s.saved = nil
		}
		return
	}
	s.saved = s.broker.Crash(s.now(), keep)
	s.flush()
	for _, c := range s.ordered() { // those whose last bytes had not gone
		s.forget(c)
		c.conn.Abort()
	}
	s.listener.Close()
	s.timer.Stop()
	s.broker, s.listener = nil, nil
}

// restart ends a crash.
func (s *server) restart() {
	if s.crashes--; s.crashes == 0 {
		must(s.start())
	}
}
