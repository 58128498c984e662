package flow

import (
	"fmt"
	"net/netip"

	"hilnet/sim"
)

// Side is one of the two ends of a conversation.
type Side uint8

// The sides.
const (
	NoSide Side = iota
	SideA       // who sent the first frame seen
	SideB
)

func (s Side) String() string { return pick(int(s), "none", "A", "B") }

// Peer is the other side.
func (s Side) Peer() Side { return [...]Side{NoSide, SideB, SideA}[s] }

func pick(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

// Handshake says how much of a conversation's opening was seen.
type Handshake uint8

// Handshakes.
const (
	HandshakeUnseen       Handshake = iota // the conversation was joined midstream
	HandshakePartial                       // a SYN or a SYN,ACK, but not all three steps
	HandshakeComplete                      // SYN, SYN,ACK and what follows it
	HandshakeSimultaneous                  // both sides sent a SYN without ACK
)

func (h Handshake) String() string {
	return pick(int(h), "unseen", "partial", "complete", "simultaneous")
}

// Role says how the client was told from the server.
type Role uint8

// Roles, each stronger than those before it.
const (
	RoleUnknown Role = iota
	RoleByPort       // the other side's port is in MQTTPorts or TLSPorts
	RoleByMQTT       // MQTT messages that only one side may send
	RoleBySYN        // the client sent the SYN, the server the SYN,ACK
)

func (r Role) String() string { return pick(int(r), "unknown", "port", "MQTT messages", "SYN") }

// Protocol is what a conversation carries.
type Protocol uint8

// Protocols.
const (
	ProtocolUndecided Protocol = iota // too little was seen
	ProtocolMQTT
	ProtocolTLS
	ProtocolHTTP // MQTT over WebSocket included
	ProtocolOther
)

func (p Protocol) String() string { return pick(int(p), "undecided", "MQTT", "TLS", "HTTP", "other") }

// Evidence says why a stream was taken for what Half.Protocol says.
type Evidence uint8

// Evidence.
const (
	NoEvidence         Evidence = iota
	EvidenceConnect             // starts with CONNECT
	EvidenceConnack             // starts with CONNACK
	EvidencePeer                // the other direction is MQTT
	EvidencePackets             // rule 3 of the package comment
	EvidenceTLSRecord           // a TLS record header
	EvidenceHTTP                // an HTTP request or response line
	EvidenceOtherStart          // starts with none of the above, not on an MQTT port
	EvidenceNoPackets           // no MQTT packets found in the first 64 KiB
	EvidenceNotWanted           // Config.NoMQTT
)

func (e Evidence) String() string {
	return pick(int(e), "none yet", "starts with CONNECT", "starts with CONNACK", "the other direction is MQTT",
		"segments hold whole MQTT packets", "TLS record header", "HTTP request or response line",
		"starts with neither CONNECT nor CONNACK", "no MQTT packets in the first 64 KiB", "MQTT is not looked for")
}

// End says how a conversation ended, or how the record of it did.
type End uint8

// Ends.
const (
	EndOpen     End = iota // still open when last seen
	EndFIN                 // both directions were closed by FIN
	EndHalf                // one direction was closed by FIN
	EndRST                 // reset
	EndReplaced            // a new incarnation began
)

func (e End) String() string { return pick(int(e), "open", "FIN", "half-closed", "RST", "replaced") }

// Conversation is the record of one incarnation of a TCP connection. It is kept
// up to date until NoticeEnded and does not change after it; it may be kept
// for ever, and may not be written to.
type Conversation struct {
	ID          uint64 // from 1, in order of first frames
	Incarnation int    // from 1, of the same addresses, ports and VLANs
	VLANs       []uint16
	Lane        uint32

	A, B Half

	Client    Side // NoSide: not known
	Role      Role // how it is known
	Handshake Handshake
	// Refused tells that a SYN was answered with RST.
	Refused bool
	// End is how the connection ended; EndedBy the side that sent the first FIN
	// or the RST.
	End     End
	EndedBy Side
	// Evicted tells that the table gave the conversation up to make room.
	Evicted bool

	Protocol Protocol // MQTT when either direction is
	// Secure reads the conversation's TLS, nil if there is none or nobody does.
	// Where it can, Protocol is that of what TLS carries.
	Secure      Decrypter
	MQTTVersion uint8 // protocol level of the CONNECT: 3 = 3.1, 4 = 3.1.1, 5; 0 = not seen

	First, Last           sim.Time // of its frames
	FirstFrame, LastFrame uint64
}

// Half is one direction: what one side sent.
type Half struct {
	Addr netip.AddrPort // of the sender

	Frames            int
	Inbound, Outbound int   // frames by their direction hint
	Bytes             int64 // of the stream, without gaps
	WireBytes         int64 // payload of all frames, repeated ones included

	ISN         uint32 // counts when SYNs > 0
	SYNs        int    // SYN and SYN,ACK, retransmissions included
	FINs        int
	RSTs        int
	MSS         uint16 // of the SYN; 0 = not seen
	WindowScale uint8  // counts when HasScale
	HasScale    bool
	SACK        bool
	Timestamps  bool

	PureACKs         int
	Repeated         int   // segments with bytes seen before
	RepeatedBytes    int64 // bytes seen before
	OutOfOrder       int   // segments that arrived in front of a hole
	Overlaps         int   // segments that repeat only some of their bytes, or share them with several
	Differing        int   // segments whose repeated bytes differ from the first copy
	KeepAlives       int
	ZeroWindows      int // segments that close the window
	ZeroWindowProbes int
	OutOfWindow      int
	BadChecksums     int
	Gaps             int
	GapBytes         int64
	Buffered         int // most bytes that ever waited behind a hole

	Protocol Protocol
	Evidence Evidence
	// Messages counts the MQTT messages by type.
	Messages       [16]int
	BoundariesLost int // times
	LostBytes      int64
}

// Half returns what side sent. It panics for NoSide.
func (c *Conversation) Half(side Side) *Half {
	switch side {
	case SideA:
		return &c.A
	case SideB:
		return &c.B
	}
	panic("flow: Half of no side")
}

// OneSided reports whether frames of one direction only were seen.
func (c *Conversation) OneSided() bool { return c.A.Frames == 0 || c.B.Frames == 0 }

// Midstream reports whether no SYN was seen.
func (c *Conversation) Midstream() bool { return c.Handshake == HandshakeUnseen }

// MessageCount is the number of MQTT messages of all types.
func (h *Half) MessageCount() int {
	n := 0
	for _, m := range h.Messages {
		n += m
	}
	return n
}

// String is the conversation in one line, the client, if known, first.
func (c *Conversation) String() string {
	a, b := &c.A, &c.B
	if c.Client == SideB {
		a, b = b, a
	}
	arrow := "->"
	if c.Client == NoSide {
		arrow = "--"
	}
	return fmt.Sprintf("#%d %v %s %v %v, handshake %v, end %v, %d+%d frames, %d+%d bytes, %d+%d messages, %d+%d bytes in gaps",
		c.ID, a.Addr, arrow, b.Addr, c.Protocol, c.Handshake, c.End, a.Frames, b.Frames,
		a.Bytes, b.Bytes, a.MessageCount(), b.MessageCount(), a.GapBytes, b.GapBytes)
}

// claim notes that side is the client, unless that is known better.
func (c *Conversation) claim(side Side, role Role) {
	if role > c.Role {
		c.Client, c.Role = side, role
	}
}
