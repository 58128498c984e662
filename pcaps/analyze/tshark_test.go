package analyze

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// tsharkFields are what is compared, behind frame number and stream.
var tsharkFields = func() []string {
	var all []string
	for _, name := range labelNames {
		all = append(all, name)
	}
	return append(all, "duplicate_ack_num", "duplicate_ack_frame", "acks_frame", "ack_rtt", "initial_rtt", "bytes_in_flight",
		"push_bytes_sent", "rto", "rto_frame")
}()

// tshark returns Wireshark's analysis by frame number.
func tshark(tb testing.TB, file string) map[uint64][]string {
	tb.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("HILNET_REQUIRE"), ","), "tshark") {
			tb.Fatalf("tshark is required: %v", err)
		}
		tb.Skipf("tshark is not installed: %v", err)
	}
	args := []string{"-n", "-r", file, "-Y", "tcp", "-T", "fields", "-E", "occurrence=f", "-e", "frame.number"}
	for _, f := range tsharkFields {
		args = append(args, "-e", "tcp.analysis."+f)
	}
	cmd := exec.Command(path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && !strings.Contains(stderr.String(), "cut short") && !strings.Contains(stderr.String(), "appears to be damaged") {
		tb.Fatalf("tshark %s: %v: %s", file, err, stderr.String())
	}
	all := map[uint64][]string{}
	for line := range strings.Lines(string(out)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.ParseUint(columns[0], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		all[n] = columns[1:]
	}
	return all
}

// inTsharkWords is a segment as tshark prints it.
func inTsharkWords(s *Segment) []string {
	var all []string
	for i := range labelCount {
		v := ""
		if s.Labels&(1<<i) != 0 {
			v = "1"
		}
		all = append(all, v)
	}
	number := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	span := func(d time.Duration, shown bool) string {
		if !shown {
			return ""
		}
		sign := ""
		if d < 0 {
			sign, d = "-", -d
		}
		return fmt.Sprintf("%s%d.%09d", sign, d/time.Second, d%time.Second)
	}
	rtoFrame := s.RTOFrame
	if s.RTO == 0 {
		rtoFrame = 0
	}
	return append(all, number(uint64(s.DuplicateACKNumber)), number(s.DuplicateACKFrame), number(s.ACKsFrame),
		span(s.ACKRTT, s.ACKsFrame != 0 && s.ACKRTT != 0), span(s.InitialRTT, s.InitialRTT != 0), number(uint64(s.BytesInFlight)),
		number(uint64(s.PushBytesSent)), span(s.RTO, s.RTOFrame != 0 && s.RTO != 0), number(rtoFrame))
}

// labelsOf is our analysis by frame number.
func labelsOf(tb testing.TB, file string) map[uint64][]string {
	tb.Helper()
	table, err := flow.New(flow.Config{NoMQTT: true}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	labeller := &Labeller{}
	all := map[uint64][]string{}
	number := uint64(0)
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			var format *pcaps.FormatError
			if !errors.As(err, &format) && !errors.Is(err, io.ErrUnexpectedEOF) {
				tb.Fatal(err)
			}
			break
		}
		number++
		f := flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time), Number: number}
		r := table.Feed(f)
		if s := labeller.Label(&f, &r); s != nil {
			all[number] = inTsharkWords(s)
		}
	}
	return all
}

var update = flag.Bool("update", false, "write testdata/tshark.txt anew, with tshark")

// unequal are the recordings whose labels differ from tshark's, with the reason.
var unequal = map[string]string{
	"captures/tcp/zeek-truncated-header.pcap": "frame 1, a SYN, is cut within the TCP options: a frame without its header is no segment here, so its connection has no SYN",
}

// recordings are all the captures of the data folder, by their path in it.
func recordings(tb testing.TB) (root string, files []string) {
	tb.Helper()
	root = os.Getenv("HILNET_DATA")
	if root == "" {
		if slices.Contains(strings.Split(os.Getenv("HILNET_REQUIRE"), ","), "data") {
			tb.Fatal("HILNET_DATA is required and not set")
		}
		tb.Skip("HILNET_DATA is not set: no recordings to compare")
	}
	for _, pattern := range []string{"captures/tcp", "captures/mqtt", "captures/groundtruth", "golden/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern, "*.pcap*"))
		if err != nil || len(found) == 0 {
			tb.Fatalf("no captures in %s: %v", pattern, err)
		}
		for _, f := range found {
			name, err := filepath.Rel(root, f)
			if err != nil {
				tb.Fatal(err)
			}
			files = append(files, filepath.ToSlash(name))
		}
	}
	return root, files
}

// digest is one line for an analysis.
func digest(all map[uint64][]string) string {
	h := sha256.New()
	for _, n := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(h, "%d %q\n", n, all[n])
	}
	return fmt.Sprintf("%d %x", len(all), h.Sum(nil))
}

// Every label and number of Wireshark's, on every recording: testdata/tshark.txt
// holds tshark's answers; where ours differ, and in soak, tshark itself is asked.
func TestLabelsEqualWiresharks(t *testing.T) {
	root, files := recordings(t)
	if *update {
		var out strings.Builder
		for _, name := range files {
			fmt.Fprintf(&out, "%s %s\n", name, digest(tshark(t, filepath.Join(root, name))))
		}
		if err := os.WriteFile("testdata/tshark.txt", []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("testdata/tshark.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, d, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[name] = d
	}
	for _, name := range files {
		file := filepath.Join(root, name)
		got := labelsOf(t, file)
		if digest(got) == want[name] && unequal[name] == "" {
			continue
		}
		diff := differences(tshark(t, file), got)
		switch {
		case unequal[name] != "" && len(diff) == 0:
			t.Errorf("%s is equal now: strike it off the list", name)
		case unequal[name] == "" && len(diff) > 0:
			t.Errorf("%s: %d differences\n\t%s", name, len(diff), strings.Join(diff[:min(len(diff), 8)], "\n\t"))
		case unequal[name] == "" && want[name] != "":
			t.Errorf("%s: testdata/tshark.txt is not what tshark says: run with -update", name)
		}
	}
}

// Sabotage: a label that is a little off is found.
func TestAWrongLabelIsFound(t *testing.T) {
	root, _ := recordings(t)
	text, err := os.ReadFile("testdata/tshark.txt")
	if err != nil {
		t.Fatal(err)
	}
	const name = "captures/tcp/zeek-retransmit-fast009.pcap"
	all := labelsOf(t, filepath.Join(root, name))
	if !strings.Contains(string(text), name+" "+digest(all)+"\n") {
		t.Fatal("not equal to begin with")
	}
	all[32][1] = "" // the fast retransmission
	if strings.Contains(string(text), digest(all)) {
		t.Error("a label less is not noticed")
	}
}

// What no recording holds in one place: frames lost, doubled, moved, windows
// closed, flags and numbers changed. tshark judges: the few of check are equal;
// over all recordings at most one segment in 500 may differ, where a SYN was made
// to have an impossible number.
func TestLabelsOfChangedRecordingsEqualWiresharks(t *testing.T) {
	root, files := recordings(t)
	n := 4
	if os.Getenv(linktest.SoakEnv) != "" {
		n = len(files)
	}
	soak, segments, unlike := n == len(files), 0, map[string]bool{}
	for i := range n {
		seed := uint64(i * 7)
		name := files[int(seed)%len(files)]
		path := mutant(t, filepath.Join(root, name), seed)
		if path == "" || unequal[name] != "" {
			continue
		}
		got := labelsOf(t, path)
		segments += len(got)
		for _, d := range differences(tshark(t, path), got) {
			frame, _, _ := strings.Cut(d, ":")
			unlike[name+" "+frame] = true
			if t.Logf("%s, seed %d: %s", name, seed, d); !soak {
				t.Fail()
			}
		}
	}
	if t.Logf("%d of %d segments differ", len(unlike), segments); len(unlike)*500 > segments {
		t.Error("that is more than one in 500")
	}
}

// Captures of busy hosts have acknowledgements in front of what they acknowledge.
func TestLabelsOfTurnedRecordingsEqualWiresharks(t *testing.T) {
	root, _ := recordings(t)
	for _, name := range []string{"mqtt311-q1-iid5.dev", "mqtt311-q1-ge.broker", "mqtt5-q2-iid10-annotated.dev", "tcp-zerowindow.dev"} {
		path := turned(t, filepath.Join(root, "captures/groundtruth", name+".pcapng"))
		for _, d := range differences(tshark(t, path), labelsOf(t, path)) {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func differences(want, got map[uint64][]string) []string {
	var diff []string
	frames := map[uint64]bool{}
	for n := range want {
		frames[n] = true
	}
	for n := range got {
		frames[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(frames)) {
		w, g := want[n], got[n]
		switch {
		case w == nil:
			diff = append(diff, fmt.Sprintf("frame %d: only ours", n))
		case g == nil:
			diff = append(diff, fmt.Sprintf("frame %d: only tshark's", n))
		default:
			for i := range w {
				if w[i] != g[i] {
					diff = append(diff, fmt.Sprintf("frame %d: %s is %q, tshark %q", n, tsharkFields[i], g[i], w[i]))
				}
			}
		}
	}
	return diff
}
