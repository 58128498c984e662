package embedded

import (
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

// The transcripts in this file are the device's frames in recordings of NetX
// Duo 6.4.2 with its MQTT client, at the level of TCP: what the application
// sends is given by its length, and the peer's frames come at their recorded
// times. The recordings have a resolution of 1 ms here and jitter of their own.

// A hostFrame is a frame of the recorded peer.
type hostFrame struct {
	ms       float64
	flags    wire.TCPFlags
	seq, ack uint32
	window   uint16
	length   int
}

func (d *device) script(frames ...hostFrame) {
	for _, f := range frames {
		d.at(f.ms, func() { d.host(f.flags, f.seq, f.ack, f.window, strings.Repeat("y", f.length)) })
	}
}

// reader is the MQTT client's thread: it takes what arrives at once.
func (d *device) reader(s *TCPSocket) {
	flags := rtos.NewEventFlags(d.kernel, "mqtt")
	s.ReceiveNotify(func() { flags.Set(1) })
	d.kernel.NewThread("mqtt", 5, func(*rtos.Thread) {
		for {
			flags.Get(1, true, true, rtos.WaitForever)
			d.read(s)
		}
	})
}

// sleepUntil lets the thread sleep until a moment in ms that is a tick.
func (d *device) sleepUntil(th *rtos.Thread, ms rtos.Ticks) { th.Sleep(ms/10 - d.kernel.Now()) }

func (d *device) threadSend(s *TCPSocket, n int) {
	d.t.Helper()
	if status := s.Send(d.message(n), 500); status != nic.Success {
		d.t.Errorf("send: %v", status)
	}
}

func (d *device) threadConnect(s *TCPSocket, wait rtos.Ticks) {
	d.t.Helper()
	if status := s.Connect(broker, wait); status != nic.Success {
		d.t.Errorf("connect: %v", status)
	}
}

// Recording 1-basic: delayed ACKs on the 100 ms grid, 100 to 200 ms after the
// data, and two segments for DISCONNECT and FIN.
func TestBasicSessionAsRecorded(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	d.reader(s)
	d.thread(func(th *rtos.Thread) {
		d.threadConnect(s, 500)
		d.threadSend(s, 25) // CONNECT
		for _, m := range []struct {
			ms rtos.Ticks
			n  int
		}{{200, 16}, {700, 23}, {1200, 25}, {5000, 2}, {8000, 2}, {11000, 2}, {11700, 2}} {
			d.sleepUntil(th, m.ms)
			d.threadSend(s, m.n)
		}
		if status := s.Disconnect(rtos.WaitForever); status != nic.Success {
			t.Errorf("disconnect: %v", status)
		}
		d.say("disconnected")
		if status := s.Unbind(); status != nic.Success {
			t.Errorf("unbind: %v", status)
		}
	})
	d.at(1201, func() { d.send(s, 4) }) // PUBACK
	d.script(
		hostFrame{0.02, synAck, 0, 1, 64240, 0}, hostFrame{0.1, flagACK, 1, 26, 64215, 0}, hostFrame{1, pushAck, 1, 26, 64215, 4},
		hostFrame{212, pushAck, 5, 42, 64199, 5}, hostFrame{712, pushAck, 10, 65, 64176, 23}, hostFrame{1200.5, pushAck, 33, 90, 64151, 25},
		hostFrame{1201.5, pushAck, 58, 94, 64147, 4}, hostFrame{5004, pushAck, 62, 96, 64145, 2}, hostFrame{8000.5, pushAck, 64, 98, 64143, 2},
		hostFrame{11000.5, pushAck, 66, 100, 64141, 2}, hostFrame{11708, finAck, 68, 103, 64138, 0},
	)
	d.run(12000)
	d.want(
		"0 S 0 0 len=0 win=8192 id=1", "0.02 A 1 1 len=0 win=8192 id=2", "0.02 PA 1 1 len=25 win=8192 id=3",
		"200 A 26 5 len=0 win=8192 id=4", "200 PA 26 5 len=16 win=8192 id=5", "400 A 42 10 len=0 win=8192 id=6",
		"700 PA 42 10 len=23 win=8192 id=7", "900 A 65 33 len=0 win=8192 id=8", "1200 PA 65 33 len=25 win=8192 id=9",
		"1201 PA 90 58 len=4 win=8192 id=10", "1400 A 94 62 len=0 win=8192 id=11", "5000 PA 94 62 len=2 win=8192 id=12",
		"5200 A 96 64 len=0 win=8192 id=13", "8000 PA 96 64 len=2 win=8192 id=14", "8200 A 98 66 len=0 win=8192 id=15",
		"11000 PA 98 66 len=2 win=8192 id=16", "11200 A 100 68 len=0 win=8192 id=17", "11700 PA 100 68 len=2 win=8192 id=18",
		"11700 FA 102 68 len=0 win=8192 id=19", "11708 A 103 69 len=0 win=8192 id=20", "11708 disconnected",
	)
	d.wantFree(32)
}

// deadLink is the common beginning of recordings 2a and 2c: two publishes on a
// link that has died.
func deadLink(d *device, s *TCPSocket) {
	d.t.Helper()
	d.reader(s)
	d.thread(func(th *rtos.Thread) {
		d.threadConnect(s, 500)
		d.threadSend(s, 25)
		for _, m := range []struct {
			ms rtos.Ticks
			n  int
		}{{300, 21}, {1300, 23}, {3300, 23}} {
			d.sleepUntil(th, m.ms)
			d.threadSend(s, m.n)
		}
	})
	d.script(
		hostFrame{0.02, synAck, 0, 1, 64240, 0}, hostFrame{0.1, flagACK, 1, 26, 64215, 0},
		hostFrame{1, pushAck, 1, 26, 64215, 4}, hostFrame{300.5, pushAck, 5, 47, 64194, 4},
	)
	d.run(1000)
	d.want(
		"0 S 0 0 len=0 win=8192 id=1", "0.02 A 1 1 len=0 win=8192 id=2", "0.02 PA 1 1 len=25 win=8192 id=3",
		"200 A 26 5 len=0 win=8192 id=4", "300 PA 26 5 len=21 win=8192 id=5", "500 A 47 9 len=0 win=8192 id=6",
	)
	d.run(6500)
	d.want(
		"1300 PA 47 9 len=23 win=8192 id=7", "2300 PA 47 9 len=23 win=8192 id=7", "3300 PA 47 9 len=23 win=8192 id=7",
		"3300 PA 70 9 len=23 win=8192 id=8",
		"4300 PA 47 9 len=23 win=8192 id=7", "4300 PA 70 9 len=23 win=8192 id=8",
		"5300 PA 47 9 len=23 win=8192 id=7", "5300 PA 70 9 len=23 win=8192 id=8",
		"6300 PA 47 9 len=23 win=8192 id=7", "6300 PA 70 9 len=23 win=8192 id=8",
	)
	d.wantFree(30) // the two packets that TCP holds
}

// Recording 2a-dead-link-8s: all that is queued goes out again each second, with
// the same identification, and the first time after the link is back does it.
func TestDeadLinkAsRecorded(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	deadLink(d, s)
	d.at(14300, func() {
		d.send(s, 2)
		d.kernel.NewThread("close", 10, func(*rtos.Thread) {
			if status := s.Disconnect(rtos.WaitForever); status != nic.Success {
				t.Errorf("disconnect: %v", status)
			}
			s.Unbind()
		})
	})
	d.at(12800, func() { d.send(s, 20) })
	d.script(
		hostFrame{9300.2, pushAck, 9, 93, 64148, 4}, hostFrame{9500.2, pushAck, 13, 93, 64148, 4},
		hostFrame{12800.5, pushAck, 17, 113, 64128, 4}, hostFrame{14307, finAck, 21, 116, 64125, 0},
	)
	d.at(9300.1, func() { // the host has forgotten the device meanwhile
		b := make([]byte, 42)
		wire.PutEthernet(b, wire.BroadcastMAC, hostMAC, wire.EtherTypeARP)
		wire.PutARP(b[14:], wire.ARPRequest, hostMAC, hostAddr, wire.MAC{}, deviceAddr)
		d.deliver(b)
	})
	d.run(15000)
	d.want(
		"7300 PA 47 9 len=23 win=8192 id=7", "7300 PA 70 9 len=23 win=8192 id=8",
		"8300 PA 47 9 len=23 win=8192 id=7", "8300 PA 70 9 len=23 win=8192 id=8",
		"9300 PA 47 9 len=23 win=8192 id=7", "9300 PA 70 9 len=23 win=8192 id=8", "9300.1 ARP to 10.50.0.1",
		"9500 A 93 13 len=0 win=8192 id=9", "9700 A 93 17 len=0 win=8192 id=10", "12800 PA 93 17 len=20 win=8192 id=11",
		"13000 A 113 21 len=0 win=8192 id=12", "14300 PA 113 21 len=2 win=8192 id=13", "14300 FA 115 21 len=0 win=8192 id=14",
		"14307 A 116 22 len=0 win=8192 id=15",
	)
	d.wantFree(32)
}

// Recording 2c-dead-link-keepalive4: the FIN goes out behind data that are not
// acknowledged, and not again; the connection ends silently 11 s after the first
// lost segment; the peer's late FIN gets a RST from nowhere.
func TestDeadLinkWithDisconnectAsRecorded(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	deadLink(d, s)
	d.at(7000, func() { d.send(s, 2) })
	d.at(8000, func() {
		d.kernel.NewThread("close", 5, func(*rtos.Thread) {
			d.say("returned %v", s.Disconnect(rtos.WaitForever))
			s.Unbind()
		})
	})
	d.script(hostFrame{20892, finAck, 9, 47, 64194, 0})
	d.run(25000)
	d.want(
		"7000 PA 93 9 len=2 win=8192 id=9",
		"7300 PA 47 9 len=23 win=8192 id=7", "7300 PA 70 9 len=23 win=8192 id=8", "7300 PA 93 9 len=2 win=8192 id=9",
		"8000 FA 95 9 len=0 win=8192 id=10",
		"8300 PA 47 9 len=23 win=8192 id=7", "8300 PA 70 9 len=23 win=8192 id=8", "8300 PA 93 9 len=2 win=8192 id=9",
		"9300 PA 47 9 len=23 win=8192 id=7", "9300 PA 70 9 len=23 win=8192 id=8", "9300 PA 93 9 len=2 win=8192 id=9",
		"10300 PA 47 9 len=23 win=8192 id=7", "10300 PA 70 9 len=23 win=8192 id=8", "10300 PA 93 9 len=2 win=8192 id=9",
		"11300 PA 47 9 len=23 win=8192 id=7", "11300 PA 70 9 len=23 win=8192 id=8", "11300 PA 93 9 len=2 win=8192 id=9",
		"12300 returned NX_DISCONNECT_FAILED",
		"20892 R 47 0 len=0 win=0 id=11",
	)
	d.wantFree(32)
	last := d.raw[len(d.raw)-1]
	var l wire.Layers
	if err := l.Parse(last); err != nil || l.IPv4.TTL() != 128 || l.IPv4.DontFragment() {
		t.Errorf("RST for an unknown connection: TTL %d, DF %v, %v", l.IPv4.TTL(), l.IPv4.DontFragment(), err)
	}
}

// Recording 3a-syn-blackhole: 11 SYNs one second apart, each with an
// identification of its own, and the end at 11 s; a wait of 3 s ends before the
// SYN that is due at the same tick.
func TestSYNScheduleAsRecorded(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	d.thread(func(th *rtos.Thread) {
		d.say("connect %v", s.Connect(broker, 2000))
		s.Unbind()
		d.sleepUntil(th, 13000)
		d.say("connect %v", s.Connect(broker, 300))
	})
	d.run(19000)
	d.want(
		"0 S 0 0 len=0 win=8192 id=1", "1000 S 0 0 len=0 win=8192 id=2", "2000 S 0 0 len=0 win=8192 id=3",
		"3000 S 0 0 len=0 win=8192 id=4", "4000 S 0 0 len=0 win=8192 id=5", "5000 S 0 0 len=0 win=8192 id=6",
		"6000 S 0 0 len=0 win=8192 id=7", "7000 S 0 0 len=0 win=8192 id=8", "8000 S 0 0 len=0 win=8192 id=9",
		"9000 S 0 0 len=0 win=8192 id=10", "10000 S 0 0 len=0 win=8192 id=11",
		"11000 connect NX_NOT_CONNECTED",
		"13000 S 0 0 len=0 win=8192 id=12", "14000 S 0 0 len=0 win=8192 id=13", "15000 S 0 0 len=0 win=8192 id=14",
		"16000 connect NX_NOT_CONNECTED",
	)
	d.wantFree(32)
}

// Recording 3b-arp-missing-host: a request and 18 retries, 10 s apart; the
// connection attempt has long ended when the entry is given up.
func TestARPScheduleAsRecorded(t *testing.T) {
	d := newDevice(t, deviceConfig{noARP: true})
	s := d.socket()
	d.thread(func(th *rtos.Thread) { d.say("connect %v", s.Connect(broker, 2000)) })
	d.run(189_000)
	want := []string{"0 ARP who has 10.50.0.1", "10000 ARP who has 10.50.0.1", "11000 connect NX_NOT_CONNECTED"}
	for _, at := range strings.Fields("20000 30000 40000 50000 60000 70000 80000 90000 100000 110000 120000 130000 140000 150000 160000 170000 180000") {
		want = append(want, at+" ARP who has 10.50.0.1")
	}
	d.want(want...)
	d.wantFree(28) // four SYNs wait
	d.run(250_000)
	d.want()
	d.wantFree(32)
}
