package broker

import (
	"fmt"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// handleConnect acts on the first CONNECT of a connection (section 3.1.4).
func (b *Broker) handleConnect(now sim.Time, c *conn) {
	p := &b.packet.Connect
	client := string(p.ClientID)
	if code := b.faultsOf(client).Refuse; code != 0 {
		b.refuse(c, client, code)
		return
	}
	switch {
	case client == "" && (!p.CleanSession || b.cfg.NoEmptyClientID), len(client) > b.cfg.MaxClientID:
		b.refuse(c, client, codec.RefusedIdentifier) // [MQTT-3.1.3-8]
		return
	case !b.admits(p):
		b.refuse(c, client, codec.RefusedBadUserPassword)
		return
	case b.sessions[client] == nil && len(b.sessions) >= b.cfg.MaxSessions:
		b.drop(trace.Event{Reason: trace.DropSessionLimit, Client: client, Text: c.remote})
		b.refuse(c, client, codec.RefusedUnavailable)
		return
	case client == "":
		client = b.assignClientID() // [MQTT-3.1.3-6]
	}
	if old := b.sessions[client]; old != nil && old.conn != nil {
		b.close(old.conn, CauseTakenOver) // [MQTT-3.1.4-2]
	}
	s := b.sessions[client]
	user := string(p.User)
	if s != nil && (p.CleanSession || s.user != user) { // what one user may have, another may not
		b.discard(s) // [MQTT-3.1.2-6]
		s = nil
	}
	present := s != nil
	if s == nil {
		b.lastSeq++
		s = &session{client: client, user: user, seq: b.lastSeq}
		b.sessions[client] = s
	}
	s.clean, s.conn, c.session, s.rights = p.CleanSession, c, s, b.rightsOf(user)
	b.keepConnect(now, c, p)

	start := len(b.arena)
	b.arena = codec.AppendConnack(b.arena, codec.Connack{SessionPresent: present})
	b.sent(c, start)
	e := trace.Event{Kind: trace.KindBrokerConnected, Client: client, Text: c.remote}
	if present {
		e.Count = 1
	}
	b.emit(e)
	b.resume(s)
}

// keepConnect takes over the keep alive and the will. The will is copied, for
// it outlives the packet.
func (b *Broker) keepConnect(now sim.Time, c *conn, p *codec.Connect) {
	c.idle = time.Duration(p.KeepAlive) * time.Second * 3 / 2
	if c.idle > 0 {
		b.setDeadline(c, now.Add(c.idle))
	} else {
		c.deadline = sim.Never
	}
	if p.HasWill {
		c.willKept = p.Will.Retain
		c.will = b.newMessage(b.topic(p.Will.Topic), append([]byte(nil), p.Will.Payload...), p.Will.QoS)
	}
}

// admits checks the user name and password.
func (b *Broker) admits(p *codec.Connect) bool {
	if len(b.cfg.Users) == 0 {
		return true
	}
	for _, u := range b.cfg.Users {
		if u.Name == string(p.User) { // an empty one if there is none
			return u.Password == string(p.Password)
		}
	}
	return false
}

// assignClientID makes an identifier that no session has.
func (b *Broker) assignClientID() string {
	for {
		b.assigned++
		if id := fmt.Sprintf("auto-%d", b.assigned); b.sessions[id] == nil {
			return id
		}
	}
}

// refuse answers a CONNECT with a return code and closes [MQTT-3.2.2-5].
func (b *Broker) refuse(c *conn, client string, code codec.ReturnCode) {
	start := len(b.arena)
	b.arena = codec.AppendConnack(b.arena, codec.Connack{Code: code})
	b.sent(c, start)
	b.emit(trace.Event{Kind: trace.KindBrokerConnected, Client: client, Status: uint32(code), Text: c.remote})
	b.close(c, CauseRefused+": "+code.String())
}
