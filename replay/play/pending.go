package play

import (
	"hash/fnv"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// This file finds the recorded message that a live one is. A peer may say a million
// things that were not recorded, so nothing here looks through all that is expected.

// A pendings has the peer's messages that have not come, in queues by what a live
// message may have in common with them. An event stands in several; one that has
// come, or whose identifier has changed, is dropped when it comes to the front.
type pendings struct {
	s      *session
	queues map[fitKey][]int // indexes of events; looked up only
	// answers are the events that acknowledge an event, by its index.
	answers map[int][]int // looked up only
}

// A fitKey is what recorded and live messages of one queue have in common.
type fitKey struct {
	typ     codec.Type
	quality int
	id      uint16 // of acknowledgements
	sum     uint64 // of topic and payload, of the topic, or of the filters
}

// newPendings makes the queues of a session's expected events.
func newPendings(s *session) *pendings {
	p := &pendings{s: s, queues: map[fitKey][]int{}, answers: map[int][]int{}}
	for i := range s.events {
		e := &s.events[i]
		if acknowledges(e.Type) && e.Rule == script.RuleProtocol && e.Cause >= 0 {
			p.answers[e.Cause] = append(p.answers[e.Cause], i)
		}
	}
	for _, i := range s.expected {
		e := &s.events[i]
		if e.Kind != script.Message {
			continue
		}
		switch {
		case acknowledges(e.Type):
			p.add(i, fitKey{typ: e.Type, quality: exact, id: s.idOf(i)})
		case e.Type == codec.PUBLISH || e.Type == codec.SUBSCRIBE || e.Type == codec.UNSUBSCRIBE:
			if r, err := script.Parse(e.Raw, s.version); err == nil {
				for _, k := range p.keys(&r) {
					p.add(i, k)
				}
			} else {
				p.add(i, fitKey{typ: e.Type, quality: alike})
			}
		default:
			p.add(i, fitKey{typ: e.Type, quality: exact})
		}
	}
	return p
}

func (p *pendings) add(i int, k fitKey) { p.queues[k] = append(p.queues[k], i) }

// keys are the queues in which a message stands, or is looked for, the best first.
func (p *pendings) keys(f *script.Fields) []fitKey {
	switch f.Type {
	case codec.PUBLISH:
		h := fnv.New64a()
		h.Write(f.Topic)
		topic := h.Sum64()
		h.Write([]byte{0})
		h.Write(f.Payload)
		return []fitKey{{typ: f.Type, quality: exact, sum: h.Sum64()}, {typ: f.Type, quality: similar, sum: topic}, {typ: f.Type, quality: alike}}
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		h := fnv.New64a()
		for _, filter := range f.Filters {
			h.Write([]byte{byte(len(filter.Topic) >> 8), byte(len(filter.Topic))})
			h.Write(filter.Topic)
		}
		return []fitKey{{typ: f.Type, quality: exact, sum: h.Sum64()}, {typ: f.Type, quality: alike}}
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBACK, codec.UNSUBACK:
		return []fitKey{{typ: f.Type, quality: exact, id: f.ID}}
	}
	return []fitKey{{typ: f.Type, quality: exact}}
}

// find returns the first of the events that fit a live message best, -1 when none
// does.
func (p *pendings) find(f *script.Fields) int {
	for _, k := range p.keys(f) {
		queue := p.queues[k]
		for len(queue) > 0 && p.stale(queue[0], k) {
			queue = queue[1:]
		}
		if len(queue) == 0 {
			delete(p.queues, k)
			continue
		}
		p.queues[k] = queue
		return queue[0]
	}
	return -1
}

// stale reports whether an event does not belong into a queue any more.
func (p *pendings) stale(i int, k fitKey) bool {
	return p.s.state[i].status != pending || acknowledges(k.typ) && p.s.idOf(i) != k.id
}

// came puts the acknowledgements of what the peer has sent under the identifier that
// it has live.
func (p *pendings) came(i int) {
	s := p.s
	if s.state[i].liveID == s.events[i].ID {
		return // they stand there
	}
	level := p.answers[i]
	for range maxChain {
		var next []int
		for _, a := range level {
			e := &s.events[a]
			if e.From != s.player.cfg.As && s.state[a].status == pending {
				p.add(a, fitKey{typ: e.Type, quality: exact, id: s.idOf(a)})
			}
			next = append(next, p.answers[a]...)
		}
		level = next
	}
}
