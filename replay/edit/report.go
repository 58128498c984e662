package edit

import (
	"fmt"

	"hilnet/pcaps"
)

// A Kind is what a target may be unable to hold.
type Kind uint8

// The kinds of losses.
const (
	NoKind Kind = iota
	PacketTime
	TimeDigits
	NoTime
	Comments
	Flags
	PacketIDs
	DropCounts
	Hashes
	Queues
	Threads
	Verdicts
	PacketOptions
	BlockKinds
	Interfaces
	InterfaceOf
	SectionTexts
	NameBlocks
	SecretsBlocks
	StatisticsBlocks
	CustomBlocks
	NoCopyBlocks
	OtherBlocks
	kindCount
)

var kindNames = [kindCount]string{
	NoKind:           "none",
	PacketTime:       "packets, for their time is before 1970 or after 2106",
	TimeDigits:       "digits of a packet's time",
	NoTime:           "that a packet has no time (it got that of the one before)",
	Comments:         "comments of packets",
	Flags:            "directions and other flags of packets",
	PacketIDs:        "packet ids",
	DropCounts:       "drop counts of packets",
	Hashes:           "hashes of packets",
	Queues:           "queues of packets",
	Threads:          "processes and threads of packets",
	Verdicts:         "verdicts on packets",
	PacketOptions:    "other options of packets",
	BlockKinds:       "that a packet's block is of the obsolete or the simple kind",
	Interfaces:       "names and properties of interfaces",
	InterfaceOf:      "which of several interfaces saw a packet",
	SectionTexts:     "texts of section headers",
	NameBlocks:       "blocks of names",
	SecretsBlocks:    "blocks of secrets",
	StatisticsBlocks: "blocks of statistics",
	CustomBlocks:     "custom blocks",
	NoCopyBlocks:     "custom blocks that forbid to be copied",
	OtherBlocks:      "blocks of other types",
}

// String says what is lost.
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// A Loss is what the target could not hold.
type Loss struct {
	Kind  Kind   `json:"-"`
	What  string `json:"what"`
	N     uint64 `json:"n"`
	Frame uint64 `json:"frame"` // the first packet that it concerns, or the last in front of the block; from 1
}

// A Report says what became of a capture. Read = Written + NotChosen + packets
// among the Losses of kind PacketTime.
type Report struct {
	Read      uint64 `json:"read"` // packets
	Written   uint64 `json:"written"`
	NotChosen uint64 `json:"not_chosen"`
	Losses    []Loss `json:"losses"`
	// Problem is why reading ended before the end of the capture.
	Problem error `json:"-"`

	at [kindCount]int // 1 + index in Losses
}

// lose counts n things of a kind that are lost.
func (r *Report) lose(k Kind, n int) {
	if n == 0 {
		return
	}
	if r.at[k] == 0 {
		r.Losses = append(r.Losses, Loss{Kind: k, What: k.String(), Frame: r.Read})
		r.at[k] = len(r.Losses)
	}
	r.Losses[r.at[k]-1].N += uint64(n)
}

func present(on bool) int {
	if on {
		return 1
	}
	return 0
}

// losePacket counts what classic pcap does not hold of a packet.
func (r *Report) losePacket(p *pcaps.Packet) {
	r.lose(Comments, len(p.Comments))
	r.lose(Flags, present(p.Fields&pcaps.FieldFlags != 0))
	r.lose(PacketIDs, present(p.Fields&pcaps.FieldPacketID != 0))
	r.lose(DropCounts, present(p.Fields&pcaps.FieldDropCount != 0))
	r.lose(Hashes, len(p.Hashes))
	r.lose(Queues, present(p.Fields&pcaps.FieldQueue != 0))
	r.lose(Threads, present(p.Fields&pcaps.FieldThread != 0))
	r.lose(Verdicts, len(p.Verdicts))
	r.lose(PacketOptions, len(p.Options))
	r.lose(BlockKinds, present(p.Block != pcaps.BlockEnhancedPacket))
}
