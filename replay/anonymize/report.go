package anonymize

import "slices"

// A reason says why bytes became zeros.
type reason uint8

const (
	noReason reason = iota
	reasonLinkType
	reasonShort
	reasonEtherType
	reasonARP
	reasonIPHeader
	reasonProtocol
	reasonFragment
	reasonTCPHeader
	reasonQuoted
	reasonICMP
	reasonUDP
	reasonTrailer
	reasonIgnored
	reasonStream
	reasonMQTT
	reasonTLS
	reasonCount
)

var reasonNames = [reasonCount]string{
	noReason:        "none",
	reasonLinkType:  "link types that are not understood",
	reasonShort:     "headers that are cut",
	reasonEtherType: "EtherTypes that are not understood",
	reasonARP:       "ARP for others than IPv4 on Ethernet",
	reasonIPHeader:  "unreadable IP headers",
	reasonProtocol:  "IP protocols that are not understood",
	reasonFragment:  "IP fragments",
	reasonTCPHeader: "unreadable TCP headers",
	reasonQuoted:    "payload that ICMP errors quote, or of fragments",
	reasonICMP:      "data of ICMP",
	reasonUDP:       "data of UDP that is not understood",
	reasonTrailer:   "bytes behind the packet in a frame",
	reasonIgnored:   "payload of TCP segments that belong to no stream",
	reasonStream:    "streams that are neither MQTT nor TLS, or parts that cannot be read",
	reasonMQTT:      "unreadable parts of MQTT messages",
	reasonTLS:       "TLS handshakes",
}

// A Count is how often something happened.
type Count struct {
	What string `json:"what"`
	N    uint64 `json:"n"`
}

// A Report says what was done.
type Report struct {
	Frames     uint64 `json:"frames"`
	Addresses  uint64 `json:"addresses"` // places where an address was replaced
	Texts      uint64 `json:"texts"`     // in MQTT and TLS: topics, identifiers, names, credentials
	Messages   uint64 `json:"messages"`
	TLSRecords uint64 `json:"tls_records"`
	// Zeroed counts bytes that became zeros, by reason.
	Zeroed []Count `json:"zeroed_bytes"`
	// LeftOut counts what the copy lacks, by kind.
	LeftOut []Count `json:"left_out"`
	// Problem is why reading ended before the end of the capture.
	Problem error `json:"-"`

	zeros [reasonCount]uint64
}

func (r *Report) zero(why reason, n int) {
	if n > 0 {
		r.zeros[why] += uint64(n)
	}
}

// zeroed counts bytes that stay zeros in the output, but not those that were zeros.
func (a *Anonymizer) zeroed(why reason, in []byte) {
	for _, c := range in {
		if c != 0 {
			a.report.zeros[why]++
		}
	}
}

// leftOut counts n things that the copy lacks.
func (r *Report) leftOut(what string, n int) {
	if n == 0 {
		return
	}
	i := slices.IndexFunc(r.LeftOut, func(c Count) bool { return c.What == what })
	if i < 0 {
		i = len(r.LeftOut)
		r.LeftOut = append(r.LeftOut, Count{What: what})
	}
	r.LeftOut[i].N += uint64(n)
}

func (r *Report) finish() {
	r.Zeroed = []Count{}
	for i, n := range r.zeros {
		if n > 0 {
			r.Zeroed = append(r.Zeroed, Count{reasonNames[i], n})
		}
	}
	if r.LeftOut == nil {
		r.LeftOut = []Count{}
	}
}
