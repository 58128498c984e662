package codec_test

import (
	"bytes"
	"testing"

	"hilnet/mqtt/codec"
)

var benchPublish = codec.Publish{QoS: 1, ID: 3, Topic: []byte("sensors/t"), Payload: bytes.Repeat([]byte("x"), 64)}

func BenchmarkDecodePublish64B(b *testing.B) {
	frame := codec.AppendPublish(nil, &benchPublish)
	var p codec.Packet
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPublish64B(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = codec.AppendPublish(buf[:0], &benchPublish)
	}
}

func BenchmarkDecodePuback(b *testing.B) {
	frame := codec.AppendAck(nil, codec.PUBACK, 3)
	var p codec.Packet
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	filter, topic := "building/+/floor/+/sensors/#", []byte("building/7/floor/12/sensors/temperature/mean")
	b.ReportAllocs()
	for b.Loop() {
		if !codec.Match(filter, topic) {
			b.Fatal("no match")
		}
	}
}
