package analyze

import (
	"net/netip"
	"testing"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// A way of 200 ms there and back, seen from the client's end: what does the
// silence in front of a segment mean?
func TestStallIsWhatTheRoundTripDoesNotExplain(t *testing.T) {
	server := Segment{Flags: wire.TCPAck, ACKsFrame: 1}
	answer, client := server, Segment{Flags: wire.TCPAck | wire.TCPPsh, Len: 10}
	answer.Len = 4
	freed := Segment{Flags: wire.TCPAck | wire.TCPPsh, Len: 4, Frame: 7} // an answer that had to wait for an ACK
	for _, c := range []struct {
		name         string
		seg          Segment
		side         flow.Side
		after        time.Duration
		listed, kind string // by default, and with --stall 200ms
	}{
		{"an ACK after one round trip", server, flow.SideB, 200 * time.Millisecond, "", "round_trip"},
		{"an answer with its ACK", answer, flow.SideB, 230 * time.Millisecond, "", "round_trip"},
		{"an answer one round trip after an ACK", freed, flow.SideB, 210 * time.Millisecond, "", "round_trip"},
		{"an answer later than that", freed, flow.SideB, 300 * time.Millisecond, "application", "application"},
		{"an ACK a delay later", server, flow.SideB, 400 * time.Millisecond, "delayed_ack", "delayed_ack"},
		{"an ACK later than it may be", server, flow.SideB, 701 * time.Millisecond, "acknowledgement", "acknowledgement"},
		{"the next message", client, flow.SideA, 990 * time.Millisecond, "", "idle"},
		{"a message after a second", client, flow.SideA, time.Second, "idle", "idle"},
		{"less than is asked for", client, flow.SideA, 190 * time.Millisecond, "", ""},
	} {
		for _, run := range []struct {
			config Config
			want   string
		}{{Config{}, c.listed}, {Config{Stall: 200 * time.Millisecond}, c.kind}} {
			a, err := New(run.config)
			if err != nil {
				t.Fatal(err)
			}
			s := standing()
			s.half[0].rtt.add(200 * time.Millisecond)
			s.half[1].rtt.add(0)
			s.lastSide, s.mqtt.answered = c.side.Peer(), freed.Frame
			c.seg.Result.Side, c.seg.At, c.seg.ACKRTT = c.side, sim.Time(0).Add(c.after), c.after
			s.take(a, &c.seg)
			got := ""
			if len(s.out.Stalls) > 0 {
				got = s.out.Stalls[0].Kind
			}
			if got != run.want {
				t.Errorf("%s, --stall %v: %q, want %q", c.name, run.config.Stall, got, run.want)
			}
		}
	}
}

// On a way of 600 ms, a silence of three times that is the first worth a line.
func TestIdleIsThreeRoundTripsOnALongPath(t *testing.T) {
	for after, want := range map[time.Duration]int{1790 * time.Millisecond: 0, 1800 * time.Millisecond: 1} {
		a, _ := New(Config{})
		s := standing()
		s.out.InitialRTT = 600 * time.Millisecond
		seg := Segment{Flags: wire.TCPAck, Len: 1, At: sim.Time(0).Add(after)}
		seg.Result.Side = flow.SideA
		if s.take(a, &seg); len(s.out.Stalls) != want {
			t.Errorf("%v: %d stalls, want %d", after, len(s.out.Stalls), want)
		}
	}
}

// A device that publishes every five seconds is silent in between, and that is
// one line; the pause of a minute is another.
func TestUsualStallsAreCountedAndUnusualListed(t *testing.T) {
	for _, config := range []Config{{}, {Stall: time.Second}} {
		a, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		s, now := standing(), sim.Time(0)
		for i := range 10 {
			wait := 5 * time.Second
			if i == 6 {
				wait = time.Minute
			}
			now = now.Add(wait)
			seg := Segment{Flags: wire.TCPAck, Len: 1, At: now, Frame: uint64(i + 2)}
			seg.Result.Side = flow.SideA
			s.half[0].waiting = 0 // the ACKs are not part of this
			s.take(a, &seg)
		}
		s.usual(a)
		if config.Stall != 0 {
			if len(s.out.Stalls) != 10 || len(s.out.UsualStalls) != 0 {
				t.Errorf("asked for: %d listed, usual %v", len(s.out.Stalls), s.out.UsualStalls)
			}
			continue
		}
		if len(s.out.Stalls) != 1 || s.out.Stalls[0].Duration != time.Minute {
			t.Errorf("listed: %v", s.out.Stalls)
		}
		want := UsualStalls{Kind: "idle", Count: 9, Median: 5 * time.Second, Longest: 5 * time.Second}
		if len(s.out.UsualStalls) != 1 || s.out.UsualStalls[0] != want {
			t.Errorf("usual: %v, want %v", s.out.UsualStalls, want)
		}
		if a.events != a.config.MaxEvents-1 {
			t.Errorf("%d of %d events left: what is not listed takes room", a.events, a.config.MaxEvents)
		}
	}
}

// standing is a conversation of which one frame was seen, at 0.
func standing() *session {
	c := &flow.Conversation{Client: flow.SideA}
	c.A.Addr, c.B.Addr = netip.MustParseAddrPort("10.0.0.2:50000"), netip.MustParseAddrPort("10.0.0.1:1883")
	return &session{of: c, out: &Conversation{}, lastFrame: 1}
}

// The retransmissions of one outage are one line, which says how many; those for
// another frame begin another one, and --stall lists each.
func TestTheTimeoutsOfOneOutageAreOneLine(t *testing.T) {
	for _, config := range []Config{{}, {Stall: 200 * time.Millisecond}} {
		a, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		s, now := standing(), sim.Time(0)
		for i := range 6 {
			now = now.Add(time.Second)
			frame, wait := uint64(1), time.Duration(i+1)*time.Second
			if i >= 4 {
				frame, wait = 5, time.Duration(i-3)*time.Second
			}
			seg := Segment{Flags: wire.TCPAck, Len: 1, At: now, Frame: uint64(i + 2), Labels: Retransmission, RTO: wait, RTOFrame: frame}
			seg.Result.Side = flow.SideA
			s.take(a, &seg)
		}
		if config.Stall != 0 {
			if len(s.out.Stalls) != 6 {
				t.Errorf("asked for: %d of 6 listed", len(s.out.Stalls))
			}
			continue
		}
		if len(s.out.Stalls) != 2 {
			t.Fatalf("%d lines, want 2: %+v", len(s.out.Stalls), s.out.Stalls)
		}
		first := s.out.Stalls[0]
		if first.Count != 4 || first.Duration != 4*time.Second || first.Before != 1 || first.After != 5 ||
			first.Text != "the client waited for the acknowledgement of frame 1 and sent again 4 times, the first time after 1s, the last after 4s" {
			t.Errorf("%+v", first)
		}
	}
}

// Only what answers is the application's time: a PINGREQ that comes while an answer
// is owed is none.
func TestOnlyAnAnswerEndsTheWaitForTheApplication(t *testing.T) {
	for answered, want := range map[uint64]string{0: "idle", 2: "application"} {
		a, _ := New(Config{})
		s := standing()
		s.mqtt.open = []request{{side: flow.SideB}}
		s.mqtt.answered = answered
		seg := Segment{Flags: wire.TCPAck, Len: 2, Frame: 2, At: sim.Time(0).Add(9 * time.Second)}
		seg.Result.Side = flow.SideA
		if s.take(a, &seg); len(s.out.Stalls) != 1 || s.out.Stalls[0].Kind != want {
			t.Errorf("answered by %d: %+v, want %s", answered, s.out.Stalls, want)
		}
	}
}

// A client that ends the connection for want of a PINGRESP is named with its PINGREQ,
// though the answer comes in the end.
func TestALateAnswerToAPingIsNoAnswer(t *testing.T) {
	second := sim.Time(time.Second)
	for what, c := range map[string]struct {
		ping ping
		want int
	}{
		"too late":      {ping{at: 1 * second, answered: 3 * second, frame: 7}, 2},
		"in time":       {ping{at: 1 * second, answered: second + second/2, frame: 7}, 1},
		"none was sent": {ping{}, 1},
	} {
		a, _ := New(Config{})
		s := standing()
		s.of.EndedBy, s.of.Last = flow.SideA, 4*second
		s.mqtt.connected, s.mqtt.ping = true, c.ping
		s.close, s.shut = 2*second, true
		s.mqtt.lost(s, a)
		if len(s.out.Findings) != c.want || c.want == 2 && (s.out.Findings[0].Kind != "ping_unanswered" || s.out.Findings[0].Frame != 7) {
			t.Errorf("%s: %+v", what, s.out.Findings)
		}
	}
}
