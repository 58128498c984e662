package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"hilnet/mqtt/codec"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Bytes as the standard's chapter 3 lays them out, and what they say.
var validPackets = []struct{ hex, summary string }{
	{"10 0D 0004 4D515454 04 02 000A 0001 70", "CONNECT p clean keepalive=10s"},
	{"10 0C 0004 4D515454 04 00 0000 0000", `CONNECT "" keepalive=0s`},
	// Every field, with the flags and keep alive of figure 3.6.
	{"10 22 0004 4D515454 04 CE 000A 0001 63 0001 77 0003 627965 0004 75736572 0005 0001FFFE80",
		"CONNECT c clean keepalive=10s user=user password will q1 w 3 B"},
	{"10 14 0004 4D515454 04 36 003C 0001 63 0001 77 0002 6F6B", "CONNECT c clean keepalive=60s will q2 retain w 2 B"},
	{"10 0F 0004 4D515454 04 82 000A 0001 70 0000", `CONNECT p clean keepalive=10s user=""`},
	{"20 02 00 00", "CONNACK accepted"},
	{"20 02 01 00", "CONNACK session-present accepted"},
	{"20 02 00 05", "CONNACK not authorized"},
	// Figure 3.11: topic "a/b", packet identifier 10.
	{"32 07 0003 612F62 000A", "PUBLISH q1 id=10 a/b 0 B"},
	{"30 05 0003 612F62", "PUBLISH q0 a/b 0 B"},
	{"31 06 0003 612F62 00", "PUBLISH q0 retain a/b 1 B"},
	{"3D 09 0003 612F62 FFFF 6869", "PUBLISH q2 dup retain id=65535 a/b 2 B"},
	{"30 07 0005 61E697A562", "PUBLISH q0 a日b 0 B"},
	{"30 05 0003 EFBBBF", "PUBLISH q0 \"\\ufeff\" 0 B"}, // [MQTT-1.5.3-3]
	{"40 02 0007", "PUBACK id=7"},
	{"50 02 0007", "PUBREC id=7"},
	{"62 02 0007", "PUBREL id=7"},
	{"70 02 0007", "PUBCOMP id=7"},
	// Figure 3.23: a/b at QoS 1, c/d at QoS 2.
	{"82 0E 000A 0003 612F62 01 0003 632F64 02", "SUBSCRIBE id=10 a/b:q1 c/d:q2"},
	{"82 0A 000A 0005 2B2F622F23 00", "SUBSCRIBE id=10 +/b/#:q0"},
	{"90 05 000A 00 02 80", "SUBACK id=10 q0 q2 refused"},
	// The same two filters as in the SUBSCRIBE.
	{"A2 0C 000A 0003 612F62 0003 632F64", "UNSUBSCRIBE id=10 a/b c/d"},
	{"B0 02 000A", "UNSUBACK id=10"},
	{"C0 00", "PINGREQ"},
	{"D0 00", "PINGRESP"},
	{"E0 00", "DISCONNECT"},
}

func TestValidPacketsDecodeAndEncodeToTheSameBytes(t *testing.T) {
	for _, c := range validPackets {
		frame := unhex(t, c.hex)
		var p codec.Packet
		if err := p.Decode(frame); err != nil {
			t.Errorf("%s: %v", c.hex, err)
			continue
		}
		if got := p.Append(nil); !bytes.Equal(got, frame) {
			t.Errorf("%s: encoded again: %x", c.hex, got)
		}
		if got := codec.Summary(frame); got != c.summary {
			t.Errorf("%s: summary %q, want %q", c.hex, got, c.summary)
		}
		if got := p.String(); got != c.summary {
			t.Errorf("%s: String %q, want %q", c.hex, got, c.summary)
		}
		for i := range frame { // no prefix of a packet is a packet
			if err := p.Decode(frame[:i]); err == nil {
				t.Errorf("%s: the first %d bytes decode", c.hex, i)
			}
		}
	}
}

func TestDecodedFieldsOfAConnect(t *testing.T) {
	var p codec.Packet
	if err := p.Decode(unhex(t, validPackets[2].hex)); err != nil {
		t.Fatal(err)
	}
	c := p.Connect
	if !c.CleanSession || c.KeepAlive != 10 || string(c.ClientID) != "c" || !c.HasWill ||
		string(c.Will.Topic) != "w" || string(c.Will.Payload) != "bye" || c.Will.QoS != 1 || c.Will.Retain ||
		!c.HasUser || string(c.User) != "user" || !c.HasPassword || string(c.Password) != "\x00\x01\xFF\xFE\x80" {
		t.Errorf("%+v", c)
	}
}

// One packet for each rule, with the clause that the error must name and the
// offset of the byte that breaks it.
var malformedPackets = []struct {
	hex, clause string
	offset      int
}{
	{"00 00", "[section 2.2.1]", 0},
	{"F0 00", "[section 2.2.1]", 0},
	{"C1 00", "[MQTT-2.2.2-2]", 0},
	{"C0 01 00", "[section 2.2.3]", 2},
	{"C0 80 80 80 80 00", "[section 2.2.3]", 4},

	{"11 0D 0004 4D515454 04 02 000A 0001 70", "[MQTT-2.2.2-2]", 0},
	{"10 0D 0004 4D515455 04 02 000A 0001 70", "[MQTT-3.1.2-1]", 2},
	{"10 09 0000 04 02 000A 0001 70", "[MQTT-3.1.2-1]", 2},
	{"10 0D 0004 4D515454 05 02 000A 0001 70", "[MQTT-3.1.2-2]", 8},
	{"10 0F 0006 4D5149736470 03 02 000A 0001 70", "[MQTT-3.1.2-2]", 10},
	{"10 0D 0004 4D515454 04 03 000A 0001 70", "[MQTT-3.1.2-3]", 9},
	{"10 0D 0004 4D515454 04 0A 000A 0001 70", "[MQTT-3.1.2-13]", 9},
	{"10 0D 0004 4D515454 04 22 000A 0001 70", "[MQTT-3.1.2-15]", 9},
	{"10 13 0004 4D515454 04 1E 000A 0001 70 0001 70 0001 70", "[MQTT-3.1.2-14]", 9},
	{"10 10 0004 4D515454 04 42 000A 0001 70 0001 70", "[MQTT-3.1.2-22]", 9},
	{"10 0A 0004 4D515454 04 02 000A", "[MQTT-3.1.3-3]", 12},
	{"10 0D 0004 4D515454 04 02 000A 0001 00", "[MQTT-1.5.3-2]", 14},
	{"10 0D 0004 4D515454 04 06 000A 0001 70", "[MQTT-3.1.2-9]", 15},
	{"10 10 0004 4D515454 04 06 000A 0001 70 0001 70", "[MQTT-3.1.2-9]", 18},
	{"10 11 0004 4D515454 04 06 000A 0001 70 0000 0000", "[MQTT-4.7.3-1]", 17},
	{"10 12 0004 4D515454 04 06 000A 0001 70 0001 23 0000", "[MQTT-3.3.2-2]", 17},
	{"10 0D 0004 4D515454 04 82 000A 0001 70", "[MQTT-3.1.2-19]", 15},
	{"10 10 0004 4D515454 04 C2 000A 0001 70 0001 70", "[MQTT-3.1.2-21]", 18},
	{"10 10 0004 4D515454 04 02 000A 0001 70 0001 70", "[MQTT-3.1.2-18]", 15},
	{"10 13 0004 4D515454 04 82 000A 0001 70 0001 70 0001 70", "[MQTT-3.1.2-20]", 18},

	{"20 00", "[section 3.2.2]", 2},
	{"20 01 00", "[section 3.2.2]", 3},
	{"20 03 00 00 00", "[section 2.2.3]", 4},
	{"20 02 02 00", "[section 3.2.2.1]", 2},
	{"20 02 00 06", "[section 3.2.2.3]", 3},
	{"20 02 01 01", "[MQTT-3.2.2-4]", 2},

	{"36 07 0003 612F62 000A", "[MQTT-3.3.1-4]", 0},
	{"38 05 0003 612F62", "[MQTT-3.3.1-2]", 0},
	{"30 01 00", "[MQTT-3.3.2-1]", 3},
	{"30 04 0003 612F", "[MQTT-3.3.2-1]", 6},
	{"30 05 0003 612F23", "[MQTT-3.3.2-2]", 6},
	{"30 05 0003 2B2F62", "[MQTT-3.3.2-2]", 4},
	{"30 02 0000", "[MQTT-4.7.3-1]", 4},
	{"30 05 0003 610062", "[MQTT-1.5.3-2]", 5},
	{"30 05 0003 EDA080", "[MQTT-1.5.3-1]", 4}, // U+D800
	{"30 05 0003 EDBFBF", "[MQTT-1.5.3-1]", 4}, // U+DFFF
	{"30 04 0002 C080", "[MQTT-1.5.3-1]", 4},   // overlong U+0000
	{"30 04 0002 61FF", "[MQTT-1.5.3-1]", 5},
	{"30 04 0002 6101", "[section 1.5.3]", 5},
	{"30 04 0002 617F", "[section 1.5.3]", 5},
	{"30 04 0002 C29F", "[section 1.5.3]", 4},
	{"30 05 0003 EFBFBF", "[section 1.5.3]", 4}, // U+FFFF
	{"30 05 0003 EFB790", "[section 1.5.3]", 4}, // U+FDD0
	{"32 05 0003 612F62", "[section 2.3.1]", 7},
	{"32 07 0003 612F62 0000", "[MQTT-2.3.1-1]", 7},

	{"40 00", "[section 2.3.1]", 2},
	{"40 02 0000", "[MQTT-2.3.1-1]", 2},
	{"40 03 0001 00", "[section 2.2.3]", 4},
	{"60 02 0001", "[MQTT-3.6.1-1]", 0},
	{"E1 00", "[MQTT-3.14.1-1]", 0},

	{"80 06 1234 0001 70 00", "[MQTT-3.8.1-1]", 0},
	{"82 02 1234", "[MQTT-3.8.3-3]", 4},
	{"82 05 1234 0001 70", "[MQTT-3.8.3-3]", 7},
	{"82 06 1234 0001 70 03", "[MQTT-3.8.3-4]", 7},
	{"82 06 1234 0001 70 80", "[MQTT-3.8.3-4]", 7},
	{"82 06 0000 0001 70 00", "[MQTT-2.3.1-1]", 2},
	{"82 05 1234 0000 00", "[MQTT-4.7.3-1]", 6},
	{"82 09 000A 0004 612F2B23 00", "[MQTT-4.7.1-3]", 8},
	{"82 07 000A 0002 6123 00", "[MQTT-4.7.1-2]", 7},
	{"82 08 000A 0003 232F61 00", "[MQTT-4.7.1-2]", 6},
	{"82 07 1234 0001 70 00 00", "[MQTT-3.8.3-1]", 9},
	{"90 02 000A", "[MQTT-3.8.4-5]", 4},
	{"90 03 000A 03", "[MQTT-3.9.3-2]", 4},
	{"A0 05 1234 0001 70", "[MQTT-3.10.1-1]", 0},
	{"A2 02 1234", "[MQTT-3.10.3-2]", 4},
	{"A2 04 1234 0001", "[MQTT-3.10.3-1]", 6},
	{"B0 01 12", "[section 2.3.1]", 3},
}

func TestMalformedPacketsAreRefusedWithTheirClause(t *testing.T) {
	for _, c := range malformedPackets {
		var p codec.Packet
		err := p.Decode(unhex(t, c.hex))
		var e *codec.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v, want %s", c.hex, err, c.clause)
			continue
		}
		if e.Clause != c.clause || e.Offset != c.offset {
			t.Errorf("%s: %v, want %s at offset %d", c.hex, err, c.clause, c.offset)
		}
	}
}

func TestSummaryOfAMalformedPacketSaysWhatIsWrong(t *testing.T) {
	got := codec.Summary(unhex(t, "36 07 0003 612F62 000A"))
	if want := "PUBLISH malformed: QoS 3 at offset 0 [MQTT-3.3.1-4]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOtherProtocolLevelsAreTellable(t *testing.T) {
	var p codec.Packet
	err := p.Decode(unhex(t, "10 0D 0004 4D515454 05 02 000A 0001 70"))
	if !errors.Is(err, codec.ErrProtocolLevel) {
		t.Errorf("MQTT 5: %v", err)
	}
	err = p.Decode(unhex(t, "10 0D 0004 4D515455 04 02 000A 0001 70"))
	if err == nil || errors.Is(err, codec.ErrProtocolLevel) {
		t.Errorf("another protocol: %v", err)
	}
}

// The packets reused for decoding and the buffers reused for encoding make no
// garbage.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	var p codec.Packet
	var buf []byte
	for _, c := range validPackets {
		frame := unhex(t, c.hex)
		n := testing.AllocsPerRun(10, func() {
			if err := p.Decode(frame); err != nil {
				t.Fatal(err)
			}
			buf = p.Append(buf[:0])
			buf = p.AppendSummary(buf[:0], frame)
		})
		if n != 0 && !strings.Contains(c.summary, `"`) { // quoting may allocate
			t.Errorf("%s: %v allocations", c.summary, n)
		}
	}
}
