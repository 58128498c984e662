package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"hilnet/mqtt/codec"
)

// Table 2.4 of the standard: the limits of each size of remaining length.
func TestRemainingLengthOfTable24(t *testing.T) {
	for _, c := range []struct {
		n    int
		wire []byte
	}{
		{0, []byte{0x00}},
		{127, []byte{0x7F}},
		{128, []byte{0x80, 0x01}},
		{16_383, []byte{0xFF, 0x7F}},
		{16_384, []byte{0x80, 0x80, 0x01}},
		{2_097_151, []byte{0xFF, 0xFF, 0x7F}},
		{2_097_152, []byte{0x80, 0x80, 0x80, 0x01}},
		{268_435_455, []byte{0xFF, 0xFF, 0xFF, 0x7F}},
	} {
		got := codec.AppendHeader(nil, codec.PUBLISH, 0, c.n)
		if want := append([]byte{0x30}, c.wire...); !bytes.Equal(got, want) {
			t.Errorf("AppendHeader(%d) = %x, want %x", c.n, got, want)
		}
		h, ok, err := codec.ParseHeader(got)
		if !ok || err != nil || h.Remaining != c.n || h.Size != len(got) || h.Type != codec.PUBLISH {
			t.Errorf("ParseHeader(%x) = %+v, %v, %v", got, h, ok, err)
		}
		for i := range got {
			if _, ok, err := codec.ParseHeader(got[:i]); ok || err != nil {
				t.Errorf("ParseHeader(%x) = %v, %v, want more bytes to be needed", got[:i], ok, err)
			}
		}
	}
}

func TestHeaderTooLongForTheFormatPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	codec.AppendHeader(nil, codec.PUBLISH, 0, codec.MaxRemainingLength+1)
}

func TestFrameCutsAStream(t *testing.T) {
	stream := codec.AppendEmpty(nil, codec.PINGREQ)
	stream = codec.AppendPublish(stream, &codec.Publish{Topic: []byte("a/b"), Payload: make([]byte, 200)})
	stream = codec.AppendAck(stream, codec.PUBACK, 7)
	var got []int
	for have := 0; have <= len(stream); have++ { // one byte more each time
		n, err := codec.Frame(stream[:have], 0)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			got = append(got, n)
			stream, have = stream[n:], -1
		}
	}
	if want := []int{2, 3 + 2 + 3 + 200, 4}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("frames of %v bytes, want %v", got, want)
	}
}

func TestFrameRefusesALongPacketBeforeItsBody(t *testing.T) {
	b := codec.AppendHeader(nil, codec.PUBLISH, 0, 100)
	if n, err := codec.Frame(b, 102); n != 0 || err != nil {
		t.Errorf("102 bytes within a limit of 102: %d, %v", n, err)
	}
	_, err := codec.Frame(b, 101)
	var e *codec.Error
	if !errors.Is(err, codec.ErrTooLarge) || !errors.As(err, &e) || e.Type != codec.PUBLISH {
		t.Errorf("102 bytes over a limit of 101: %v", err)
	}
}

func TestFrameRefusesAFifthLengthByteAndABadFirstByte(t *testing.T) {
	for _, c := range []struct {
		b      []byte
		clause string
		offset int
	}{
		{[]byte{0x30, 0x80, 0x80, 0x80, 0x80}, "[section 2.2.3]", 4},
		{[]byte{0x00}, "[section 2.2.1]", 0},
		{[]byte{0xF0}, "[section 2.2.1]", 0},
		{[]byte{0x36}, "[MQTT-3.3.1-4]", 0},
		{[]byte{0x82 - 2}, "[MQTT-3.8.1-1]", 0},
	} {
		_, err := codec.Frame(c.b, 0)
		var e *codec.Error
		if !errors.As(err, &e) || e.Clause != c.clause || e.Offset != c.offset {
			t.Errorf("Frame(%x): %v, want %s at %d", c.b, err, c.clause, c.offset)
		}
	}
}

// A packet that the strict decoder refuses can still be looked at.
func TestParseRawJudgesNothing(t *testing.T) {
	b := []byte{0x3F, 0x80, 0x00, 0xC0, 0x00} // PUBLISH QoS 3, non-minimal length 0, then a PINGREQ
	r, ok, err := codec.ParseRaw(b)
	if !ok || err != nil || r.Type != codec.PUBLISH || r.Flags != 0x0F || len(r.Body) != 0 || r.Len() != 3 {
		t.Errorf("ParseRaw = %+v, %v, %v", r, ok, err)
	}
	if _, ok, err := codec.ParseRaw([]byte{0x30, 0x05, 0x00}); ok || err != nil {
		t.Errorf("a packet that is not all there: %v, %v", ok, err)
	}
}
