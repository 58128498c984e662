package main

import (
	"fmt"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/scenarios"
)

// When things happen in a new scenario, in virtual time and in real time.
const (
	draftPeriod     = 5 * time.Second
	draftCount      = 24
	draftCutAt      = 40 * time.Second
	draftAfter      = 240 * time.Second // for what is still under way
	draftRealPeriod = time.Second
	draftRealCount  = 20
	draftRealCutAt  = 8 * time.Second
	draftRealAfter  = 20 * time.Second
)

// compose writes the scenario with its comments.
func (d *draft) compose() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	isReal := d.broker != string(scenarios.BrokerModel)
	period, count, cutAt, after := draftPeriod, draftCount, draftCutAt, draftAfter
	if isReal {
		period, count, cutAt, after = draftRealPeriod, draftRealCount, draftRealCutAt, draftRealAfter
	}
	file := emu.Quote(d.file)
	packets, payload := d.size()
	line("# docs/language.md has every key; emu explain NAME says what a drop, a status or a finding means.")
	line("version: 1")
	line("name: %s", d.name())
	line("about: |")
	line("  %s", d.about())
	line("# Every random draw comes from the seed: emu run %s --seed 2 draws others.", file)
	line("seed: 1")
	if isReal {
		line("# A real broker keeps real time.")
		line("clock: real")
	}
	line("duration: %v", shortest(time.Duration(count)*period+d.cut+after))
	line("devices:")
	line("  - name: device")
	d.profile(line)
	line("    # What nx_packet_pool_create gets: packets, and bytes of payload in each. The smallest that is enough:")
	line("    # emu sweep %s --set pool.packets=4..32/4 --seeds 10 --find pool.packets", file)
	line("    pool: {packets: %d, payload: %dB}", packets, payload)
	if isReal {
		line("    address: 10.0.0.2/24")
	}
	line("    mqtt:")
	line("      client_id: device")
	line("      keepalive: 120s")
	line("      clean_session: false # the broker keeps the session when the connection is lost")
	line("      wait: 60s # for the answer to a CONNECT, and for room to send")
	line("    reconnect: 5s # the pause before it connects again")
	line("    # What the application does, in this order.")
	line("    steps:")
	line("      - connect")
	line("      - wait_for: {event: connected, timeout: 60s}")
	line("      - subscribe: {topic: commands, qos: 1}")
	line("      - every:")
	line("          period: %v", period)
	line("          count: %d", count)
	line("          do:")
	line("            - publish: {topic: telemetry, payload: '{\"n\":{n},\"t\":{t}}', qos: 1}")
	line("            - message_get: all")
	line("links:")
	d.links(line)
	d.brokers(line)
	if d.cut > 0 {
		line("timeline:")
		line("  # A cut that nobody is told of. link_down tells the device, tx_error fails what it sends.")
		line("  - {at: %v, do: blackhole, for: %v}", cutAt, shortest(d.cut))
	}
	d.expectations(line, isReal)
	return b.String()
}

// about is the scenario in a sentence.
func (d *draft) about() string {
	link := "a link of 50 ms each way"
	if d.link != noLink {
		link = "the link " + d.link
	}
	cut := ""
	if d.cut > 0 {
		cut = fmt.Sprintf(", which is cut for %v", shortest(d.cut))
	}
	broker := ""
	if d.broker != string(scenarios.BrokerModel) {
		broker = " to a real broker"
	}
	return fmt.Sprintf("A device of the profile %s publishes telemetry%s over %s%s.", d.device, broker, link, cut)
}

func (d *draft) profile(line func(string, ...any)) {
	if d.device == string(scenarios.ProfileNetX) {
		line("    # NetX Duo 6.4.2 and its MQTT client. Its known bugs are there, too: emu quirks lists them, and")
		line("    # quirks: none mends them all.")
	} else {
		line("    # TCP as Linux has it, below the same MQTT client.")
	}
	line("    profile: %s", d.device)
}

func (d *draft) links(line func(string, ...any)) {
	if d.link == noLink {
		line("  # emu presets lists links by name, such as preset: nbiot-ce1. Other keys: loss: 2%%, jitter, rate: 26kbit.")
		line("  - {delay: 50ms}")
		return
	}
	line("  # emu presets %s says what its numbers rest on. A key beside the preset replaces the preset's.", strings.ToLower(d.link))
	line("  - preset: %s", strings.ToLower(d.link))
}

func (d *draft) brokers(line func(string, ...any)) {
	if d.broker == string(scenarios.BrokerModel) {
		line("# hilnet's own broker, which tells what it got. A real one: docs/gateway.md.")
		line("broker: {kind: model}")
		return
	}
	if d.broker == string(scenarios.BrokerGateway) {
		line("# A real broker, wherever this machine's own sockets reach; docs/gateway.md.")
		line("broker: {kind: gateway, gateway: {to: \"127.0.0.1:1883\"}}")
		return
	}
	line("# The TAP interface is made for the run. Have a broker listen at 1883 of all addresses of this machine:")
	line("#   printf 'listener 1883 0.0.0.0\\nallow_anonymous true\\n' > mosquitto.conf && mosquitto -c mosquitto.conf")
	line("broker:")
	line("  kind: tap")
	line("  tap: {name: hil0, address: 10.0.0.1/24}")
}

// expectations are about what hilnet can know of the broker.
func (d *draft) expectations(line func(string, ...any), isReal bool) {
	line("# What must be true at the end: emu run ends with 1 when it is not. docs/language.md has the names.")
	line("expect:")
	line("  - text: the device gets a connection")
	line("    that: connects >= 1")
	if isReal {
		line("  - text: the broker acknowledges what was published")
		line("    that: acknowledged >= 1")
	} else {
		line("  - text: no message that the client accepted is lost")
		line("    that: lost == 0")
		line("  - text: every message that the client accepted is acknowledged")
		line("    that: acknowledged == published")
	}
	line("  - text: every frame is accounted for")
	line("    that: conservation_errors == 0")
}

// shortest writes a time as people do: 8s, and not 8.000s or 0h0m8s.
func shortest(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
