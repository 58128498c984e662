package anonymize_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
)

// tshark returns the fields of every frame, a line each.
func tshark(t *testing.T, path string, fields ...string) []string {
	t.Helper()
	args := []string{"-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tls.keylog_file:", "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %v: %v", args, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// tshark sees in the copy what it sees in the original: headers, TCP analysis, MQTT messages,
// TLS handshakes, and right checksums where they were right.
func TestTsharkSeesTheSame(t *testing.T) {
	linktest.Require(t, "tshark")
	fields := []string{
		"frame.time_epoch", "frame.len", "frame.cap_len", "eth.type", "vlan.id", "arp.opcode", "ip.id", "ip.ttl", "ip.flags", "ip.checksum.status", "ip.proto",
		"ipv6.hlim", "ipv6.nxt", "tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack", "tcp.flags", "tcp.window_size_value", "tcp.checksum.status",
		"tcp.options.timestamp.tsval", "tcp.option_kind", "tcp.analysis.flags", "tcp.analysis.retransmission", "tcp.analysis.ack_rtt", "udp.length", "udp.checksum.status",
		"icmp.type", "icmp.checksum.status", "icmpv6.type", "icmpv6.checksum.status", "mqtt.msgtype", "mqtt.msgid", "mqtt.qos", "mqtt.len", "mqtt.topic_len", "mqtt.kalive",
		"mqtt.conack.val", "mqtt.clientid_len", "tls.record.content_type", "tls.record.length", "tls.handshake.type", "tls.handshake.ciphersuite", "dns.qry.type", "dns.count.answers", "dhcp.option.type",
	}
	files := []string{
		"golden/netx/7-tls12-connect.pcap", "golden/netx/5a-broker-crash-dup-retransmit.pcap", "captures/groundtruth/mqtt5-q2-iid10-annotated.dev.pcapng",
		"captures/tcp/tcpdump-gso-ipv6.pcap",
	}
	if os.Getenv(linktest.SoakEnv) != "" {
		files = append(files, "golden/netx/1-basic.pcap", "golden/stacks/lwip22dev-01-session.pcap", "captures/groundtruth/mqtts13-q1-clean.dev.dsb.pcapng",
			"captures/mqtt/suricata-mqtt5-sub-mosquittoprops.pcap", "captures/tcp/zeek-handshake-reorder.pcap", "captures/tcp/suricata-tcp-fastopen-07.pcap")
	}
	for _, name := range files {
		path := linktest.Data(t, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := anonymized(t, newAnonymizer(t), data)
		// Without the keys, as the copy is.
		plain, _ := withoutSecrets(t, data)
		want, have := tshark(t, save(t, plain), fields...), tshark(t, save(t, got), fields...)
		if len(want) != len(have) {
			t.Errorf("%s: %d rows, want %d", name, len(have), len(want))
			continue
		}
		for i := range want {
			x, y := strings.Split(want[i], "\t"), strings.Split(have[i], "\t")
			for n := range x {
				if n < len(y) && x[n] != y[n] {
					t.Errorf("%s: frame %d: %s is %q, was %q", name, i+1, fields[n], y[n], x[n])
				}
			}
		}
	}
}

func withoutSecrets(t *testing.T, data []byte) ([]byte, error) {
	t.Helper()
	r, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
	if err != nil || r.Format() == pcaps.FormatPcap {
		return data, err
	}
	var out bytes.Buffer
	var w *pcaps.Writer
	for {
		record, err := r.Next()
		if err != nil {
			err := w.Flush()
			return out.Bytes(), err
		}
		switch {
		case w == nil:
			if w, err = pcaps.NewWriter(&out, *record.Section, pcaps.WriterConfig{}); err != nil {
				t.Fatal(err)
			}
		case record.Secrets == nil:
			if err := w.Write(record); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func save(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The server's name in a TLS handshake is replaced, and a name of the same shape stands there.
func TestTheServerNameIsReplaced(t *testing.T) {
	linktest.Require(t, "tshark")
	data, err := os.ReadFile(linktest.Data(t, "captures/groundtruth/mqtts13-q1-clean.dev.dsb.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	got, report := anonymized(t, newAnonymizer(t), data)
	before := strings.Join(tshark(t, save(t, data), "tls.handshake.extensions_server_name"), "")
	after := strings.Join(tshark(t, save(t, got), "tls.handshake.extensions_server_name"), "")
	if len(before) != len(after) || before == after && before != "" {
		t.Errorf("%q became %q", before, after)
	}
	if report.TLSRecords == 0 || !slices.ContainsFunc(report.LeftOut, func(c anonymizeCount) bool { return c.What == "blocks of secrets" }) {
		t.Errorf("%+v", report)
	}
}
