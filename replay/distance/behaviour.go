package distance

// A Behaviour is a kind of deed of a device. The zero value is none.
type Behaviour uint8

// The behaviours, in the order of reports.
const (
	NoBehaviour Behaviour = iota
	ARPRequests
	ARPReplies
	NDRequests
	NDAnswers
	DHCPMessages
	DNSQueries
	SYNs
	InitialNumbers
	Ports
	SYNAnswers
	Retries
	Acknowledgements
	Windows
	WindowUpdates
	Segments
	Messages
	Answers
	Pings
	Reconnects
	Closes
	CloseAnswers
	OutageSends
	OutageReturns
	OutageRecoveries

	behaviours
)

// classOutage is the class of what needs to know when the link was down.
const classOutage = "outage"

// A description says of a behaviour what it is and how much it counts.
type description struct {
	class, name string
	weight      int
	text        string
	// asked tells that it answers what the peer did. Where only one of two devices was
	// asked, that says nothing of the other one; that it gave no answer is a sample.
	asked bool
}

// table describes the behaviours. The weights say how much a difference matters to who
// operates devices: what decides whether and when data arrive counts most, what only a
// trained eye sees in a capture counts least.
var table = [behaviours]description{
	ARPRequests:      {"arp", "arp_requests", 3, "requests for an address: which of a row it is, how it is sent, and the time since the one before", false},
	ARPReplies:       {"arp", "arp_replies", 2, "what becomes of requests for the device's address, and after how long", true},
	NDRequests:       {"nd", "nd_requests", 3, "IPv6: solicitations of neighbours and routers, announcements: which of a row it is, how it is sent, and the time since the one before", false},
	NDAnswers:        {"nd", "nd_answers", 2, "what becomes of solicitations for the device's IPv6 addresses, and after how long", true},
	DHCPMessages:     {"dhcp", "dhcp_messages", 4, "what is said to DHCP servers: which try it is, what it asks for, and the time since the message before, of either side", false},
	DNSQueries:       {"dns", "dns_queries", 4, "queries for names: which try it is, of which server, and the time since the try before", false},
	SYNs:             {"handshake", "syn", 3, "the first SYN of a connection: options, scale, MSS, window, TTL, DF", false},
	InitialNumbers:   {"handshake", "initial_number", 2, "the first sequence number beside the one of the connection before", false},
	Ports:            {"handshake", "port", 1, "the port beside the one of the connection before", false},
	SYNAnswers:       {"handshake", "syn_answer", 2, "what answers SYN,ACK, and after how long", true},
	Retries:          {"retransmission", "retries", 5, "what is sent again: which try it is, how many segments at once, and the time since the try before", false},
	Acknowledgements: {"acknowledgement", "acknowledgements", 3, "how arrived data are acknowledged: after how many segments, alone or with data, and after how long", false},
	Windows:          {"window", "window", 2, "the windows that are advertised, in their order", false},
	WindowUpdates:    {"window", "window_updates", 2, "segments that only open or close the window, and the time since the peer's last data", false},
	Segments:         {"segmentation", "segments", 3, "the segments that new data are cut into: length and PSH", false},
	Messages:         {"mqtt", "messages", 5, "what the client sends on its own: order, fields, and the time since the session began", false},
	Answers:          {"mqtt", "answers", 4, "what the client does with messages that want an answer, and after how long", true},
	Pings:            {"mqtt", "pings", 4, "PINGREQ: the time since the client's message before", false},
	Reconnects:       {"mqtt", "reconnects", 4, "the time from a connection's end to the next attempt", false},
	Closes:           {"close", "close", 3, "who ends a connection, how, and what was said before", false},
	CloseAnswers:     {"close", "close_answer", 2, "what answers the peer's FIN, and after how long", true},
	OutageSends:      {classOutage, "outage_sends", 2, "frames that are sent while the link is down", false},
	OutageReturns:    {classOutage, "outage_return", 4, "the time from an outage's end to the device's first frame", false},
	OutageRecoveries: {classOutage, "outage_recovery", 5, "the time from an outage's end until something new is acknowledged", false},
}

// String returns the name of a behaviour, as reports have it.
func (b Behaviour) String() string {
	if b > NoBehaviour && b < behaviours {
		return table[b].name
	}
	return "none"
}

// Class returns the class of a behaviour, such as "retransmission".
func (b Behaviour) Class() string {
	if b < behaviours {
		return table[b].class
	}
	return ""
}

// Weight returns how much a behaviour counts in a distance.
func (b Behaviour) Weight() int {
	if b < behaviours {
		return table[b].weight
	}
	return 0
}

// Text says what a behaviour is.
func (b Behaviour) Text() string {
	if b < behaviours {
		return table[b].text
	}
	return ""
}

// Behaviours returns all behaviours in the order of reports.
func Behaviours() []Behaviour {
	all := make([]Behaviour, 0, behaviours-1)
	for b := NoBehaviour + 1; b < behaviours; b++ {
		all = append(all, b)
	}
	return all
}
