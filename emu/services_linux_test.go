//go:build linux

package emu_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/scenarios"
)

// startWorld starts a scenario's run and returns it, what its trace says, and how
// to end it.
func startWorld(t *testing.T, text string) (w *emu.World, said func() string, finish func() *emu.Result) {
	t.Helper()
	sc, err := scenarios.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if w, err = emu.New(sc, emu.Options{Out: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	events := w.Observe(100_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *emu.Result, 1)
	go func() {
		r, err := w.Run(ctx)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		done <- r
	}()
	var log strings.Builder
	begun := false
	for !begun {
		select {
		case e := <-events.Events():
			begun = e.Kind == "device.boot" || e.Kind == "exec.start" || e.Kind == "action"
		case <-time.After(20 * time.Second):
			t.Fatal("the run does not begin")
		}
	}
	said = func() string {
		for {
			select {
			case e, open := <-events.Events():
				if !open {
					return log.String()
				}
				log.WriteString(strings.Join([]string{string(e.Kind), e.Node, e.Stage, e.Text}, " ") + "\n")
			default:
				return log.String()
			}
		}
	}
	return w, said, func() *emu.Result { cancel(); return <-done }
}

// A Linux machine gets an address from our DHCP server by busybox's client, asks
// our DNS server by dig and our SNTP server by ntpdig; each sees what the
// timeline has them answer.
func TestClientsThatNobodyHereWroteUseTheServices(t *testing.T) {
	linktest.Require(t, "tun", "netns", "udhcpc", "dig", "ntpdig", "ping")
	ns := linktest.Namespace(t)
	w, said, finish := startWorld(t, strings.Replace(`
version: 1
name: real-clients
clock: real
duration: 60s
devices:
  - {name: linux, kind: tap, address: dhcp, tap: {name: dut0, netns: NETNS}}
links: [{delay: 5ms}]
broker: {kind: model}
services:
  dhcp: {lease: 10m, router: 10.0.0.1, first: 10.0.0.100, last: 10.0.0.120}
  dns: {names: [{name: broker.example, ttl: 77s}, {name: two.example, addresses: [10.0.0.8, 10.0.0.9]}]}
  sntp: {delay: 0s}
timeline: [{at: 0s, do: service, service: dns, answer: right}]
`, "NETNS", ns.Name, 1))
	answer := func(service scenarios.ServiceName, answer string) {
		t.Helper()
		if err := w.Do(scenarios.Action{Do: scenarios.ServiceAnswer, Service: service, Answer: answer}); err != nil {
			t.Fatal(err)
		}
	}

	// udhcpc tells a script what it got.
	got, script := filepath.Join(t.TempDir(), "got"), filepath.Join(t.TempDir(), "script")
	text := "#!/bin/sh\necho \"$1 $ip $subnet $router $dns $lease $serverid $message\" >>" + got +
		"\n[ \"$1\" != bound ] || ip addr replace $ip/$mask dev $interface\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	lease := func(args ...string) string {
		t.Helper()
		_ = os.Remove(got)
		cmd := ns.Command("timeout", append([]string{"3", "udhcpc", "-i", "dut0", "-f", "-n", "-q", "-t", "2", "-T", "1", "-s", script}, args...)...)
		out, _ := cmd.CombinedOutput()
		b, err := os.ReadFile(got)
		if err != nil {
			t.Fatalf("udhcpc: %s", out)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		return strings.Join(strings.Fields(lines[len(lines)-1]), " ")
	}
	answer(scenarios.ServiceDHCP, "nak")
	if was := lease(); was != "nak 0.0.0.0 10.0.0.254 not available" { // it begins anew for ever
		t.Errorf("udhcpc, refused: %s", was)
	}
	answer(scenarios.ServiceDHCP, "short")
	if was := lease(); was != "bound 10.0.0.2 255.255.255.0 10.0.0.1 10.0.0.254 10 10.0.0.254" {
		t.Errorf("udhcpc, a short lease: %s", was)
	}
	answer(scenarios.ServiceDHCP, "right")
	if was := lease(); was != "bound 10.0.0.2 255.255.255.0 10.0.0.1 10.0.0.254 600 10.0.0.254" {
		t.Errorf("udhcpc: %s", was)
	}
	ns.Run("ip", "addr", "flush", "dev", "dut0")
	ns.Run("ip", "link", "set", "dut0", "address", "02:00:00:00:77:01") // a stranger
	if was := lease("-r", "10.0.0.105"); was != "bound 10.0.0.105 255.255.255.0 10.0.0.1 10.0.0.254 600 10.0.0.254" {
		t.Errorf("udhcpc, as a stranger: %s", was)
	}
	if out := ns.Run("ping", "-c", "1", "-W", "2", "10.0.0.254"); !strings.Contains(out, "1 received") {
		t.Errorf("ping: %s", out)
	}

	dig := func(args ...string) string {
		cmd := ns.Command("dig", append([]string{"@10.0.0.254", "+tries=1", "+time=1", "+nocookie"}, args...)...)
		out, _ := cmd.CombinedOutput() // no answer is an exit code
		return string(out)
	}
	for _, c := range []struct{ answer, query, want string }{
		{"right", "broker.example", `(?s)status: NOERROR.*flags: qr aa rd ra;.*\nbroker\.example\.\s+77\s+IN\s+A\s+10\.0\.0\.1\n`},
		{"right", "two.example", `(?s)ANSWER: 2,.*10\.0\.0\.8\n.*10\.0\.0\.9\n`},
		{"right", "-t aaaa broker.example", `(?s)status: NOERROR.*ANSWER: 0,`},
		{"right", "-x 10.0.0.1", `status: NXDOMAIN`},
		{"right", "-c ch -t txt version.bind", `status: REFUSED`},
		{"right", "+opcode=status broker.example", `status: NOTIMP`},
		{"nxdomain", "broker.example", `status: NXDOMAIN`},
		{"servfail", "broker.example", `status: SERVFAIL`},
		{"refused", "broker.example", `status: REFUSED`},
		{"empty", "broker.example", `(?s)status: NOERROR.*ANSWER: 0,`},
		{"wrong", "broker.example", `192\.0\.2\.1\n`},
		{"truncated", "broker.example", `(?s)Truncated, retrying in TCP mode.*connection refused`},
		{"wrong_id", "broker.example", `(?s)ID mismatch.*timed out`},
		{"silent", "broker.example", `timed out`},
		{"off", "broker.example", `connection refused`},
	} {
		answer(scenarios.ServiceDNS, c.answer)
		if out := dig(strings.Fields(c.query)...); !regexp.MustCompile(c.want).MatchString(out) || strings.Contains(out, "malformed") || strings.Contains(out, "extra bytes") {
			t.Errorf("%s %s: want %s, dig prints\n%s", c.answer, c.query, c.want, out)
		}
	}

	sntp := func() string {
		out, _ := ns.Command("ntpdig", "-t", "1", "10.0.0.254").CombinedOutput()
		return string(out)
	}
	for _, c := range []struct{ answer, want string }{
		{"right", `[+-]0\.0\d+ .*10\.0\.0\.254 s2`},
		{"old", `-\d{9}\.\d+ .*10\.0\.0\.254 s2`},
		{"silent", `no eligible servers`},
	} {
		answer(scenarios.ServiceSNTP, c.answer)
		if out := sntp(); !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: want %s, ntpdig prints\n%s", c.answer, c.want, out)
		}
	}
	r := finish()
	if log := said(); !strings.Contains(log, "DHCPDISCOVER from 02:00:00:00:77:01: DHCPOFFER 10.0.0.105") || !strings.Contains(log, `services dns A "broker.example": NXDOMAIN`) {
		t.Errorf("the trace says\n%s", log)
	}
	if r != nil && len(r.Outcome.ConservationErrors) > 0 {
		t.Error(r.Outcome.ConservationErrors)
	}
}

// Our DHCP and DNS clients, and the MQTT client behind them, with dnsmasq and
// mosquitto.
func TestADeviceGetsItsAddressAndItsBrokerFromDnsmasq(t *testing.T) {
	linktest.Require(t, "tun", "netns", "dnsmasq", "mosquitto")
	ns := linktest.Namespace(t)
	ns.Run("ip", "tuntap", "add", "hil0", "mode", "tap")
	ns.Run("ip", "addr", "add", "10.0.0.1/24", "dev", "hil0")
	ns.Run("ip", "link", "set", "hil0", "up")
	ns.Mosquitto(netip.MustParseAddrPort("0.0.0.0:1883"))
	leases := filepath.Join(t.TempDir(), "leases")
	dnsmasq := linktest.Start(t, ns.Command("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--log-queries", "--log-dhcp",
		"--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-ping", "--user=root", "--pid-file=", "--dhcp-leasefile="+leases,
		"--interface=hil0", "--except-interface=lo", "--bind-interfaces", "--dhcp-range=10.0.0.50,10.0.0.60,2m", "--dhcp-authoritative",
		"--dhcp-option=58,4", "--address=/broker.example/10.0.0.1", "--local=/example/"))
	dnsmasq.WaitFor(t, "DHCP, IP range")
	_, said, finish := startWorld(t, strings.Replace(`
version: 1
name: dnsmasq
clock: real
duration: 30s
devices:
  - name: netx
    address: dhcp
    mqtt: {host: broker.example, wait: 20s}
    reconnect: 2s
    steps: [connect, every: {period: 1s, do: [publish: {topic: t, qos: 1}]}]
links: [{delay: 20ms}]
broker: {kind: tap, tap: {name: hil0, address: 10.0.0.1/24, netns: NETNS}}
timeline: [{at: 0s, do: blackhole, for: 1ms}]
`, "NETNS", ns.Name, 1))
	deadline := time.Now().Add(20 * time.Second)
	bound := func() int { return strings.Count(said(), "dhcp.bound netx") }
	for bound() < 2 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	r := finish()
	log := said()
	for _, want := range []string{"dhcp.bound netx  10.0.0.5", "for 2m0s, from 10.0.0.1", "dhcp.state netx  RENEWING", "dns.resolved netx  broker.example is 10.0.0.1"} {
		if !strings.Contains(log, want) {
			t.Errorf("the trace lacks %q:\n%s", want, log)
		}
	}
	theirs := dnsmasq.Output()
	for _, want := range []string{`DHCPDISCOVER\(hil0\) 02:00:00:00:00:02`, `DHCPACK\(hil0\) 10\.0\.0\.5\d 02:00:00:00:00:02`, `client provides name: netx`, `query\[A\] broker\.example from 10\.0\.0\.5\d`} {
		if !regexp.MustCompile(want).MatchString(theirs) {
			t.Errorf("dnsmasq does not say %s:\n%s", want, theirs)
		}
	}
	if n := strings.Count(theirs, "DHCPACK(hil0)"); n < 2 {
		t.Errorf("dnsmasq acknowledged %d times\n%s", n, theirs)
	}
	if r != nil && (r.Outcome.Connects != 1 || r.Outcome.Acknowledged < 3) {
		t.Errorf("%d connections, %d acknowledged", r.Outcome.Connects, r.Outcome.Acknowledged)
	}
	if b, err := os.ReadFile(leases); err != nil || !slices.Contains(strings.Fields(string(b)), "netx") {
		t.Errorf("the leases: %q %v", b, err)
	}
}

// U-Boot in QEMU, without any rights, gets its address from our DHCP server, with a
// server that is silent at first, and pings the broker.
func TestUBootGetsItsAddressFromTheServicesSoak(t *testing.T) {
	linktest.Soak(t)
	linktest.Require(t, "qemu-system-i386", linktest.NeedUBoot)
	result, said := observe(t, `
version: 1
name: uboot-services
clock: real
duration: 12s
devices:
  - name: uboot
    kind: socket
    address: dhcp
    exec: |
      cd $HILNET_FOLDER && : >console
      {
        until grep -q '^=>' console; do sleep 0.2; printf ' '; done
        printf '    setenv autoload no\n    dhcp\n'
        until grep -q 'client bound' console; do sleep 0.2; done
        printf "    ping $HILNET_BROKER\n"
        until grep -q 'is alive' console; do sleep 0.2; done
        while printf '    reset\n'; do sleep 0.5; done
      } | qemu-system-i386 -M pc -m 128 -display none -serial stdio -monitor none -no-reboot \
        -bios /usr/lib/u-boot/qemu-x86/u-boot.rom \
        -netdev stream,id=net0,server=off,addr.type=unix,addr.path=$HILNET_SOCKET \
        -device e1000,netdev=net0,mac=$HILNET_MAC,romfile= | tee console
      grep -q 'is alive' console
links: [{delay: 10ms}]
broker: {kind: model}
services:
  dhcp: {lease: 10m, answer: silent}
timeline:
  - {after: {event: service, nth: 2}, do: service, service: dhcp, answer: right}
expect: ['device("uboot").exec.exits == 1 and device("uboot").exec.status == 0']
`, t.TempDir())
	if result.Verdict != emu.Pass || !strings.Contains(said, "DHCP client bound to address 10.0.0.2") || !strings.Contains(said, "is alive") {
		t.Errorf("%+v\n%s", result.Checks, said)
	}
}
