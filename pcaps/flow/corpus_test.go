package flow_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

var update = flag.Bool("update", false, "write testdata/tshark.txt anew, with tshark")

// captures are the captures below HILNET_DATA that the tests read.
func captures(tb testing.TB, folders ...string) (root string, files []string) {
	tb.Helper()
	root = os.Getenv("HILNET_DATA")
	if root == "" && slices.Contains(strings.Split(os.Getenv("HILNET_REQUIRE"), ","), "data") {
		tb.Fatal("HILNET_DATA is required and not set")
	}
	if root == "" {
		tb.Skip("HILNET_DATA does not name the folder with the captures")
	}
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(root, folder, "*.pcap*"))
		if err != nil || len(found) == 0 {
			tb.Fatalf("no captures in %s: %v", folder, err)
		}
		files = append(files, found...)
	}
	return root, files
}

// feed gives a file to a new Table, and closes it.
func feed(tb testing.TB, file string, config flow.Config, handler flow.Handler) *flow.Table {
	tb.Helper()
	table, err := flow.New(config, handler)
	if err != nil {
		tb.Fatal(err)
	}
	number := uint64(0)
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			var format *pcaps.FormatError
			if !errors.As(err, &format) {
				tb.Fatalf("%s: %v", file, err)
			}
			break // what can be read has been
		}
		number++
		table.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time), Number: number})
	}
	table.Close()
	return table
}

// byFrame lists the types of messages by the frame in which they end, as tshark
// does: "frame type,type".
type byFrame struct {
	tb       testing.TB
	types    map[uint64][]string
	offsets  map[string]int64 // where the next chunk must begin
	resumed  int
	finished []*flow.Conversation
}

func newByFrame(tb testing.TB) *byFrame {
	return &byFrame{tb: tb, types: map[uint64][]string{}, offsets: map[string]int64{}}
}

func (l *byFrame) Data(c *flow.Chunk) {
	id := fmt.Sprint(c.Conversation.ID, c.Side)
	if c.Offset != l.offsets[id] || c.End() <= c.Offset {
		l.tb.Errorf("stream %s is at %d, chunk at %d to %d", id, l.offsets[id], c.Offset, c.End())
	}
	l.offsets[id] = c.End()
}

func (l *byFrame) Message(m *flow.Message) {
	l.types[m.ReadyFrame] = append(l.types[m.ReadyFrame], fmt.Sprint(uint8(m.Type)))
	if m.Resumed {
		l.resumed++
	}
}

func (l *byFrame) Notice(n *flow.Notice) {
	if n.Kind == flow.NoticeEnded {
		l.finished = append(l.finished, n.Conversation)
	}
}

func (l *byFrame) lines() []string {
	var numbers []uint64
	for n := range l.types {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var lines []string
	for _, n := range numbers {
		lines = append(lines, fmt.Sprintf("%d %s", n, strings.Join(l.types[n], ",")))
	}
	return lines
}

// tshark lists the messages of a file.
func tshark(t *testing.T, file string) []string {
	out, err := exec.Command("tshark", "-o", "tcp.reassemble_out_of_order:TRUE", "-r", file, "-T", "fields", "-e", "frame.number", "-e", "mqtt.msgtype").Output()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Fields(line); len(f) == 2 {
			lines = append(lines, f[0]+" "+f[1])
		}
	}
	return lines
}

// golden reads testdata/tshark.txt: "file", then its lines, indented.
func golden(t *testing.T) map[string][]string {
	b, err := os.ReadFile("testdata/tshark.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, file := map[string][]string{}, ""
	for scan := bufio.NewScanner(bytes.NewReader(b)); scan.Scan(); {
		switch line := scan.Text(); {
		case strings.HasPrefix(line, "\t"):
			list[file] = append(list[file], line[1:])
		case !strings.HasPrefix(line, "#"):
			file = line
			list[file] = []string{}
		}
	}
	return list
}

// unlike are the files in which tshark finds other messages, and why.
var unlike = map[string]string{
	"captures/groundtruth/mqtts13-q1-clean.broker.dsb.pcapng": "it decrypts TLS with the secrets in the file",
	"captures/groundtruth/mqtts13-q1-clean.dev.dsb.pcapng":    "it decrypts TLS with the secrets in the file",
	"golden/netx/9-scripted-peer-quirks.pcap":                 "it does not look for MQTT on port 1884",
}

var mqttFolders = []string{"captures/mqtt", "captures/groundtruth", "golden/netx"}

func TestMessagesAgreeWithTshark(t *testing.T) {
	root, files := captures(t, mqttFolders...)
	if *update {
		out := "# MQTT message types by frame, as tshark 4.0.17 finds them:\n# tshark -o tcp.reassemble_out_of_order:TRUE -r FILE -T fields -e frame.number -e mqtt.msgtype\n"
		for _, file := range files {
			name, _ := filepath.Rel(root, file)
			out += name + "\n"
			for _, line := range tshark(t, file) {
				out += "\t" + line + "\n"
			}
		}
		if err := os.WriteFile("testdata/tshark.txt", []byte(out), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, total := golden(t), 0
	for _, file := range files {
		name, _ := filepath.Rel(root, file)
		lines, ok := want[name]
		if !ok {
			t.Errorf("%s: tshark was not asked; run with -update", name)
			continue
		}
		l := newByFrame(t)
		feed(t, file, flow.Config{}, l)
		got := l.lines()
		total += len(got)
		switch reason, listed := unlike[name]; {
		case slices.Equal(got, lines) == listed && listed:
			t.Errorf("%s agrees with tshark, but is listed: %s", name, reason)
		case !slices.Equal(got, lines) && !listed:
			t.Errorf("%s: got %d, want %d\n%s", name, len(got), len(lines), difference(got, lines))
		}
	}
	t.Logf("%d files, %d frames with messages, %d files with exceptions", len(files), total, len(unlike))
}

func difference(got, want []string) string {
	var out []string
	for _, line := range got {
		if !slices.Contains(want, line) {
			out = append(out, "+ "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			out = append(out, "- "+line)
		}
	}
	return strings.Join(out, "\n")
}

func TestEveryCaptureIsRead(t *testing.T) {
	root, files := captures(t, append(mqttFolders, "captures/tcp", "captures/malformed", "captures/malformed/pcapng-zoo-le")...)
	for _, file := range files {
		name, _ := filepath.Rel(root, file)
		l := newByFrame(t)
		s := feed(t, file, flow.Config{}, l).Stats()
		if s.Held != 0 || s.Live != 0 || s.Conversations != uint64(len(l.finished)) {
			t.Errorf("%s: %+v", name, s)
		}
		if testing.Verbose() {
			for _, c := range l.finished {
				t.Logf("%s: %v", name, c)
			}
			for reason, n := range s.Ignored {
				if n > 0 {
					t.Logf("%s: %d frames ignored: %v", name, n, flow.Reason(reason))
				}
			}
		}
	}
}
