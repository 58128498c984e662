package services

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/wire"
)

func ntpRequest() []byte {
	b := make([]byte, wire.NTPLen)
	wire.PutNTP(b, wire.NTPFields{Version: 4, Mode: wire.NTPClient, Transmit: 12345})
	return b
}

func TestTheSNTPServerTellsTheTimeOrLies(t *testing.T) {
	frame := udp(netip.AddrPortFrom(clientAddr, 4000), netip.AddrPortFrom(serverAddr, 123), ntpRequest())
	for _, c := range []struct {
		answer        SNTPAnswer
		leap, stratum uint8
		reference     string
		at            time.Time
	}{
		{SNTPRight, 0, 2, "\x0a\x00\x00\xfe", virtualTime(0).Add(90 * time.Second)},
		{SNTPOld, 0, 2, "\x0a\x00\x00\xfe", time.Date(2000, 1, 1, 0, 1, 30, 0, time.UTC)},
		{SNTPKiss, 3, 0, "RATE", virtualTime(0).Add(90 * time.Second)},
		{SNTPUnsync, 3, 16, "\x0a\x00\x00\xfe", virtualTime(0).Add(90 * time.Second)},
	} {
		w := newWorld(t, Config{SNTP: &SNTPConfig{Wall: virtualTime}})
		w.host.SetSNTP(c.answer)
		w.pass(90 * time.Second)
		m, _, err := wire.ParseNTP(w.answer(w.put(frame)).Payload)
		if err != nil {
			t.Fatal(err)
		}
		reference := m.Reference()
		if m.Leap() != c.leap || m.Stratum() != c.stratum || string(reference[:]) != c.reference || m.Mode() != wire.NTPServer ||
			m.Version() != 4 || m.Originate() != 12345 || !m.Receive().Time().Equal(c.at) || !m.Transmit().Time().Equal(c.at) {
			t.Errorf("%s: leap %d, stratum %d, %q, %v", c.answer, m.Leap(), m.Stratum(), reference, m.Transmit().Time())
		}
	}
	for answer, want := range map[SNTPAnswer]string{SNTPOff: "drop services/udp no_listener", SNTPSilent: "service sntp"} {
		w := newWorld(t, Config{SNTP: &SNTPConfig{Wall: virtualTime, Answer: answer}})
		for _, b := range w.put(frame) {
			var l wire.Layers
			if err := l.Parse(b); err != nil || l.UDP != nil {
				t.Errorf("%s: answered by %s", answer, wire.Summary(b))
			}
		}
		if !strings.HasPrefix(w.last(), want) {
			t.Errorf("%s: %s", answer, w.last())
		}
	}
	w := newWorld(t, Config{SNTP: &SNTPConfig{Wall: virtualTime}})
	if w.put(udp(netip.AddrPortFrom(clientAddr, 123), netip.AddrPortFrom(serverAddr, 123), append([]byte{4<<3 | wire.NTPServer}, ntpRequest()[1:]...))); !strings.Contains(w.last(), "NTP version 4, mode 4") {
		t.Errorf("a server's message: %s", w.last())
	}
}
