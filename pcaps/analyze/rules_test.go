package analyze

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// A talk is a TCP connection that a test writes down, segment by segment.
type talk struct {
	a    *Analyzer
	now  sim.Time
	n    uint64
	next [2]uint32 // sequence numbers of the client and the server
	ip   uint16
}

const (
	byClient = 0
	byServer = 1
)

func newTalk(t *testing.T) *talk {
	t.Helper()
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	k := &talk{a: a, next: [2]uint32{1000, 5000}}
	k.say(byClient, wire.TCPSyn, "", 0)
	k.say(byServer, wire.TCPSyn|wire.TCPAck, "", 50*time.Millisecond)
	k.say(byClient, wire.TCPAck, "", time.Millisecond)
	return k
}

func (k *talk) feed(frame []byte, wait time.Duration) {
	k.now, k.n = k.now.Add(wait), k.n+1
	k.a.Feed(flow.Frame{Data: frame, Link: flow.LinkEthernet, At: k.now, Number: k.n})
}

// at sends a segment with that sequence number and window.
func (k *talk) at(who int, flags wire.TCPFlags, seq uint32, window uint16, payload string, wait time.Duration) {
	src, dst := clientAddr, serverAddr
	if who == byServer {
		src, dst = dst, src
	}
	ack := k.next[1-who]
	if flags&wire.TCPAck == 0 {
		ack = 0
	}
	k.ip++
	frame := segmentOf(src, dst, flags, seq, ack, k.ip, payload)
	tcp := wire.TCP(frame[34:54])
	tcp.SetWindow(window)
	k.feed(frame, wait)
}

// say sends what comes next.
func (k *talk) say(who int, flags wire.TCPFlags, payload string, wait time.Duration) {
	k.at(who, flags, k.next[who], 1000, payload, wait)
	k.next[who] += uint32(len(payload))
	if flags&(wire.TCPSyn|wire.TCPFin) != 0 {
		k.next[who]++
	}
}

const (
	connectPacket = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01c" // keep alive 10 s
	connackPacket = "\x20\x02\x00\x00"
	push          = wire.TCPAck | wire.TCPPsh
)

// session opens an MQTT session.
func (k *talk) session() *talk {
	k.say(byClient, push, connectPacket, time.Millisecond)
	k.say(byServer, push, connackPacket, 50*time.Millisecond)
	k.say(byClient, wire.TCPAck, "", time.Millisecond)
	return k
}

// Each rule is shown by a connection in which it holds, in which nothing else is
// wrong.
func TestEachRuleFindsWhatItIsFor(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		want string // kind and the beginning of the text
		talk func(*talk)
	}{
		{"connack_refused: the server refused the session", func(k *talk) {
			k.say(byClient, push, connectPacket, time.Millisecond)
			k.say(byServer, push, "\x20\x02\x00\x05", 50*time.Millisecond)
		}},
		{"broker_silent: the client sent CONNECT and got no CONNACK in 30s", func(k *talk) {
			k.say(byClient, push, connectPacket, time.Millisecond)
			k.say(byServer, wire.TCPAck, "", 50*time.Millisecond)
			k.say(byClient, wire.TCPFin|wire.TCPAck, "", 30*second-50*time.Millisecond)
		}},
		{"keepalive_missed: the client sent no message for 16.", func(k *talk) {
			k.session().say(byServer, wire.TCPFin|wire.TCPAck, "", 16*second)
		}},
		{"half_open: the client sent again 3 times", func(k *talk) {
			k.session().say(byClient, push, "\xc0\x00", second)
			for range 3 {
				k.at(byClient, push, k.next[byClient]-2, 1000, "\xc0\x00", second)
			}
		}},
		{"boundary_lost: the messages of the client cannot be told apart", func(k *talk) {
			k.session().say(byClient, push, "\x30\xff\xff\xff\xff\x01", second) // a length of five bytes
		}},
		{"overlap: the client repeats bytes and they are not the same", func(k *talk) {
			k.session().say(byClient, push, "\xc0\x00", second)
			k.at(byClient, push, k.next[byClient]-2, 1000, "\xe0\x00", second)
		}},
		{"zero_window: the client waited 2s: the server had closed its window", func(k *talk) {
			k.session().at(byServer, wire.TCPAck, k.next[byServer], 0, "", second)
			k.at(byClient, push, k.next[byClient], 1000, "\xc0", 2*second)
		}},
		{"zero_window: the server kept its window closed for 3s", func(k *talk) {
			k.session().at(byServer, wire.TCPAck, k.next[byServer], 0, "", second)
			k.at(byServer, wire.TCPAck, k.next[byServer], 1000, "", 3*second)
		}},
		{"arp: 4s until the client went on", func(k *talk) {
			k.session()
			ask := make([]byte, wire.EthernetHeaderLen+wire.ARPLen)
			wire.PutEthernet(ask, wire.MAC{255, 255, 255, 255, 255, 255}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeARP)
			wire.PutARP(ask[wire.EthernetHeaderLen:], wire.ARPRequest, wire.MAC{2, 0, 0, 0, 0, 1}, clientAddr.Addr(), wire.MAC{}, serverAddr.Addr())
			k.feed(ask, second)
			k.say(byClient, push, "\xc0\x00", 3*second)
		}},
		{"idle: nothing to say for 9s; the client asked with a TCP keep-alive", func(k *talk) {
			k.session().at(byClient, wire.TCPAck, k.next[byClient]-1, 1000, "", 9*second)
		}},
		{"acknowledgement: the client sent more 2s after frame", func(k *talk) {
			k.session().say(byClient, push, "\xc0\x00", second)
			k.say(byClient, push, "\xc0\x00", 2*second)
		}},
		{"application: the application of the server took 5s to answer", func(k *talk) {
			k.session().say(byClient, push, "\xc0\x00", time.Millisecond)
			k.say(byServer, wire.TCPAck, "", 50*time.Millisecond)
			k.say(byServer, push, "\xd0\x00", 5*second)
		}},
		{"ping_unanswered: the client sent PINGREQ and got no PINGRESP in 50ms; but the capture ends 50ms later", func(k *talk) {
			k.session().say(byClient, push, "\xc0\x00", second)
			k.say(byServer, wire.TCPAck, "", 50*time.Millisecond)
		}},
		{"unanswered: the client sent SUBSCRIBE 1 and got no SUBACK for it; but the capture ends there", func(k *talk) {
			k.session().say(byClient, push, "\x82\x06\x00\x01\x00\x01a\x00", second)
		}},
		{"no_answer: the client sent 1 SYN and the server did not answer: it is off, unreachable, or the capture has one direction only; but", func(k *talk) {
			k.feed(segmentOf(netip.MustParseAddrPort("10.0.0.9:50000"), serverAddr, wire.TCPSyn, 1, 0, 1, ""), second)
		}},
	} {
		k := newTalk(t)
		c.talk(k)
		var all []string
		for _, v := range k.a.Report().Conversations {
			for _, f := range v.Findings {
				all = append(all, f.Kind+": "+f.Text)
			}
			for _, s := range v.Stalls {
				all = append(all, s.Kind+": "+s.Text)
			}
		}
		if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
			t.Errorf("%q is not found, but\n\t%s", c.want, strings.Join(all, "\n\t"))
		}
	}
	// In a session without any of it nothing is found.
	k := newTalk(t).session()
	k.say(byClient, push, "\xc0\x00", 900*time.Millisecond)
	k.say(byServer, push, "\xd0\x00", 50*time.Millisecond)
	k.say(byClient, push, "\xe0\x00", 900*time.Millisecond)
	k.say(byClient, wire.TCPFin|wire.TCPAck, "", time.Millisecond)
	for _, v := range k.a.Report().Conversations {
		if len(v.Findings)+len(v.Stalls) > 0 {
			t.Errorf("all was well, but %+v %+v", v.Findings, v.Stalls)
		}
	}
}
