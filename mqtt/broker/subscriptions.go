package broker

import (
	"cmp"
	"slices"
	"strings"
)

// subscriptions is a trie of topic filters, one level of a filter an edge. Its
// children are sorted, so that nothing depends on the order of a map.
type subscriptions struct {
	root node
	n    int // subscriptions in it
}

type node struct {
	children []child      // sorted by level; "+" and "#" are among them
	subs     []subscriber // sorted by session
}

type child struct {
	level string
	node  *node
}

type subscriber struct {
	session *session
	qos     uint8
}

func (n *node) find(level string) (int, bool) {
	return slices.BinarySearchFunc(n.children, level, func(c child, l string) int { return strings.Compare(c.level, l) })
}

func (n *node) findSession(s *session) (int, bool) {
	return slices.BinarySearchFunc(n.subs, s, func(x subscriber, s *session) int { return cmp.Compare(x.session.seq, s.seq) })
}

// set adds a subscription or changes its QoS.
func (t *subscriptions) set(filter string, s *session, qos uint8) {
	n := &t.root
	for level := range strings.SplitSeq(filter, "/") {
		i, ok := n.find(level)
		if !ok {
			n.children = slices.Insert(n.children, i, child{strings.Clone(level), &node{}})
		}
		n = n.children[i].node
	}
	i, ok := n.findSession(s)
	if !ok {
		n.subs = slices.Insert(n.subs, i, subscriber{session: s})
		t.n++
	}
	n.subs[i].qos = qos
}

// remove takes a subscription out, with the nodes that it leaves empty.
func (t *subscriptions) remove(filter string, s *session) {
	if t.root.remove(filter, s) {
		t.n--
	}
}

func (n *node) remove(filter string, s *session) (removed bool) {
	level, rest, more := strings.Cut(filter, "/")
	i, ok := n.find(level)
	if !ok {
		return false
	}
	next := n.children[i].node
	if more {
		removed = next.remove(rest, s)
	} else if j, ok := next.findSession(s); ok {
		next.subs = slices.Delete(next.subs, j, j+1)
		removed = true
	}
	if len(next.subs) == 0 && len(next.children) == 0 {
		n.children = slices.Delete(n.children, i, i+1)
	}
	return removed
}

// match appends the sessions subscribed to topic to dst, each once, by their
// order of creation, and sets their matchQoS to the highest QoS that any of
// their filters was granted [MQTT-3.3.5-1].
func (t *subscriptions) match(dst []*session, topic string) []*session {
	if topic[0] == '$' { // not for filters that start with a wildcard [MQTT-4.7.2-1]
		level, rest, more := strings.Cut(topic, "/")
		if i, ok := t.root.find(level); ok {
			dst = t.root.children[i].node.match(dst, rest, more)
		}
	} else {
		dst = t.root.match(dst, topic, true)
	}
	slices.SortFunc(dst, func(x, y *session) int { return cmp.Compare(x.seq, y.seq) })
	for _, s := range dst {
		s.matched = false
	}
	return dst
}

// match collects from the node that the topic has led to so far; more says
// whether rest is left of it.
func (n *node) match(dst []*session, rest string, more bool) []*session {
	if i, ok := n.find("#"); ok { // matches the level above it too (section 4.7.1.2)
		dst = n.children[i].node.collect(dst)
	}
	if !more {
		return n.collect(dst)
	}
	level, rest, more := strings.Cut(rest, "/")
	if i, ok := n.find("+"); ok {
		dst = n.children[i].node.match(dst, rest, more)
	}
	if i, ok := n.find(level); ok {
		dst = n.children[i].node.match(dst, rest, more)
	}
	return dst
}

func (n *node) collect(dst []*session) []*session {
	for _, x := range n.subs {
		if !x.session.matched {
			x.session.matched, x.session.matchQoS = true, x.qos
			dst = append(dst, x.session)
		} else if x.qos > x.session.matchQoS {
			x.session.matchQoS = x.qos
		}
	}
	return dst
}
