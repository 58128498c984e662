//go:build unix

package emu_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/trace"
	"hilnet/wire"
)

// socketScenario has an emulator at a socket; a test plays the emulator.
const socketScenario = `
version: 1
name: at-socket
clock: real
duration: 2500ms
devices:
  - {name: dut, kind: socket, socket: SOCKET}
links: [{delay: 5ms}]
broker: {kind: model}
timeline:
  - {at: 700ms, do: blackhole, for: 10s}
`

// arpRequest asks for the broker's address, as the device does.
func arpRequest() []byte {
	f := make([]byte, 60)
	copy(f, []byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	copy(f[22:], []byte{2, 0, 0, 0, 0, 2, 10, 0, 0, 2})
	copy(f[38:], []byte{10, 0, 0, 1})
	return f
}

// An emulator that nobody here knows needs no root: its frames pass the link, the
// model broker's host answers, an outage is one, and both ends are recorded.
func TestAnEmulatorAtASocketIsADevice(t *testing.T) {
	for _, mode := range []string{"stream", "dgram"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
			cfg := fmt.Sprintf("{path: %s}", ours)
			if mode == "dgram" {
				cfg = fmt.Sprintf("{mode: dgram, path: %s, remote: %s}", ours, theirs)
			}
			sc := scenario(t, strings.Replace(socketScenario, "SOCKET", cfg, 1))
			world, err := emu.New(sc, emu.Options{Out: dir})
			if err != nil {
				t.Fatal(err)
			}
			answers := make(chan int, 1)
			go func() { answers <- playEmulator(t, mode, ours, theirs) }()
			result, err := world.Run(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			d := result.Outcome.Devices[0]
			replies := <-answers
			lost := d.NIC.TxFrames - replies
			if replies < 2 || lost < 2 || result.Outcome.Drops.Reason["blackhole"] != lost || len(result.Outcome.ConservationErrors) > 0 {
				t.Errorf("%d requests, %d answers, outcome %+v", d.NIC.TxFrames, replies, result.Outcome)
			}
			file := filepath.Join(dir, "at-socket.device.pcapng")
			if err := pcaps.Verify(file); err != nil {
				t.Error(err)
			}
			if result.Recording.LateFates != 0 || result.Recording.Captured == 0 {
				t.Errorf("%+v", result.Recording)
			}
		})
	}
}

// dialSocket connects to a socket of emu's as soon as it is there; nil when that
// takes too long, which is an error of the test.
func dialSocket(t *testing.T, mode, ours, theirs string) net.Conn {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var c net.Conn
		var err error
		if mode == "stream" {
			c, err = net.Dial("unix", ours)
		} else {
			_ = os.Remove(theirs) // of the try before
			c, err = net.DialUnix("unixgram", &net.UnixAddr{Name: theirs, Net: "unixgram"}, &net.UnixAddr{Name: ours, Net: "unixgram"})
		}
		if err == nil {
			return c
		}
		if time.Now().After(deadline) {
			t.Errorf("no socket: %v", err)
			return nil
		}
	}
}

// playEmulator asks for the broker until the socket goes away, and returns how
// often it was answered.
func playEmulator(t *testing.T, mode, ours, theirs string) (answers int) {
	c := dialSocket(t, mode, ours, theirs)
	if c == nil {
		return 0
	}
	defer c.Close()
	buf := make([]byte, 2000)
	for {
		request := arpRequest()
		if mode == "stream" {
			request = append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)
		}
		if _, err := c.Write(request); err != nil {
			return answers
		}
		if err := c.SetReadDeadline(time.Now().Add(150 * time.Millisecond)); err != nil {
			t.Error(err)
			return answers
		}
		n, err := 0, error(nil)
		if mode == "stream" {
			if _, err = io.ReadFull(c, buf[:4]); err == nil {
				n, err = io.ReadFull(c, buf[:binary.BigEndian.Uint32(buf)])
			}
		} else {
			n, err = c.Read(buf)
		}
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			continue
		case err != nil:
			return answers
		case !bytes.Equal(buf[12:14], []byte{8, 6}) || n < 42:
			continue // the broker asks too
		case buf[21] == 2:
			answers++
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// A program is started, printed lines are events, it is restarted by the
// timeline, and its end is a result; at the end of the run it ends.
func TestAProgramIsStartedRestartedAndEnded(t *testing.T) {
	linktest.NoLeaks(t)
	sc := scenario(t, `
version: 1
name: program
clock: real
duration: 2500ms
devices:
  - name: dut
    kind: socket
    start: 100ms
    boot: 200ms
    address: 10.0.0.7/24
    mqtt: {client_id: me}
    exec: |
      echo "$HILNET_DEVICE $HILNET_CLIENT $HILNET_MAC $HILNET_ADDRESS/$HILNET_PREFIX $HILNET_BROKER:$HILNET_PORT"
      test -S "$HILNET_SOCKET" && echo socket
      echo oops >&2
      setsid sleep 100 & # it holds the output open
      exec sleep 100
  - {name: other, kind: socket, exec: 'echo no such thing >&2; exit 3'}
  - {name: daemon, kind: socket, exec: "setsid sh -c 'sleep 1; echo alive; exec sleep 100' & exit 0"}
broker: {kind: model, port: 1884}
timeline:
  - {at: 500ms, do: power_cut, for: 10s, device: daemon}
  - {at: 400ms, do: power_cut, for: 200ms, device: dut}
  - {at: 900ms, do: reboot, device: dut}
  - {after: {event: exec.exit, device: other}, do: blackhole, link: link-dut}
expect:
  - device("dut").exec.starts == 3 and device("dut").exec.exits == 3 and device("dut").exec.status == 143
  - device("other").exec.status == 3 and device("dut").reboots == 2 and device("dut").exec.lines == 9
  - device("daemon").exec.exits == 1 and device("daemon").exec.lines == 0
`)
	world, err := emu.New(sc, emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := world.Observe(1000)
	result, err := world.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range events.Events() {
		switch e.Kind {
		case scenarios.KindBoot, scenarios.KindOff, trace.KindExecOutput, trace.KindExecExit:
			if e.Node == "dut" {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Kind, e.Stage, e.Text)))
			}
		}
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"dut me 02:00:00:00:00:02 10.0.0.7/24 10.0.0.1:1884", "exec.output stderr oops", "exec.output stdout socket",
		"device.off  power cut", "exec.exit  ended by signal SIGKILL", "device.off  reboot", "exec.exit  ended by signal SIGTERM"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if result.Verdict != emu.Pass {
		t.Errorf("%+v\n%s", result.Checks, text)
	}
	notes := strings.Join(result.Notes, "\n")
	if !strings.Contains(notes, "the program of other failed: exit status 3 at ") || !strings.Contains(notes, "; it said last: no such thing") || strings.Count(notes, "the program of") != 1 {
		t.Errorf("what failed, and nothing else, is to be said:\n%s", notes)
	}
	if result.Lateness.Max > 700*time.Millisecond {
		t.Errorf("the loop waited for somebody who holds the output of a program that was killed: %v", result.Lateness.Max)
	}
}

// A device that sends, and answers no ARP: its peer asks in vain.
func TestADeviceThatAnswersNoARPIsFound(t *testing.T) {
	for _, c := range []struct {
		name, oracles string
		found         int
	}{{"soon", "{arp_unanswered: 500ms}", 1}, {"late", "{arp_unanswered: 5s}", 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "s")
			text := strings.Replace(socketScenario, "SOCKET", "{path: "+path+"}", 1)
			sc := scenario(t, strings.Replace(text, "timeline:\n  - {at: 700ms, do: blackhole, for: 10s}", "oracles: "+c.oracles, 1))
			world, err := emu.New(sc, emu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				sendSYN(t, path)
			}()
			result, err := world.Run(context.Background())
			<-done
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Outcome.Finding["arp_unanswered"]; got != c.found {
				t.Errorf("found %d times, want %d: %+v", got, c.found, result.Outcome.Findings)
			}
		})
	}
}

// sendSYN sends a SYN for the broker as soon as there is a socket, and reads
// until it goes away.
func sendSYN(t *testing.T, path string) {
	var c net.Conn
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err = net.Dial("unix", path); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("no socket: %v", err)
			return
		}
	}
	defer c.Close()
	syn := synFrame()
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(syn))), syn...)); err != nil {
		t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, c)
}

// synFrame is a SYN for the broker from the device's address.
func synFrame() []byte {
	src, dst := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	f := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+wire.TCPHeaderLen)
	wire.PutEthernet(f, wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.EtherTypeIPv4)
	wire.PutIPv4(f[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: src, Dst: dst}, wire.TCPHeaderLen)
	wire.PutTCP(f[34:], wire.TCPFields{SrcPort: 50000, DstPort: 1883, Seq: 7, Flags: wire.TCPSyn, Window: 8192}, src, dst, 0)
	return f
}

// A broker behind a socket is found by a device and asked to connect, in either
// mode; what passes is counted and recorded at both ends.
func TestABrokerBehindASocket(t *testing.T) {
	for _, mode := range []string{"stream", "dgram"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
			cfg := fmt.Sprintf("{path: %s}", ours)
			if mode == "dgram" {
				cfg = fmt.Sprintf("{mode: dgram, path: %s, remote: %s}", ours, theirs)
			}
			world, err := emu.New(scenario(t, fmt.Sprintf(`
version: 1
name: broker-at-socket
clock: real
duration: 2s
devices: [{profile: linux, start: 500ms, steps: [connect]}]
broker: {kind: socket, address: 10.0.0.1/24, socket: %s}
`, cfg)), emu.Options{Out: dir})
			if err != nil {
				t.Fatal(err)
			}
			asked := make(chan bool, 1)
			go func() { asked <- playBroker(t, mode, ours, theirs) }()
			result, err := world.Run(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !<-asked {
				t.Errorf("no SYN came; %+v", result.Outcome)
			}
			if len(result.Outcome.ConservationErrors) > 0 || result.Outcome.Links[0].Up.Arrived < 2 || result.Outcome.Links[0].Down.Arrived < 1 {
				t.Errorf("%+v", result.Outcome)
			}
			for _, point := range []string{"device", "peer"} {
				if err := pcaps.Verify(filepath.Join(dir, "broker-at-socket."+point+".pcapng")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// playBroker answers ARP for the broker's address until the socket goes away, and
// reports whether a SYN came.
func playBroker(t *testing.T, mode, ours, theirs string) (asked bool) {
	c := dialSocket(t, mode, ours, theirs)
	if c == nil {
		return false
	}
	defer c.Close()
	deadline := time.Now().Add(10 * time.Second)
	buf := make([]byte, 2000)
	for !asked {
		if err := c.SetReadDeadline(deadline); err != nil {
			t.Error(err)
			return false
		}
		n, err := 0, error(nil)
		if mode == "stream" {
			if _, err = io.ReadFull(c, buf[:4]); err == nil {
				n, err = io.ReadFull(c, buf[:binary.BigEndian.Uint32(buf)])
			}
		} else {
			n, err = c.Read(buf)
		}
		var l wire.Layers
		switch {
		case err != nil:
			return asked
		case l.Parse(buf[:n]) != nil:
			t.Errorf("no frame: %x", buf[:n])
		case l.TCP != nil && l.TCP.Has(wire.TCPSyn) && l.TCP.DstPort() == 1883:
			asked = true
		case l.ARP != nil && l.ARP.Operation() == wire.ARPRequest:
			mac, device := wire.MAC{2, 0, 0, 0, 0, 9}, l.ARP.SenderMAC()
			answer := make([]byte, wire.EthernetHeaderLen+wire.ARPLen)
			wire.PutEthernet(answer, device, mac, wire.EtherTypeARP)
			wire.PutARP(answer[wire.EthernetHeaderLen:], wire.ARPReply, mac, l.ARP.Target(), device, l.ARP.Sender())
			if mode == "stream" {
				answer = append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)
			}
			if _, err := c.Write(answer); err != nil {
				t.Error(err)
			}
		}
	}
	return asked
}
