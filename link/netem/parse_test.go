package netem_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link/netem"
)

func ExampleParse() {
	c, err := netem.Parse("tc qdisc add dev eth0 root netem latency 0.1s 20000us 25% loss 1 rate 26kbit")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c)
	_, err = netem.Parse("delay 100ms los 5")
	fmt.Println(err)
	_, err = netem.Parse("delay 100 ms")
	var wrong *netem.SyntaxError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Excerpt())
		fmt.Println(wrong.Hint)
	}
	// Output:
	// delay 100ms 20ms 25% loss random 1% rate 26kbit
	// <nil>
	// delay 100 ms
	//           ^^
	// write number and unit as one word
}

// attributes of TCA_OPTIONS, from Linux include/uapi/linux/pkt_sched.h.
const (
	attrCorr, attrReorder, attrCorrupt, attrLoss, attrRate, attrECN, attrRate64, attrSlot = 1, 3, 4, 5, 6, 7, 8, 12
	lossGI, lossGE                                                                        = 1, 2
)

// handed is what tc hands to the kernel, in the kernel's numbers.
type handed struct {
	Limit, Loss, Gap, Duplicate  uint32
	Delay, Jitter                int64 // ticks of 64 ns
	DelayCorr, LossCorr, DupCorr uint32
	Reorder, Corrupt             [2]uint32
	GI                           [5]uint32
	GE                           [4]uint32
	ECN                          bool
	Rate                         uint64
	PacketOverhead, CellOverhead int32
	CellSize                     uint32
	SlotMin, SlotMax             int64
	SlotPackets, SlotBytes       int32
}

func read32(b []byte, to ...*uint32) []byte {
	for _, v := range to {
		*v, b = binary.LittleEndian.Uint32(b), b[4:]
	}
	return b
}

func decode(t *testing.T, b []byte) (h handed) {
	var delay, jitter uint32
	b = read32(b, &delay, &h.Limit, &h.Loss, &h.Gap, &h.Duplicate, &jitter)
	h.Delay, h.Jitter = int64(delay), int64(jitter)
	for len(b) >= 4 {
		n, kind := int(binary.LittleEndian.Uint16(b)), binary.LittleEndian.Uint16(b[2:])&0x3fff
		v := b[4:n]
		b = b[min((n+3)&^3, len(b)):]
		switch kind {
		case attrCorr:
			read32(v, &h.DelayCorr, &h.LossCorr, &h.DupCorr)
		case attrReorder:
			read32(v, &h.Reorder[0], &h.Reorder[1])
		case attrCorrupt:
			read32(v, &h.Corrupt[0], &h.Corrupt[1])
		case attrECN:
			h.ECN = true
		case attrRate64:
			h.Rate = binary.LittleEndian.Uint64(v)
		case attrRate:
			var rate, packet, cell uint32
			read32(v, &rate, &packet, &h.CellSize, &cell)
			h.Rate = max(h.Rate, uint64(rate))
			h.PacketOverhead, h.CellOverhead = int32(packet), int32(cell)
		case attrSlot:
			h.SlotMin, h.SlotMax = int64(binary.LittleEndian.Uint64(v)), int64(binary.LittleEndian.Uint64(v[8:]))
			h.SlotPackets, h.SlotBytes = int32(binary.LittleEndian.Uint32(v[16:])), int32(binary.LittleEndian.Uint32(v[20:]))
		case attrLoss:
			if binary.LittleEndian.Uint16(v[2:]) == lossGI {
				read32(v[4:], &h.GI[0], &h.GI[1], &h.GI[2], &h.GI[3], &h.GI[4]) // p13 p31 p32 p14 p23
			} else {
				read32(v[4:], &h.GE[0], &h.GE[1], &h.GE[2], &h.GE[3]) // p r h k1
			}
		default:
			t.Fatalf("attribute %d", kind)
		}
	}
	return h
}

// ours is the same from a Config.
func ours(c *netem.Config) handed {
	ticks := func(d time.Duration) int64 { return int64(d/time.Microsecond) * 1000 / 64 }
	h := handed{
		Limit: c.Limit, Gap: c.Gap, Duplicate: uint32(c.Duplicate),
		Delay: ticks(c.Delay), Jitter: ticks(c.Jitter),
		DelayCorr: uint32(c.DelayCorrelation), LossCorr: uint32(c.Loss.Correlation), DupCorr: uint32(c.DuplicateCorrelation),
		Reorder: [2]uint32{uint32(c.Reorder), uint32(c.ReorderCorrelation)},
		Corrupt: [2]uint32{uint32(c.Corrupt), uint32(c.CorruptCorrelation)},
		ECN:     c.ECN, Rate: c.RateBytesPerSecond,
		PacketOverhead: c.PacketOverhead, CellSize: c.CellSize, CellOverhead: c.CellOverhead,
		SlotMin: int64(c.Slot.Min), SlotMax: int64(c.Slot.Max), SlotPackets: c.Slot.Packets, SlotBytes: c.Slot.Bytes,
	}
	// tc forgets the correlation of duplicate when no other option has one.
	if h.DelayCorr|h.LossCorr|h.Reorder[1]|h.Corrupt[1] == 0 {
		h.DupCorr = 0
	}
	switch l := c.Loss; l.Model {
	case netem.LossRandom:
		h.Loss = uint32(l.Random)
	case netem.LossState:
		h.GI = [5]uint32{uint32(l.P13), uint32(l.P31), uint32(l.P32), uint32(l.P14), uint32(l.P23)}
	case netem.LossGemodel:
		h.GE = [4]uint32{uint32(l.P), uint32(l.R), uint32(netem.All - l.LossBad), uint32(l.LossGood)}
	case netem.LossNone:
	}
	return h
}

// recorded is what tc handed to the kernel, by string.
func recorded(t testing.TB) (texts []string, bytes [][]byte) {
	t.Helper()
	file, err := os.ReadFile("testdata/tc.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		text, digits, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		texts, bytes = append(texts, text), append(bytes, b)
	}
	return texts, bytes
}

func TestStringsAreReadAsTcReadsThem(t *testing.T) {
	texts, bytes := recorded(t)
	if len(texts) < 50 {
		t.Fatalf("%d strings", len(texts))
	}
	for i, text := range texts {
		c := parse(t, text)
		if got, want := ours(&c), decode(t, bytes[i]); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
}

// What is printed reads back to the same, and is printed the same again.
func TestPrintedStringsReadBack(t *testing.T) {
	texts, _ := recorded(t)
	texts = append(texts, "delay 1234567ns 89us 12.3456789% distribution pareto", "seed 18446744073709551615",
		"slot distribution normal 1ms 3us packets 4 bytes 5", "loss 0.00000002%", "rate 7bps", "limit 4294967295")
	for _, text := range texts {
		c := parse(t, text)
		again := parse(t, c.String())
		if got, want := ours(&again), ours(&c); got != want || c.String() != again.String() {
			t.Errorf("%s is printed as %s:\n%+v\n%+v", text, c, want, got)
		}
	}
}

// The lines of "tc qdisc show" for what the strings set up.
func TestTheLinesOfTcQdiscShowAreRead(t *testing.T) {
	for _, v := range []struct{ shown, want string }{
		{"qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 delay 100ms  20ms 25% loss 0.3% 25%", "delay 100ms 20ms 25% loss 0.3% 25%"},
		{"qdisc netem 1: root refcnt 9 limit 7 loss state p13 1% p31 99% p32 0% p23 100% p14 0%", "limit 7 loss state 1%"},
		{"qdisc netem 8005: parent 1:1 limit 1000 loss gemodel p 1% r 10% 1-h 100% 1-k 0% seed 42 ecn ", "loss gemodel 1% 10% ecn seed 42"},
		{"limit 1000 rate 1Mbit packetoverhead 20 cellsize 48 celloverhead 5", "rate 1mbit 20 48 5"},
		{"limit 1000 rate 1Mbit cellsize 48", "rate 1mbit 0 48"},
		{"limit 1000 rate 1Mbit celloverhead 5", "rate 1mbit 0 0 5"},
		{"limit 1000 slot 10ms 20ms packets 5 bytes 1000", "slot 10ms 20ms packets 5 bytes 1000"},
		{"limit 1000 delay 10ms reorder 25% 50% gap 5", "delay 10ms reorder 25% 50% gap 5"},
		{"sudo tc qdisc replace dev wlan0 parent 1:2 netem duplicate 1%", "duplicate 1%"},
	} {
		a, b := parse(t, v.shown), parse(t, v.want)
		if a.String() != b.String() {
			t.Errorf("%s\nis %s, want %s", v.shown, a, b)
		}
	}
}

func TestErrorsPointAtTheirPlace(t *testing.T) {
	for _, v := range []struct {
		text    string
		column  int
		message string
	}{
		{"", 1, "nothing after netem"},
		{"tc qdisc add dev lo root netem", 31, "nothing after netem"},
		{"delay", 6, "is missing"},
		{"delay 10 ms", 10, "not an option"},
		{"delay -5ms", 7, "negative"},
		{"delay 10xs", 7, "not a unit"},
		{"delay inf", 7, "does not begin with a number"},
		{"delay 99999999999s", 7, "too large"},
		{"loss 101%", 6, "more than 100%"},
		{"loss 1% 1%%", 9, "not a percentage"},
		{"loss maybe 1%", 6, "not a model"},
		{"loss 1% loss 2%", 9, "given twice"},
		{"delay 1ms  frob 7", 12, "not an option"},
		{"reorder 25%", 1, "without a delay"},
		{"delay 1ms gap 5", 11, "needs reorder"},
		{"delay 1ms ecn", 11, "there is no loss"},
		{"delay 1ms distribution normal", 11, "needs a delay and a jitter"},
		{"delay 1ms 1ms distribution ../../etc/passwd", 28, "not the name"},
		{"rate 10%", 6, "no meaning here"},
		{"rate 1Mb", 6, "not a unit"},
		{"rate 1mbit 99999999999", 12, "not a whole number"},
		{"rate 1mbit 4000000000", 12, "not between"},
		{"rate 1e30gbit", 6, "too large"},
		{"slot 10ms 5ms", 11, "shorter"},
		{"slot distribution normal 1ms 0ms", 30, "is 0"},
		{"slot distribution 10ms 1ms", 19, "name of the distribution is missing"},
		{"slot frob", 6, "neither"},
		{"slot 1ms bytes 4g", 16, "below 2 GiB"},
		{"seed 18446744073709551616", 6, "below 2^64"},
		{"seed -1", 6, "whole number"},
		{"limit 5g", 7, "too large"},
		{"eth0 netem delay 1ms", 1, "before netem"},
		{"délai 10ms", 1, "not an option"},
		{"delay 10ms é", 12, "not an option"},
		{strings.Repeat(" ", 5000), 1, "at most 4096"},
	} {
		_, err := netem.Parse(v.text)
		var wrong *netem.SyntaxError
		if !errors.As(err, &wrong) || wrong.Column() != v.column || !strings.Contains(wrong.Error(), v.message) {
			t.Errorf("%.60q: %v, want column %d, %q", v.text, err, v.column, v.message)
			continue
		}
		if lines := strings.Split(wrong.Excerpt(), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "^") {
			t.Errorf("%q: excerpt %q", v.text, wrong.Excerpt())
		}
	}
}

// strict are strings that tc takes and Parse does not, or the other way round,
// on purpose.
var strict = map[string]string{
	"delay inf":                           "tc hands the kernel a number that C does not define",
	"delay nan":                           "the same",
	"delay 0x10ms":                        "C's hexadecimal floating point: surely a slip",
	"delay 10ms 5ms distribution uniform": "tc's help has it, tc has no such file",
}

// The tc that is installed says which strings it takes: it reads them all before
// it finds that there is no such interface.
func TestTcTakesTheSameStrings(t *testing.T) {
	linktest.Require(t, "tc")
	texts, _ := recorded(t)
	texts = append(texts, "ecn", "reorder 25%", "delay 1ms distribution normal", "rate 1Mb", "slot 10ms 5ms", "frob 1", "loss 101%",
		"delay 10ms gap 5", "loss 1% loss 2%", "loss 0% loss 2%", "rate", "delay", "delay 10ms 5ms distribution nothing", "corrupt 1%%",
		"delay 10 ms", "gap 0", "delay 1e3ms", "slot 1ms packets", "slot distribution normal 1ms", "slot distribution normal 1ms 0ms",
		"slot distribution normal 1ms 1us bytes 5", "duplicate", "duplicate -1%", "limit", "limit x", "limit 1kb", "rate 1kb",
		"rate 1mbit x", "loss state", "loss state 1% 2% 3% 4% 5% 6%", "loss gemodel 1% 2% 3% 4% 5%", "loss random", "loss rand 1%",
		"delay 1MS 2Sec", "delay .5ms", "delay 5.ms", "loss 5.%", "rate 1MBIT", "rate 1Mibit", "gap 5 delay 1ms reorder 5%", "slot", "slot x")
	for text := range strict {
		texts = append(texts, text)
	}
	for _, text := range texts {
		cmd := exec.Command("tc", append(strings.Fields("qdisc add dev hilnet-none root netem"), strings.Fields(text)...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run() // it always fails
		theirs := strings.Contains(stderr.String(), "Cannot find device")
		_, err := netem.Parse(text)
		// That a table is not there is no matter of syntax.
		missing := strings.Contains(stderr.String(), "No distribution data")
		if _, on := strict[text]; on == (theirs == (err == nil)) && !missing {
			t.Errorf("%q: tc says %q, Parse says %v; a difference on purpose: %v", text, stderr.String(), err, on)
		}
	}
}

func FuzzParse(f *testing.F) {
	texts, _ := recorded(f)
	for _, text := range texts {
		f.Add(text)
	}
	f.Add("qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 loss state p13 1% p31 99% p32 0% p23 100% p14 0% seed 7 ecn gap 0")
	f.Add("slot distribution normal 1ms 3us packets 4 bytes 5")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := netem.Parse(text)
		if err != nil {
			var wrong *netem.SyntaxError
			if !errors.As(err, &wrong) || wrong.Start < 0 || wrong.End < wrong.Start || wrong.End > len(wrong.Text) || wrong.Excerpt() == "" {
				t.Errorf("%q: %#v", text, err)
			}
			return
		}
		if c.String() == "" {
			return // nothing but what is the default
		}
		again, err := netem.Parse(c.String())
		if err != nil || !reflect.DeepEqual(ours(&c), ours(&again)) || c.String() != again.String() {
			t.Errorf("%q is printed as %q, which is %q, %v", text, c, again, err)
		}
	})
}
