package play

import (
	"slices"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// This file is how a connection of a live client finds its conversation.

// Why a connection is one beyond the script.
const (
	whyNoneLeft  = "no conversation was left"
	whyCrowd     = "too many connections had not said who they are"
	whyTooMuch   = "too many bytes without a whole CONNECT"
	whyNoConnect = "its first bytes are no CONNECT"
	whyEnded     = "it ended before its CONNECT"
	whySilent    = "no CONNECT came until the end of the play"
)

// stranger counts a connection beyond the script.
func (p *Player) stranger(why string) { p.strangers = tally(p.strangers, why, 1) }

// tally adds to the count of a reason.
func tally(list []Tally, reason string, n uint64) []Tally {
	if n == 0 {
		return list
	}
	i := slices.IndexFunc(list, func(t Tally) bool { return t.Reason == reason })
	if i < 0 {
		return append(list, Tally{reason, n})
	}
	list[i].Count += n
	return list
}

// accept finds the conversation for a connection of the live client.
func (p *Player) accept(c Conn) *Events {
	if p.done || !slices.ContainsFunc(p.sessions, func(s *session) bool { return !s.begun && !s.ended }) {
		p.stranger(whyNoneLeft)
		if p.done && p.shaking > 0 { // it is one of those
			p.shaking--
		}
		return nil
	}
	if p.lobbies >= p.left+maxLobbies {
		p.stranger(whyCrowd)
		return nil
	}
	p.lobbies++
	l := &lobby{player: p, conn: c}
	return &Events{Data: l.data, Closed: l.closed}
}

// Limits of connections that have not said who they are. Beyond them they are
// refused, and count as extra.
const (
	maxLobbies    = 1024        // more than conversations are left
	maxLobbyBytes = 4 * maxLive // of all of them together, maxFirst of each apart
	maxFirst      = 64 << 10    // what a CONNECT is hardly longer than
)

// A lobby is a connection that has not said who it is.
type lobby struct {
	player *Player
	conn   Conn
	rx     []byte
	events *Events
	over   bool
}

func (l *lobby) data(b []byte) {
	switch {
	case l.over:
		return
	case l.events != nil:
		l.events.Data(b)
		return
	}
	p := l.player
	if len(l.rx)+len(b) > maxFirst && p.lobbyBytes+len(b) > maxLobbyBytes {
		l.refuse(whyTooMuch)
		l.conn.Abort()
		return
	}
	l.rx = append(l.rx, b...)
	p.lobbyBytes += len(b)
	h, ok, err := codec.ParseHeader(l.rx)
	if err == nil && h.Type == codec.CONNECT && (!ok || len(l.rx) < h.Len()) && len(l.rx) < maxLive {
		return
	}
	s, why := p.choose(l.rx)
	if s == nil {
		l.refuse(why)
		l.conn.Abort()
		return
	}
	first := l.leave()
	l.events = s.take(l.conn)
	l.events.Data(first)
}

// leave returns what was said until now.
func (l *lobby) leave() []byte {
	first := l.rx
	l.player.lobbies--
	l.player.lobbyBytes -= len(first)
	l.rx = nil
	return first
}

// refuse counts the connection as one of nobody that is known.
func (l *lobby) refuse(why string) {
	l.over = true
	l.player.stranger(why)
	l.leave()
}

func (l *lobby) closed(err error) {
	switch {
	case l.events != nil:
		l.events.Closed(err)
	case !l.over:
		l.refuse(whyEnded)
		l.conn.Close()
	}
}

// connectOf is the client identifier of a CONNECT at the beginning of what a client
// said; false when there is none.
func connectOf(first []byte) (id string, ok bool) {
	raw, ok, err := codec.ParseRaw(first)
	if !ok || err != nil {
		return "", false
	}
	f, err := script.Parse(first[:raw.Len()], 0)
	if err != nil || f.Type != codec.CONNECT {
		return "", false
	}
	return string(f.Connect.ClientID), true
}

// choose returns the session for a connection that begins so, or why there is none:
// the one of the same client identifier, else the next. What begins without CONNECT
// takes none but one that was recorded so.
func (p *Player) choose(first []byte) (next *session, why string) {
	id, connects := connectOf(first)
	why = whyNoneLeft
	for _, s := range p.sessions {
		switch {
		case s.begun || s.ended:
			continue
		case !connects && !s.unintroduced:
			why = whyNoConnect
			continue
		case next == nil:
			next = s
		}
		if connects && s.recordedID == id {
			next = s
			break
		}
	}
	if next == nil {
		return nil, why
	}
	if !p.based {
		p.base, p.based = p.cfg.Loop.Now().Add(-p.cfg.scaled(next.of.Open-p.origin)), true
	}
	p.accepting.ResetAfter(p.cfg.Accept)
	return next, ""
}
