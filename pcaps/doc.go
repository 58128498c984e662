// Package pcaps reads and writes capture files and records what passes a
// simulated link.
//
// It is three things, each usable without the others:
//
//   - a pcapng codec ([Reader], [Writer]): every block type, every option of
//     the specification as a typed field and the rest raw, both byte orders,
//     several sections, any time resolution, streaming in bounded memory; a
//     file cut in the middle is read to its last whole block;
//   - the classic pcap format (the same [Reader]; [PcapWriter]);
//   - a [Recorder] with one file per capture point, whose records carry what
//     the link did with each frame.
//
// It is not a dissector: packet bytes are opaque here. It keeps no clock, reads
// no environment and starts no goroutine.
//
// No type of this package is safe for concurrent use. A Recorder and its
// Points belong to the goroutine of the run's loop; a Reader or Writer belongs
// to whoever made it, one goroutine at a time.
//
// # Time
//
// A [Stamp] is nanoseconds since 1970-01-01T00:00:00Z. In virtual time a run
// starts at [VirtualEpoch], 2026-01-01T00:00:00Z, whatever the day, so that
// equal runs give equal bytes.
//
// # What a recorded frame says
//
// epb_packetid is the frame's id on the link, the same at every point it
// passes; epb_flags holds the direction; a frame that was lost carries
// epb_verdict TC_ACT_SHOT (Wireshark: frame.verdict.ebpf_tc == 2) and a comment
// naming stage, rule, reason, seed and ordinal. The comments of the section
// header hold everything needed to repeat the run; see [RunInfo].
//
// Reading list: draft-ietf-opsawg-pcapng (PCAP Next Generation Capture File
// Format), draft-ietf-opsawg-pcap (PCAP Capture File Format).
package pcaps
