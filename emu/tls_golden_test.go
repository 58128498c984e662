package emu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// What the recorded application did, with our TLS broker as the peer.
const tlsRecorded = `
version: 1
name: recorded
duration: 9s
devices:
  - address: 10.50.0.2/24
    pool: {packets: 32, payload: 1536B}
    mqtt: {client_id: netx-golden, keepalive: 4s, wait: 10s, tls: {server_name: none}}
    steps:
      - connect
      - subscribe: {topic: golden/t7, qos: 1}
      - sleep: 500ms
      - publish: {topic: golden/t7, payload: hello-tls, qos: 1}
      - sleep: 1s
      - message_get: all
      - sleep: 6s
      - disconnect
broker: {address: 10.50.0.1/24, tls: {}}
`

// tlsSegments are the segments with payload of a capture, as the records that
// each holds: type and length, with > from the device and < to it. A record that
// a segment does not end is written with a plus sign.
func tlsSegments(t *testing.T, path string) (all []string) {
	t.Helper()
	open := map[string]int{}
	seen := map[string]bool{}
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		var l wire.Layers
		if l.Parse(p.Data) != nil || l.TCP == nil || len(l.Payload) == 0 {
			continue
		}
		arrow := "<"
		if l.TCP.DstPort() == 8883 {
			arrow = ">"
		}
		if key := fmt.Sprint(arrow, l.TCP.Seq()); seen[key] {
			continue // sent again
		} else {
			seen[key] = true
		}
		text := arrow
		for b := l.Payload; len(b) > 0; {
			n := open[arrow]
			if n == 0 {
				n = 5 + int(binary.BigEndian.Uint16(b[3:]))
				text += fmt.Sprintf(" %d:%d", b[0], n)
			} else {
				text += fmt.Sprintf(" +%d", n)
			}
			k := min(n, len(b))
			open[arrow], b = n-k, b[k:]
		}
		all = append(all, text)
	}
	return all
}

// afterHandshake leaves the ClientHello and the server's first flight out: the
// two offer and choose other suites, and other certificates are shown.
func afterHandshake(segments []string) []string {
	i := slices.IndexFunc(segments, func(s string) bool { return s == "> 22:267" })
	return segments[max(i, 0):]
}

// ways are the segments of one direction.
func ways(segments []string, arrow string) []string {
	return slices.DeleteFunc(slices.Clone(segments), func(s string) bool { return !strings.HasPrefix(s, arrow) })
}

// Types, order, segmentation and sizes of the records are those of the real
// NetX Duo, from ClientKeyExchange to close_notify.
func TestTLSRecordsAreThoseOfTheRecording(t *testing.T) {
	recording := filepath.Join(linktest.Root(t), "emu", "testdata", "netx-tls", "7-tls12-connect")
	want := afterHandshake(tlsSegments(t, recording+".pcap"))
	r := record(t, load(t, tlsRecorded), Options{})
	got := afterHandshake(tlsSegments(t, r.capture(scenarios.PointDevice)))
	for _, arrow := range []string{">", "<"} { // which of two that cross is first is the peer's time
		if got, want := ways(got, arrow), ways(want, arrow); !slices.Equal(got, want) || len(want) < 8 {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	// The application's log: what was acknowledged, and under which identifier.
	log, err := os.ReadFile(recording + ".app.log")
	if err != nil {
		t.Fatal(err)
	}
	var acks []string
	for _, m := range regexp.MustCompile(`cb ack_notify type=(\d+) id=(\d+)`).FindAllStringSubmatch(string(log), -1) {
		acks = append(acks, m[1]+" "+m[2])
	}
	var ours []string
	for _, e := range r.events {
		switch e.Kind {
		case trace.KindSubscribed:
			ours = append(ours, fmt.Sprint("9 ", e.ID))
		case trace.KindAcked:
			ours = append(ours, fmt.Sprint("4 ", e.ID))
		}
	}
	if !slices.Equal(ours, acks) || len(acks) != 2 {
		t.Errorf("acknowledged %q, in the recording %q", ours, acks)
	}
	wantMessages := "> CONNECT, < CONNACK, > SUBSCRIBE, < SUBACK, > PUBLISH, < PUBLISH, < PUBACK, > PUBACK, > PINGREQ, < PINGRESP, > PINGREQ, < PINGRESP, > DISCONNECT"
	if got := strings.Join(decrypted(t, r.capture(scenarios.PointDevice)), ", "); got != wantMessages {
		t.Errorf("messages %s\nwant     %s", got, wantMessages)
	}
}

// tlsMessages collects the MQTT messages of a capture.
type tlsMessages struct{ all []string }

func (*tlsMessages) Data(*flow.Chunk)    {}
func (*tlsMessages) Notice(*flow.Notice) {}
func (m *tlsMessages) Message(x *flow.Message) {
	arrow := "<"
	if x.Side == x.Conversation.Client {
		arrow = ">"
	}
	m.all = append(m.all, arrow+" "+x.Type.String())
}

// decrypted returns the MQTT messages that a capture holds with its own keys.
func decrypted(t *testing.T, path string) []string {
	t.Helper()
	m := &tlsMessages{}
	readSecure(t, path, m, func(_ *flow.Conversation, d flow.Decrypter) flow.Decrypter { return d })
	return m.all
}

// readSecure feeds handler with a capture, read with the keys that are in it. wrap
// may change what reads a conversation.
func readSecure(t *testing.T, path string, handler flow.Handler, wrap func(*flow.Conversation, flow.Decrypter) flow.Decrypter) {
	t.Helper()
	reader, closeFile, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile()
	keys := new(tlsdec.Keys)
	table, err := flow.New(flow.Config{Secure: func(c *flow.Conversation) flow.Decrypter { return wrap(c, keys.Open(c)) }}, handler)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); ; {
		r, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Secrets != nil {
			keys.Add(r.Secrets.Data)
		}
		if p := r.Packet; p != nil {
			table.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time), Number: n})
			n++
		}
	}
	table.Close()
}

// Over a lossy link, too, tshark and we read the same in a capture.
func TestTsharkAndWeReadTheSameMessages(t *testing.T) {
	linktest.Require(t, "tshark")
	r := record(t, open(t, "tls-lossy"), Options{})
	for _, device := range []string{"netx", "linux"} {
		path := filepath.Join(r.dir, "tls-lossy."+device+".peer.pcapng")
		out := linktest.Tshark(t, "-o", "tcp.reassemble_out_of_order:TRUE", "-r", path, "-Y", "mqtt", "-T", "fields", "-e", "mqtt.msgtype")
		theirs := len(strings.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == ',' }))
		if ours := len(decrypted(t, path)); ours != theirs || ours < 100 {
			t.Errorf("%s: we read %d messages, tshark %d", device, ours, theirs)
		}
	}
}
