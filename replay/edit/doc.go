// Package edit writes capture files anew: in another format, in part, or joined.
//
// It streams: whatever the length of a file, one block of it is in memory. What a
// target cannot hold is counted by kind in a [Report], with the first frame that it
// concerns; nothing is left out silently. A file that is cut or damaged is copied up to
// there, and the Report says where that is.
//
// It changes no packet's bytes, length or time, except for digits of time that a
// coarser precision has no room for. It keeps no clock and starts no goroutine. A value
// belongs to one goroutine.
//
// Reading list: draft-ietf-opsawg-pcapng, draft-ietf-opsawg-pcap.
package edit
