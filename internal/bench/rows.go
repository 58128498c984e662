package main

import (
	"fmt"
	"strings"
)

// bulkBytes is what each bulk run transfers, ours and the peer's.
const bulkBytes = 50_000_000

// sweepRuns is how many runs the sweep has.
const sweepRuns = 64

// deviceHour is an hour of one device that publishes once a second.
func deviceHour(profile string) string {
	return `version: 1
name: device-hour
duration: 1h
devices:
  - profile: ` + profile + `
    mqtt: {keepalive: 60s}
    steps: [connect, every: {period: 1s, do: [publish: {topic: t, payload: "{n} {t}", qos: 1}]}]
links: [{delay: 40ms}]
broker: {kind: model}
expect: [published >= 3598, lost == 0]
`
}

// The groups, in the order of the table.
var groups = []group{
	bulkGroup(1460), bulkGroup(100),
	{
		name: "device-hour",
		programs: []program{
			{"netx", emulator(deviceHour("netx"), "run", "FILE", "--out", "OUT", "--quiet")},
			{"linux", emulator(deviceHour("linux"), "run", "FILE", "--out", "OUT", "--quiet")},
		},
		rows: []row{
			{"an hour of a `netx` device, a message a second, recorded", "< 0.5 s", seconds("netx")},
			{"an hour of a `linux` device, the same", "< 0.5 s", seconds("linux")},
		},
	},
	{
		name: "pcapng",
		programs: []program{
			{"128", benchmark("pcaps", "^BenchmarkWriteOptions128$", "1s")},
			{"1514", benchmark("pcaps", "^BenchmarkWriteOptions1514$", "1s")},
		},
		rows: []row{
			{"pcapng packet of 128 B with four options, written", "< 150 ns, 0 allocations", perOperation("128")},
			{"pcapng packet of 1,514 B with four options, written", "< 150 ns, 0 allocations", perOperation("1514")},
		},
	},
	{
		name:     "loop",
		programs: []program{{"event", benchmark("sim", "^BenchmarkEvent$/^100$", "1s")}},
		rows:     []row{{"event of the loop, 100 timers pending", "", show("event", "ns/event", "%.0f ns")}},
	},
	{
		name:     "idle",
		programs: []program{{"IPv4", benchmark("stack", "^BenchmarkIdleDevice$/^IPv4$", "100x")}},
		rows: []row{
			{"idle gVisor device, heap", "< 32 KiB", show("IPv4", "heap-B/device", "%.0f B")},
			{"idle gVisor device, stacks of its goroutines", "", show("IPv4", "stack-B/device", "%.0f B")},
		},
	},
	{
		name: "sweep",
		programs: []program{
			{"1", emulator("", "sweep", "link-drop", "--seeds", fmt.Sprint(sweepRuns), "--parallel", "1", "--quiet")},
			{"2", emulator("", "sweep", "link-drop", "--seeds", fmt.Sprint(sweepRuns), "--parallel", "2", "--quiet")},
		},
		rows: []row{{fmt.Sprintf("`emu sweep` of %d runs, two side by side beside one", sweepRuns), "2 × on 2 cores", speedUp}},
	},
	{
		name: "broker",
		programs: []program{
			{"hilnet", benchmark("mqtt/broker/serve", "^BenchmarkQoS1OverLoopback$/^hilnet$", "1s")},
			{"mosquitto", benchmark("mqtt/broker/serve", "^BenchmarkQoS1OverLoopback$/^mosquitto$", "1s")},
		},
		rows: []row{{"`emu broker`, messages of QoS 1 over loopback TCP", "", brokerRate}},
	},
	realGroup(), delayGroup(),
}

// bulkGroup is the transfer in writes of one size.
func bulkGroup(size int) group {
	bulk := func(stack string) program {
		return program{stack, benchmark("emu", fmt.Sprintf("^BenchmarkBulk$/^%s-%d$", stack, size), "1x")}
	}
	what := func(s string) string {
		return fmt.Sprintf("50 MB in writes of %s B, %s", thousands(float64(size)), s)
	}
	const peer = "ns-3, pcap"
	return group{
		name: fmt.Sprintf("bulk-%d", size),
		programs: []program{
			bulk("gvisor"), bulk("embedded"), {peer, ns3(size, true)}, {"ns-3", ns3(size, false)},
		},
		rows: []row{
			{what("gVisor at both ends, both recorded"), "≥ 1 × ns-3, pcap", transfer("gvisor", peer)},
			{what("NetX's TCP at both ends, both recorded"), "≥ 1 × ns-3, pcap", transfer("embedded", peer)},
			{what("ns-3, one end recorded"), "", transfer(peer, "")},
			{what("ns-3, not recorded"), "", transfer("ns-3", "")},
		},
	}
}

func framesPerSecond(s sample) float64 { return s.metrics["frames"] / s.cpu.Seconds() }

// transfer shows frames and payload a second of processor time, and how many
// times the frames of the peer that is.
func transfer(program, peer string) func(found) string {
	return func(f found) string {
		frames, ok := f.median(program, framesPerSecond)
		if !ok {
			return f.notMeasured(program)
		}
		payload, _ := f.median(program, func(s sample) float64 { return bulkBytes / 1e6 / s.cpu.Seconds() })
		text := fmt.Sprintf("%s frames/s, %.1f MB/s", thousands(frames), payload)
		if peer == "" {
			return text
		}
		if beside, ok := f.median(peer, framesPerSecond); ok {
			return fmt.Sprintf("%s; %.1f ×", text, frames/beside)
		}
		return text + "; ratio: " + f.notMeasured(peer)
	}
}

// seconds shows wall and processor time of a program.
func seconds(program string) func(found) string {
	return func(f found) string {
		wall, ok := f.median(program, func(s sample) float64 { return s.wall.Seconds() })
		cpu, _ := f.median(program, func(s sample) float64 { return s.cpu.Seconds() })
		if !ok {
			return f.notMeasured(program)
		}
		return fmt.Sprintf("%.2f s, %.2f s of processor", wall, cpu)
	}
}

func perOperation(program string) func(found) string {
	return func(f found) string {
		ns, ok := f.median(program, metric("ns/op"))
		allocs, _ := f.median(program, metric("allocs/op"))
		if !ok {
			return f.notMeasured(program)
		}
		return fmt.Sprintf("%.0f ns, %.0f allocations", ns, allocs)
	}
}

func show(program, unit, format string) func(found) string {
	return func(f found) string {
		v, ok := f.median(program, metric(unit))
		if !ok {
			return f.notMeasured(program)
		}
		return fmt.Sprintf(format, v)
	}
}

func speedUp(f found) string {
	wall := func(s sample) float64 { return s.wall.Seconds() }
	one, ok1 := f.median("1", wall)
	two, ok2 := f.median("2", wall)
	if !ok1 || !ok2 {
		return f.notMeasured("1")
	}
	return fmt.Sprintf("%.2f s beside %.2f s: %.2f ×", two, one, one/two)
}

func brokerRate(f found) string {
	own, ok := f.median("hilnet", metric("messages/s"))
	if !ok {
		return f.notMeasured("hilnet")
	}
	text := thousands(own) + " messages/s"
	if peer, ok := f.median("mosquitto", metric("messages/s")); ok {
		return fmt.Sprintf("%s; %.2f × mosquitto", text, own/peer)
	}
	return text + "; ratio: " + f.notMeasured("mosquitto")
}

func metric(unit string) func(sample) float64 {
	return func(s sample) float64 { return s.metrics[unit] }
}

func (f found) notMeasured(program string) string {
	if err := f.absent[program]; err != nil {
		what, _, _ := strings.Cut(err.Error(), ":")
		return "not measured: " + what
	}
	return "not measured"
}
