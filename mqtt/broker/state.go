package broker

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hilnet/mqtt/codec"
)

// StateFormat and StateVersion head the state that Snapshot writes.
const (
	StateFormat  = "hilnet-broker-state"
	StateVersion = 1
)

// MaxState is the largest state that Restore takes, in bytes.
const MaxState = 256 << 20

// state is what a server keeps when it ends (section 4.1), as JSON. Payloads are
// in base64. Of sessions, those with CleanSession 0 are kept, in the order in
// which they were made; connections and wills are not.
type state struct {
	Format   string         `json:"format"`
	Version  int            `json:"version"`
	Assigned uint64         `json:"assigned_ids"` // client identifiers given out
	Messages []stateMessage `json:"messages"`     // each once, in the order of their first use below
	Retained []int          `json:"retained"`     // indices of messages, by topic
	Sessions []stateSession `json:"sessions"`
}

type stateMessage struct {
	Topic   string `json:"topic"`
	QoS     uint8  `json:"qos"` // at which it was published
	Payload []byte `json:"payload"`
}

type stateSession struct {
	Client   string          `json:"client"`
	User     string          `json:"user,omitempty"`
	LastID   uint16          `json:"last_id"`            // packet identifier given last
	Filters  []stateFilter   `json:"filters,omitempty"`  // sorted
	Inflight []stateDelivery `json:"inflight,omitempty"` // sent and not acknowledged, in the order of sending
	Queue    []stateDelivery `json:"queue,omitempty"`    // not sent yet, in order
	Incoming []uint16        `json:"incoming,omitempty"` // QoS 2 packets received and not released, sorted
}

type stateFilter struct {
	Filter string `json:"filter"`
	QoS    uint8  `json:"qos"`
}

type stateDelivery struct {
	Message  int    `json:"message"` // index
	ID       uint16 `json:"id,omitempty"`
	QoS      uint8  `json:"qos"`
	Retain   bool   `json:"retain,omitempty"`
	Released bool   `json:"released,omitempty"` // PUBREC has come
}

// Snapshot returns what a server that ends now must still know when it starts
// again: persistent sessions and retained messages, as JSON with StateFormat and
// StateVersion. It changes nothing; equal states give equal bytes.
func (b *Broker) Snapshot() []byte {
	st := state{Format: StateFormat, Version: StateVersion, Assigned: b.assigned, Messages: []stateMessage{}, Retained: []int{}, Sessions: []stateSession{}}
	known := map[*message]int{} // looked up, never iterated
	index := func(m *message) int {
		i, ok := known[m]
		if !ok {
			i = len(st.Messages)
			known[m] = i
			st.Messages = append(st.Messages, stateMessage{m.topic, m.qos, m.payload})
		}
		return i
	}
	deliveries := func(all []delivery) (out []stateDelivery) {
		for _, d := range all {
			out = append(out, stateDelivery{index(d.msg), d.id, d.qos, d.retain, d.released})
		}
		return out
	}
	for _, m := range b.retained.messages {
		st.Retained = append(st.Retained, index(m))
	}
	for _, s := range b.sessionsBySeq() {
		if s.clean {
			continue
		}
		out := stateSession{Client: s.client, User: s.user, LastID: s.lastID, Incoming: s.incoming}
		for _, f := range s.filters {
			out.Filters = append(out.Filters, stateFilter{f.name, f.qos})
		}
		out.Inflight = deliveries(s.inflight)
		out.Queue = deliveries(s.queue.items[s.queue.head:])
		st.Sessions = append(st.Sessions, out)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(&st); err != nil {
		panic("broker: " + err.Error()) // nothing in it can fail
	}
	return text.Bytes()
}

// sessionsBySeq returns all sessions in the order of their creation.
func (b *Broker) sessionsBySeq() []*session {
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y *session) int { return cmp.Compare(x.seq, y.seq) })
	return all
}

// ErrState is wrapped by every error of Restore about the state.
var ErrState = errors.New("not a state of this broker")

func stateErrorf(format string, args ...any) error {
	return fmt.Errorf("broker: %w: %w", ErrState, fmt.Errorf(format, args...))
}

// Restore returns a Broker with the state that Snapshot returned, whose clients
// are all away. The state may come from anywhere: what breaks a rule or a limit
// of cfg is an error that wraps ErrState.
func Restore(cfg Config, data []byte) (*Broker, error) {
	b, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxState {
		return nil, stateErrorf("%d bytes, more than %d", len(data), MaxState)
	}
	var st state
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&st); err != nil {
		return nil, stateErrorf("%w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, stateErrorf("something follows it")
	}
	if st.Format != StateFormat || st.Version != StateVersion {
		return nil, stateErrorf("format %q version %d, want %s version %d", st.Format, st.Version, StateFormat, StateVersion)
	}
	b.assigned = st.Assigned
	messages, err := b.restoreMessages(st.Messages)
	if err != nil {
		return nil, err
	}
	for _, i := range st.Retained {
		m, err := at(messages, i)
		switch {
		case err != nil:
			return nil, err
		case len(m.payload) == 0:
			return nil, stateErrorf("retained message %q is empty", m.topic)
		}
		if _, twice := b.retained.find(m.topic); twice {
			return nil, stateErrorf("two retained messages of %q", m.topic)
		}
		if !b.retained.set(m, b.cfg.MaxRetained, b.cfg.MaxRetainedBytes) {
			return nil, stateErrorf("more retained messages than the limits allow")
		}
	}
	for i := range st.Sessions {
		if err := b.restoreSession(&st.Sessions[i], messages); err != nil {
			return nil, stateErrorf("session %q: %w", st.Sessions[i].Client, err)
		}
	}
	return b, nil
}

func at(messages []*message, i int) (*message, error) {
	if i < 0 || i >= len(messages) {
		return nil, stateErrorf("message %d of %d", i, len(messages))
	}
	return messages[i], nil
}

func (b *Broker) restoreMessages(all []stateMessage) ([]*message, error) {
	messages := make([]*message, 0, len(all))
	for i, m := range all {
		switch err := codec.ValidTopic([]byte(m.Topic)); {
		case err != nil:
			return nil, stateErrorf("message %d: %w", i, err)
		case m.QoS > 2:
			return nil, stateErrorf("message %d: QoS %d", i, m.QoS)
		case len(m.Payload) > codec.MaxRemainingLength-len(m.Topic)-4:
			return nil, stateErrorf("message %d: payload of %d bytes", i, len(m.Payload))
		}
		messages = append(messages, b.newMessage(m.Topic, m.Payload, m.QoS))
	}
	return messages, nil
}

func (b *Broker) restoreSession(st *stateSession, messages []*message) error {
	switch {
	case st.Client == "" || codec.ValidString([]byte(st.Client)) != nil || codec.ValidString([]byte(st.User)) != nil:
		return errors.New("no client identifier or user name")
	case b.sessions[st.Client] != nil:
		return errors.New("it is there twice")
	case len(b.sessions) >= b.cfg.MaxSessions:
		return fmt.Errorf("more than %d sessions", b.cfg.MaxSessions)
	case len(st.Filters) > b.cfg.MaxSubscriptions || len(st.Inflight) > b.cfg.MaxInflight || len(st.Queue) > b.cfg.MaxQueued:
		return errors.New("more subscriptions or messages than the limits allow")
	}
	b.lastSeq++
	s := &session{client: st.Client, user: st.User, rights: b.rightsOf(st.User), seq: b.lastSeq, lastID: st.LastID}
	b.sessions[s.client] = s
	for _, f := range st.Filters {
		if err := codec.ValidFilter([]byte(f.Filter)); err != nil {
			return err
		}
		if strings.Count(f.Filter, "/") >= b.cfg.MaxTopicLevels {
			return fmt.Errorf("filter %q has more than %d levels", f.Filter, b.cfg.MaxTopicLevels)
		}
		if n := len(s.filters); f.QoS > 2 || n > 0 && f.Filter <= s.filters[n-1].name {
			return fmt.Errorf("filter %q: QoS %d, or not in order", f.Filter, f.QoS)
		}
		s.filters = append(s.filters, filter{f.Filter, f.QoS})
		b.subs.set(f.Filter, s, f.QoS)
	}
	for _, id := range st.Incoming {
		if n := len(s.incoming); id == 0 || n > 0 && id <= s.incoming[n-1] {
			return fmt.Errorf("incoming packet %d: zero, or not in order", id)
		}
		s.incoming = append(s.incoming, id)
	}
	for _, d := range st.Inflight {
		m, err := at(messages, d.Message)
		switch {
		case err != nil:
			return err
		case d.ID == 0 || s.find(d.ID) >= 0 || d.QoS < 1 || d.QoS > 2 || d.Released && d.QoS != 2:
			return fmt.Errorf("inflight packet %d: QoS %d, or there twice", d.ID, d.QoS)
		}
		s.inflight = append(s.inflight, delivery{msg: m, id: d.ID, qos: d.QoS, retain: d.Retain, released: d.Released})
	}
	for _, d := range st.Queue {
		m, err := at(messages, d.Message)
		switch {
		case err != nil:
			return err
		case d.ID != 0 || d.QoS < 1 || d.QoS > 2 || d.Released:
			return fmt.Errorf("queued message %d: packet %d, QoS %d", d.Message, d.ID, d.QoS)
		case s.queue.bytes+m.size() > b.cfg.MaxQueuedBytes:
			return fmt.Errorf("more than %d bytes queued", b.cfg.MaxQueuedBytes)
		}
		s.queue.push(delivery{msg: m, qos: d.QoS, retain: d.Retain})
	}
	return nil
}
