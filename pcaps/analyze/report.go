package analyze

import "time"

// The name and version of a [Report] as JSON. The version grows when a key
// changes its meaning or goes away; new keys do not change it.
const (
	Format  = "hilnet-analysis"
	Version = 1
)

// A Report is what an [Analyzer] found. Times are nanoseconds since the first
// frame, lists are never null, frames are counted from 1.
type Report struct {
	Frames        uint64          `json:"frames"`
	Segments      uint64          `json:"segments"`
	Conversations []*Conversation `json:"conversations"`
	// Unlisted counts the conversations beyond Config.MaxConversations.
	Unlisted uint64 `json:"unlisted_conversations"`
	// Artefacts are what the capturing did, not the network.
	Artefacts []Finding `json:"artefacts"`
}

// A Conversation is one TCP connection.
type Conversation struct {
	ID          uint64        `json:"id"`
	Client      string        `json:"client"` // who opened it, as far as is known
	Server      string        `json:"server"`
	Interface   uint32        `json:"interface"`
	Protocol    string        `json:"protocol"`
	TLS         string        `json:"tls,omitempty"` // what was read of its TLS, or why nothing was
	MQTTVersion uint8         `json:"mqtt_version"`  // protocol level, 0 = not known
	ClientID    string        `json:"client_id"`
	KeepAlive   uint16        `json:"keep_alive"` // seconds
	Handshake   string        `json:"handshake"`
	End         string        `json:"end"`
	EndedBy     string        `json:"ended_by"` // client, server or empty
	Start       time.Duration `json:"start"`
	Duration    time.Duration `json:"duration"`
	FirstFrame  uint64        `json:"first_frame"`
	LastFrame   uint64        `json:"last_frame"`
	InitialRTT  time.Duration `json:"initial_rtt"`
	ToServer    Direction     `json:"to_server"`
	ToClient    Direction     `json:"to_client"`
	Messages    []Message     `json:"messages"`
	Stalls      []Stall       `json:"stalls"`
	Findings    []Finding     `json:"findings"`
	// UsualStalls are those that are not in Stalls for being as always.
	UsualStalls []UsualStalls `json:"usual_stalls"`
	// The counts of what is beyond the limits of the lists.
	UnlistedMessages uint64 `json:"unlisted_messages"`
	UnlistedStalls   uint64 `json:"unlisted_stalls"`
	UnlistedFindings uint64 `json:"unlisted_findings"`
}

// A Direction is what one side sent.
type Direction struct {
	Frames           int     `json:"frames"`
	Bytes            int64   `json:"bytes"`
	Labels           []Count `json:"labels"`
	Origins          []Count `json:"origins"` // our own word on retransmissions
	DSACKs           int     `json:"dsacks"`  // that this side reported
	RTT              RTT     `json:"rtt"`     // until the peer acknowledged, by Karn's rule
	TimestampRTT     RTT     `json:"timestamp_rtt"`
	MaxBytesInFlight int     `json:"max_bytes_in_flight"`
}

// A Count is a name and a number.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// An RTT sums up round-trip times.
type RTT struct {
	Samples int           `json:"samples"`
	Min     time.Duration `json:"min"`
	Mean    time.Duration `json:"mean"`
	Max     time.Duration `json:"max"`
	sum     time.Duration
}

func (r *RTT) add(d time.Duration) {
	if r.Samples == 0 || d < r.Min {
		r.Min = d
	}
	r.Samples++
	r.Max, r.sum = max(r.Max, d), r.sum+d
	r.Mean = r.sum / time.Duration(r.Samples)
}

// A Message is an MQTT control packet.
type Message struct {
	At        time.Duration `json:"at"` // when its last byte was there
	From      string        `json:"from"`
	Type      string        `json:"type"`
	ID        uint16        `json:"packet_id,omitempty"`
	QoS       uint8         `json:"qos,omitempty"`
	Dup       bool          `json:"dup,omitempty"`
	Retain    bool          `json:"retain,omitempty"`
	Topic     string        `json:"topic,omitempty"`
	Len       int           `json:"len"`
	Frame     uint64        `json:"frame"` // of its first byte
	LastFrame uint64        `json:"last_frame"`
	// Coalesced: a frame of it holds other messages too; Split: it has several frames.
	Coalesced bool `json:"coalesced,omitempty"`
	Split     bool `json:"split,omitempty"`
	Missing   int  `json:"missing,omitempty"` // bytes that the capture does not have
	// Latency is from its first byte to the message that answers it, whose
	// frame Answer is: PUBACK, PUBREC, CONNACK and so on.
	Latency time.Duration `json:"latency,omitempty"`
	Answer  uint64        `json:"answer_frame,omitempty"`
}

// A Stall is a time in which a conversation stood still.
type Stall struct {
	Start    time.Duration `json:"start"`
	Duration time.Duration `json:"duration"`
	Before   uint64        `json:"before_frame"` // the last frame in front of it
	After    uint64        `json:"after_frame"`  // the one that ended it
	// Count is how often a sender sent the same again, where one line stands for
	// them all.
	Count int    `json:"count,omitempty"`
	Kind  string `json:"kind"`
	Text  string `json:"text"`
}

// UsualStalls are many stalls of a kind, none of them much longer than the others.
type UsualStalls struct {
	Kind    string        `json:"kind"`
	Count   int           `json:"count"`
	Median  time.Duration `json:"median"`
	Longest time.Duration `json:"longest"`
}

// A Finding is something that a person wants to know of.
type Finding struct {
	At    time.Duration `json:"at"`
	Frame uint64        `json:"frame"`
	Kind  string        `json:"kind"`
	Count uint64        `json:"count,omitempty"`
	Text  string        `json:"text"`
}
