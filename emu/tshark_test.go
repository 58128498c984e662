package emu

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// tshark is the oracle of the captures: what it reads must be what the run says.

// A wireFrame is one frame as tshark sees it.
type wireFrame struct {
	number, id int
	at         sim.Time
	ifname     string
	outbound   bool
	comment    string
	malformed  bool
	resent     bool     // tshark has seen these bytes before at this point
	types      []string // of the MQTT messages that end in the frame
	payloads   []string // of the PUBLISHes among them
}

var wireFields = []string{
	"frame.number", "frame.packet_id", "frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction", "frame.comment",
	"_ws.malformed", "tcp.analysis.retransmission", "mqtt.msgtype", "mqtt.msg",
}

// dissect reads a capture with tshark.
func dissect(t testing.TB, path string) []wireFrame {
	t.Helper()
	args := []string{"-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"}
	for _, f := range wireFields {
		args = append(args, "-e", f)
	}
	var all []wireFrame
	for line := range strings.Lines(linktest.Tshark(t, args...)) {
		v := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(v) != len(wireFields) {
			t.Fatalf("%s: tshark printed %q", path, line)
		}
		f := wireFrame{ifname: v[3], comment: v[5], malformed: v[6] != "", resent: v[7] != ""}
		f.number, f.id = atoi(t, v[0]), atoi(t, v[1])
		f.at = sim.Time(atoi(t, strings.Replace(v[2], ".", "", 1)) - int(pcaps.VirtualEpoch))
		flags, err := strconv.ParseUint(strings.TrimPrefix(v[4], "0x"), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		f.outbound = flags == 2
		f.types = list(v[8])
		for _, h := range list(v[9]) {
			b, err := hex.DecodeString(h)
			if err != nil {
				t.Fatalf("%s: tshark printed the message %q: %v", path, h, err)
			}
			f.payloads = append(f.payloads, string(b))
		}
		all = append(all, f)
	}
	return all
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// In each of these, all payloads differ, so a message is known by its payload.
func TestTsharkSeesWhatTheRunCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "tshark")
	for _, c := range []struct {
		name string
		seed uint64
	}{{"link-drop", 1}, {"link-drop", 7}, {"clean-link", 1}, {"keepalive-lost", 1}, {"pool-starved", 1}} {
		t.Run(fmt.Sprint(c.name, " seed ", c.seed), func(t *testing.T) {
			t.Parallel()
			r := record(t, open(t, c.name), Options{Seed: &c.seed})
			device, peer := dissect(t, r.capture(scenarios.PointDevice)), dissect(t, r.capture(scenarios.PointPeer))
			checkFrames(t, r, device, peer)
			checkFates(t, r, device, peer)
			checkMessages(t, r, r.heard(t, device), peer)
		})
	}
}

// heard returns the device's frames without those that its NIC or stack
// dropped: what its TCP has heard, seen by a tshark that has seen no more.
func (r *recording) heard(t *testing.T, device []wireFrame) []wireFrame {
	t.Helper()
	path := filepath.Join(t.TempDir(), "heard.pcapng")
	out, err := pcaps.Create(path, pcaps.Section{}, pcaps.WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.AddInterface(pcaps.Interface{LinkType: pcaps.LinkTypeEthernet, Name: "heard", Resolution: pcaps.Nanoseconds}); err != nil {
		t.Fatal(err)
	}
	i := 0
	for p, err := range pcaps.Packets(r.capture(scenarios.PointDevice)) {
		if err != nil {
			t.Fatal(err)
		}
		f := &device[i]
		i++
		dropped := func(e *trace.Event) bool {
			// What the stack drops has no frame number, but a moment.
			return e.Node == "device" && (e.Frame == uint64(f.id) || e.Frame == 0 && e.T == f.at && !f.outbound)
		}
		if r.count(trace.KindDrop, dropped) > 0 {
			continue
		}
		if err := out.WritePacket(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return dissect(t, path)
}

// checkFrames compares the frames of both points with the link's counters.
func checkFrames(t *testing.T, r *recording, device, peer []wireFrame) {
	t.Helper()
	l := r.Outcome.Links[0]
	for _, c := range []struct {
		point     scenarios.Point
		frames    []wireFrame
		sent, got int
	}{
		{scenarios.PointDevice, device, l.Up.Entered, l.Down.Arrived},
		{scenarios.PointPeer, peer, l.Down.Entered, l.Up.Arrived},
	} {
		sent := 0
		for _, f := range c.frames {
			if f.outbound {
				sent++
			}
			if f.ifname != string(c.point) {
				t.Fatalf("%s, frame %d: interface %q", c.point, f.number, f.ifname)
			}
			if f.malformed {
				t.Errorf("%s, frame %d is malformed", c.point, f.number)
			}
		}
		if got := len(c.frames) - sent; sent != c.sent || got != c.got {
			t.Errorf("%s: tshark sees %d frames out and %d in, the link counted %d and %d", c.point, sent, got, c.sent, c.got)
		}
	}
}

// checkFates compares the frames that were lost with the drop events of the
// link. Each is told in the sender's file, and stands in no other.
func checkFates(t *testing.T, r *recording, device, peer []wireFrame) {
	t.Helper()
	inFlight := r.Outcome.Links[0].Up.InFlight + r.Outcome.Links[0].Down.InFlight
	for _, way := range []struct {
		name               string
		sender, receiver   []wireFrame
		entered, neverCame int
	}{{"up", device, peer, 0, 0}, {"down", peer, device, 0, 0}} {
		want := map[int]string{}
		for _, e := range r.events {
			if e.Kind == trace.KindDrop && e.Node == r.Outcome.Links[0].Name && strings.HasPrefix(e.Stage, way.name+"/") {
				rule := ""
				if e.Text != "" {
					rule = " rule=" + e.Text
				}
				want[int(e.Frame)] = fmt.Sprintf("dropped: stage=link/%s%s reason=%s seed=%d ordinal=%d", e.Stage, rule, e.Reason, r.Seed, e.Count)
			}
		}
		arrived := map[int]bool{}
		for _, f := range way.receiver {
			if f.outbound {
				continue
			}
			arrived[f.id] = true
			if f.comment != "" {
				t.Errorf("%s: frame %d arrived, with the comment %q", way.name, f.id, f.comment)
			}
		}
		for _, f := range way.sender {
			if !f.outbound {
				continue
			}
			switch lost := want[f.id]; {
			case lost != "" && f.comment != lost:
				t.Errorf("%s: frame %d: comment %q, want %q", way.name, f.id, f.comment, lost)
			case lost != "" && arrived[f.id]:
				t.Errorf("%s: frame %d was lost and arrived", way.name, f.id)
			case lost == "" && f.comment != "" && inFlight == 0:
				t.Errorf("%s: frame %d: comment %q, and the trace knows of no drop", way.name, f.id, f.comment)
			case lost == "" && !arrived[f.id] && inFlight == 0:
				t.Errorf("%s: frame %d neither arrived nor was it dropped", way.name, f.id)
			}
			delete(want, f.id)
			delete(arrived, f.id)
		}
		for _, id := range slices.Sorted(maps.Keys(want)) {
			t.Errorf("%s: the trace drops frame %d, which is not in the sender's file", way.name, id)
		}
		for _, id := range slices.Sorted(maps.Keys(arrived)) {
			t.Errorf("%s: frame %d arrived and was never sent", way.name, id)
		}
	}
}

// mqttPublish and the other types are MQTT's control packet types.
const (
	mqttConnect = "1"
	mqttPublish = "3"
	mqttPuback  = "4"
	mqttSub     = "8"
	mqttPingReq = "12"
)

// types counts MQTT messages by type, of one direction and without what TCP
// sent again.
func types(frames []wireFrame, outbound bool) map[string]int {
	n := map[string]int{}
	for _, f := range frames {
		if f.outbound == outbound && !f.resent {
			for _, m := range f.types {
				n[m]++
			}
		}
	}
	return n
}

// published returns how often each payload was published in a direction.
func published(frames []wireFrame, outbound bool) map[string]int {
	n := map[string]int{}
	for _, f := range frames {
		if f.outbound == outbound && !f.resent {
			for _, p := range f.payloads {
				n[p]++
			}
		}
	}
	return n
}

// checkMessages computes from the captures what the run counted from its events.
func checkMessages(t *testing.T, r *recording, device, peer []wireFrame) {
	t.Helper()
	o := r.Outcome
	is := func(text string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d in the captures, %d in the run", text, got, want)
		}
	}
	ok := func(e *trace.Event) bool { return e.Status == 0 }
	fromClient := func(e *trace.Event) bool { return e.Client != "" } // not the broker's own

	arrived, sent := types(peer, false), types(device, true)
	is("PUBLISHes at the broker", arrived[mqttPublish], r.count(trace.KindBrokerReceived, fromClient))
	is("CONNECTs at the broker", arrived[mqttConnect], r.count(trace.KindBrokerConnected))
	is("SUBSCRIBEs at the broker", arrived[mqttSub], r.count(trace.KindBrokerSubscribed))
	is("PUBACKs at the device", types(device, false)[mqttPuback], o.Acknowledged)
	is("PUBLISHes that the broker sent", types(peer, true)[mqttPublish], r.count(trace.KindBrokerSent))
	is("PUBLISHes at the device", types(device, false)[mqttPublish], r.count(trace.KindReceived))
	is("PINGREQs that the device sent", sent[mqttPingReq], r.count(trace.KindPingReq))

	wire, there := published(device, true), published(peer, false)
	is("different messages delivered", len(there), o.Delivered)
	again := 0
	for _, n := range there {
		again += n - 1
	}
	is("messages duplicated", again, o.Duplicated)
	if o.Lost == 0 && o.PublishErrors == 0 {
		is("different messages on the wire", len(wire), o.Published)
	}
	is("published less delivered", o.Published-len(there), o.Lost)
	is("publish calls that were accepted", r.count(trace.KindPublish, ok), o.Published)
	for p := range there {
		if wire[p] == 0 {
			t.Errorf("%q arrived and was never sent", p)
		}
	}
}
