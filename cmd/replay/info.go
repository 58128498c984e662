package main

import (
	"net/netip"
	"time"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
)

const (
	infoFormat  = "hilnet-capture-info"
	infoVersion = 1 // grows when a key changes its meaning or goes away
)

// A document is what replay info --json prints.
type document struct {
	Format  string  `json:"format"`
	Version int     `json:"version"`
	Files   []*info `json:"files"`
}

// An info says what is in one capture. Times of frames are in RFC 3339 format,
// other times in nanoseconds.
type info struct {
	File     string    `json:"file"`
	Format   string    `json:"format"` // pcapng or pcap
	Sections []section `json:"sections"`

	Interfaces []point `json:"interfaces"`

	Packets    uint64         `json:"packets"`
	Bytes      uint64         `json:"bytes"`       // captured
	WireBytes  uint64         `json:"wire_bytes"`  // on the wire
	Cut        uint64         `json:"cut_packets"` // captured shorter than they were
	First      string         `json:"first,omitempty"`
	Last       string         `json:"last,omitempty"`
	Duration   time.Duration  `json:"duration"`     // from the earliest to the latest frame
	Backward   uint64         `json:"backward"`     // frames with an earlier time than the one before
	Lost       uint64         `json:"lost_packets"` // with a verdict that says: dropped on the link
	Commented  uint64         `json:"commented_packets"`
	Other      map[string]int `json:"other_blocks"` // by name
	Secrets    int            `json:"secrets"`
	NameBlocks int            `json:"name_blocks"`

	Conversations []conversation `json:"conversations"`
	// Unlisted counts conversations beyond the limit of the list.
	Unlisted uint64 `json:"unlisted_conversations"`
	// Ignored are frames that no conversation has; Dropped bytes of payload that no
	// stream has, Gaps bytes that are missing in streams. By reason.
	Ignored []count `json:"ignored_frames"`
	Dropped []count `json:"dropped_bytes"`
	Gaps    []count `json:"missing_bytes"`

	Problem *problem `json:"problem,omitempty"`

	first, last pcaps.Stamp
	timed       bool
}

// A section is a part of a pcapng file with interfaces of its own.
type section struct {
	Hardware    string    `json:"hardware,omitempty"`
	OS          string    `json:"os,omitempty"`
	Application string    `json:"application,omitempty"`
	Comments    []string  `json:"comments"`
	Run         *recorded `json:"run,omitempty"`
}

// A recorded is the run of hilnet that a capture is of.
type recorded struct {
	Version  string            `json:"version"`
	Seed     uint64            `json:"seed"`
	Versions map[string]string `json:"versions"`
	Texts    []string          `json:"texts"` // names of the embedded files
	scenario string
}

// A point is an interface.
type point struct {
	Section  int     `json:"section"`
	Name     string  `json:"name,omitempty"`
	Text     string  `json:"description,omitempty"`
	LinkType uint16  `json:"link_type"`
	SnapLen  uint32  `json:"snaplen"`
	Packets  uint64  `json:"packets"`
	Bytes    uint64  `json:"bytes"`
	First    string  `json:"first,omitempty"`
	Last     string  `json:"last,omitempty"`
	Dropped  *uint64 `json:"dropped,omitempty"` // by the capturing system, where it says

	first, last pcaps.Stamp
	timed       bool
}

// A conversation is one incarnation of a TCP connection.
type conversation struct {
	ID          uint64        `json:"id"`
	Interface   int           `json:"interface"`
	Client      string        `json:"client"` // the first one seen, when RoleKnownBy is unknown
	Server      string        `json:"server"`
	RoleKnownBy string        `json:"role_known_by"`
	Incarnation int           `json:"incarnation"`
	VLANs       []uint16      `json:"vlans"`
	Protocol    string        `json:"protocol"`
	TLS         string        `json:"tls,omitempty"` // what was read of its TLS, or why nothing was
	MQTTVersion uint8         `json:"mqtt_level"`    // protocol level of the CONNECT, 0: not seen
	Handshake   string        `json:"handshake"`
	Refused     bool          `json:"refused"`
	End         string        `json:"end"`
	Start       time.Duration `json:"start"` // from the first frame of the file
	Duration    time.Duration `json:"duration"`
	FirstFrame  uint64        `json:"first_frame"`
	LastFrame   uint64        `json:"last_frame"`
	ToServer    half          `json:"to_server"`
	ToClient    half          `json:"to_client"`
}

// A half is one direction of a conversation.
type half struct {
	Frames         int            `json:"frames"`
	Bytes          int64          `json:"bytes"`      // of the stream
	WireBytes      int64          `json:"wire_bytes"` // repeated ones included
	Repeated       int            `json:"repeated_segments"`
	OutOfOrder     int            `json:"out_of_order"`
	Gaps           int            `json:"gaps"`
	GapBytes       int64          `json:"gap_bytes"`
	BadChecksums   int            `json:"bad_checksums"`
	ZeroWindows    int            `json:"zero_windows"`
	MessageCount   int            `json:"message_count"`
	Messages       map[string]int `json:"messages"`
	BoundariesLost int            `json:"boundaries_lost"`
	types          []count        // Messages in the order of their types
}

// A count is a number with the reason for it.
type count struct {
	Reason string `json:"reason"`
	N      uint64 `json:"n"`
}

// A problem is where and why reading ended early.
type problem struct {
	Kind    string `json:"kind"` // cut or damaged
	Offset  int64  `json:"offset"`
	Ignored int64  `json:"ignored_bytes"` // 0 when it is not known
	Text    string `json:"text"`
}

func newConversation(c *flow.Conversation) conversation {
	client := c.Client
	if client == flow.NoSide {
		client = flow.SideA
	}
	to, from := c.Half(client), c.Half(client.Peer())
	return conversation{
		TLS: tlsdec.Describe(c),
		ID:  c.ID, Interface: int(c.Lane), Client: address(to.Addr), Server: address(from.Addr), RoleKnownBy: c.Role.String(),
		Incarnation: c.Incarnation, VLANs: filled(c.VLANs), Protocol: c.Protocol.String(), MQTTVersion: c.MQTTVersion,
		Handshake: c.Handshake.String(), Refused: c.Refused, End: c.End.String(), Start: time.Duration(c.First),
		Duration: c.Last.Sub(c.First), FirstFrame: c.FirstFrame, LastFrame: c.LastFrame,
		ToServer: newHalf(to), ToClient: newHalf(from),
	}
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

func newHalf(h *flow.Half) half {
	out := half{
		Frames: h.Frames, Bytes: h.Bytes, WireBytes: h.WireBytes, Repeated: h.Repeated, OutOfOrder: h.OutOfOrder,
		Gaps: h.Gaps, GapBytes: h.GapBytes, BadChecksums: h.BadChecksums, ZeroWindows: h.ZeroWindows,
		MessageCount: h.MessageCount(), Messages: map[string]int{}, BoundariesLost: h.BoundariesLost,
	}
	for t, n := range h.Messages {
		if n > 0 {
			name := messageName(t)
			out.Messages[name] = n
			out.types = append(out.types, count{name, uint64(n)})
		}
	}
	return out
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
