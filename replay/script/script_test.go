package script_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt/codec"
	"hilnet/pcaps"
	"hilnet/replay/script"
	"hilnet/wire"
)

func open(t testing.TB, path string) *script.Script {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := script.Read(f, script.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func capture(t testing.TB, name string) string {
	return filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", name)
}

// transcript writes each event with its cause.
func transcript(c *script.Conversation) string {
	var b strings.Builder
	for i := range c.Events {
		e := &c.Events[i]
		fmt.Fprintf(&b, "%d %v %s <- %d %v %v\n", i, e.From, e.Label(), e.Cause, e.Rule, e.Gap)
	}
	return b.String()
}

func TestEachMessageHasTheCauseThatMQTTOrTheClockGivesIt(t *testing.T) {
	for name, want := range map[string]string{
		"suricata-mqtt311-pub-qos2.pcap": `
0 client CONNECT <- -1 sequence 34µs
1 broker CONNACK <- 0 protocol 116µs
2 client PUBLISH 1 <- 1 answer 49µs
3 broker PUBREC 1 <- 2 protocol 24µs
4 client PUBREL 1 <- 3 protocol 67µs
5 broker PUBCOMP 1 <- 4 protocol 24µs
6 client DISCONNECT <- 5 answer 14µs
7 client FIN <- 6 sequence 11µs
`,
		// Two seconds of silence in front of the publishing, and the message that comes
		// back through the client's own subscription.
		"suricata-mqtt-limit-2.pcap": `
0 client CONNECT <- -1 sequence 65µs
1 broker CONNACK <- 0 protocol 59µs
2 client SUBSCRIBE 1 <- 1 answer 311µs
3 broker SUBACK 1 <- 2 protocol 51µs
4 client PUBLISH 2 <- 3 spontaneous 2.002942s
5 broker PUBACK 2 <- 4 protocol 74µs
6 broker PUBLISH <- 4 protocol 152µs
7 client PUBLISH 3 <- 6 spontaneous 3.999828s
8 broker PUBACK 3 <- 7 protocol 152µs
9 client PUBLISH 4 <- 8 spontaneous 4.003884s
10 broker PUBACK 4 <- 9 protocol 137µs
11 client DISCONNECT <- 10 spontaneous 4.004257s
12 client FIN <- 11 sequence 125µs
`,
	} {
		s := open(t, capture(t, name))
		if len(s.Conversations) != 1 || s.Problem != nil {
			t.Fatalf("%s: %s", name, s.Summary())
		}
		if got := "\n" + transcript(s.Conversations[0]); got != want {
			t.Errorf("%s:%swant:%s", name, got, want)
		}
	}
}

// Parse and Append are each other's inverse for every packet of the captures that
// Append makes, and no packet of the captures but those that are meant to be
// malformed is refused.
func TestEveryPacketOfTheCapturesIsUnderstood(t *testing.T) {
	entries, err := filepath.Glob(capture(t, "*.pcap"))
	if err != nil || len(entries) < 20 {
		t.Fatal(err, len(entries))
	}
	packets := 0
	for _, path := range entries {
		for _, c := range open(t, path).Conversations {
			for i := range c.Events {
				e := &c.Events[i]
				if e.Kind != script.Message || e.Type == 0 {
					continue
				}
				packets++
				f, err := script.Parse(e.Raw, c.Version)
				if err != nil {
					t.Errorf("%s frame %d: %v: %x", path, e.Frame, err, e.Raw)
					continue
				}
				if f.ID != e.ID {
					t.Errorf("%s frame %d: id %d and %d", path, e.Frame, f.ID, e.ID)
				}
				switch f.Type {
				case codec.CONNECT, codec.PUBLISH, codec.SUBSCRIBE, codec.UNSUBSCRIBE:
					if again := f.Append(nil, c.Version); !bytes.Equal(again, e.Raw) {
						t.Errorf("%s frame %d:\n%x\n%x", path, e.Frame, e.Raw, again)
					}
				}
				n := 0
				for _, size := range e.Segments {
					n += size
				}
				if n != len(e.Raw) {
					t.Errorf("%s frame %d: segments %v of %d bytes", path, e.Frame, e.Segments, len(e.Raw))
				}
			}
		}
	}
	if packets < 100 {
		t.Errorf("only %d packets", packets)
	}
}

// What cannot be played says so, and why.
func TestWhatCannotBePlayedSaysWhy(t *testing.T) {
	for name, want := range map[string][2]string{
		"suricata-mqtt-midstream-split.pcap":     {"midstream: the capture has no CONNECT; --synthetic puts one in front", ""},
		"suricata-mqtt-events-unintroduced.pcap": {"", "the capture has no message of the broker"},
		"suricata-mqtt311-pub-qos1.pcap":         {"", ""},
	} {
		c := open(t, capture(t, name)).Conversations[0]
		if got := [2]string{c.Unplayable(script.Client, false), c.Unplayable(script.Broker, false)}; got != want {
			t.Errorf("%s: %q", name, got)
		}
		if got := c.Unplayable(script.Client, true); got != "" {
			t.Errorf("%s with a handshake: %q", name, got)
		}
	}
	tls := open(t, linktest.Data(t, "captures/groundtruth/mqtts13-q1-clean.dev.pcapng"))
	if c := tls.Conversations[0]; tls.TLS != 1 || !strings.Contains(c.Unplayable(script.Client, true), "TLS") {
		t.Errorf("TLS: %+v", c)
	}
}

// The tap's distance from the sender is not taken for its thinking.
func TestThinkTimesAreThoseAtTheSender(t *testing.T) {
	device := open(t, linktest.Data(t, "captures/groundtruth/mqtt311-q1-clean.dev.pcapng")).Conversations[0]
	broker := open(t, linktest.Data(t, "captures/groundtruth/mqtt311-q1-clean.broker.pcapng")).Conversations[0]
	if len(device.Events) != len(broker.Events) {
		t.Fatalf("%d and %d events", len(device.Events), len(broker.Events))
	}
	answers := 0
	for i := range device.Events {
		d, b := &device.Events[i], &broker.Events[i]
		if d.Type == codec.PUBACK && d.From == script.Broker {
			answers++
			// 25 ms each way, on a link that was late by up to 10 ms.
			if off := (d.Gap - b.Gap).Abs(); off > 15*time.Millisecond {
				t.Errorf("event %d: %v at the device's tap, %v at the broker's", i, d.Gap, b.Gap)
			}
		}
	}
	if answers < 10 || device.ToServer < 50*time.Millisecond || broker.ToClient < 50*time.Millisecond || device.ToClient > 5*time.Millisecond {
		t.Errorf("%d answers; %v and %v to the server and the client, %v at the broker's tap", answers, device.ToServer, device.ToClient, broker.ToClient)
	}
}

// flows writes a capture of n connections, each a SYN, an ACK and a CONNECT.
func flows(n int) []byte {
	var b bytes.Buffer
	b.Write([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0})
	connect := []byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab")
	for i := range n {
		for step := range 2 {
			payload, flags, seq := []byte(nil), byte(wire.TCPSyn), uint32(100)
			if step == 1 {
				payload, flags, seq = connect, byte(wire.TCPAck), 101
			}
			frame := make([]byte, 54, 54+len(payload))
			frame[12] = 8
			ip := frame[14:]
			ip[0], ip[8], ip[9] = 0x45, 64, 6
			binary.BigEndian.PutUint16(ip[2:], uint16(40+len(payload)))
			copy(ip[12:], []byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			copy(ip[16:], []byte{192, 0, 2, 1})
			tcp := ip[20:]
			binary.BigEndian.PutUint16(tcp, 40000)
			binary.BigEndian.PutUint16(tcp[2:], 1883)
			binary.BigEndian.PutUint32(tcp[4:], seq)
			tcp[12], tcp[13] = 5<<4, flags
			frame = append(frame, payload...)
			head := make([]byte, 16)
			binary.LittleEndian.PutUint32(head, uint32(i))
			binary.LittleEndian.PutUint32(head[8:], uint32(len(frame)))
			binary.LittleEndian.PutUint32(head[12:], uint32(len(frame)))
			b.Write(append(head, frame...))
		}
	}
	return b.Bytes()
}

// Many tiny conversations are counted, and only so many kept.
func TestManyTinyConversationsTakeBoundedMemory(t *testing.T) {
	const n = 50_000
	data := flows(n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := script.Read(bytes.NewReader(data), script.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(s.Conversations) != 4096 || s.Unlisted != n-4096 {
		t.Errorf("%d conversations, %d beyond", len(s.Conversations), s.Unlisted)
	}
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 64<<20 {
		t.Errorf("%d MiB are held", held>>20)
	}
	runtime.KeepAlive(s)
}

// Too many messages are an error, not memory.
func TestTooManyMessagesAreAnError(t *testing.T) {
	_, err := script.Read(bytes.NewReader(flows(100)), script.Limits{Messages: 50}, nil)
	if !errors.Is(err, script.ErrTooMuch) || !strings.Contains(err.Error(), "frame 102") {
		t.Error(err)
	}
}

// A damaged capture gives what stands before, and the offset of the damage.
func TestACutCaptureGivesWhatStandsBefore(t *testing.T) {
	whole, err := os.ReadFile(capture(t, "suricata-mqtt311-pub-qos2.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := script.Read(bytes.NewReader(whole[:len(whole)-5]), script.Limits{}, nil)
	var cut *pcaps.TruncatedError
	if err != nil || !errors.As(s.Problem, &cut) || cut.Offset == 0 || len(s.Conversations) != 1 {
		t.Errorf("%v: %+v", err, s)
	}
}

// FuzzRead: whatever the capture, there is a script or an error.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"suricata-mqtt311-pub-qos2.pcap", "suricata-mqtt-midstream-split.pcap", "suricata-mqtt5-unsub-qos2.pcap"} {
		data, err := os.ReadFile(capture(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := script.Read(bytes.NewReader(data), script.Limits{}, nil)
		if err != nil {
			return
		}
		for _, c := range s.Conversations {
			for i := range c.Events {
				if e := &c.Events[i]; e.Cause >= i || e.Cause < script.Start || e.Gap < 0 {
					t.Fatalf("event %d: %+v", i, e)
				}
			}
		}
	})
}

// FuzzParse: a packet that is understood comes out as it went in, but for what
// may be written in more than one way.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"100e00044d515454040200 3c00026162", "3007000161010000", "82090001000461 2f622f01"} {
		b, _ := hex.DecodeString(strings.ReplaceAll(seed, " ", ""))
		f.Add(b, uint8(4))
		f.Add(b, uint8(5))
	}
	f.Fuzz(func(t *testing.T, raw []byte, version uint8) {
		fields, err := script.Parse(raw, version)
		if err != nil {
			return
		}
		switch fields.Type {
		case codec.CONNECT, codec.PUBLISH, codec.SUBSCRIBE, codec.UNSUBSCRIBE:
			again, err := script.Parse(fields.Append(nil, version), version)
			if err != nil || again.ID != fields.ID || !bytes.Equal(again.Payload, fields.Payload) || len(again.Filters) != len(fields.Filters) {
				t.Fatalf("%x: %v, %+v", raw, err, again)
			}
		}
		if id := script.IDOf(script.SetID(raw, 77)); fields.HasID && id != 77 {
			t.Fatalf("%x: id %d", raw, id)
		}
	})
}
