package page

import (
	"hilnet/report"
)

// The name and version of a page's data. The version grows when a key changes
// its meaning or goes away; new keys do not change it.
const (
	Format  = "hilnet-page"
	Version = 1
)

// Limits of a page. What is beyond them is counted and named in Head.Missing.
const (
	MaxFrames = 250_000
	MaxEvents = 200_000
	MaxLanes  = 64
	// HeaderBytes is how much of each frame travels in the page.
	HeaderBytes = 96
	chunkFrames = 8192
)

// A Head is what a page knows of the whole.
type Head struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Kind    string `json:"kind"` // run, sweep or explore
	Title   string `json:"title"`
	Hilnet  string `json:"hilnet"`
	// Run is the result, or what is left of it without the trace.
	Run report.Run `json:"run"`
	// Judged says that verdict, checks and findings are known.
	Judged bool `json:"judged"`
	// Live says that chunks are still to come, by the function hilnet.add of the
	// page's script.
	Live    bool   `json:"live,omitempty"`
	Foreign bool   `json:"foreign,omitempty"` // a capture that hilnet did not make
	Length  int64  `json:"length"`            // ns
	Lanes   []Lane `json:"lanes"`
	// Versions of what decides the outcome.
	Versions []Named  `json:"versions"`
	Scenario string   `json:"scenario"` // resolved
	Missing  []string `json:"missing"`  // what the page would show if it had more
	Findings []Remedy `json:"findings"` // beside Run.Outcome.Findings, in their order
	Drops    []Drop   `json:"drops"`
	// Latency is the distribution from publish to acknowledgement.
	Latency       []Quantile     `json:"latency"`
	LatencyCount  int            `json:"latency_count"`
	Captures      []Capture      `json:"captures"`
	Conversations []Conversation `json:"conversations"`
	// Sweep and Exploration are those of pages of these kinds.
	Sweep       *Sweep       `json:"sweep,omitempty"`
	Exploration *Exploration `json:"exploration,omitempty"`
}

// A Named is a name and a value.
type Named struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Remedy says what a finding means and what to do about it.
type Remedy struct {
	Means  string `json:"means"`
	Remedy string `json:"remedy"`
}

// A Drop is how often something was dropped for a reason.
type Drop struct {
	Reason string `json:"reason"`
	N      int    `json:"n"`
	Means  string `json:"means"`
	Source string `json:"source"`
}

// A Quantile is a point of a distribution: the share P of all is at most NS.
type Quantile struct {
	P  float64 `json:"p"`
	NS int64   `json:"ns"`
}

// A Lane is a device, its link and its peer.
type Lane struct {
	Device string `json:"device"`
	Link   string `json:"link"`
	Peer   string `json:"peer"`
	Total  int    `json:"total"` // packets of the device's pool, 0 when unknown
}

// A Capture is a file that the page was made of, with its numbers.
type Capture struct {
	File   string `json:"file"`
	Lane   int    `json:"lane"`
	Point  string `json:"point"` // device, peer or other
	Frames int    `json:"frames"`
	Bytes  int64  `json:"bytes"` // on the wire
	Lost   int    `json:"lost"`  // frames that the link dropped
}

// A Conversation is a TCP connection as the first capture of a lane has it.
type Conversation struct {
	Lane     int    `json:"lane"`
	ID       uint64 `json:"id"`
	Client   string `json:"client"`
	Server   string `json:"server"`
	Protocol string `json:"protocol"`
	TLS      string `json:"tls"` // what was read of it, or why nothing was; empty if there is none
	ClientID string `json:"client_id"`
	Start    int64  `json:"start"` // ns
	Duration int64  `json:"duration"`
	End      string `json:"end"`
	Up       Way    `json:"up"`
	Down     Way    `json:"down"`
	Stalls   []Note `json:"stalls"`
	Notes    []Note `json:"notes"` // findings of the analysis
	Unlisted uint64 `json:"unlisted"`
}

// A Way is what one side of a conversation sent.
type Way struct {
	Frames   int   `json:"frames"`
	Bytes    int64 `json:"bytes"`
	Again    int   `json:"again"` // retransmissions, by Wireshark's rules
	DupACKs  int   `json:"dup_acks"`
	Order    int   `json:"order"` // out of order
	ZeroWin  int   `json:"zero_win"`
	RTTs     int   `json:"rtts"`
	RTTMin   int64 `json:"rtt_min"`
	RTTMean  int64 `json:"rtt_mean"`
	RTTMax   int64 `json:"rtt_max"`
	InFlight int   `json:"in_flight"` // most bytes
}

// A Note is a remark on a moment.
type Note struct {
	T     int64  `json:"t"`
	For   int64  `json:"for,omitempty"`
	Frame uint64 `json:"frame,omitempty"` // its number in the capture
	Kind  string `json:"kind"`
	Text  string `json:"text"`
}

// A Chunk is what happened in a part of a run. Text stands in Strings, which all
// chunks share: the first string of a chunk follows the last one of the chunk
// before it. Index 0 is the empty string. With Own, the chunk is of a Feed: its
// Strings are its own, from index 1, its Bands are those that have ended since the
// chunk before, and Lasting are those that have not.
type Chunk struct {
	Length  int64    `json:"length"` // newest moment, ns
	Strings []string `json:"strings,omitempty"`
	Frames  *Frames  `json:"frames,omitempty"`
	Events  *Events  `json:"events,omitempty"`
	Series  []Series `json:"series,omitempty"`
	Bands   []Band   `json:"bands,omitempty"`
	Fatal   []Fatal  `json:"fatal,omitempty"`
	Own     bool     `json:"own,omitempty"`
	Lasting []Band   `json:"lasting,omitempty"`
}

// Frames are columns, a value for each frame. "Delta" columns hold the
// difference to the frame before in the chunk, the first one the value itself.
type Frames struct {
	N      int     `json:"n"`
	T      []int64 `json:"t"`      // delta: when it entered the link, ns
	D      []int64 `json:"d"`      // ns until it left it at the other end; -1: it did not
	ID     []int64 `json:"id"`     // delta: epb_packetid
	Num    []int64 `json:"num"`    // delta: its number in the capture of its sender, or else of its receiver
	Lane   []int   `json:"lane"`   // index of Head.Lanes
	Flags  []int   `json:"flags"`  // bits Flag…
	Len    []int   `json:"len"`    // bytes on the wire
	TCP    []int   `json:"tcp"`    // flags of the TCP header, -1: no TCP
	Pay    []int   `json:"pay"`    // bytes of TCP payload
	Labels []int   `json:"labels"` // bits of analyze.Labels
	Conv   []int   `json:"conv"`   // Conversation.ID of the lane, 0: none
	Base   []int64 `json:"base"`   // sequence number of the sender's SYN, or of its first segment
	Peer   []int64 `json:"peer"`   // and of the other side's
	Info   []int   `json:"info"`   // string: what the headers say, of what is not TCP
	MQTT   []int   `json:"mqtt"`   // string: the messages that begin or end in it
	Why    []int   `json:"why"`    // string: what the link did to it
	Place  []int   `json:"place"`  // where it died: 0 at its sender to 100 at its receiver
	// RTT and RTO are pairs of a frame's index and a value.
	RTT []int64 `json:"rtt"`
	RTO []int64 `json:"rto"`
	// Head holds the first bytes of each frame, HeadLen of them, each filled up to
	// a multiple of 3; base64.
	HeadLen []int  `json:"head_len"`
	Head    string `json:"head"`
}

// Bits of Frames.Flags.
const (
	FlagUp = 1 << iota // the device sent it
	FlagLost
	FlagInFlight // at the end of the run
	FlagCopy     // one that the link made
	FlagCorrupt
	FlagUndecided // its fate is not in the capture
	FlagDied      // it left the link, and its receiver dropped it
	FlagSentAgain // its sender sent these bytes before
	FlagBareIP    // Head begins with the IP header
)

// Events are columns, as in Frames.
type Events struct {
	N     int     `json:"n"`
	T     []int64 `json:"t"`   // delta
	Seq   []int64 `json:"seq"` // delta: number in the trace
	Kind  []int   `json:"kind"`
	Node  []int   `json:"node"`
	Text  []int   `json:"text"`
	Frame []int64 `json:"frame"` // epb_packetid, 0: none
	Lane  []int   `json:"lane"`  // -1: of no device
	Level []int   `json:"level"` // 0: as usual, 1: of note, 2: bad
}

// A Series is more points of a curve.
type Series struct {
	Name string  `json:"name"` // such as device/pool/free
	T    []int64 `json:"t"`    // delta
	V    []int64 `json:"v"`    // delta
}

// A Band is a state that lasted.
type Band struct {
	Lane  int    `json:"lane"`
	Track string `json:"track"` // link, nic, session, power, device or timeline
	State string `json:"state"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
	Bad   bool   `json:"bad"`
}

// A Fatal marks a frame whose loss is fatal.
type Fatal struct {
	Lane    int    `json:"lane"`
	Up      bool   `json:"up"`
	Ordinal uint64 `json:"ordinal"` // among those that entered there, from 1
	Text    string `json:"text"`
}
