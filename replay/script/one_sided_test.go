package script_test

import (
	"bytes"
	"os"
	"testing"

	"hilnet/pcaps"
	"hilnet/replay/script"
)

// without returns a capture without the frames that drop says.
func without(t *testing.T, name string, drop func(number int, data []byte) bool) *script.Script {
	t.Helper()
	var out bytes.Buffer
	var w *pcaps.PcapWriter
	n := 0
	for p, err := range pcaps.Packets(capture(t, name)) {
		if err != nil {
			t.Fatal(err)
		}
		if w == nil {
			if w, err = pcaps.NewPcapWriter(&out, pcaps.PcapConfig{LinkType: p.LinkType}); err != nil {
				t.Fatal(err)
			}
		}
		if n++; drop(n, p.Data) {
			continue
		}
		if err := w.WritePacket(p.Time, p.Data, p.OriginalLen); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	s, err := script.Read(&out, script.Limits{}, nil)
	if err != nil || len(s.Conversations) != 1 {
		t.Fatal(err, s)
	}
	return s
}

// fromServer reports whether an IPv6 frame is from port 1883.
func fromServer(_ int, data []byte) bool { return bytes.Equal(data[54:56], []byte{0x07, 0x5b}) }

// What a capture lacks makes only that side unplayable which lacks it.
func TestOneSidedAndGappedConversationsArePlayedAsFarAsTheyGo(t *testing.T) {
	const name = "suricata-mqtt311-pub-qos2.pcap"
	if _, err := os.Stat(capture(t, name)); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		drop           func(int, []byte) bool
		client, broker string
	}{
		"nothing":               {func(int, []byte) bool { return false }, "", ""},
		"the broker's half":     {fromServer, "", "one-sided: the capture has nothing of the broker"},
		"the client's half":     {func(n int, b []byte) bool { return !fromServer(n, b) }, "one-sided: the capture has nothing of the client", ""},
		"the PUBLISH":           {func(n int, _ []byte) bool { return n == 8 }, "28 bytes of what the client sent are missing in the capture", ""},
		"the PUBREC":            {func(n int, _ []byte) bool { return n == 9 }, "", "4 bytes of what the broker sent are missing in the capture"},
		"DISCONNECT and FIN":    {func(n int, _ []byte) bool { return n >= 12 }, "", ""},
		"the handshake":         {func(n int, _ []byte) bool { return n <= 3 }, "", ""},
		"everything to CONNACK": {func(n int, _ []byte) bool { return n <= 7 }, "midstream: the capture has no CONNECT; --synthetic puts one in front", "midstream: the capture has no CONNACK; --synthetic puts one in front"},
	} {
		v := without(t, name, c.drop).Conversations[0]
		if got := v.Unplayable(script.Client, false); got != c.client {
			t.Errorf("without %s, as the client: %q", what, got)
		}
		if got := v.Unplayable(script.Broker, false); got != c.broker {
			t.Errorf("without %s, as the broker: %q", what, got)
		}
	}
}
