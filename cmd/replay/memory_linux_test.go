package main

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/wire"
)

// memoryBound is what a command that reads a capture may take, whatever the capture: the
// limits in docs/analyze.md, twice for the garbage collector, and the program itself.
const memoryBound = 256 << 20

// measure runs the command as a process and returns its largest resident set.
func measure(t *testing.T, args ...string) (bytes int64, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "replay") // TestMain goes by the name
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err = cmd.Run()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%v: %v, %v", args, err, ctx.Err())
	}
	if code = cmd.ProcessState.ExitCode(); code > exitUsage {
		t.Errorf("%v: exit %d: %.2000s", args, code, stderr.String())
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, code
}

// A hostile capture: each connection opens, announces a client with a long name,
// publishes long topics that nobody acknowledges, and, if hole, sends data behind a hole.
func hostile(t *testing.T, connections int, hole bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostile.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcaps.NewPcapWriter(f, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddr("10.255.0.1")
	topic := strings.Repeat("t", 250)
	connect := "\x10\xff\x01\x00\x04MQTT\x04\x02\x00\x01\x00\xf3" + strings.Repeat("c", 243)
	publish := "\x32\xfe\x01\x00\xfa" + topic + "\x00\x01"
	at := pcaps.Stamp(0)
	for i := range connections {
		client := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		send := func(flags wire.TCPFlags, seq uint32, data string) {
			frame := make([]byte, 54+len(data))
			wire.PutEthernet(frame, wire.MAC{2}, wire.MAC{2, 1}, wire.EtherTypeIPv4)
			copy(frame[54:], data)
			wire.PutTCP(frame[34:], wire.TCPFields{SrcPort: 5000, DstPort: 1883, Seq: seq, Flags: flags, Window: 1000}, client, server, len(data))
			wire.PutIPv4(frame[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: client, Dst: server}, 20+len(data))
			at += 1000
			if err := w.WritePacket(at, frame, 0); err != nil {
				t.Fatal(err)
			}
		}
		send(wire.TCPSyn, 99, "")
		if i%8 == 0 { // the others are connections without data
			id := binary.BigEndian.AppendUint16(nil, uint16(i)|1)
			send(wire.TCPAck, 100, connect+publish[:len(publish)-2]+string(id))
			if hole {
				send(wire.TCPAck, 100_000, strings.Repeat("x", 1400))
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a command holds does not depend on how many connections a capture has.
func TestMemoryIsBoundedWhateverTheCapture(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has its own memory")
	}
	connections, soak := 20_000, os.Getenv(linktest.SoakEnv) != ""
	if soak {
		connections = 1_000_000
	}
	path := hostile(t, connections, true)
	out := filepath.Join(t.TempDir(), "out.pcapng")
	commands := [][]string{
		{"analyze", "--json", path}, {"info", path}, {"play", path, "--as", "client", "--plan", "--json"},
		{"convert", path, "-o", out}, {"cut", path, "-o", out, "--frames", "2-"}, {"merge", path, path, "-o", out},
	}
	if soak {
		commands = append(commands, []string{"analyze", path}, []string{"play", path, "--as", "client", "--plan"})
	}
	for _, args := range commands {
		used, code := measure(t, args...)
		t.Logf("%s: %d MiB, exit %d", strings.Join(append(args[:1:1], args[2:]...), " "), used>>20, code)
		if used > memoryBound || code == exitUsage {
			t.Errorf("%v: %d MiB, exit %d", args, used>>20, code)
		}
	}
	// These have a plan or a list for the whole of it, with limits: refused, or within.
	for _, args := range [][]string{{"compare", path, path, "--max", "1"}, {"anonymize", path, "-o", out}} {
		used, _ := measure(t, args...)
		t.Logf("%s: %d MiB", args[0], used>>20)
		if used > 4*memoryBound {
			t.Errorf("%v: %d MiB", args, used>>20)
		}
	}
}

// A play of as many tiny conversations as there may be, out of many more, takes no more.
func TestAPlayOfManyTinyConversationsIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has its own memory")
	}
	connections := 4_000 // of which every eighth speaks
	if os.Getenv(linktest.SoakEnv) != "" {
		connections = 1_000_000
	}
	path := hostile(t, connections, false)
	used, code := measure(t, "play", path, "--as", "client", "--against", "model", "--timing", "fast", "--wait", "1s")
	t.Logf("%d connections: %d MiB, exit %d", connections, used>>20, code)
	if used > 4*memoryBound || code > exitFail || connections > 100_000 && code != exitFail { // more than are played
		t.Errorf("%d MiB, exit %d", used>>20, code)
	}
}

// Sparse files: 4 GiB of NULs behind a header.
func TestSparseFilesCostNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has its own memory")
	}
	size := int64(32 << 20)
	if os.Getenv(linktest.SoakEnv) != "" {
		size = 4 << 30
	}
	headers := map[string]string{
		"pcap":   "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00",
		"pcapng": "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00",
	}
	for _, kind := range []string{"pcap", "pcapng"} {
		path := filepath.Join(t.TempDir(), "sparse."+kind)
		if err := os.WriteFile(path, []byte(headers[kind]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size+24); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"info"}, {"analyze"}, {"play", "--as", "client", "--plan"}} {
			used, code := measure(t, append(command, path)...)
			t.Logf("%v of %d MiB of %s: %d MiB", command, size>>20, kind, used>>20)
			if used > memoryBound || (code != exitPass) != (kind == "pcapng") {
				t.Errorf("%v %s: %d MiB, exit %d", command, kind, used>>20, code)
			}
		}
	}
}
