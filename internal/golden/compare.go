package golden

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/replay/segment"
	"hilnet/wire"
)

// Tolerance is how far a frame's time may be from the recorded one, after both
// runs are laid over each other.
const Tolerance = 20 * time.Millisecond

// A Seen is what is compared of a frame of the device.
type Seen struct {
	At   time.Duration
	Text string // kind, flags, relative numbers, window, options, TTL, DF, IP ID, MQTT
}

// DeviceFrames returns what is compared of the device's frames. Their times
// count from base before the first frame.
func DeviceFrames(base time.Duration, frames []segment.Frame) []Seen {
	var out []Seen
	v := &viewer{}
	for _, f := range frames {
		var l wire.Layers
		if err := l.Parse(f.Data); err != nil {
			out = append(out, Seen{base + f.At, fmt.Sprintf("unreadable: %v", err)})
			continue
		}
		text := v.view(&l)
		if l.Ethernet.Src() == DeviceMAC {
			out = append(out, Seen{base + f.At, text})
		}
	}
	return out
}

// A viewer knows the first sequence numbers of both directions of the
// connection that a port has at the moment.
type viewer struct{ conns map[uint16]*[2]uint32 }

func (v *viewer) view(l *wire.Layers) string {
	switch {
	case l.ARP != nil:
		return fmt.Sprintf("ARP op %d for %v, %d B behind it", l.ARP.Operation(), l.ARP.Target(), len(l.Payload))
	case l.TCP != nil:
		return v.viewTCP(l)
	case l.IPv4 != nil:
		return fmt.Sprintf("IP protocol %d, %d B, ttl %d, id %d", l.Protocol, l.IPv4.TotalLen(), l.IPv4.TTL(), l.IPv4.ID())
	}
	return fmt.Sprintf("ethertype %#x", l.Ethernet.EtherType())
}

func (v *viewer) viewTCP(l *wire.Layers) string {
	fromDevice := l.Ethernet.Src() == DeviceMAC
	port, side := l.TCP.DstPort(), 1
	if fromDevice {
		port, side = l.TCP.SrcPort(), 0
	}
	if v.conns == nil {
		v.conns = map[uint16]*[2]uint32{}
	}
	c := v.conns[port]
	if c == nil || l.TCP.Has(wire.TCPSyn) && fromDevice && c[0] != l.TCP.Seq() {
		c = new([2]uint32)
		v.conns[port] = c
	}
	if l.TCP.Has(wire.TCPSyn) {
		c[side] = l.TCP.Seq()
	}
	if !fromDevice {
		return ""
	}
	ack := l.TCP.Ack()
	if l.TCP.Has(wire.TCPAck) {
		ack -= c[1]
	}
	df := ""
	if l.IPv4.DontFragment() {
		df = " DF"
	}
	return fmt.Sprintf("%v seq %d ack %d len %d win %d ttl %d id %d%s opt %x %s",
		l.TCP.Flags(), l.TCP.Seq()-c[0], ack, len(l.Payload), l.TCP.Window(), l.IPv4.TTL(), l.IPv4.ID(), df,
		l.TCP.RawOptions(), messages(l.Payload))
}

// messages names the MQTT packets that begin in a segment.
func messages(payload []byte) string {
	var names []string
	for len(payload) > 0 {
		n, err := codec.Frame(payload, codec.MaxPacket)
		if err != nil || n <= 0 {
			return strings.Join(append(names, fmt.Sprintf("%d B", len(payload))), ", ")
		}
		names = append(names, messageName(payload[:n]))
		payload = payload[n:]
	}
	return strings.Join(names, ", ")
}

func messageName(frame []byte) string {
	var p codec.Packet
	if err := p.Decode(frame); err != nil {
		return fmt.Sprintf("%x", frame[:min(len(frame), 8)])
	}
	// Type, flags and identifier; the text of a message is the recording's own.
	switch p.Type {
	case codec.PUBLISH:
		return fmt.Sprintf("PUBLISH %x id %d", frame[0], p.Publish.ID)
	case codec.CONNECT, codec.CONNACK, codec.PINGREQ, codec.PINGRESP, codec.DISCONNECT:
		return p.Type.String()
	}
	return fmt.Sprintf("%v id %x", p.Type, frame[2:4])
}

// A Comparison is two rows of device frames laid beside each other.
type Comparison struct {
	Frames    int // recorded
	Matching  int
	Shift     time.Duration // of the second row against the first: their median
	Differing []string
}

// Compare aligns the two rows so that most frames match, and lists what does not.
// Times are compared after shifting all by the median difference.
func Compare(want, got []Seen) Comparison {
	pairs := align(want, got)
	shift := medianShift(want, got, pairs)
	c := Comparison{Frames: len(want), Shift: shift}
	i, j := 0, 0
	for _, p := range append(pairs, [2]int{len(want), len(got)}) {
		for ; i < p[0]; i++ {
			c.Differing = append(c.Differing, fmt.Sprintf("missing  %s", want[i]))
		}
		for ; j < p[1]; j++ {
			c.Differing = append(c.Differing, fmt.Sprintf("extra    %s", got[j]))
		}
		if i == len(want) {
			break
		}
		if off := got[j].At - want[i].At - shift; off < -Tolerance || off > Tolerance {
			c.Differing = append(c.Differing, fmt.Sprintf("%+v late  %s", off, want[i]))
		} else {
			c.Matching++
		}
		i, j = i+1, j+1
	}
	return c
}

// String shows the frame on one line.
func (s Seen) String() string { return fmt.Sprintf("%9.3f %s", s.At.Seconds(), s.Text) }

// align returns the longest common subsequence of texts, as pairs of indices.
// Of several frames with the same text it takes the nearest in time.
func align(a, b []Seen) [][2]int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			table[i][j] = max(table[i+1][j], table[i][j+1])
			if a[i].Text == b[j].Text {
				table[i][j] = max(table[i][j], 1+table[i+1][j+1])
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].Text == b[j].Text && table[i][j] == 1+table[i+1][j+1]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case table[i+1][j] >= table[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

func medianShift(a, b []Seen, pairs [][2]int) time.Duration {
	if len(pairs) == 0 {
		return 0
	}
	shifts := make([]time.Duration, len(pairs))
	for i, p := range pairs {
		shifts[i] = b[p[1]].At - a[p[0]].At
	}
	slices.Sort(shifts)
	return shifts[len(shifts)/2]
}
