package codec_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/mqtt/codec"
)

// recordedPackets returns the packets in testdata/fsecure.
func recordedPackets(t testing.TB) (names []string, packets [][]byte) {
	t.Helper()
	err := filepath.WalkDir("testdata/fsecure", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".raw") {
			return err
		}
		b, err := os.ReadFile(path)
		names, packets = append(names, path), append(packets, b)
		return err
	})
	if err != nil || len(packets) == 0 {
		t.Fatalf("%d packets, %v", len(packets), err)
	}
	return names, packets
}

func TestRecordedPacketsSurviveARoundTrip(t *testing.T) {
	names, packets := recordedPackets(t)
	for i, frame := range packets {
		var p codec.Packet
		err := p.Decode(frame)
		if filepath.Base(names[i]) == "mqtt.connect.140.raw" { // its protocol name is "hj"
			if err == nil || !strings.Contains(err.Error(), "[MQTT-3.1.2-1]") {
				t.Errorf("%s: %v", names[i], err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", names[i], err)
			continue
		}
		if got := p.Append(nil); !bytes.Equal(got, frame) {
			t.Errorf("%s: % x, encoded again % x", names[i], frame, got)
		}
	}
}

type mochiPacket struct {
	group, expect, desc string
	frame               []byte
}

// mochiPackets returns the table of testdata/mochi without MQTT 5. Its
// malformed rows carry a wrong remaining length on purpose; it is put right
// here, so that what is wrong inside must be found.
func mochiPackets(t testing.TB) (rows []mochiPacket) {
	t.Helper()
	f, err := os.Open("testdata/mochi/tpackets.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		col := strings.Split(lines.Text(), "\t")
		if len(col) != 5 || strings.HasPrefix(col[0], "#") || col[4] == "" || len(col[4]) < 4 {
			continue
		}
		b, err := hex.DecodeString(col[4])
		if err != nil {
			t.Fatalf("%q: %v", col[3], err)
		}
		row := mochiPacket{group: col[1], expect: col[2], desc: col[0] + " " + col[3], frame: b}
		if strings.HasPrefix(row.expect, "fail:") && len(b) < 128 {
			row.frame = append(codec.AppendHeader(nil, codec.Type(b[0]>>4), b[0]&15, len(b)-2), b[2:]...)
		}
		rows = append(rows, row)
	}
	return rows
}

// Rows that the table holds as valid and that MQTT 3.1.1 does not, each with
// the clause that says so. MQTT 5 rows are told by their contents.
var refusedOfMochi = map[string]string{
	"Connect mqtt v3.1": "[MQTT-3.1.2-2]",
	"Publish dup":       "[MQTT-3.3.1-2]",
}

func TestMochisTableOfPackets(t *testing.T) {
	valid, refused := 0, 0
	for _, row := range mochiPackets(t) {
		var p codec.Packet
		err := p.Decode(row.frame)
		switch {
		case isVersion5Failure(row):
		case strings.HasPrefix(row.expect, "fail:"):
			refused++
			if err == nil {
				t.Errorf("%s: %x accepted as %v", row.desc, row.frame, &p)
			}
		case row.group == "" && isVersion311(row):
			valid++
			want, listed := refusedOfMochi[row.desc]
			if listed && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %s", row.desc, err, want)
			} else if !listed && err != nil {
				t.Errorf("%s: %x: %v", row.desc, row.frame, err)
			} else if !listed && !bytes.Equal(p.Append(nil), row.frame) {
				t.Errorf("%s: %x, encoded again %x", row.desc, row.frame, p.Append(nil))
			}
		}
	}
	if valid != 33 || refused != 30 {
		t.Errorf("the table has changed: %d valid and %d malformed rows", valid, refused)
	}
}

// isVersion311 sorts out the rows that are packets of MQTT 5 only.
func isVersion311(row mochiPacket) bool {
	d := row.desc
	for _, word := range []string{"mqtt5", "v5", "mqtt 5", "takeover", "shutting down", "zero non zero expiry",
		"subscription identifiers", "retain handling", "retain as published", "topic alias", "packet id in use",
		"server set keepalive", "miscellaneous", "bad protocol version", "bad client id", "server unavailable",
		"bad username or password", "not authorised", "unsuback many", "Auth "} {
		if strings.Contains(d, word) && d != "Connack bad username or password no session" {
			return false
		}
	}
	return true
}

// isVersion5Failure sorts out the rows that are malformed in MQTT 5 only, or
// too large for a limit.
func isVersion5Failure(row mochiPacket) bool {
	return strings.Contains(row.expect, "properties") || strings.Contains(row.expect, "reason code") ||
		strings.Contains(row.expect, "packet too large")
}
