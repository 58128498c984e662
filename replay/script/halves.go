package script

import (
	"bytes"
	"net/netip"

	"hilnet/pcaps/flow"
)

// maxHalves bounds the one-sided conversations that wait for their other half.
const maxHalves = 4096

// halves find connections of which a capture has each direction apart: a tap with
// two outputs, or a mirror port that tags only one direction.
type halves struct {
	waiting map[[2]netip.AddrPort]half // by sender and receiver; looked up only
	found   int
}

type half struct {
	lane uint32
	vlan uint16
}

// add sees whether a conversation that has ended is a half, or completes one.
func (h *halves) add(c *flow.Conversation) {
	if !c.OneSided() {
		return
	}
	from, to := c.A.Addr, c.B.Addr
	if c.A.Frames == 0 {
		from, to = to, from
	}
	mine := half{lane: c.Lane}
	if len(c.VLANs) > 0 {
		mine.vlan = c.VLANs[0]
	}
	other := [2]netip.AddrPort{to, from}
	if at, ok := h.waiting[other]; ok && at != mine {
		delete(h.waiting, other)
		h.found++
		return
	}
	if h.waiting == nil {
		h.waiting = map[[2]netip.AddrPort]half{}
	}
	if len(h.waiting) < maxHalves {
		h.waiting[[2]netip.AddrPort{from, to}] = mine
	}
}

// isWebSocket reports whether a stream begins as a request for MQTT over WebSocket
// (MQTT 3.1.1 section 6).
func isWebSocket(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("GET ")) {
		return false
	}
	head, _, _ := bytes.Cut(bytes.ToLower(b), []byte("\r\n\r\n"))
	return bytes.Contains(head, []byte("\r\nupgrade: websocket")) && bytes.Contains(head, []byte("\r\nsec-websocket-protocol:")) && bytes.Contains(head, []byte("mqtt"))
}
