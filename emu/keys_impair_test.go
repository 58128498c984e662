package emu

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// impairedLinks are what links of one direction say, so that each key of a
// direction matters in one of them. Each is a device's.
var impairedLinks = []string{
	`preset: lte-m`,
	`netem: {tc: "delay 20ms 10ms 50% loss 5%", mode: netem}`,
	`delay: 30ms
jitter: {spread: 20ms, distribution: normal, correlation: 50%, order: keep}
loss: {share: 5%, model: independent, correlation: 50%}
duplicate: {share: 5%, correlation: 50%}`,
	`delay: 30ms
jitter: {spread: 40ms, order: reorder}
reorder: {share: 35%, correlation: 20%, gap: 1}
loss: {model: gilbert-elliott, to_bad: 5%, to_good: 30%, bad: 90%, good: 1%}`,
	`loss: {model: gilbert-elliott, share: 10%, run: 3}
corrupt: {share: 20%, correlation: 30%, bits: 2, from: 0, to: 60, payload: false, repair: false}`,
	`loss: {model: four-state, p13: 5%, p31: 30%, p32: 25%, p23: 20%, p14: 2%}
jitter: {quantiles: [{share: 10%, delay: 5ms}, {share: 90%, delay: 60ms}]}`,
	`loss: {model: shuffle, lose: 1, of: 10}
mtu: 400
police: {rate: 8kbit, burst: 800B}`,
	`loss: {model: pattern, pattern: [5%, 50%, 0%]}
rate: 10kbit
overhead: 20B
cell: {payload: 48B, overhead: 5B}
burst: 500B
queue: {packets: 5, bytes: 3kB, discipline: drop-tail}`,
	`rate: 10kbit
queue: {discipline: codel, target: 5ms, interval: 50ms, mark_at: 2}
ecn: false`,
	`slot: {every: 100ms, most: 200ms, packets: 2, bytes: 1kB}
states: [{name: good, dwell: 2s, fixed: false, next: [0, 1, 1]}, {name: bad, loss: 30%, delay: 40ms, dwell: 500ms, next: [1, 0, 1]}, {name: slow, rate: 6kbit, dwell: 500ms, next: [1, 0, 0]}]`,
	`trace: {of: akamai-loss-poor, start: 8s, once: false}`,
	`airtime: [{share: 10%, delay: 20ms}, {share: 90%, delay: 120ms}]`,
	`slot: {every: 90ms, packets: 4, grid: false}
states: [{packets: 10}, {packets: 3, loss: 30%}]`,
}

// impaired returns the base in which the keys of a direction stand at a place of
// links: "" for both ways, up or down; or in the timeline, with change.
func impaired(where string) string {
	var devices, links, timeline strings.Builder
	for i, text := range impairedLinks {
		if where == "change" && strings.HasPrefix(text, "trace") {
			text = "delay: 35ms" // a trace does not change: see keyElsewhere
		}
		fmt.Fprintf(&devices, "  - {name: d%d, profile: linux, reconnect: 1s, mtu: 1500, steps: *steps}\n", i)
		keys := indentText(text, "      ")
		switch where {
		case "":
			fmt.Fprintf(&links, "  - name: l%d\n    device: d%d\n%s\n", i, i, indentText(text, "    "))
		case "change":
			base := ""
			if strings.HasPrefix(text, "netem") {
				base = ", netem: delay 10ms"
			}
			fmt.Fprintf(&links, "  - {name: l%d, device: d%d%s}\n", i, i, base)
			fmt.Fprintf(&timeline, "  - at: 3s\n    do: impair\n    link: l%d\n    change:\n%s\n", i, keys)
		default:
			fmt.Fprintf(&links, "  - name: l%d\n    device: d%d\n    %s:\n%s\n", i, i, where, keys)
		}
	}
	text := "version: 1\nname: impaired-" + where + "x\nduration: 9s\ncapture: [broker]\ndevices:\n" + `  - name: first
    profile: linux
    steps: &steps
      - connect
      - subscribe: {topic: "#", qos: 0}
      - every: {period: 400ms, do: [publish: {topic: t, size: 300B, qos: 1}, publish: {topic: t, size: 40B, qos: 0}]}
` + devices.String() + "links:\n  - {name: l, device: first}\n" + links.String() + "broker: {kind: model}\n"
	if timeline.Len() > 0 {
		text += "timeline:\n" + timeline.String()
	}
	return text
}

func indentText(text, by string) string { return by + strings.ReplaceAll(text, "\n", "\n"+by) }

// boxBases are middleboxes, and what the timeline does to them and to levels.
var boxBases = []string{
	`
version: 1
name: boxes
duration: 20s
devices:
  - {name: a, reconnect: 1s, mqtt: {wait: 1s}, steps: &steps [connect, every: {period: 3s, do: [publish: {topic: t, size: 300B, qos: 1}]}]}
  - {name: b, reconnect: 1s, mqtt: {wait: 1s}, steps: *steps}
  - {name: c, reconnect: 1s, mqtt: {wait: 1s}, steps: *steps}
  - {name: d, reconnect: 1s, mqtt: {wait: 1s}, steps: *steps}
links:
  - {name: la, device: a, delay: 20ms, middlebox: {kind: nat, idle_tcp: 10s, reset: false, connections: 100, mtu: 1500, too_big: icmp}}
  - {name: lb, device: b, delay: 20ms, rate: 40kbit, middlebox: firewall}
  - {name: ld, device: d, delay: 20ms, middlebox: {kind: nat, idle_tcp: 100s, connections: 4}}
  - {name: lc, device: c, delay: 20ms, middlebox: {kind: router, mtu: 200, too_big: icmp}}
broker: {kind: model}
timeline:
  - {at: 6s, do: power_cut, for: 1s, device: d}
  - {at: 5s, do: box_forget, link: la}
  - {at: 9s, do: box_address, address: 10.0.0.90, link: la}
  - {at: 11s, do: captive, for: 1s, link: lb}
  - {at: 13s, do: delay, value: 800ms, over: 3s, for: 5s, link: lb, direction: up}
  - {at: 14s, do: rate, value: 10%, for: 2s, link: lb, direction: down}
`,
	// Modems: one that sleeps, one that listens at times.
	`
version: 1
name: radios
duration: 40s
devices:
  - {name: a, reconnect: 1s, mqtt: {wait: 4s}, steps: &steps [connect, subscribe: {topic: "#", qos: 0}, every: {period: 7s, do: [publish: {topic: t, size: 300B, qos: 1}]}]}
  - {name: b, reconnect: 1s, mqtt: {wait: 4s}, steps: *steps}
links:
  - {name: la, device: a, delay: 20ms, radio: {inactivity: 2s, wake: 1s, active: 1s, sleep: 5s}}
  - {name: lb, device: b, delay: 20ms, radio: {inactivity: 2s, wake: 1s, paging: 1280ms, offset: 100ms, connected_drx: 300ms, queue: 64}}
broker: {kind: model}
timeline:
  - {at: 5s, every: 4300ms, do: broker_publish, topic: a, size: 20B}
  - {at: 5010ms, every: 4300ms, do: broker_publish, topic: b, size: 20B}
  - {at: 5020ms, every: 4300ms, do: broker_publish, topic: c, size: 20B}
`,
}

// impairedBases are the scenarios in which the keys of links matter.
func impairedBases() []string {
	return append([]string{impaired(""), impaired("up"), impaired("down"), impaired("change")}, boxBases...)
}

// directionPrefix is in front of a key of a direction.
var directionPrefix = regexp.MustCompile(`^(links\[\]\.(up\.|down\.)?|timeline\[\]\.change\.)`)

// nestedWay are the keys inside those of one way, of a change and of a rule in the
// timeline: they are the same types as those of a link, which are tried, read by
// the same code.
var nestedWay = regexp.MustCompile(`^(links\[\]\.(up|down)|timeline\[\]\.change)\.[a-z_]+(\[\])?\.|^timeline\[\]\.rule\.`)

// impairedElsewhere are the keys of directions and middleboxes that no run of
// hilnet's own stacks shows, and what does.
var impairedElsewhere = map[string]string{
	"ecn":                   "TestWhatNoStackHereUsesReachesTheLink: no stack here uses ECN",
	"queue.mark_at":         "TestWhatNoStackHereUsesReachesTheLink",
	"states[].name":         "TestWhatNoStackHereUsesReachesTheLink: it is for people",
	"loss.model":            "TestNoKeyParsesAndDoesNothing: each model's own keys, which no other takes",
	"netem.mode":            "TestANetemStringIsTakenAsItsModeSays",
	"middlebox.kind":        "TestNoKeyParsesAndDoesNothing: middlebox, whose value alone is the kind",
	"loss.p23":              "TestWhatNoStackHereUsesReachesTheLink: few runs come there, package conformance measures it",
	"middlebox.connections": "TestWhatNoStackHereUsesReachesTheLink: a device has one connection at a time",
	"middlebox.idle_udp":    "TestWhatNoStackHereUsesReachesTheLink: devices speak TCP",
}

func TestWhatNoStackHereUsesReachesTheLink(t *testing.T) {
	l := load(t, strings.Replace(keyBase(t, "one-link"), "delay: 30ms",
		"ecn: true, queue: {mark_at: 7}, states: [{name: only}], middlebox: {kind: nat, idle_udp: 9s, connections: 3}, loss: {model: four-state, p13: 1%, p23: 9%}", 1)).Links[0]
	c := l.Up.Config()
	if !c.LossMarksECN || !c.Burst.MarkECN || !c.Shaper.MarkECN || c.Shaper.MarkPackets != 7 || c.Conditions.States[0].Name != "only" {
		t.Errorf("%+v", c)
	}
	if c.Burst.FourState.P23 != .09 {
		t.Errorf("%+v", c.Burst.FourState)
	}
	if box := l.Middlebox.Config(); box.State.IdleUDP != 9*time.Second || box.State.MaxConnections != 3 {
		t.Errorf("%+v", box)
	}
}

// What netem does to correlated losses, and what was meant.
func TestANetemStringIsTakenAsItsModeSays(t *testing.T) {
	lost := func(mode, links string) uint64 {
		sc := load(t, strings.NewReplacer("MODE", mode).Replace(`
version: 1
name: modes
duration: 60s
devices: [{profile: linux, reconnect: 1s, steps: [connect, every: {period: 20ms, do: [publish: {topic: t, qos: 0}]}]}]
broker: {kind: model}
`+links))
		r, err := Run(t.Context(), sc, Options{Out: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		return uint64(r.Outcome.Links[0].Up.Dropped)
	}
	for _, links := range []string{
		`links: [{netem: {tc: "loss 5% 60%", mode: MODE}}]`,
		`links: [{netem: {tc: "loss 0%", mode: MODE}}]
timeline: [{at: 0s, do: impair, change: {netem: {tc: "loss 5% 60%", mode: MODE}}}]`,
	} {
		if exact, meant := lost("netem", links), lost("correct", links); exact >= 10 || meant < 50 {
			t.Errorf("netem loses %d, what was meant is %d: netem loses next to nothing", exact, meant)
		}
	}
}
