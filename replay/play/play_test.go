package play_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt/codec"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/sim"
)

// captures are the names of the captures of the test data.
func captures(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".pcap") {
			names = append(names, e.Name())
		}
	}
	if len(names) < 20 {
		t.Fatalf("only %d captures", len(names))
	}
	return names
}

// The beginning of one capture is not there, and of another nothing that the
// broker said.
const midstream, speechless = "suricata-mqtt-midstream-split.pcap", "suricata-mqtt-events-unintroduced.pcap"

// One ends within what the broker says.
const endless = "suricata-mqtt-events-invalid-qos.pcap"

// The two sides of a capture, each played by a player, find each other faithful.
func TestTwoPlayersOfOneCaptureFindEachOtherFaithful(t *testing.T) {
	for _, timing := range []play.Timing{play.Mixed, play.Causal, play.Absolute, play.Fast} {
		for _, name := range captures(t) {
			if name == speechless {
				continue
			}
			c, b := both(t, read(t, name), &pipe{delay: time.Microsecond}, func(c, b *play.Config) { c.Timing, b.Timing = timing, timing })
			want := []play.Verdict{play.Faithful}
			if name == midstream || timing == play.Absolute || timing == play.Fast { // those may reorder
				want = append(want, play.Equivalent)
			}
			if name == endless {
				want = append(want, play.Equivalent)
			}
			for _, r := range []*play.Report{c, b} {
				if !slices.Contains(want, r.Verdict) || r.Reproduced != 1 || r.Sent.Sent == 0 {
					t.Errorf("%s, %s, the %s: %s, %+v", name, timing, r.As, r.Verdict, r.Conversations[0])
				}
			}
		}
	}
}

// change returns a tap that changes the first packet of a type that an end sends.
func change(from int, typ codec.Type, how func([]byte) []byte) func(int, []byte) []byte {
	done := false
	return func(side int, data []byte) []byte {
		if side != from || done {
			return data
		}
		var out []byte
		for rest := data; len(rest) > 0; {
			p, ok, err := codec.ParseRaw(rest)
			if !ok || err != nil {
				return append(out, rest...)
			}
			one := bytes.Clone(rest[:p.Len()])
			if rest = rest[p.Len():]; p.Type == typ && !done {
				done, one = true, how(one)
			}
			out = append(out, one...)
		}
		return out
	}
}

// What the live peer says differently is found, whatever it is.
func TestAMutatedResponseIsFound(t *testing.T) {
	drop := func([]byte) []byte { return nil }
	twice := func(b []byte) []byte { return append(b, b...) }
	last := func(b []byte) []byte { b[len(b)-1] ^= 0x81; return b }
	for _, c := range []struct {
		name, file string
		typ        codec.Type
		how        func([]byte) []byte
		check      func(*play.Conversation) bool
	}{
		{"a refused connection", "suricata-mqtt311-pub-qos1.pcap", codec.CONNACK, last, func(c *play.Conversation) bool { return c.Differences[0].Field == "code" }},
		{"a missing CONNACK", "suricata-mqtt311-pub-qos1.pcap", codec.CONNACK, drop, func(c *play.Conversation) bool {
			return c.Received.Missing == 2 && strings.HasPrefix(c.Reason, "CONNACK (frame 6)")
		}},
		{"a missing PUBACK", "suricata-mqtt311-pub-qos1.pcap", codec.PUBACK, drop, func(c *play.Conversation) bool { return c.Received.Missing == 1 }},
		{"a PUBACK too many", "suricata-mqtt311-pub-qos1.pcap", codec.PUBACK, twice, func(c *play.Conversation) bool {
			return c.Received.Extra == 1 && c.ExtraMessages[0] == "PUBACK 1"
		}},
		{"the PUBACK of another", "suricata-mqtt311-pub-qos1.pcap", codec.PUBACK, last, func(c *play.Conversation) bool { return c.Received.Extra == 1 && c.Received.Missing == 1 }},
		{"a refused subscription", "suricata-mqtt311-sub-userpass.pcap", codec.SUBACK, last, func(c *play.Conversation) bool { return c.Differences[0].Field == "codes" }},
		{"another payload", "suricata-mqtt-limit-2.pcap", codec.PUBLISH, last, func(c *play.Conversation) bool { return c.Differences[0].Field == "payload" }},
		{"a reason code of MQTT 5", "suricata-mqtt5-pub-qos1.pcap", codec.PUBACK, func(b []byte) []byte {
			return []byte{b[0], 4, b[2], b[3], 0x87, 0}
		}, func(c *play.Conversation) bool { return c.Differences[0].Field == "code" }},
		{"no MQTT", "suricata-mqtt311-pub-qos1.pcap", codec.PUBACK, func([]byte) []byte { return []byte("\x20\xff\xff\xff\xff\xff") }, func(c *play.Conversation) bool {
			return strings.HasPrefix(c.Reason, "the peer does not speak MQTT")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := both(t, read(t, c.file), &pipe{tap: change(1, c.typ, c.how)}, nil)
			if got := r.Conversations[0]; r.Verdict != play.Diverged || !c.check(got) {
				t.Errorf("%s: %+v", r.Verdict, got)
			}
		})
	}
}

// The player of a capture that was mutated, against the one of the whole capture.
func TestAMutatedCaptureIsFound(t *testing.T) {
	whole, mutant := read(t, "suricata-mqtt311-unsub-qos2.pcap"), read(t, "suricata-mqtt311-unsub-qos2.pcap")
	for i := range mutant.Conversations[0].Events {
		if e := &mutant.Conversations[0].Events[i]; e.Type == codec.SUBACK {
			e.Raw[len(e.Raw)-1] = 0x80
		}
	}
	r, _ := both(t, whole, &pipe{}, func(_, b *play.Config) { b.Script = mutant })
	if r.Verdict != play.Diverged || len(r.Conversations[0].Differences) != 1 {
		t.Errorf("%s: %+v", r.Verdict, r.Conversations[0])
	}
}

// The peer's packet identifiers are the peer's, and acknowledgements follow them.
func TestAcknowledgementsFollowTheIdentifiersOfThePeer(t *testing.T) {
	other := read(t, "suricata-mqtt311-unsub-qos2.pcap")
	for i := range other.Conversations[0].Events {
		if e := &other.Conversations[0].Events[i]; e.ID != 0 {
			e.ID += 500
			e.Raw = script.SetID(e.Raw, e.ID)
		}
	}
	c, b := both(t, other, &pipe{}, func(_, b *play.Config) { b.Script = read(t, "suricata-mqtt311-unsub-qos2.pcap") })
	if c.Verdict != play.Faithful || b.Reproduced != 1 || b.Verdict == play.Diverged {
		t.Errorf("client %s, broker %s: %+v", c.Verdict, b.Verdict, b.Conversations[0])
	}
}

// Think times do not depend on how far away the peer is.
func TestCausalThinkTimesAreExactAtAnyDistance(t *testing.T) {
	for _, delay := range []time.Duration{0, 10 * time.Millisecond, time.Second} {
		c, _ := both(t, read(t, "suricata-mqtt-limit-2.pcap"), &pipe{delay: delay}, func(c, b *play.Config) { c.Timing, b.Timing = play.Causal, play.Causal })
		if c.Gaps.Count == 0 || c.Gaps.Min != 0 || c.Gaps.Max != 0 || c.Reproduced != 1 {
			t.Errorf("delay %v: %+v", delay, c.Gaps)
		}
	}
}

func TestThePolicySaysWhatHappensWhenAnAnswerIsMissing(t *testing.T) {
	for policy, want := range map[play.Policy]play.SentCount{
		play.Wait:   {Recorded: 4, Sent: 2, NotSent: 2},
		play.Strict: {Recorded: 4, Sent: 2, NotSent: 2},
		play.Follow: {Recorded: 4, Sent: 4},
		play.Skip:   {Recorded: 4, Sent: 3, Skipped: 1},
	} {
		drop := func([]byte) []byte { return nil }
		c, _ := both(t, read(t, "suricata-mqtt311-pub-qos2.pcap"), &pipe{tap: change(1, codec.PUBREC, drop)}, func(c, b *play.Config) {
			c.Policy, b.Policy, b.Wait = policy, play.Follow, time.Minute
		})
		if c.Sent != want || c.Verdict != play.Diverged {
			t.Errorf("%s: %+v", policy, c.Sent)
		}
	}
}

// A message that somebody else had published does not come again: it is not
// acknowledged, and the rest is played.
func TestAPublishThatDoesNotComeIsNotAcknowledgedAndTheRestIsPlayed(t *testing.T) {
	for _, policy := range []play.Policy{play.Wait, play.Follow, play.Skip} {
		s := read(t, "suricata-mqtt-limit-2.pcap")
		v := s.Conversations[0]
		// The broker's PUBLISH becomes one of QoS 1, which the client acknowledges.
		for i := range v.Events {
			e := &v.Events[i]
			if e.Type != codec.PUBLISH || e.From != script.Broker {
				continue
			}
			f, err := script.Parse(e.Raw, v.Version)
			if err != nil {
				t.Fatal(err)
			}
			f.Flags, f.ID, f.HasID = 2, 9, true
			e.Raw, e.ID, e.Rule, e.Cause = f.Append(nil, v.Version), 9, script.RuleSpontaneous, i-1
			ack := script.Event{From: script.Client, Kind: script.Message, Type: codec.PUBACK, ID: 9, Raw: codec.AppendAck(nil, codec.PUBACK, 9),
				At: e.At + time.Millisecond, Ready: e.At + time.Millisecond, Frame: e.Frame + 1, Cause: i, Rule: script.RuleProtocol, Gap: time.Millisecond}
			later := append([]script.Event{ack}, v.Events[i+1:]...)
			for n := range later[1:] {
				if later[n+1].Cause > i {
					later[n+1].Cause++
				}
			}
			v.Events = append(v.Events[:i+1:i+1], later...)
			break
		}
		other := false
		drop := func(side int, data []byte) []byte {
			if side == 1 && len(data) > 0 && data[0] == 0x32 {
				return nil
			}
			other = other || side == 0 && bytes.Equal(data, codec.AppendAck(nil, codec.PUBACK, 9))
			return data
		}
		c, _ := both(t, s, &pipe{tap: drop}, func(c, b *play.Config) { c.Policy, b.Policy = policy, play.Follow })
		if r := c.Conversations[0]; c.Sent.Sent != 6 || c.Sent.Skipped != 1 || c.Received.Missing != 1 || r.Reason != "" || c.Verdict != play.Diverged || other {
			t.Errorf("%s: %+v %+v %s, acknowledged %v", policy, c.Sent, c.Received, r.Reason, other)
		}
	}
}

// With strict the first difference that counts is the last.
func TestStrictEndsAtTheFirstDifference(t *testing.T) {
	last := func(b []byte) []byte { b[len(b)-1] = 5; return b }
	c, _ := both(t, read(t, "suricata-mqtt311-pub-qos1.pcap"), &pipe{tap: change(1, codec.CONNACK, last)}, func(c, _ *play.Config) { c.Policy = play.Strict })
	if r := c.Conversations[0]; c.Sent.Sent != 1 || r.Reason != "CONNACK: code is 0x05, recorded 0x00" {
		t.Errorf("%+v: %s", c.Sent, r.Reason)
	}
}

// What is adapted is changed everywhere, and nothing else is.
func TestAdaptChangesWhatItSays(t *testing.T) {
	for _, name := range []string{"suricata-mqtt31-unsub-qos2.pcap", "suricata-mqtt311-unsub-userpass.pcap", "suricata-mqtt5-unsub-userpass.pcap"} {
		var sent []byte
		p := &pipe{tap: func(side int, data []byte) []byte {
			if side == 0 {
				sent = append(sent, data...)
			}
			return data
		}}
		c, _ := both(t, read(t, name), p, func(c, b *play.Config) {
			c.Adapt = play.Adapt{ClientID: "another", User: "u", Password: "secret", TopicPrefix: "pre/"}
			b.Policy = play.Follow
		})
		if c.Reproduced != 1 || c.Verdict != play.Faithful {
			t.Errorf("%s: %s %+v", name, c.Verdict, c.Conversations[0])
		}
		version := c.Conversations[0].MQTTLevel
		topics := 0
		for len(sent) > 0 {
			p, ok, err := codec.ParseRaw(sent)
			if !ok || err != nil {
				t.Fatalf("%s: not MQTT: %x", name, sent)
			}
			f, err := script.Parse(sent[:p.Len()], version)
			if err != nil {
				t.Fatalf("%s: %v: %x", name, err, sent[:p.Len()])
			}
			if k := &f.Connect; f.Type == codec.CONNECT && (string(k.ClientID) != "another" || string(k.User) != "u" || string(k.Password) != "secret") {
				t.Errorf("%s: %+v", name, k)
			}
			for _, filter := range f.Filters {
				topics++
				if !strings.HasPrefix(string(filter.Topic), "pre/") {
					t.Errorf("%s: filter %s", name, filter.Topic)
				}
			}
			sent = sent[p.Len():]
		}
		if topics == 0 {
			t.Errorf("%s: no filters", name)
		}
	}
}

// A conversation without its beginning is refused, or gets one.
func TestAMidstreamConversationIsRefusedOrGetsAHandshake(t *testing.T) {
	s := read(t, midstream)
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	_, err := play.New(play.Config{Loop: loop, Script: s, As: script.Client, Network: &pipe{}})
	if !errors.Is(err, play.ErrNothing) || !strings.Contains(err.Error(), "--synthetic") {
		t.Errorf("without a handshake: %v", err)
	}
	c, _ := both(t, s, &pipe{}, nil)
	if c.Reproduced != 1 || c.Conversations[0].Messages[0].Event != "CONNECT" || c.Conversations[0].Messages[0].Frame != 0 {
		t.Errorf("%+v", c.Conversations[0])
	}
}
