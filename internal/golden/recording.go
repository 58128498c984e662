// Package golden lays a run of hilnet's models beside a recording of the real
// stack: it reads the recordings in pcaps/golden, and compares the device's
// frames, the results of its calls and its packet pool. Only tests import it.
package golden

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/segment"
	"hilnet/wire"
)

// DeviceMAC and HostMAC are the addresses in the recordings of NetX Duo.
var (
	DeviceMAC = wire.MAC{0x02, 0x4e, 0x58, 0, 0, 0x02}
	HostMAC   = wire.MAC{0x02, 0, 0, 0, 0, 0x01}
)

// A Recording is one recording of the real NetX Duo.
type Recording struct {
	Name        string
	PoolPayload int
	PoolPackets int
	Frames      []segment.Frame // both sides, as captured at the device
	Begin       time.Duration   // of the first frame, after the device's tick 0
	Steps       []Step
	End         time.Duration // after tick 0
}

// A Step is a line of the application's log.
type Step struct {
	Tick uint32
	Text string // such as "call publish topic=a len=1 qos=0 wait=500"
}

// Names returns the recordings of NetX Duo, sorted.
func Names(t testing.TB) []string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(folder(t), "*.app.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no recordings in %s (%v)", folder(t), err)
	}
	for i, l := range logs {
		logs[i] = strings.TrimSuffix(filepath.Base(l), ".app.log")
	}
	slices.Sort(logs)
	return logs
}

func folder(t testing.TB) string {
	return filepath.Join(linktest.Root(t), "pcaps", "golden", "netx")
}

var line = regexp.MustCompile(`^(\d+)\.(\d{6}) tick=(\d+) (.*)$`)

const tick = 10 * time.Millisecond

// Load reads a recording.
func Load(t testing.TB, name string) *Recording {
	t.Helper()
	r := &Recording{Name: name}
	zero := r.readLog(t, filepath.Join(folder(t), name+".app.log"))
	var begin time.Duration
	for p, err := range pcaps.Packets(filepath.Join(folder(t), name+".pcap")) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		at := time.Duration(p.Time)
		if len(r.Frames) == 0 {
			begin = at
		}
		r.Frames = append(r.Frames, segment.Frame{At: at - begin, Data: slices.Clone(p.Data)})
	}
	r.Begin = begin - zero
	r.End = max(r.End, r.Begin+r.Frames[len(r.Frames)-1].At)
	return r
}

// ClientID returns the client identifier of the recorded CONNECT, whose length is
// compared.
func (r *Recording) ClientID() string {
	for _, f := range r.Frames {
		var l wire.Layers
		if l.Parse(f.Data) == nil && l.TCP != nil && len(l.Payload) > 14 && l.Payload[0] == 0x10 {
			return string(l.Payload[14 : 14+int(l.Payload[13])])
		}
	}
	return "device"
}

// readLog reads the application's log and returns the date of the device's tick
// 0: a thread that a tick wakes writes its line right after it, so the earliest
// line of its tick is the best estimate.
func (r *Recording) readLog(t testing.TB, file string) time.Duration {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zero, first := time.Duration(math.MaxInt64), time.Duration(0)
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		m := line.FindStringSubmatch(scan.Text())
		if m == nil {
			continue // "app rc=0"
		}
		at := time.Duration(atoi(t, m[1]))*time.Second + time.Duration(atoi(t, m[2]))*time.Microsecond
		n := atoi(t, m[3])
		if first == 0 {
			first = at
			r.readConfig(t, m[4])
		}
		if n > 0 {
			zero = min(zero, at-time.Duration(n)*tick)
		}
		r.End = at
		if strings.HasPrefix(m[4], "done ") {
			break
		}
		r.Steps = append(r.Steps, Step{uint32(n), m[4]})
	}
	if scan.Err() != nil || first == 0 {
		t.Fatalf("%s: %v", file, scan.Err())
	}
	if zero == math.MaxInt64 {
		zero = first
	}
	r.End -= zero
	return zero
}

var config = regexp.MustCompile(`pool payload=(\d+) count=(\d+)`)

func (r *Recording) readConfig(t testing.TB, text string) {
	m := config.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s: no pool in %q", r.Name, text)
	}
	r.PoolPayload, r.PoolPackets = int(atoi(t, m[1])), int(atoi(t, m[2]))
}

func atoi(t testing.TB, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Args returns the words of a step: its verb and object, and its key=value
// pairs.
func (s Step) Args() (words []string, args map[string]string) {
	args = map[string]string{}
	for _, w := range strings.Fields(s.Text) {
		if k, v, ok := strings.Cut(w, "="); ok {
			args[k] = v
		} else {
			words = append(words, w)
		}
	}
	return words, args
}

// String returns the step with its time.
func (s Step) String() string { return fmt.Sprintf("%.2f %s", float64(s.Tick)/100, s.Text) }
