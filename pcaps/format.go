package pcaps

import (
	"bytes"
	"fmt"
	"slices"
)

// A BlockType is the type of a pcapng block.
type BlockType uint32

// The block types of the specification.
const (
	BlockInterface      BlockType = 0x00000001
	BlockObsoletePacket BlockType = 0x00000002
	BlockSimplePacket   BlockType = 0x00000003
	BlockNames          BlockType = 0x00000004
	BlockStatistics     BlockType = 0x00000005
	BlockEnhancedPacket BlockType = 0x00000006
	BlockJournal        BlockType = 0x00000009
	BlockSecrets        BlockType = 0x0000000A
	BlockCustom         BlockType = 0x00000BAD // tools may copy it to another file
	BlockCustomNoCopy   BlockType = 0x40000BAD // tools that rewrite the file must drop it
	BlockSectionHeader  BlockType = 0x0A0D0D0A
)

var blockNames = map[BlockType]string{
	BlockInterface:      "interface description",
	BlockObsoletePacket: "obsolete packet",
	BlockSimplePacket:   "simple packet",
	BlockNames:          "name resolution",
	BlockStatistics:     "interface statistics",
	BlockEnhancedPacket: "enhanced packet",
	BlockJournal:        "systemd journal",
	BlockSecrets:        "decryption secrets",
	BlockCustom:         "custom",
	BlockCustomNoCopy:   "custom (do not copy)",
	BlockSectionHeader:  "section header",
}

// String returns the name that the specification gives the block.
func (t BlockType) String() string {
	if name, ok := blockNames[t]; ok {
		return name
	}
	return fmt.Sprintf("unknown 0x%08X", uint32(t))
}

// A LinkType says how packet data begins (the LINKTYPE_ registry).
type LinkType uint16

// Link types that this project writes.
const (
	LinkTypeNull     LinkType = 0
	LinkTypeEthernet LinkType = 1
	LinkTypeRaw      LinkType = 101
)

// An Option is an option that has no field of its own: unknown ones, custom
// ones (codes 2988, 2989, 19372 and 19373, whose enterprise number is PEN and
// not part of Value), a second occurrence of an option that may stand once, and
// known ones whose value has a length the specification does not allow. It is
// written back as it was read; Value is not converted when the byte order
// changes.
type Option struct {
	Code  uint16
	PEN   uint32
	Value []byte
}

// The custom option codes; their values start with a private enterprise number.
const (
	OptionCustomText         uint16 = 2988
	OptionCustomBinary       uint16 = 2989
	OptionCustomTextNoCopy   uint16 = 19372
	OptionCustomBinaryNoCopy uint16 = 19373
)

// A Section is a section header: it starts a part of the file with its own
// byte order and interfaces. An empty string is an absent option.
type Section struct {
	BigEndian    bool
	Major, Minor uint16 // as read; written as 1.0
	Length       int64  // as read, -1 unknown; written as -1
	Hardware     string
	OS           string
	UserAppl     string
	Comments     []string
	Options      []Option
}

// An Interface is a capture point of a section.
type Interface struct {
	LinkType    LinkType
	SnapLen     uint32 // largest captured length, 0 = no limit
	Name        string
	Description string
	Hardware    string
	OS          string
	IPv4        []IPv4Net
	IPv6        []IPv6Net
	MAC         []byte // 6 bytes or none
	EUI         []byte // 8 bytes or none
	Speed       uint64 // bit/s, 0 = absent
	TxSpeed     uint64
	RxSpeed     uint64
	Resolution  Resolution
	Offset      int64  // seconds to add to each timestamp
	TimeZone    uint32 // obsolete if_tzone, 0 = absent
	TimeZoneTZ  string // if_iana_tzname
	FilterKind  uint8  // 0 = libpcap expression, 1 = BPF bytecode
	Filter      string
	HasFCSLen   bool // FCSLen was stated, which may be "none": 0
	FCSLen      uint8
	Comments    []string
	Options     []Option
}

// An IPv4Net is an if_IPv4addr: the mask may have holes.
type IPv4Net struct{ Addr, Mask [4]byte }

// An IPv6Net is an if_IPv6addr.
type IPv6Net struct {
	Addr   [16]byte
	Prefix uint8
}

// Fields says which optional numbers of a [Packet] or [Statistics] are present.
type Fields uint16

// The optional numbers.
const (
	FieldFlags Fields = 1 << iota
	FieldDropCount
	FieldPacketID
	FieldQueue
	FieldThread
	FieldStartTime
	FieldEndTime
	FieldIfRecv
	FieldIfDrop
	FieldFilterAccept
	FieldOSDrop
	FieldUsrDeliv
)

// Bits of epb_flags.
const (
	FlagInbound   uint32 = 1 << 0
	FlagOutbound  uint32 = 2 << 0
	FlagDirection uint32 = 3 << 0
	FlagCRCError  uint32 = 1 << 24
)

// A Packet is one record of traffic, from any block type and from classic pcap.
type Packet struct {
	// Block is the block type: BlockEnhancedPacket (also written for 0, and
	// set for classic pcap), BlockSimplePacket or BlockObsoletePacket.
	Block     BlockType
	Interface int // index of the interface in the section
	LinkType  LinkType
	Time      Stamp // 0 in a simple packet, which has none
	// Ticks is the raw timestamp. A Writer uses it in place of Time where both
	// denote the same nanosecond, so that finer resolutions survive a copy.
	Ticks       uint64
	Data        []byte
	OriginalLen int // length on the wire; 0 is written as len(Data)

	Fields    Fields
	Flags     uint32
	DropCount uint64 // lost between this packet and the one before on the interface
	PacketID  uint64
	Queue     uint32
	Thread    uint64 // process id << 32 | thread id
	Hashes    []Hash
	Verdicts  []Verdict
	Comments  [][]byte // UTF-8
	Options   []Option
}

// A Hash is an epb_hash.
type Hash struct {
	Algorithm uint8 // 2 = CRC32, 3 = MD5, 4 = SHA-1, …
	Value     []byte
}

// A Verdict is an epb_verdict.
type Verdict struct {
	Kind   uint8
	Result uint64 // of VerdictTC and VerdictXDP
	Data   []byte // of every other kind
}

// Kinds of verdicts and the one result that the Recorder writes.
const (
	VerdictHardware uint8  = 0
	VerdictTC       uint8  = 1
	VerdictXDP      uint8  = 2
	TCActShot       uint64 = 2 // TC_ACT_SHOT: dropped
)

// Statistics is an interface statistics block.
type Statistics struct {
	Interface    int
	Time         Stamp
	Ticks        uint64 // as in Packet
	Fields       Fields
	StartTime    Stamp
	EndTime      Stamp
	StartTicks   uint64
	EndTicks     uint64
	IfRecv       uint64
	IfDrop       uint64
	FilterAccept uint64
	OSDrop       uint64
	UsrDeliv     uint64
	Comments     []string
	Options      []Option
}

// Names is a name resolution block.
type Names struct {
	Records  []NameRecord
	DNSName  string
	DNSIPv4  []byte // 4 bytes or none
	DNSIPv6  []byte // 16 bytes or none
	Comments []string
	Options  []Option
}

// A NameRecord gives an address its names.
type NameRecord struct {
	Kind  uint16   // NameIPv4, … ; for other kinds Addr is the whole value
	Addr  []byte   // 4, 16, 6 or 8 bytes
	Names []string // at least one; may not hold a NUL
}

// Kinds of name records.
const (
	NameIPv4  uint16 = 1
	NameIPv6  uint16 = 2
	NameEUI48 uint16 = 3
	NameEUI64 uint16 = 4
)

// addressLength returns 0 for kinds that the specification does not know.
func addressLength(kind uint16) int {
	switch kind {
	case NameIPv4:
		return 4
	case NameIPv6:
		return 16
	case NameEUI48:
		return 6
	case NameEUI64:
		return 8
	}
	return 0
}

// Secrets is a decryption secrets block. It must stand before the packets
// that it opens.
type Secrets struct {
	Kind     uint32
	Data     []byte
	Comments []string
	Options  []Option
}

// Kinds of secrets.
const (
	SecretsTLS       uint32 = 0x544c534b // NSS key log lines
	SecretsSSH       uint32 = 0x5353484b
	SecretsWireGuard uint32 = 0x57474b4c
	SecretsZigBeeNWK uint32 = 0x5a4e574b
	SecretsZigBeeAPS uint32 = 0x5a415053
)

// Custom is a custom block. Its options cannot be told from its data without
// knowing the enterprise's format, so Data holds both.
type Custom struct {
	NoCopy bool
	PEN    uint32
	Data   []byte // padded to 4 bytes in the file; the padding is part of it when read
}

// A Record is one block. Exactly one of the pointers is set, or none for a
// journal entry and a block of unknown type: then Body holds its bytes.
//
// Packet, Custom and Body point into the Reader's buffer and are valid until
// the next call of Next. The others are the caller's to keep.
type Record struct {
	Type       BlockType
	Offset     int64 // of the block in the input
	Section    *Section
	Interface  *Interface
	Packet     *Packet
	Statistics *Statistics
	Names      *Names
	Secrets    *Secrets
	Custom     *Custom
	Body       []byte
}

// Clone returns a copy of p that shares no memory with the Reader.
func (p *Packet) Clone() *Packet {
	c := *p
	c.Data = bytes.Clone(p.Data)
	c.Hashes = slices.Clone(p.Hashes)
	for i := range c.Hashes {
		c.Hashes[i].Value = bytes.Clone(c.Hashes[i].Value)
	}
	c.Verdicts = slices.Clone(p.Verdicts)
	for i := range c.Verdicts {
		c.Verdicts[i].Data = bytes.Clone(c.Verdicts[i].Data)
	}
	c.Comments = slices.Clone(p.Comments)
	for i := range c.Comments {
		c.Comments[i] = bytes.Clone(c.Comments[i])
	}
	c.Options = slices.Clone(p.Options)
	for i := range c.Options {
		c.Options[i].Value = bytes.Clone(c.Options[i].Value)
	}
	return &c
}
