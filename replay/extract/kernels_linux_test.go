package extract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
)

// A kernelTrial is a run between two Linux kernels, with mosquitto, its clients and
// iperf3 on them, over a link of ours that knows what it dropped. tcpdump captures at
// both ends: nothing that extract reads then was written here.
type kernelTrial struct {
	trial
	kind     string
	workload string
	kernels  string // what is changed in them
	snap     int    // how much of each frame tcpdump keeps, 0: all
}

// kernelSettings are what the two kernels differ in from others.
var kernelSettings = []string{
	"", "", "", "",
	"net.ipv4.tcp_sack=0", "net.ipv4.tcp_timestamps=0", "net.ipv4.tcp_dsack=0", "net.ipv4.tcp_sack=0 net.ipv4.tcp_timestamps=0",
	"net.ipv4.tcp_early_retrans=0", "net.ipv4.tcp_recovery=0 net.ipv4.tcp_frto=0", "net.ipv4.tcp_congestion_control=reno",
	"net.ipv4.tcp_window_scaling=0",
}

// kernelWorkloads are what goes on, as shell scripts of the device: messages of all
// qualities with echoes, files, bulk both ways, and readers that are too slow.
var kernelWorkloads = []struct{ name, device, broker string }{
	{"messages", `mosquitto_sub -h $HILNET_BROKER -i sub -t tele/x -q QOS -k 10 >/dev/null &
      while :; do head -c SIZE /dev/urandom | base64 -w0; echo; sleep PERIOD; done | mosquitto_pub -h $HILNET_BROKER -i pub -t tele/x -q QOS -l -k 5`, ""},
	{"publisher", `while :; do head -c SIZE /dev/urandom | base64 -w0; echo; sleep PERIOD; done | mosquitto_pub -h $HILNET_BROKER -i pub -t tele/x -q QOS -l -k 10`, ""},
	{"bursts", `while :; do for i in 1 2 3 4 5 6 7 8; do head -c SIZE /dev/urandom | base64 -w0; echo; done; sleep 2; done | mosquitto_pub -h $HILNET_BROKER -i pub -t tele/x -q QOS -l -k 10`, ""},
	{"files", `head -c 30000 /dev/urandom >$HILNET_FOLDER/file
      while :; do timeout 8 mosquitto_pub -h $HILNET_BROKER -t tele/f -q QOS -f $HILNET_FOLDER/file; sleep 1; done`, ""},
	{"bulk up", `for i in 1 2 3 4; do timeout 12 iperf3 -c $HILNET_BROKER -n 150K; sleep 1; done`, ""},
	{"bulk down", `for i in 1 2 3 4; do timeout 12 iperf3 -R -c $HILNET_BROKER -n 150K; sleep 1; done`, ""},
	{"slow reader", `sysctl -qw net.ipv4.tcp_rmem="4096 8192 16384"
      mosquitto_sub -h $HILNET_BROKER -t d -q 0 -k 10 | (while head -c 30000 >/dev/null; do sleep 1; done)`,
		`(sleep 3; head -c 20000 /dev/urandom | base64 -w0 >$HILNET_FOLDER/file; while :; do mosquitto_pub -h $HILNET_BROKER -t d -f $HILNET_FOLDER/file; sleep 0.5; done) &`},
}

// newKernelTrial draws conditions; files of the run go to dir.
func newKernelTrial(seed uint64, dir string) *kernelTrial {
	r := sim.NewRand(seed, "extract kernels")
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	c := &kernelTrial{trial: trial{seed: seed}}
	way := time.Duration([]int{2, 10, 25, 25, 60, 120}[r.IntN(6)]) * time.Millisecond
	c.up, c.down = way, way
	if r.IntN(3) == 0 {
		c.down *= 2
	}
	c.kernels = kernelSettings[r.IntN(len(kernelSettings))]
	side := pick("both", "device", "broker")
	load := kernelWorkloads[r.IntN(len(kernelWorkloads))]
	c.workload = load.name
	loss := pick("2%", "5%", "5%", "10%", "{model: gilbert-elliott, share: 5%, run: 3}", "{model: gilbert-elliott, share: 10%, run: 4}")
	size, period, qos := pick("20", "100", "400", "900", "3000"), pick("0.1", "0.2", "0.4"), pick("0", "1", "1", "2")
	extra, rate, timeline := "", "", ""
	c.kind = pick("loss", "loss", "loss", "outage", "rate", "reorder", "syn", "clean")
	switch c.kind {
	case "outage":
		c.outage[0] = time.Duration(5000+r.IntN(4000)) * time.Millisecond
		c.outage[1] = c.outage[0] + time.Duration(2500+r.IntN(3500))*time.Millisecond
		c.outageWay = pick("both", "both", "up")
		timeline = fmt.Sprintf("timeline: [{at: %dms, do: blackhole, direction: %s, for: %dms}]\n", c.outage[0].Milliseconds(), c.outageWay, (c.outage[1] - c.outage[0]).Milliseconds())
		loss = pick("0%", "2%")
	case "rate":
		c.rate = uint64([]int{64, 128, 256}[r.IntN(3)]) * 1000
		rate = fmt.Sprintf(", rate: %dbit, queue: {%s}", c.rate, pick("packets: 8", "packets: 15", "bytes: 8000B"))
		loss = "0%"
	case "reorder":
		extra, loss = ", jitter: {spread: 10ms, order: reorder}, duplicate: 2%", pick("0%", "2%")
	case "syn":
		extra = fmt.Sprintf(", match: [{do: drop, tcp: SYN, copies: %d, direction: up}]", 1+r.IntN(2))
	case "clean":
		loss = "0%"
	}
	if r.IntN(4) == 0 {
		c.snap = 96
	}
	c.dev, c.broker = filepath.Join(dir, "device.pcap"), filepath.Join(dir, "broker.pcap")
	settings := func(name string) string {
		if c.kernels == "" || side != "both" && side != name {
			return ""
		}
		return "sysctl -qw " + c.kernels + "\n      "
	}
	capture := func(file string) string {
		return fmt.Sprintf(`NIC=$(ip -o link show | awk -F': ' '$2!="lo"{print $2;exit}')
      tcpdump -Z root -i $NIC -s %d -B 16384 -U --immediate-mode -n -w %s 2>%s.log &
      until grep -q 'listening on' %s.log; do sleep 0.05; done
      `, c.snap, file, file, file)
	}
	fill := strings.NewReplacer("SIZE", size, "PERIOD", period, "QOS", qos)
	c.text = fmt.Sprintf(`version: 1
name: trial
clock: real
seed: %d
duration: 20s
devices:
  - name: device
    kind: tap
    address: 10.0.0.2/24
    tap: {netns: private}
    start: 1s
    exec: |
      %s%stimeout 14 sh <<'END'
      %s
      END
      sleep 10
links:
  - {loss: %s, up: {delay: %dms%s}, down: {delay: %dms}%s}
broker:
  kind: tap
  tap: {address: 10.0.0.1/24, netns: private}
  exec: |
      %s%siperf3 -s >/dev/null &
      %s
      printf 'listener 1883 0.0.0.0\nallow_anonymous true\nuser root\nmax_queued_messages 100\n' >$HILNET_FOLDER/mosquitto.conf
      exec mosquitto -c $HILNET_FOLDER/mosquitto.conf
%s`, seed, settings("device"), capture(c.dev), fill.Replace(load.device), loss, c.up.Milliseconds(), rate, c.down.Milliseconds(), extra,
		settings("broker"), capture(c.broker), fill.Replace(load.broker), timeline)
	return c
}

// run runs it and counts what the link dropped with data, by the verdicts in the
// recordings at the link.
func (c *kernelTrial) run(t *testing.T, dir string) (lost [3]int) {
	t.Helper()
	sc, err := scenarios.Load("trial.yaml", []byte(c.text))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.text)
	}
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	for w, name := range map[way]string{up: "trial.device.pcapng", down: "trial.peer.pcapng"} {
		file := filepath.Join(dir, name)
		k, n := readFile(t, file), 0
		for p, err := range pcaps.Packets(file) {
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Verdicts) > 0 && k.packets[n].carries() > 0 {
				lost[w]++
			}
			n++
		}
	}
	for _, file := range []string{c.dev, c.broker} {
		log, err := os.ReadFile(file + ".log")
		if err != nil || strings.Contains(string(log), "dropped by kernel") && !strings.Contains(string(log), "\n0 packets dropped by kernel") {
			t.Fatalf("tcpdump lost frames: %v\n%s", err, log)
		}
	}
	return lost
}

// String says what the run was.
func (c *kernelTrial) String() string {
	return fmt.Sprintf("seed %d: %s, %s, %s, snap %d", c.seed, c.kind, c.workload, c.kernels, c.snap)
}

// firstKernelTrial is the seed of the first run of the table: the estimator was made with
// those from 1 to 164.
const firstKernelTrial = 301

// Linux at both ends, captured by tcpdump at either: what one capture says, as a table.
func TestRunsBetweenKernelsAreFoundAgain(t *testing.T) {
	linktest.Soak(t)
	linktest.Require(t, "tun", "netns", "mosquitto", "mosquitto_pub", "mosquitto_sub", "tcpdump", "iperf3")
	const trials, together = 48, 8
	k := newKernelScores()
	var mu sync.Mutex // of k
	t.Run("runs", func(t *testing.T) {
		slots := make(chan struct{}, together)
		for seed := uint64(firstKernelTrial); seed < firstKernelTrial+trials; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				dir := t.ArtifactDir()
				c := newKernelTrial(seed, dir)
				lost := c.run(t, dir)
				if c.kind == "reorder" {
					c.rate = 1 // its round trips vary
				}
				mu.Lock()
				defer mu.Unlock()
				k.note(t, &c.trial, c.String(), c.kind == "syn", lost)
			})
		}
	})
	k.judge(t, 0.8, 0.75)
}
