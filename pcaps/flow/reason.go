package flow

// Reason names why a frame was ignored, payload was dropped, a stream has a
// gap, or message boundaries were lost.
type Reason uint8

// Reasons. The comments say what they apply to.
const (
	NoReason Reason = iota

	// Frames that are no TCP segments of a conversation: [Result.Ignored].
	ReasonLinkType    // link type not known
	ReasonShort       // cut before the end of a header
	ReasonNotIP       // ARP, LLC, MPLS and so on
	ReasonTags        // more than four VLAN tags
	ReasonIPHeader    // impossible version or length
	ReasonFragment    // part of an IP packet
	ReasonExtensions  // too many IPv6 extension headers, or encrypted ones
	ReasonNotTCP      // UDP, ICMP and so on
	ReasonTCPHeader   // impossible data offset
	ReasonStaleACK    // answers an earlier incarnation
	ReasonBadChecksum // would be dropped by the receiver
	ReasonBlindReset  // RST far outside the window (RFC 5961 section 3)

	// Payload that is not part of the stream: [Result.Dropped].
	ReasonRepeated    // delivered or held before
	ReasonKeepAlive   // the byte of a keep-alive probe
	ReasonBeforeStart // in front of the first byte seen, whose place is taken
	ReasonOutOfWindow // outside the receiver's window, or too far away
	ReasonAfterFIN    // behind the end of the stream
	ReasonOnRST       // text of a reset (RFC 9293 section 3.10.7.4)

	// Gaps: [Chunk.Reason], and lost boundaries.
	ReasonAcknowledged // the receiver had the bytes, the capture does not
	ReasonTimeout      // hole older than Config.HoleTimeout
	ReasonFlowLimit    // Config.MaxBuffered or Config.MaxPieces
	ReasonTotalLimit   // Config.MaxMemory
	ReasonSnapped      // the capture cut the frame
	ReasonMovedOn      // the sender's numbers moved on for good
	ReasonEnded        // the conversation ended

	// Lost boundaries only: [Notice.Reason].
	ReasonMidstream // the start of the stream was not seen
	ReasonNoStart   // on an MQTT port, but no CONNECT or CONNACK at the start
	ReasonMalformed // remaining length of more than four bytes

	reasonCount
)

var reasonNames = [reasonCount]string{
	NoReason:           "none",
	ReasonLinkType:     "link type is not known",
	ReasonShort:        "frame ends within a header",
	ReasonNotIP:        "not IP",
	ReasonTags:         "more than four VLAN tags",
	ReasonIPHeader:     "impossible IP header",
	ReasonFragment:     "IP fragment",
	ReasonExtensions:   "IPv6 extension headers that cannot be followed",
	ReasonNotTCP:       "not TCP",
	ReasonTCPHeader:    "impossible TCP header",
	ReasonStaleACK:     "belongs to an earlier incarnation",
	ReasonBadChecksum:  "wrong TCP checksum",
	ReasonBlindReset:   "reset far outside the window",
	ReasonRepeated:     "repeats bytes seen before",
	ReasonKeepAlive:    "keep-alive probe",
	ReasonBeforeStart:  "lies before the first byte seen",
	ReasonOutOfWindow:  "outside the window",
	ReasonAfterFIN:     "behind the FIN",
	ReasonOnRST:        "payload of a reset",
	ReasonAcknowledged: "acknowledged but not captured",
	ReasonTimeout:      "not filled in time",
	ReasonFlowLimit:    "buffer limit of the flow",
	ReasonTotalLimit:   "memory limit of the table",
	ReasonSnapped:      "frame cut by the capture",
	ReasonMovedOn:      "sequence numbers moved on",
	ReasonEnded:        "conversation ended",
	ReasonMidstream:    "start of the stream was not seen",
	ReasonNoStart:      "stream does not start with CONNECT or CONNACK",
	ReasonMalformed:    "remaining length has more than four bytes",
}

func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return "unknown"
}
