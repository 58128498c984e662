package broker

import (
	"slices"
	"strings"

	"hilnet/mqtt/codec"
)

// retained is the last retained message of each topic, sorted by topic.
type retained struct {
	messages []*message
	bytes    int
}

func (r *retained) find(topic string) (int, bool) {
	return slices.BinarySearchFunc(r.messages, topic, func(m *message, t string) int { return strings.Compare(m.topic, t) })
}

// set keeps m in place of the topic's former message. It reports false when that
// would exceed a limit; the former message is gone all the same, for it is no
// longer the topic's last one [MQTT-3.3.1-7].
func (r *retained) set(m *message, maxMessages, maxBytes int) bool {
	i, ok := r.find(m.topic)
	bytes := r.bytes + m.size()
	if ok {
		bytes -= r.messages[i].size()
	}
	if bytes > maxBytes || !ok && len(r.messages) >= maxMessages {
		r.remove(m.topic)
		return false
	}
	r.bytes = bytes
	if ok {
		r.messages[i] = m
	} else {
		r.messages = slices.Insert(r.messages, i, m)
	}
	return true
}

// remove forgets the topic's message.
func (r *retained) remove(topic string) {
	if i, ok := r.find(topic); ok {
		r.bytes -= r.messages[i].size()
		r.messages = slices.Delete(r.messages, i, i+1)
	}
}

// matching returns the messages that filter covers, in the order of topics.
func (r *retained) matching(filter string) (found []*message) {
	prefix := filter // what a topic must start with
	if i := strings.IndexAny(filter, "+#"); i >= 0 {
		prefix = filter[:i]
		if filter[i] == '#' {
			prefix = strings.TrimSuffix(prefix, "/") // "a/#" covers "a"
		}
	}
	from, _ := r.find(prefix)
	for _, m := range r.messages[from:] {
		if !strings.HasPrefix(m.topic, prefix) {
			break
		}
		if codec.Match(filter, m.topic) {
			found = append(found, m)
		}
	}
	return found
}
