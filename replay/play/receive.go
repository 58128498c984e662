package play

import (
	"bytes"
	"errors"
	"io"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// This file takes what the live peer does.

// maxLive bounds a packet of the live peer, and what waits for the end of it.
const maxLive = 16 << 20

// data takes bytes of the live peer.
func (s *session) data(b []byte) {
	if s.ended {
		return
	}
	s.rx = append(s.rx, b...)
	rest := s.rx
	for len(rest) > 0 && !s.ended {
		h, ok, err := codec.ParseHeader(rest)
		if err != nil || ok && h.Len() > maxLive {
			s.stop("the peer does not speak MQTT: %s", text(rest))
			return
		}
		if !ok || len(rest) < h.Len() {
			break
		}
		packet := bytes.Clone(rest[:h.Len()])
		rest = rest[h.Len():]
		s.message(packet)
	}
	s.rx = s.rx[:copy(s.rx, rest)]
	s.advance()
}

// message takes a packet of the live peer.
func (s *session) message(raw []byte) {
	f, err := script.Parse(raw, s.version)
	if err != nil {
		f = script.Fields{Type: codec.Type(raw[0] >> 4), Flags: raw[0] & 0x0F, ID: script.IDOf(raw)}
	}
	id := f.ID
	s.unadapted(&f)
	i := s.find(&f)
	if i < 0 {
		s.extra(&f, raw)
		return
	}
	st := &s.state[i]
	st.status, st.at, st.liveID = matched, s.now(), id
	s.pending.came(i)
	if f.Type == codec.PUBLISH {
		s.repeated[id] = true
	}
	if i < s.highest {
		s.report.Received.Reordered++
	}
	s.highest = max(s.highest, i)
	for len(s.expected) > 0 && s.state[s.expected[0]].status == matched {
		s.expected = s.expected[1:]
	}
	if f.Type == codec.PINGREQ {
		s.pinged(i)
	}
	differences := s.compare(i, &f, raw)
	if len(differences) == 0 {
		return
	}
	s.report.differ(differences)
	for _, d := range differences {
		if d.Class == Content && s.player.cfg.Policy == Strict {
			s.stop("%s: %s is %s, recorded %s", d.Event, d.Field, d.Live, d.Recorded)
			return
		}
	}
}

// extra takes a packet that was not recorded.
func (s *session) extra(f *script.Fields, raw []byte) {
	cfg := &s.player.cfg
	switch {
	case f.Type == codec.PINGREQ && cfg.As == script.Broker && cfg.Policy != Strict:
		// A play that lasts longer has more of them.
		s.report.Pings++
		s.answer(f, raw)
		return
	case f.Type == codec.PUBLISH && f.Flags&0x08 != 0 && s.repeats(f):
		s.report.Received.Repeated++
		return
	case s.unknowing():
		s.report.Received.Unchecked++
	default:
		s.report.extra(f, raw)
	}
	switch cfg.Policy {
	case Strict:
		if !s.unknowing() {
			s.stop("%s was not recorded", describe(f))
		}
	case Follow:
		s.answer(f, raw)
	case Wait, Skip:
	}
}

// unknowing reports whether the capture lacks some of what the peer sent.
func (s *session) unknowing() bool {
	fl := &s.of.Flags
	if s.player.cfg.As == script.Client {
		return fl.OneSided || fl.MissingBroker+fl.TailBroker > 0 || fl.LostBroker
	}
	return fl.OneSided || fl.MissingClient+fl.TailClient > 0 || fl.LostClient
}

// repeats reports whether a PUBLISH with DUP is one that came before.
func (s *session) repeats(f *script.Fields) bool { return s.repeated[f.ID] }

// lost hears that the connection has ended.
func (s *session) lost(err error) {
	if s.ended {
		return
	}
	s.gone = true
	kind := script.Abort
	if errors.Is(err, io.EOF) {
		kind = script.Close
	}
	if !s.open {
		s.stop("no connection: %v", err)
		return
	}
	for _, i := range s.expected {
		e := &s.events[i]
		if e.Kind == script.Message || s.state[i].status != pending {
			continue
		}
		s.state[i].status, s.state[i].at = matched, s.now()
		if e.Kind != kind {
			s.report.differ([]Difference{{Event: e.Label(), Frame: e.Frame, Field: "end", Recorded: e.Kind.String(), Live: kind.String(), Class: Detail}})
		}
	}
	for s.next < len(s.own) && s.events[s.own[s.next]].Kind != script.Message {
		s.state[s.own[s.next]].status, s.state[s.own[s.next]].at = sent, s.now() // there is nothing left to close
		s.next++
	}
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
	}
	if s.next < len(s.own) {
		s.stop("the peer ended the connection (%v) before %s (frame %d) was sent", err, s.events[s.own[s.next]].Label(), s.events[s.own[s.next]].Frame)
		return
	}
	s.finish()
}
