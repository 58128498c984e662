package play

import (
	"bytes"
	"fmt"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// rewrite returns a recorded packet of the played side as it is sent: bytes as
// recorded, unless the Adapt asks for something else.
func (s *session) rewrite(raw []byte) []byte {
	a := &s.player.cfg.Adapt
	if !a.any() {
		return raw
	}
	t := codec.Type(raw[0] >> 4)
	switch {
	case t == codec.CONNECT:
	case a.TopicPrefix != "" && (t == codec.PUBLISH || t == codec.SUBSCRIBE || t == codec.UNSUBSCRIBE):
	default:
		return raw
	}
	f, err := script.Parse(raw, s.version)
	if err != nil {
		return raw // what is malformed is sent so
	}
	switch t {
	case codec.CONNECT:
		a.connect(&f.Connect, s.clientID(a.ClientID))
	case codec.PUBLISH:
		f.Topic = a.prefixed(f.Topic)
	default:
		for i := range f.Filters {
			f.Filters[i].Topic = a.prefixed(f.Filters[i].Topic)
		}
	}
	return f.Append(nil, s.version)
}

// clientID is the client identifier of the session: several clients may not have
// one, for a broker would throw each other out.
func (s *session) clientID(name string) string {
	if n := s.player.clientNumber[s.recordedID]; name != "" && n > 1 {
		return fmt.Sprintf("%s-%d", name, n)
	}
	return name
}

func (a *Adapt) connect(c *script.Connect, id string) {
	if id != "" {
		c.ClientID = []byte(id)
	}
	if a.Anonymous || a.User != "" {
		c.Flags &^= script.FlagUser | script.FlagPassword
		c.User, c.Password = nil, nil
	}
	if a.User != "" {
		c.Flags |= script.FlagUser | script.FlagPassword
		c.User, c.Password = []byte(a.User), []byte(a.Password)
	}
	if c.Flags&script.FlagWill != 0 {
		c.WillTopic = a.prefixed(c.WillTopic)
	}
}

const (
	shared = "$share/"
	system = "$"
)

// prefixed puts the prefix in front of a topic or filter; of a shared
// subscription behind the name of the group. A server's own topics, and the empty
// one of a topic alias, stay.
func (a *Adapt) prefixed(topic []byte) []byte {
	head, rest := groupOf(topic)
	if a.TopicPrefix == "" || len(rest) == 0 || head == 0 && rest[0] == system[0] {
		return topic
	}
	out := append([]byte(nil), topic[:head]...)
	return append(append(out, a.TopicPrefix...), rest...)
}

// unprefixed takes the prefix off a topic of the live peer.
func (a *Adapt) unprefixed(topic []byte) []byte {
	head, rest := groupOf(topic)
	if a.TopicPrefix == "" || !bytes.HasPrefix(rest, []byte(a.TopicPrefix)) {
		return topic
	}
	return append(append([]byte(nil), topic[:head]...), rest[len(a.TopicPrefix):]...)
}

// groupOf cuts the "$share/group/" off a filter.
func groupOf(topic []byte) (int, []byte) {
	if !bytes.HasPrefix(topic, []byte(shared)) {
		return 0, topic
	}
	i := bytes.IndexByte(topic[len(shared):], '/')
	if i < 0 {
		return 0, topic
	}
	return len(shared) + i + 1, topic[len(shared)+i+1:]
}

// unadapted returns a packet of the live peer as it would be without the Adapt.
func (s *session) unadapted(f *script.Fields) {
	a := &s.player.cfg.Adapt
	if a.TopicPrefix == "" {
		return
	}
	f.Topic = a.unprefixed(f.Topic)
	for i := range f.Filters {
		f.Filters[i].Topic = a.unprefixed(f.Filters[i].Topic)
	}
	f.Connect.WillTopic = a.unprefixed(f.Connect.WillTopic)
}
