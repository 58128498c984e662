package extract

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
)

// A session is what the device's application did, as far as its messages tell.
type session struct {
	clientID  string
	keepalive uint16
	clean     bool
	user      string
	password  int // its length: the text is nobody's business
	hasUser   bool
	will      *will
	version   byte
	broker    netip.AddrPort
	wait      time.Duration // of a connect that failed, 0: none did

	conns  []*flow.Conversation // of the device with the broker, in order
	acts   []act
	comes  []arrival // what the broker sent on its own
	crash  []absence // when the broker was not there
	refuse []refusal
	pause  time.Duration // before the device connects again by itself; 0: it does not
	opens  int           // connections that the application asked for
	closes int           // that it ended
	qos2   bool

	sent, acked, got int // messages
	messages         map[codec.Type]int
	filters          map[codec.Type]int // of SUBSCRIBE and UNSUBSCRIBE, beyond the first of each

	of map[*flow.Conversation][]int // messages by connection; looked up only
}

type will struct {
	topic   string
	message int
	qos     byte
	retain  bool
}

// An act is one call of the application.
type act struct {
	at   int64
	back int64 // when it returned, 0: at once
	what codec.Type
	pub  publication
}

// usualWait is how long a call of a scenario's client waits if nothing says so.
const usualWait = 5 * time.Second

// soon is how long after its arrival the application takes a message.
const soon = 20 * time.Millisecond

// take is an act that is no message: messages are taken.
const take = codec.Type(0)

type publication struct {
	topic  string
	size   int
	qos    byte
	retain bool
}

// An arrival is a message of the broker.
type arrival struct {
	at int64
	publication
}

// An absence is a time in which the broker's host answered nothing, or with RST.
type absence struct{ from, to int64 }

type refusal struct {
	at   int64
	code byte
}

// What a scenario is made of is bounded.
const (
	maxActs  = 4500
	maxConns = 1000
	maxComes = 4500 // messages of the broker, the device's own that come back included
)

// A tap says when the device did what a capture shows.
type tap struct {
	k        *Capture
	device   netip.Addr
	up, down int64 // how much later than at the device something sent there is seen, and how much earlier than it something that comes there
}

func (t *tap) sent(at int64) int64 { return max(0, at-t.up) }
func (t *tap) came(at int64) int64 { return at + t.down }

// sessionOf reads what the device did.
func sessionOf(t *tap) *session {
	s := &session{messages: map[codec.Type]int{}, filters: map[codec.Type]int{}, of: map[*flow.Conversation][]int{}}
	for i := range t.k.messages {
		v := t.k.messages[i].Conversation
		s.of[v] = append(s.of[v], i)
	}
	for _, v := range t.k.conns {
		own, peer := endsOf(v)
		if own.Addr() != t.device || v.Protocol != flow.ProtocolMQTT && !t.k.mqttPort(peer.Port()) {
			continue
		}
		if !s.broker.IsValid() {
			s.broker = peer
		}
		if peer == s.broker && len(s.conns) <= maxConns {
			s.conns = append(s.conns, v)
		}
	}
	if len(s.conns) == 0 {
		s.inVain(t)
	}
	s.elsewhere(t)
	slices.SortStableFunc(s.conns, func(a, b *flow.Conversation) int { return cmp.Compare(a.First, b.First) })
	s.pause = s.again()
	for i, v := range s.conns {
		s.connection(t, i, v)
	}
	slices.SortStableFunc(s.acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
	s.regular(t)
	slices.SortStableFunc(s.comes, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	if len(s.acts) <= maxActs && len(s.comes) <= maxComes {
		s.echoes()
	}
	return s
}

// clientOf is the side of the client, or that of the first frame.
func clientOf(v *flow.Conversation) flow.Side {
	if v.Client == flow.NoSide {
		return flow.SideA
	}
	return v.Client
}

// endsOf are the addresses of the client and of the server.
func endsOf(v *flow.Conversation) (own, peer netip.AddrPort) {
	client := clientOf(v)
	return v.Half(client).Addr, v.Half(client.Peer()).Addr
}

// elsewhere adds the connections that the broker's host refused at other ports, as
// to a device that tries TLS first. Such a device is told that nobody is there; one
// that has a session at the time wanted something else of that host.
func (s *session) elsewhere(t *tap) {
	sessions := s.conns
	for _, v := range t.k.conns {
		own, peer := endsOf(v)
		if own.Addr() != t.device || peer.Addr() != s.broker.Addr() || peer == s.broker || !v.Refused || len(s.conns) > maxConns {
			continue
		}
		if !slices.ContainsFunc(sessions, func(o *flow.Conversation) bool { return o.First <= v.Last && v.First <= o.Last }) {
			s.conns = append(s.conns, v)
		}
	}
}

// again is the pause after which the device connects again by itself: it has done so
// more than once, and always after about the same time.
func (s *session) again() time.Duration {
	var all []int64
	for i := 1; i < len(s.conns); i++ {
		if !s.closed(s.conns[i-1]) {
			all = append(all, int64(s.conns[i].First.Sub(s.conns[i-1].Last)))
		}
	}
	p := spread(all)
	const fixed = 100 * time.Millisecond
	if len(all) < 2 || p.Min < 0 || p.Most-p.Min > max(fixed, p.Median/5) {
		return 0
	}
	return max(tick, p.Median.Round(tick))
}

// inVain reads of a device that looks for somebody who is not there.
func (s *session) inVain(t *tap) {
	const port = 1883
	for i := range t.k.packets {
		p := &t.k.packets[i]
		if p.arp && p.src == t.device && p.dst != t.device {
			s.broker = netip.AddrPortFrom(p.dst, port)
			s.acts = append(s.acts, act{at: t.sent(p.at), what: codec.CONNECT})
			s.opens = 1
			return
		}
	}
}

// connection reads one connection of the device.
func (s *session) connection(t *tap, n int, v *flow.Conversation) {
	client := clientOf(v)
	asked := n == 0 || s.closed(s.conns[n-1])
	begin := t.sent(int64(v.First))
	if n == 0 {
		begin = t.sent(t.k.asked(t.device, s.broker.Addr(), int64(v.First)))
	}
	open := act{at: begin, what: codec.CONNECT}
	disconnected, last := false, v.First
	for _, i := range s.of[v] {
		m := &t.k.messages[i]
		body := bodyOf(m.raw)
		s.messages[m.Type]++
		if m.Side == client {
			last = m.FirstAt
			disconnected = s.ask(t, m, body, n) || disconnected
		} else if m.Type == codec.CONNACK && len(body) >= 2 {
			open.back = t.came(int64(m.ReadyAt))
			if body[1] != 0 {
				s.refuse = append(s.refuse, refusal{begin, body[1]})
			}
		} else {
			s.hear(t, m, body)
		}
	}
	if open.back == 0 && v.Half(client.Peer()).Frames == 0 {
		// Nobody answered: it returned when its time was over.
		wait := (v.Last.Sub(v.First) + time.Second).Round(tick)
		s.wait = max(s.wait, wait)
		open.back = begin + int64(wait)
	}
	if took := time.Duration(open.back - begin); open.back > 0 && took > usualWait { // it was ready to wait so long
		s.wait = max(s.wait, (took + time.Second).Round(tick))
	}
	if asked {
		s.opens++
	}
	if asked || s.pause == 0 {
		s.acts = append(s.acts, open)
	}
	if disconnected {
		s.closes++
	}
	silent := s.keepalive > 0 && v.Last.Sub(last) >= time.Duration(s.keepalive)*time.Second*5/4
	s.ended(t, n, v, client, disconnected || silent)
}

// spoken reports whether a connection carried something.
func (s *session) spoken() bool {
	return slices.ContainsFunc(s.conns, func(v *flow.Conversation) bool { return v.A.Bytes+v.B.Bytes > 0 })
}

// closed reports whether the application ended a connection with DISCONNECT.
func (s *session) closed(v *flow.Conversation) bool {
	return v.Half(clientOf(v)).Messages[codec.DISCONNECT] > 0
}

// ask reads a message of the device and reports whether it is DISCONNECT.
func (s *session) ask(t *tap, m *message, body []byte, n int) bool {
	at := t.sent(int64(m.FirstAt))
	switch m.Type {
	case codec.CONNECT:
		if s.version == 0 {
			s.connect(body)
		}
	case codec.PUBLISH:
		p, dup := publish(m, body, s.version)
		if dup {
			break
		}
		s.sent++
		s.qos2 = s.qos2 || p.qos == 2
		s.acts = append(s.acts, act{at: at, what: codec.PUBLISH, pub: p})
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		for i, p := range filters(body, m.Type, s.version) {
			if i > 0 {
				s.filters[m.Type]++
			}
			a := act{at: at, what: m.Type, pub: p}
			if n == 0 || s.pause == 0 || len(s.acts) < maxActs && !slices.ContainsFunc(s.acts, func(o act) bool { return o.what == a.what && o.pub == a.pub }) {
				s.acts = append(s.acts, a)
			}
		}
	case codec.DISCONNECT:
		s.acts = append(s.acts, act{at: at, what: codec.DISCONNECT})
		return true
	}
	return false
}

// hear reads a message of the broker.
func (s *session) hear(t *tap, m *message, body []byte) {
	switch m.Type {
	case codec.PUBACK, codec.PUBCOMP:
		s.acked++
	case codec.PUBLISH:
		p, dup := publish(m, body, s.version)
		if dup {
			return
		}
		s.got++
		s.comes = append(s.comes, arrival{int64(m.FirstAt), p})
		s.acts = append(s.acts, act{at: t.came(int64(m.ReadyAt)) + int64(soon), what: take})
	}
}

// ended looks at how a connection ended, and notes when the broker was not there.
// explained: the application or the keepalive ended it.
func (s *session) ended(t *tap, n int, v *flow.Conversation, client flow.Side, explained bool) {
	until := int64(-1) // the next connection that came up
	for _, next := range s.conns[n+1:] {
		if next.Handshake == flow.HandshakeComplete {
			until = t.sent(int64(next.First))
			break
		}
	}
	gone := absence{t.sent(int64(v.First)), until}
	switch {
	case v.Refused: // somebody said no
	case v.EndedBy == client.Peer() && !explained:
		gone.from = int64(v.Last)
	default:
		return
	}
	if k := len(s.crash); k > 0 && (s.crash[k-1].to < 0 || s.crash[k-1].to >= gone.from) {
		s.crash[k-1].to = gone.to // it still was
		return
	}
	s.crash = append(s.crash, gone)
}

// echoes takes from what the broker sent what the device itself had published: the
// broker of a run sends that by itself.
func (s *session) echoes() {
	const late = int64(10 * time.Second)
	used := make([]bool, len(s.acts))
	s.comes = slices.DeleteFunc(s.comes, func(c arrival) bool {
		for i := range s.acts {
			a := &s.acts[i]
			if a.what == codec.PUBLISH && !used[i] && a.pub.topic == c.topic && a.pub.size == c.size && c.at >= a.at && c.at-a.at < late {
				used[i] = true
				return true
			}
		}
		return false
	})
}

// asked is when the device began to look for somebody: with ARP, if it was first.
func (k *Capture) asked(device, peer netip.Addr, first int64) int64 {
	for i := range k.packets {
		p := &k.packets[i]
		if p.at > first {
			break
		}
		if p.arp && p.src == device && p.dst == peer && first-p.at < int64(time.Minute) {
			return p.at
		}
	}
	return first
}
