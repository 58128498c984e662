package tlsdec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// A reading is what is found in a capture with its own keys.
type reading struct {
	types []string // of MQTT messages, by number, as tshark writes them
	said  []string // of each conversation
}

func (*reading) Data(*flow.Chunk)          {}
func (r *reading) Message(m *flow.Message) { r.types = append(r.types, fmt.Sprint(int(m.Type))) }
func (r *reading) Notice(n *flow.Notice) {
	if n.Kind == flow.NoticeEnded {
		r.said = append(r.said, Describe(n.Conversation))
	}
}

// readCapture reads a capture with its own keys.
func readCapture(t *testing.T, path string) *reading {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcaps.NewReader(file, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	keys, got := new(Keys), &reading{}
	table, err := flow.New(flow.Config{Secure: keys.Open}, got)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(0); ; {
		r, err := reader.Next()
		if err != nil {
			break
		}
		if r.Secrets != nil {
			keys.Add(r.Secrets.Data)
		}
		if p := r.Packet; p != nil {
			n++
			table.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time), Number: n})
		}
	}
	table.Close()
	if keys.held != 0 {
		t.Errorf("%s: %d bytes are held at the end", path, keys.held)
	}
	return got
}

// What OpenSSL does in a session and crypto/tls does not: CCM, renegotiation,
// resumption, key updates that are asked for. tshark says the same messages.
func TestItReadsWhatOpenSSLSpeaks(t *testing.T) {
	const session, all = "1 2 3 4 12 13 14", "decrypted: 7 records"
	for name, want := range map[string]struct{ messages, first, last string }{
		"ccm":           {session, "TLS 1.2, 0xC0AC, " + all, ""},
		"ccm-8":         {session, "TLS 1.2, 0xC0AF, " + all, ""},
		"ccm-tls13":     {session, "TLS 1.3, 0x1304, " + all, ""},
		"ccm-8-tls13":   {session, "TLS 1.3, 0x1305, " + all, ""},
		"renegotiated":  {"1 2 3 4 3 4 14", "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, " + all, ""},
		"key-update":    {"1 2 3 4 3 4 3 4 14", "TLS 1.3, TLS_AES_256_GCM_SHA384, decrypted: 9 records", ""},
		"resumed":       {session + " " + session, "TLS 1.2, ", all},
		"resumed-tls13": {session + " " + session, "TLS 1.3, ", all},
		"early-data":    {session + " 2 4 13", all, "then the client's early data are not read"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "openssl", name+".pcapng")
			got := readCapture(t, path)
			messages := strings.Join(got.types, " ")
			if n := len(got.said); messages != want.messages || n == 0 || !strings.Contains(got.said[0], want.first) || !strings.Contains(got.said[n-1], want.last) {
				t.Errorf("messages %s, %q; want %+v", messages, got.said, want)
			}
			switch name { // one of a kind: tshark takes its time to start
			case "ccm", "ccm-tls13", "ccm-8-tls13", "resumed", "early-data":
				return
			}
			linktest.Require(t, "tshark")
			out := linktest.Tshark(t, "-r", path, "-Y", "mqtt", "-T", "fields", "-e", "mqtt.msgtype")
			if theirs := strings.Join(strings.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == ',' }), " "); theirs != messages {
				t.Errorf("tshark reads %s, we %s", theirs, messages)
			}
		})
	}
}
