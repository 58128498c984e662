package presets

import (
	"time"

	"hilnet/link"
	"hilnet/link/radio"
)

const (
	ms = time.Millisecond
	s  = time.Second

	kbit = 1_000
	mbit = 1_000_000
)

// Where the numbers are from.
const (
	nbiotData = "github.com/theomarzaki/NB-IoT-Performance: SARA-N211 and BC95-G on two Norwegian networks, 2019; quantiles computed from its 2565 exchanges of 20 to 512 B"
	nbiotRate = "NB-IoT Cat NB1 peaks, blog.mbedded.ninja"
	power     = "3GPP TS 36.304 7 and TS 24.008 10.5.7.4a (cycles and timers a network may give)"
	rfwire    = "rfwireless-world.com, table of LTE-M and Cat-1 rates"
	atc       = "Facebook Augmented Traffic Control, its profiles (github.com/facebookarchive/augmented-traffic-control)"
	comcast   = "github.com/tylertreat/comcast, table of profiles in its README"
	loadero   = "wiki.loadero.com, network conditions"
	lorawan   = "LoRaWAN Regional Parameters 1.0.3 (EU433) and L2 1.0.4 (RX1 +1 s, RX2 +2 s)"
	rfc2488   = "RFC 2488 section 2 (239.6 to 279.0 ms a hop, RTT of 558 ms and more)"
	starlink  = "SpaceX, published latency of 2024: median RTT 33 ms, 99 % 65 ms in the USA"
	nobody    = "no source found"
)

// measured are quantiles at 5, 25, 50, 75, 95 and 99 %, less what the radio's
// wake-up takes of them.
func measured(wake time.Duration, seconds ...float64) []link.Quantile {
	at := []float64{0.05, 0.25, 0.5, 0.75, 0.95, 0.99}
	q := make([]link.Quantile, len(at))
	for i, p := range at {
		q[i] = link.Quantile{P: p, D: time.Duration(seconds[i]*1e9).Round(ms) - wake}
	}
	return q
}

// modem is a cellular modem: 20 s of inactivity, a DRX cycle of 2.56 s.
func modem(wake time.Duration) radio.Config {
	return radio.Config{Inactivity: 20 * s, Wake: wake, Paging: 2560 * ms}
}

const fromIdle = "the exchanges were a minute apart, which we take as beginning idle: the wake-up is a part of what was measured, a little less than its 5 % quantile"

// The wake-ups of NB-IoT: below the 5 % quantile of what was measured from idle.
const (
	wakeCE0 = 700 * ms
	wakeCE1 = 1300 * ms
	wakeCE2 = 2300 * ms
)

var table = []Preset{
	nbiot("nb-iot-ce0", "NB-IoT, coverage level 0 (good)", wakeCE0, []float64{.82, 1.40, 1.74, 2.01, 2.75, 3.77}, 500*ms, 62*kbit, 26*kbit, .0018,
		Fact{"rate", Quoted, nbiotRate}, "The loss is 3 exchanges of 1679."),
	nbiot("nb-iot-ce1", "NB-IoT, coverage level 1 (extended)", wakeCE1, []float64{1.50, 1.79, 2.07, 2.59, 5.0, 8.1}, 420*ms, 10*kbit, 10*kbit, .013,
		Fact{"rate", Assumed, nobody + "; payload bits by time of transmission were a median of 347 bit/s, repetitions and waits included"}, "The loss is 3 exchanges of 236."),
	nbiot("nb-iot-ce2", "NB-IoT, coverage level 2 (extreme)", wakeCE2, []float64{2.55, 3.88, 4.26, 4.84, 10.2, 23.3}, 2110*ms, 2*kbit, 2*kbit, .012,
		Fact{"rate", Assumed, nobody + "; payload bits by time of transmission were a median of 6.3 bit/s, repetitions and waits included"}, "The loss is 2 exchanges of 165."),
	{
		Name: "lte-m", Title: "LTE-M (Cat-M1), half duplex", MTU: 1500, Radio: modem(200 * ms),
		Up:   Way{Delay: 50 * ms, Jitter: 20 * ms, RateBitsPerSecond: 375 * kbit, Loss: .005, QueuePackets: 100},
		Down: Way{Delay: 50 * ms, Jitter: 20 * ms, RateBitsPerSecond: 300 * kbit, Loss: .005, QueuePackets: 100},
		Facts: []Fact{
			{"rate", Quoted, rfwire}, {"delay", Quoted, "docs.arduino.cc, LTE-M: 50 to 100 ms"}, {"jitter", Assumed, nobody}, {"loss", Assumed, nobody},
			{"wake-up", Assumed, nobody}, {"cycles", Quoted, power}, {"mtu", Assumed, nobody},
		},
	},
	{
		Name: "lte-cat1", Title: "LTE Cat-1 and Cat-1bis", MTU: 1500, Radio: modem(100 * ms), Trace: "akamai-loss-good",
		Up:   Way{Delay: 20 * ms, Jitter: 10 * ms, RateBitsPerSecond: 5 * mbit, QueuePackets: 300},
		Down: Way{Delay: 20 * ms, Jitter: 10 * ms, RateBitsPerSecond: 10 * mbit, QueuePackets: 300},
		Facts: []Fact{
			{"rate", Quoted, rfwire}, {"delay", Measured, "github.com/akamai/cell-emulation-util, class good: RTT median 39 ms"}, {"jitter", Assumed, nobody},
			{"loss", Assumed, "none here: real losses come in episodes, as in the trace"}, {"wake-up", Assumed, nobody}, {"cycles", Quoted, power}, {"mtu", Assumed, nobody},
		},
	},
	{
		Name: "gprs", Title: "GPRS", MTU: 1500,
		Up:   Way{Delay: 650 * ms, Jitter: 100 * ms, RateBitsPerSecond: 18 * kbit, Loss: .02, QueuePackets: 50},
		Down: Way{Delay: 650 * ms, Jitter: 100 * ms, RateBitsPerSecond: 20 * kbit, Loss: .02, QueuePackets: 50},
		Facts: []Fact{
			{"rate", Quoted, atc + ", rural"}, {"delay", Quoted, atc}, {"jitter", Quoted, loadero}, {"loss", Quoted, atc + ", rural"}, {"mtu", Assumed, nobody},
		},
		Remarks: "Android's emulator has 150 to 550 ms for the same, and its source calls these numbers imaginary.",
	},
	{
		Name: "edge", Title: "EDGE", MTU: 1500,
		Up:   Way{Delay: 440 * ms, Jitter: 50 * ms, RateBitsPerSecond: 200 * kbit, Loss: .01, QueuePackets: 100},
		Down: Way{Delay: 400 * ms, Jitter: 50 * ms, RateBitsPerSecond: 240 * kbit, Loss: .01, QueuePackets: 100},
		Facts: []Fact{
			{"rate", Quoted, atc + ", average"}, {"delay", Quoted, atc + ", average"}, {"jitter", Assumed, nobody}, {"loss", Quoted, atc + ", lossy"}, {"mtu", Assumed, nobody},
		},
	},
	{
		Name: "3g", Title: "3G (UMTS, HSPA)", MTU: 1500,
		Up:   Way{Delay: 100 * ms, Jitter: 25 * ms, RateBitsPerSecond: 330 * kbit, Loss: .005, QueuePackets: 200},
		Down: Way{Delay: 100 * ms, Jitter: 25 * ms, RateBitsPerSecond: 780 * kbit, Loss: .005, QueuePackets: 200},
		Facts: []Fact{
			{"rate", Quoted, atc}, {"delay", Quoted, atc}, {"jitter", Quoted, loadero + " (50 ms of a round trip)"}, {"loss", Quoted, loadero}, {"mtu", Assumed, nobody},
		},
	},
	{
		Name: "lora", Title: "IP over a LoRa-like backhaul, SF9 at 125 kHz", MTU: 115,
		Up:   Way{Delay: 20 * ms, RateBitsPerSecond: 1760, OverheadBytes: 13, Loss: .02, QueuePackets: 8},
		Down: Way{Delay: 1000 * ms, RateBitsPerSecond: 1760, OverheadBytes: 13, Loss: .02, QueuePackets: 8},
		Facts: []Fact{
			{"rate", Quoted, "Semtech AN1200.13: SF9, 125 kHz, 4/5: 1760 bit/s"}, {"delay", Quoted, lorawan}, {"mtu", Quoted, lorawan + ": 115 B at DR3"},
			{"overhead", Quoted, "LoRaWAN L2 1.0.4: 13 B of header, port and integrity code"}, {"loss", Assumed, nobody},
		},
		Remarks: "A constant RX1 delay stands for class A; the windows and the duty cycle are not modelled, and 115 B carry no IPv6 without SCHC.",
	},
	{
		Name: "ieee802154", Title: "IEEE 802.15.4 with 6LoWPAN, one hop", MTU: 1280,
		Up:   Way{Delay: 5 * ms, Jitter: 3 * ms, RateBitsPerSecond: 150 * kbit, Loss: .02, LossRun: 3, QueuePackets: 10},
		Down: Way{Delay: 5 * ms, Jitter: 3 * ms, RateBitsPerSecond: 150 * kbit, Loss: .02, LossRun: 3, QueuePackets: 10},
		Facts: []Fact{
			{"mtu", Quoted, "RFC 4944 section 4"}, {"rate", Assumed, "of the 250 kbit/s of IEEE 802.15.4 at 2.4 GHz, less headers, acknowledgements and back-off"},
			{"delay", Assumed, nobody}, {"jitter", Assumed, nobody}, {"loss", Assumed, nobody},
		},
		Remarks: "Links of equal reception rate differ by up to 320 % in the throughput of TCP (\"PRR Is Not Enough\"), because real losses are burstier than two states tell.",
	},
	{
		Name: "ble", Title: "Bluetooth Low Energy, IP (RFC 7668)", MTU: 1280,
		Up:   Way{Delay: 40 * ms, Jitter: 15 * ms, RateBitsPerSecond: 100 * kbit, QueuePackets: 10},
		Down: Way{Delay: 40 * ms, Jitter: 15 * ms, RateBitsPerSecond: 100 * kbit, QueuePackets: 10},
		Facts: []Fact{
			{"mtu", Quoted, "RFC 7668 section 3.2.3"}, {"delay", Assumed, "about half of a connection interval of 75 ms"}, {"jitter", Assumed, nobody}, {"rate", Assumed, nobody},
			{"loss", Assumed, "none: the link layer repeats until it breaks"},
		},
		Remarks: "Real connections break now and then even when idle (Petersen and others, CoNEXT 2021): add outages to a scenario's timeline.",
	},
	{
		Name: "geo", Title: "Geostationary satellite", MTU: 1500,
		Up:   Way{Delay: 300 * ms, Jitter: 5 * ms, RateBitsPerSecond: 256 * kbit, QueuePackets: 200},
		Down: Way{Delay: 300 * ms, Jitter: 5 * ms, RateBitsPerSecond: 1 * mbit, QueuePackets: 200},
		Facts: []Fact{
			{"delay", Quoted, loadero + " (600 ms of a round trip); " + rfc2488}, {"rate", Quoted, loadero}, {"jitter", Assumed, nobody}, {"loss", Assumed, nobody}, {"mtu", Assumed, nobody},
		},
	},
	{
		Name: "leo", Title: "Low orbit satellites (Starlink)", MTU: 1500,
		Up:   Way{Delay: 17 * ms, Jitter: 5 * ms, RateBitsPerSecond: 10 * mbit, Loss: .01, LossRun: 5, QueuePackets: 500},
		Down: Way{Delay: 17 * ms, Jitter: 5 * ms, RateBitsPerSecond: 100 * mbit, Loss: .01, LossRun: 5, QueuePackets: 500},
		Facts: []Fact{
			{"delay", Quoted, starlink}, {"jitter", Quoted, starlink}, {"rate", Assumed, nobody}, {"loss", Assumed, nobody + "; up to half of the packets around a handover (IMC 2022)"}, {"mtu", Assumed, nobody},
		},
		Remarks: "Delay steps every 15 s, when a terminal changes its satellite, are not in it.",
	},
	{
		Name: "wifi-congested", Title: "Wi-Fi with many others", MTU: 1500,
		Up:   Way{Delay: 20 * ms, Jitter: 15 * ms, RateBitsPerSecond: 3 * mbit, Loss: .02, LossRun: 4, QueuePackets: 300},
		Down: Way{Delay: 20 * ms, Jitter: 15 * ms, RateBitsPerSecond: 3 * mbit, Loss: .02, LossRun: 4, QueuePackets: 300},
		Facts: []Fact{
			{"delay", Quoted, comcast + ": Wi-Fi 40 ms of a round trip"}, {"rate", Assumed, "a tenth of comcast's 30 Mbit/s, as in picoquic's test of a bad Wi-Fi"},
			{"jitter", Assumed, nobody}, {"loss", Assumed, nobody}, {"mtu", Quoted, "IEEE 802.11 as used for IP"},
		},
	},
	{
		Name: "wired", Title: "Wired industrial Ethernet, 100 Mbit/s", MTU: 1500,
		Up:    Way{Delay: 500 * time.Microsecond, RateBitsPerSecond: 100 * mbit, OverheadBytes: 38, QueuePackets: 1000},
		Down:  Way{Delay: 500 * time.Microsecond, RateBitsPerSecond: 100 * mbit, OverheadBytes: 38, QueuePackets: 1000},
		Facts: []Fact{{"rate", Quoted, "IEEE 802.3, 100BASE-TX; 38 B of header, checksum, preamble and gap"}, {"delay", Assumed, nobody}, {"loss", Assumed, "none"}, {"mtu", Quoted, "RFC 894"}},
	},
}

func nbiot(name, title string, wake time.Duration, up []float64, down time.Duration, rateUp, rateDown uint64, loss float64, rate Fact, remark string) Preset {
	return Preset{
		Name: name, Title: title, MTU: 1280, Radio: modem(wake),
		Up:   Way{Quantiles: measured(wake, up...), RateBitsPerSecond: rateUp, Loss: loss / 2, QueuePackets: 20},
		Down: Way{Delay: down, RateBitsPerSecond: rateDown, Loss: loss / 2, QueuePackets: 20},
		Facts: []Fact{
			{"delay up", Measured, nbiotData}, {"delay down", Measured, "the same: median of the round trip less that of the way up"},
			{"loss", Measured, "the same: exchanges that failed, half to each way"}, rate,
			{"wake-up", Assumed, fromIdle}, {"inactivity", Measured, "the same: connected for a median of 24 s an exchange"}, {"cycles", Quoted, power},
			{"mtu", Assumed, "the least of IPv6"},
		},
		Remarks: remark,
	}
}
