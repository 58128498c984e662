package page_test

import (
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/pcaps"
	"hilnet/report/page"
)

// messagesOn returns how many frames of a page bring which kind of MQTT message,
// retransmissions left out.
func messagesOn(t *testing.T, s page.Source) map[string]int {
	t.Helper()
	b, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	names, all := []string{""}, map[string]int{}
	for _, c := range b.Take() {
		names = append(names, c.Strings...)
		if c.Frames == nil {
			continue
		}
		for _, i := range c.Frames.MQTT {
			if kind, _, _ := strings.Cut(names[i], " "); kind != "" && !strings.HasPrefix(kind, "again:") {
				all[kind]++
			}
		}
	}
	return all
}

// headOf returns the head of a page: JSON.
func headOf(t *testing.T, s page.Source) string {
	t.Helper()
	_, text := write(t, s)
	_, rest, _ := strings.Cut(string(text), `class="head">`)
	packed, _, ok := strings.Cut(rest, "</script>")
	if !ok {
		t.Fatal("the page has no head")
	}
	in, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	head, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(head)
}

// A page of a run over TLS shows its messages, of which the captures hold the keys;
// of a capture without keys it says so.
func TestThePageReadsTLS(t *testing.T) {
	r := record(t, "version: 1\nname: secure\nduration: 5s\ndevices: [{mqtt: {tls: {}}, steps: [connect, every: {period: 500ms, count: 5, do: [publish: {topic: t, qos: 1}]}, disconnect]}]\nbroker: {tls: {}}\n")
	want := map[string]int{"CONNECT": 1, "CONNACK": 1, "PUBLISH": 5, "PUBACK": 5, "DISCONNECT": 1}
	got := messagesOn(t, r.source())
	for kind, n := range want {
		if got[kind] != n {
			t.Errorf("%d frames bring %s, want %d", got[kind], kind, n)
		}
	}
	if head := headOf(t, r.source()); !strings.Contains(head, `"tls":"TLS 1.2, TLS_RSA_WITH_AES_128_CBC_SHA256, decrypted: 13 records`) {
		t.Error("the page does not say what was read")
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "plain.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := pcaps.NewPcapWriter(out, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	for p, err := range pcaps.Packets(r.path(".device.pcapng")) {
		if err == nil {
			err = w.WritePacket(p.Time, p.Data, p.OriginalLen)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := messagesOn(t, page.Beside(out.Name())); len(got) != 0 {
		t.Errorf("without keys: %v", got)
	}
	if head := headOf(t, page.Beside(out.Name())); !strings.Contains(head, "not decrypted: there are no keys") {
		t.Error("the page does not say that there are no keys")
	}
}
