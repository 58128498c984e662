package flow_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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

var update = flag.Bool("update", false, "write the lists in testdata anew, with tshark")

// captures are the captures below HILNET_DATA that the tests read, or the few
// in testdata.
func captures(tb testing.TB, folders ...string) (root string, files []string) {
	tb.Helper()
	root = os.Getenv("HILNET_DATA")
	if root == "" {
		if slices.Contains(strings.Split(os.Getenv("HILNET_REQUIRE"), ","), "data") {
			tb.Fatal("HILNET_DATA is required and not set")
		}
		root = "testdata"
	}
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(root, folder, "*.pcap*"))
		if err != nil || len(found) == 0 && root != "testdata" {
			tb.Fatalf("no captures in %s: %v", folder, err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		tb.Fatal("no captures")
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

// golden reads a list in testdata: "file", then its lines, indented. With
// -update it is written first, of what ask says.
func golden(t *testing.T, list, comment, root string, files []string, ask func(*testing.T, string) []string) map[string][]string {
	t.Helper()
	path := filepath.Join("testdata", list)
	if *update {
		out := "# " + comment + "\n"
		for _, file := range files {
			name, _ := filepath.Rel(root, file)
			out += name + "\n"
			for _, line := range ask(t, file) {
				out += "\t" + line + "\n"
			}
		}
		if err := os.WriteFile(path, []byte(out), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, file := map[string][]string{}, ""
	for scan := bufio.NewScanner(bytes.NewReader(b)); scan.Scan(); {
		switch line := scan.Text(); {
		case strings.HasPrefix(line, "\t"):
			lines[file] = append(lines[file], line[1:])
		case !strings.HasPrefix(line, "#"):
			file = line
			lines[file] = []string{}
		}
	}
	return lines
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
	want := golden(t, "tshark.txt", "tshark -o tcp.reassemble_out_of_order:TRUE -r FILE -T fields -e frame.number -e mqtt.msgtype", root, files, tshark)
	total := 0
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
		case slices.Equal(got, lines) && listed:
			t.Errorf("%s agrees with tshark, but is listed: %s", name, reason)
		case !slices.Equal(got, lines) && !listed:
			t.Errorf("%s: got %d, want %d\n%s", name, len(got), len(lines), difference(got, lines))
		}
	}
	t.Logf("%d files, %d frames with messages, %d files with exceptions", len(files), total, len(unlike))
}

// streams are all bytes of each stream, by conversation and side.
type streams map[string][]byte

func (s streams) Data(c *flow.Chunk) {
	id := fmt.Sprint(c.Conversation.ID, c.Side)
	s[id] = append(s[id], c.Data...)
}
func (streams) Message(*flow.Message) {}
func (streams) Notice(*flow.Notice)   {}

func digest(b []byte) string { return fmt.Sprintf("%d %x", len(b), sha256.Sum256(b)) }

// follow lists the streams of a file as tshark follows them.
func follow(t *testing.T, file string) []string {
	var lines []string
	for stream := 0; ; stream++ {
		out, err := exec.Command("tshark", "-r", file, "-q", "-z", fmt.Sprintf("follow,tcp,raw,%d", stream)).Output()
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(out), "\nNode 1: ")
		if strings.HasPrefix(body, ":0\n") { // no such stream
			return lines
		}
		var sides [2][]byte
		for _, line := range strings.Split(body, "\n")[1:] {
			if strings.HasPrefix(line, "=") {
				break
			}
			text, second := strings.CutPrefix(line, "\t")
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			if second {
				i = 1
			}
			sides[i] = append(sides[i], b...)
		}
		for _, b := range sides {
			if len(b) > 0 {
				lines = append(lines, digest(b))
			}
		}
	}
}

// unlikeStreams are the files in which tshark finds other bytes, and why.
var unlikeStreams = map[string]string{
	"captures/tcp/suricata-eve-payload-06-tcp-data-leading-gap.pcap": "it writes a text into the stream in place of the gap",
	"captures/tcp/tcpdump-tcp_rst_data.pcap":                         "it takes the text of a reset for data",
}

func TestStreamsAgreeWithTshark(t *testing.T) {
	root, files := captures(t, append(mqttFolders, "captures/tcp")...)
	want := golden(t, "streams.txt", "length and SHA-256 of each side of: tshark -q -z follow,tcp,raw,N -r FILE", root, files, follow)
	total := 0
	for _, file := range files {
		name, _ := filepath.Rel(root, file)
		lines, ok := want[name]
		if !ok {
			t.Errorf("%s: tshark was not asked; run with -update", name)
			continue
		}
		s := streams{}
		feed(t, file, flow.Config{IgnoreVLAN: true}, s) // as tshark does
		var got []string
		for _, b := range s {
			if len(b) > 0 {
				got = append(got, digest(b))
			}
		}
		slices.Sort(got)
		slices.Sort(lines)
		total += len(got)
		switch reason, listed := unlikeStreams[name]; {
		case slices.Equal(got, lines) && listed:
			t.Errorf("%s agrees with tshark, but is listed: %s", name, reason)
		case !slices.Equal(got, lines) && !listed:
			t.Errorf("%s:\n%s", name, difference(got, lines))
		}
	}
	t.Logf("%d files, %d streams, %d files with exceptions", len(files), total, len(unlikeStreams))
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
