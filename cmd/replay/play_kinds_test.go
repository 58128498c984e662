package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/play"
)

func netip4(last int) netip.AddrPort { return netip4port(fmt.Sprintf("10.7.0.%d", last), 40001) }

func netip4port(address string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address), port)
}

// without leaves out the frames that fn names.
func without(fn func(n int, f *madeFrame) bool) func([]madeFrame) []madeFrame {
	return func(frames []madeFrame) []madeFrame {
		n := -1
		return slices.DeleteFunc(slices.Clone(frames), func(f madeFrame) bool { n++; return fn(n, &f) })
	}
}

// dataOf says whether a frame is the k-th with data of one side.
func dataOf(up bool, k int) func(int, *madeFrame) bool {
	seen := 0
	return func(_ int, f *madeFrame) bool {
		if f.up != up || f.data == 0 {
			return false
		}
		seen++
		return seen == k
	}
}

// A madeKind is a kind of capture that may come, and what is to come of it.
type madeKind struct {
	name           string
	talk           func(m *maker) // nil: one session of MQTT 3.1.1
	file           madeFile
	args           []string
	client, broker string // what the verdict, or the error, has to say
}

func ethernet() madeFile { return madeFile{link: pcaps.LinkTypeEthernet} }

// with changes how a capture is written.
func with(change func(*madeFile)) madeFile {
	f := ethernet()
	change(&f)
	return f
}

const (
	toTheEnd = "to the end"
	unplayed = "refused: "
)

// kinds are those of captures that are tried.
var kinds = []madeKind{
	{name: "MQTT 3.1.1, QoS 2 both ways", file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "MQTT 3.1, 3.1.1 and 5, three clients at once", talk: func(m *maker) {
		for i, v := range []uint8{3, 4, 5} {
			at := m.at
			m.talk(netip4(10+i), madeServer, 100).session(sessionKind{v, fmt.Sprintf("at-once-%d", v), 9, 1})
			if i < 2 {
				m.at = at + 1e6
			}
		}
		slices.SortStableFunc(m.frames, func(a, b madeFrame) int { return int(a.at - b.at) })
	}, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "IPv6", talk: func(m *maker) {
		k := m.talk(madeClient6, madeServer6, 7)
		k.session(sessionKind{4, "v6", 9, 2})
		k.end(false)
	}, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "VLAN tags", file: with(func(f *madeFile) { f.vlan = func(*madeFrame) int { return 7 } }), client: toTheEnd, broker: toTheEnd},
	{name: "VLAN tags in one direction only", file: with(func(f *madeFile) {
		f.vlan = func(f *madeFrame) int { return map[bool]int{true: 7}[f.up] }
	}), client: toTheEnd, broker: toTheEnd},
	{name: "Linux cooked (any interface)", file: madeFile{link: 113}, client: toTheEnd, broker: toTheEnd},
	{name: "Linux cooked, version 2", file: madeFile{link: 276}, client: toTheEnd, broker: toTheEnd},
	{name: "raw IP", file: madeFile{link: 101}, client: toTheEnd, broker: toTheEnd},
	{name: "BSD loopback", file: madeFile{link: 0}, client: toTheEnd, broker: toTheEnd},
	{name: "two interfaces that see the same", file: with(func(f *madeFile) {
		f.interfaces, f.at = 2, func(int, *madeFrame) []int { return []int{0, 1} }
	}), client: toTheEnd, broker: toTheEnd},
	{name: "two interfaces, each with one direction", file: with(func(f *madeFile) {
		f.interfaces, f.at = 2, func(_ int, f *madeFrame) []int { return []int{map[bool]int{true: 1}[f.up]} }
	}), client: toTheEnd, broker: toTheEnd},
	{name: "two interfaces, one of which sees one direction", file: with(func(f *madeFile) {
		f.interfaces, f.at = 2, func(_ int, f *madeFrame) []int {
			if f.up {
				return []int{0, 1}
			}
			return []int{0}
		}
	}), client: toTheEnd, broker: toTheEnd},
	{name: "another port", talk: func(m *maker) {
		k := m.talk(madeClient, netip4port("10.7.0.1", 32883), 7)
		k.session(sessionKind{4, "port", 9, 2})
		k.end(false)
	}, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "every frame twice", file: with(func(f *madeFile) {
		f.at = func(int, *madeFrame) []int { return []int{0, 0} }
	}), client: toTheEnd, broker: toTheEnd},
	{name: "retransmissions and frames out of order", file: with(func(f *madeFile) {
		f.change = func(frames []madeFrame) []madeFrame {
			var out []madeFrame
			for n, f := range frames {
				out = append(out, f)
				if f.data > 0 && n%3 == 0 {
					out = append(out, f)
				}
				if k := len(out); f.data > 0 && n%5 == 0 && n+2 < len(frames) && frames[n+1].up == f.up {
					out = append(out[:k-1], frames[n+1], f)
				}
			}
			return out
		}
	}), client: toTheEnd, broker: toTheEnd},
	{name: "the end is a reset", talk: func(m *maker) {
		k := m.talk(madeClient, madeServer, 7)
		k.session(sessionKind{4, "reset", 9, 2})
		k.end(true)
	}, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "three sessions between the same ports", talk: func(m *maker) {
		for i := range uint32(3) {
			k := m.talk(madeClient, madeServer, 1000+i*1_000_000)
			k.session(sessionKind{4, "again", 9, 2})
			k.end(false)
			m.at += 5e7
		}
	}, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "a message of 3 MiB", talk: func(m *maker) {
		k := m.talk(madeClient, madeServer, 7)
		k.session(sessionKind{4, "big", 3 << 20, 1})
		k.end(false)
	}, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "a message of 17 MiB", talk: func(m *maker) {
		k := m.talk(madeClient, madeServer, 7)
		k.size = 60000
		k.session(sessionKind{4, "too-big", 17 << 20, 0})
	}, file: ethernet(), client: unplayed + "a message of the client has 17825", broker: unplayed + "a message of the broker has 17825"},
	{name: "no end", talk: func(m *maker) { m.talk(madeClient, madeServer, 7).session(sessionKind{4, "open", 9, 2}) }, file: ethernet(), client: toTheEnd, broker: toTheEnd},
	{name: "frames cut to 96 bytes, long messages", talk: func(m *maker) {
		k := m.talk(madeClient, madeServer, 7)
		k.session(sessionKind{4, "snap", 500, 1})
		k.end(false)
	}, file: with(func(f *madeFile) { f.snap = 96 }), client: unplayed + "474 bytes of what the client sent are missing in the capture, 474 of them cut off by its snapshot length",
		broker: unplayed + "474 bytes of what the broker sent"},
	{name: "joined midstream", file: with(func(f *madeFile) { f.change = without(func(n int, _ *madeFrame) bool { return n < 9 }) }),
		client: unplayed + "midstream: the capture has no CONNECT; --synthetic puts one in front", broker: unplayed + "midstream: the capture has no CONNACK"},
	{name: "joined midstream, `--synthetic`", file: with(func(f *madeFile) { f.change = without(func(n int, _ *madeFrame) bool { return n < 7 }) }),
		args: []string{"--synthetic", "--client-id", "one"}, client: toTheEnd, broker: toTheEnd},
	{name: "joined midstream behind the SUBSCRIBE, `--synthetic`", file: with(func(f *madeFile) { f.change = without(func(n int, _ *madeFrame) bool { return n < 9 }) }),
		args: []string{"--synthetic", "--client-id", "another", "--wait", "2s"}, client: "diverged: PUBLISH 1, PUBREL 1 missing", broker: toTheEnd},
	{name: "only the client's frames", file: with(func(f *madeFile) { f.change = without(func(_ int, f *madeFrame) bool { return !f.up }) }),
		client: toTheEnd, broker: unplayed + "one-sided: the capture has nothing of the broker"},
	{name: "only the broker's frames", file: with(func(f *madeFile) { f.change = without(func(_ int, f *madeFrame) bool { return f.up }) }),
		client: unplayed + "one-sided: the capture has nothing of the client", broker: toTheEnd},
	{name: "a frame of the client's is missing", file: with(func(f *madeFile) { f.change = without(dataOf(true, 3)) }),
		client: unplayed + "27 bytes of what the client sent are missing in the capture", broker: toTheEnd},
	{name: "a frame of the broker's is missing", file: with(func(f *madeFile) { f.change = without(dataOf(false, 3)) }),
		client: toTheEnd, broker: unplayed + "4 bytes of what the broker sent are missing in the capture"},
	{name: "MQTT over WebSocket", talk: func(m *maker) { m.talk(madeClient, madeServer, 7).webSocket() }, file: ethernet(),
		client: unplayed + "it is MQTT over WebSocket, which is not played", broker: unplayed + "it is MQTT over WebSocket"},
	{name: "no MQTT at all", talk: func(m *maker) {
		m.talk(madeClient, netip4port("10.7.0.1", 25), 7).say(false, []byte("220 mail.example ESMTP\r\n"))
	}, file: ethernet(), client: unplayed + "no MQTT conversation in 5 frames", broker: unplayed + "no MQTT conversation in 5 frames"},
}

// Whatever kind of capture comes, it is played to its end or refused with the reason:
// as the client against mosquitto, as the broker against the other player.
func TestEveryKindOfCaptureComesToItsVerdict(t *testing.T) {
	broker := startMosquitto(t)
	text := make([]string, len(kinds))
	var wait sync.WaitGroup
	limit := make(chan struct{}, 4)
	for n, kind := range kinds {
		wait.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			text[n] = tryKind(t, &kind, n, broker)
		})
	}
	wait.Wait()
	linktest.Section(t, *update, "replay.md", "<!-- kinds: go test ./cmd/replay -update -->\n", "<!-- end of kinds -->\n",
		"\n| a capture with | as the client, against mosquitto | as the broker, against the other player |\n|---|---|---|\n"+strings.Join(text, "")+"\n", "go test ./cmd/replay -update")
}

// tryKind plays both sides of a kind and returns its line of the table.
func tryKind(t *testing.T, kind *madeKind, n int, broker string) string {
	m := &maker{}
	if kind.talk != nil {
		kind.talk(m)
	} else {
		k := m.talk(madeClient, madeServer, 7)
		k.session(sessionKind{4, fmt.Sprintf("kind-%02d", n), 9, 2})
		k.end(false)
	}
	file := kind.file.write(t, m.frames)
	fast := append([]string{"--timing", "fast", "--wait", "20s"}, kind.args...)
	client := kindVerdict(callPlay(t, append([]string{file, "--as", "client", "--against", broker}, fast...)...))
	if !strings.HasPrefix(client, kind.client) {
		t.Errorf("%s, as the client: %s", kind.name, client)
	}
	as := kindVerdict(serve(t, file, func(address string) {
		playOther(t, file, kind, n, address)
	}, fast...))
	if !strings.HasPrefix(as, kind.broker) {
		t.Errorf("%s, as the broker: %s", kind.name, as)
	}
	return fmt.Sprintf("| %s | %s | %s |\n", kind.name, client, as)
}

// playOther is the client of a kind: the other player, with all of the session or, where
// that is made up, the same.
func playOther(t *testing.T, file string, kind *madeKind, n int, address string) {
	fast := append([]string{"--as", "client", "--against", address, "--timing", "fast", "--wait", "20s"}, kind.args...)
	if len(kind.args) > 0 {
		callPlay(t, append(fast, file)...)
		return
	}
	m := &maker{}
	if kind.talk != nil {
		kind.talk(m)
	} else {
		k := m.talk(madeClient, madeServer, 7)
		k.session(sessionKind{4, fmt.Sprintf("kind-%02d", n), 9, 2})
		k.end(false)
	}
	whole := ethernet()
	callPlay(t, append(fast, whole.write(t, m.frames))...)
}

// kindVerdict is what came of a play in words.
func kindVerdict(code int, r *play.Report, errs string) string {
	switch {
	case r == nil:
		_, why, ok := strings.Cut(strings.TrimSpace(errs), "conversation 1: ")
		if !ok {
			_, why, _ = strings.Cut(strings.TrimSpace(errs), "nothing can be played: ")
		}
		return unplayed + why
	case r.Reproduced == 1 && r.Verdict != play.Diverged && code == exitPass:
		return toTheEnd
	}
	var missing, others []string
	for _, c := range r.Conversations {
		for _, m := range c.Messages {
			if m.Status == "missing" {
				missing = append(missing, m.Event)
			}
		}
		if c.Reason != "" || len(c.ExtraMessages) > 0 || c.Sent.NotSent > 0 {
			others = append(others, fmt.Sprintf("%s %v %+v", c.Reason, c.ExtraMessages, c.Sent))
		}
	}
	return fmt.Sprintf("%s: %s missing%s", r.Verdict, strings.Join(missing, ", "), strings.Join(others, "; "))
}
