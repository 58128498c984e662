package broker

import (
	"fmt"
	"strings"

	"hilnet/mqtt/codec"
)

// Rights say which topics a client may use. In a filter, %c stands for the
// client's identifier and %u for its user name; a filter with one of these
// covers nothing for a client whose identifier or name has a slash or a wildcard
// in it. A nil list allows everything, an empty one nothing.
type Rights struct {
	Publish   []string // filters that cover the topic names it may publish to
	Subscribe []string // filters that cover the topic filters it may subscribe to
}

func (r *Rights) check(whose string) error {
	for _, list := range [][]string{r.Publish, r.Subscribe} {
		for _, f := range list {
			if err := codec.ValidFilter([]byte(f)); err != nil {
				return fmt.Errorf("broker: rights of %s: %q: %w", whose, f, err)
			}
		}
	}
	return nil
}

// rightsOf returns the rights of those who log in as user.
func (b *Broker) rightsOf(user string) *Rights {
	for i := range b.cfg.Users {
		if b.cfg.Users[i].Name == user {
			return &b.cfg.Users[i].Rights
		}
	}
	return &b.cfg.Rights
}

// mayPublish reports whether the session's client may publish to a topic.
func (b *Broker) mayPublish(s *session, topic string) bool {
	list := s.rights.Publish
	for _, f := range list {
		if f, ok := s.expand(f); ok && codec.Match(f, topic) {
			return true
		}
	}
	return list == nil
}

// maySubscribe reports whether the session's client may have all that a filter
// covers.
func (b *Broker) maySubscribe(s *session, filter string) bool {
	list := s.rights.Subscribe
	for _, f := range list {
		if f, ok := s.expand(f); ok && covers(f, filter) {
			return true
		}
	}
	return list == nil
}

// expand puts the client's names into a filter of its rights.
func (s *session) expand(f string) (string, bool) {
	for _, x := range [2][2]string{{"%c", s.client}, {"%u", s.user}} {
		if !strings.Contains(f, x[0]) {
			continue
		}
		if x[1] == "" || strings.ContainsAny(x[1], "/+#") {
			return "", false
		}
		f = strings.ReplaceAll(f, x[0], x[1])
	}
	return f, true
}

// covers reports whether every topic that filter matches is matched by wide too.
func covers(wide, filter string) bool {
	if filter[0] == '$' && (wide[0] == '#' || wide[0] == '+') {
		return false // [MQTT-4.7.2-1]
	}
	for {
		w, wideRest, wideMore := strings.Cut(wide, "/")
		f, filterRest, filterMore := strings.Cut(filter, "/")
		switch {
		case w == "#":
			return true
		case f == "#" || w != "+" && w != f:
			return false
		case !filterMore:
			return !wideMore || wideRest == "#" // "a/#" matches "a" as well
		case !wideMore:
			return false
		}
		wide, filter = wideRest, filterRest
	}
}
