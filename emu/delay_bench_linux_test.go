package emu_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"hilnet/pcaps"
)

const (
	delayFrames = 400
	delayApart  = 5 * time.Millisecond
	delayPort   = 4790
	// How much later than twice the delay a message may come.
	delayPatience = 500 * time.Millisecond
)

// delayMark begins what is sent, so that it is found in a capture.
const delayMark = 0x68696c2d64656c61

// delayLevels are the delays whose error is measured.
var delayLevels = []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}

// BenchmarkDelayError measures how far a delay is from what was asked for: by
// tcpdump at both ends, which stamps a frame where the kernel sends and receives it.
func BenchmarkDelayError(b *testing.B) {
	for _, what := range []string{"link", "sleep", "toxiproxy"} {
		for _, delay := range delayLevels {
			b.Run(fmt.Sprintf("%s-%v", what, delay), func(b *testing.B) {
				var errs []time.Duration
				for b.Loop() {
					if what == "toxiproxy" {
						errs = append(errs, delaysOfToxiproxy(b, delay)...)
						continue
					}
					p := newRealPair(b)
					p.through(what, delay)
					errs = append(errs, p.delays(delay)...)
				}
				slices.Sort(errs)
				us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
				b.ReportMetric(us(errs[len(errs)/2]), "p50-µs")
				b.ReportMetric(us(errs[len(errs)*99/100]), "p99-µs")
				b.ReportMetric(us(errs[len(errs)-1]), "max-µs")
			})
		}
	}
}

// delays sends frames from one end to the other, and returns by how much each was
// later than the delay.
func (p *realPair) delays(delay time.Duration) []time.Duration {
	near, far := p.near.Tcpdump("t0"), p.far.Tcpdump("t1")
	var sink net.PacketConn
	p.far.Do(func() (err error) {
		sink, err = net.ListenPacket("udp4", fmt.Sprintf("10.9.0.1:%d", delayPort))
		return err
	})
	defer sink.Close()
	var conn net.Conn
	p.near.Do(func() (err error) {
		conn, err = net.Dial("udp4", fmt.Sprintf("10.9.0.1:%d", delayPort))
		return err
	})
	defer conn.Close()
	sendNumbers(p.b, conn)
	time.Sleep(2*delay + delayPatience)
	return lateness(p.b, arrivals(p.b, near.Finish(), delayPort), arrivals(p.b, far.Finish(), delayPort), delay)
}

// sendNumbers writes numbered messages.
func sendNumbers(t testing.TB, conn net.Conn) {
	t.Helper()
	message := make([]byte, 16)
	binary.BigEndian.PutUint64(message, delayMark)
	for i := range delayFrames {
		binary.BigEndian.PutUint64(message[8:], uint64(i))
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delayApart)
	}
}

// arrivals returns when each numbered message to a port was captured first.
func arrivals(t testing.TB, path string, port uint16) map[uint64]pcaps.Stamp {
	t.Helper()
	all := map[uint64]pcaps.Stamp{}
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range numbersIn(p.Data, port) {
			if _, again := all[n]; !again {
				all[n] = p.Time
			}
		}
	}
	return all
}

// numbersIn returns the numbers in a frame over IPv4 to a port; TCP may have joined
// messages.
func numbersIn(frame []byte, port uint16) (all []uint64) {
	const ethernet, message = 14, 16
	if len(frame) < ethernet+20 || frame[12] != 0x08 || frame[13] != 0 {
		return nil
	}
	transport := ethernet + int(frame[ethernet]&15)*4
	header := 8
	if frame[ethernet+9] == 6 && len(frame) > transport+12 {
		header = int(frame[transport+12]>>4) * 4
	}
	if len(frame) < transport+header || binary.BigEndian.Uint16(frame[transport+2:]) != port {
		return nil
	}
	for at := transport + header; len(frame) >= at+message && binary.BigEndian.Uint64(frame[at:]) == delayMark; at += message {
		all = append(all, binary.BigEndian.Uint64(frame[at+8:]))
	}
	return all
}

// lateness returns by how much each message came later than the delay after it was
// sent.
func lateness(t testing.TB, sent, came map[uint64]pcaps.Stamp, delay time.Duration) []time.Duration {
	t.Helper()
	var all []time.Duration
	for n := range uint64(delayFrames) {
		from, ok1 := sent[n]
		to, ok2 := came[n]
		if !ok1 || !ok2 {
			t.Fatalf("message %d: sent %v, came %v", n, ok1, ok2)
		}
		all = append(all, time.Duration(to-from)-delay)
	}
	return all
}
