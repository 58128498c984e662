package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/mqtt/codec"
	"hilnet/pcaps"
	"hilnet/replay/play"
	"hilnet/scenarios"
)

// A seen is a message of MQTT as tshark finds it in a capture.
type seen struct {
	at    time.Duration // since the beginning of the run
	frame uint64
	up    bool // from the client
	typ   codec.Type
}

// tsharkMessages are the messages of a capture, in the order in which they could be
// read. The device's address is that of hilnet's scenarios.
func tsharkMessages(t *testing.T, file string) []seen {
	t.Helper()
	out := linktest.Tshark(t, "-r", file, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "mqtt", "-T", "fields",
		"-e", "frame.time_epoch", "-e", "frame.number", "-e", "ip.src", "-e", "mqtt.msgtype")
	var all []seen
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			t.Fatalf("tshark: %q", line)
		}
		whole, fraction, _ := strings.Cut(f[0], ".")
		s, err1 := strconv.ParseInt(whole, 10, 64)
		ns, err2 := strconv.ParseInt(fraction, 10, 64)
		frame, err3 := strconv.ParseUint(f[1], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil || len(fraction) != 9 {
			t.Fatalf("tshark: %q", line)
		}
		for typ := range strings.SplitSeq(f[3], ",") {
			n, err := strconv.Atoi(typ)
			if err != nil {
				t.Fatalf("tshark: %q", line)
			}
			all = append(all, seen{time.Duration(s*1e9 + ns - int64(pcaps.VirtualEpoch)), frame, f[2] == "10.0.0.2", codec.Type(n)})
		}
	}
	return all
}

// playOracle makes a recording, plays it in virtual time and returns the report with what
// tshark finds in both captures.
func playOracle(t *testing.T, name string, args ...string) (doc *playDocument, recorded, live []seen, out string) {
	t.Helper()
	sc, err := scenarios.Load("sensor.yaml", []byte(strings.Replace(sensor, "  - name: device\n", "  - name: device\n    profile: linux\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	file, out := filepath.Join(dir, "sensor.device.pcapng"), t.TempDir()
	var stdout, stderr bytes.Buffer
	run(t.Context(), append([]string{"play", file, "--json", "--against", "model", "--out", out}, args...), &stdout, &stderr)
	doc = new(playDocument)
	if err := json.Unmarshal(stdout.Bytes(), doc); err != nil {
		t.Fatalf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	return doc, tsharkMessages(t, file), tsharkMessages(t, filepath.Join(out, name+".device.pcapng")), out
}

// distributionOf sums up durations as a report does.
func distributionOf(all []time.Duration) play.Distribution {
	slices.Sort(all)
	n := len(all)
	if n == 0 {
		return play.Distribution{}
	}
	return play.Distribution{Count: n, Min: all[0], Median: all[(n-1)/2], P99: all[(99*n+99)/100-1], Max: all[n-1]}
}

// Every number of a report is what tshark finds in the captures of the play and of what
// was played: counts, moments, gap errors, answer times, drops.
func TestTheReportSaysWhatTsharkSeesInThePlay(t *testing.T) {
	linktest.Require(t, "tshark")
	doc, recorded, live, out := playOracle(t, "play", "--as", "client", "--timing", "causal", "--set", "link.loss=8%", "--set", "link.delay=40ms", "--wait", "1m", "--mode", "segment")
	r := doc.Report
	if r.Reproduced != 1 || len(r.Conversations) != 1 || len(doc.Drops) == 0 {
		t.Fatalf("%+v", r)
	}
	c := r.Conversations[0]
	count := func(all []seen, up bool) (n int) {
		for _, s := range all {
			if s.up == up {
				n++
			}
		}
		return n
	}
	if want := (play.SentCount{Recorded: count(recorded, true), Sent: count(live, true)}); r.Sent != want || c.Sent != want || want.Recorded < 15 {
		t.Errorf("sent %+v, tshark %+v", r.Sent, want)
	}
	if want := (play.ReceivedCount{Recorded: count(recorded, false), Matched: count(live, false), Reordered: r.Received.Reordered}); r.Received != want {
		t.Errorf("received %+v, tshark %+v", r.Received, want)
	}
	// The recorded messages by their frames, and the live ones by side and order.
	at := map[uint64]time.Duration{}
	for _, s := range recorded {
		at[s.frame] = s.at
	}
	var ours, theirs []seen
	for _, s := range live {
		if s.up {
			ours = append(ours, s)
		} else {
			theirs = append(theirs, s)
		}
	}
	liveAt, frames := map[uint64]time.Duration{}, 0
	var gaps, answersRecorded, answersLive []time.Duration
	messages := slices.Clone(c.Messages)
	slices.SortStableFunc(messages, func(a, b play.Message) int { return int(a.At - b.At) })
	for _, m := range messages {
		if m.Event == "FIN" {
			continue
		}
		from := &theirs
		if m.From == "client" {
			from = &ours
		}
		s := (*from)[0]
		*from = (*from)[1:]
		if name, _, _ := strings.Cut(m.Event, " "); s.at != m.At || s.typ.String() != name {
			t.Errorf("%s of the %s at %v: tshark sees %v at %v", m.Event, m.From, m.At, s.typ, s.at)
		}
		liveAt[m.Frame] = s.at
		frames++
	}
	for _, m := range c.Messages {
		switch {
		case m.Event == "FIN" || m.Cause == 0:
		case m.From == "client":
			gaps = append(gaps, (liveAt[m.Frame]-liveAt[m.Cause])-(at[m.Frame]-at[m.Cause]))
		case m.Rule == "protocol":
			answersRecorded = append(answersRecorded, at[m.Frame]-at[m.Cause])
			answersLive = append(answersLive, liveAt[m.Frame]-liveAt[m.Cause])
		}
	}
	if got, want := c.Gaps, distributionOf(gaps); got.Count-1 != want.Count || got.Min != want.Min || got.Median != want.Median || got.P99 != want.P99 || got.Max != want.Max {
		t.Errorf("gap errors %+v, tshark %+v", got, want) // one more: that of CONNECT, from the opening
	}
	sameSpread(t, "answer times, recorded", c.Recorded, distributionOf(answersRecorded))
	sameSpread(t, "answer times, live", c.Live, distributionOf(answersLive))
	dropped := 0
	for _, d := range doc.Drops {
		dropped += d.Frames
	}
	text := linktest.Tshark(t, "-r", filepath.Join(out, "play.peer.pcapng"), "-Y", `frame.comment contains "dropped"`, "-T", "fields", "-e", "frame.number")
	lost := strings.Count(text, "\n") + noGhosts(t, filepath.Join(out, "play.device.pcapng"))
	if dropped != lost || lost < 3 || frames < 30 {
		t.Errorf("%d frames dropped, tshark counts %d; %d messages", dropped, lost, frames)
	}
}

func sameSpread(t *testing.T, what string, got, want play.Distribution) {
	t.Helper()
	if got.Count != want.Count || got.Min != want.Min || got.Median != want.Median || got.P99 != want.P99 || got.Max != want.Max || want.Count < 10 {
		t.Errorf("%s: %+v, tshark %+v", what, got, want)
	}
}

// noGhosts sees, with tshark's eyes, that segment mode sent nothing that could not be:
// no acknowledgement of what had not come, no wrong checksum, no data in front of a hole,
// none again that was acknowledged; and that SACK is spoken as it was recorded. It
// returns how many frames are marked as dropped.
func noGhosts(t *testing.T, file string) (dropped int) {
	t.Helper()
	fields := []string{
		"ip.src", "tcp.analysis.ack_lost_segment", "tcp.analysis.lost_segment", "tcp.analysis.spurious_retransmission",
		"tcp.checksum.status", "ip.checksum.status", "tcp.options.sack_perm", "tcp.options.sack.count", "tcp.analysis.retransmission", "frame.comment",
	}
	args := []string{"-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	seen := make([]int, len(fields))
	for line := range strings.Lines(linktest.Tshark(t, args...)) {
		dropped += strings.Count(line, "dropped")
		if strings.HasPrefix(line, "\t") {
			continue // ARP
		}
		for i, v := range strings.Split(strings.TrimRight(line, "\n"), "\t") {
			status := strings.HasSuffix(fields[i], ".status")
			if status && v != "1" {
				t.Errorf("%s is %q: %s", fields[i], v, line)
			}
			if strings.HasPrefix(line, "10.0.0.2") && v != "" && !status {
				seen[i]++
			}
		}
	}
	if seen[1]+seen[2]+seen[3] > 0 || seen[0] < 20 || seen[6] != 1 || seen[7] == 0 || seen[8] == 0 {
		t.Errorf("of the player: %v: %v", fields, seen)
	}
	return dropped
}

// What diverges is counted as tshark counts it, too: everything that the live device said
// is matched, extra, repeated, unchecked or a ping.
func TestEveryLiveMessageOfADivergedPlayIsCounted(t *testing.T) {
	linktest.Require(t, "tshark")
	doc, recorded, live, _ := playOracle(t, "clean-link", "--as", "broker", "--scenario", "clean-link", "--policy", "follow")
	r := doc.Report
	said, expected, sent := 0, 0, 0
	for _, s := range live {
		if s.up {
			said++
		} else {
			sent++
		}
	}
	for _, s := range recorded {
		if s.up {
			expected++
		}
	}
	c := r.Conversations[0]
	n := r.Received
	if r.Verdict != play.Diverged || n.Extra == 0 || n.Matched+n.Extra+n.Repeated+n.Unchecked+c.Pings != said || n.Recorded+c.Unpinged != expected || n.Missing != n.Recorded-n.Matched {
		t.Errorf("%+v and %d pings, tshark: %d of %d recorded", n, c.Pings, said, expected)
	}
	if r.Sent.Sent+c.Answered+c.Pings == 0 || sent != r.Sent.Sent+c.Answered {
		t.Errorf("sent %+v and %d answers, tshark %d", r.Sent, c.Answered, sent)
	}
	if want := float64(r.Sent.Sent+n.Matched) / float64(r.Sent.Recorded+n.Recorded); r.Reproduced != want {
		t.Errorf("reproduced %v, %v", r.Reproduced, want)
	}
}
