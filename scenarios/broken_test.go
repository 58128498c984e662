package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// base is a good scenario; the table below changes one thing in it.
const base = `version: 1
name: base
duration: 60s
devices:
  - name: device
    mqtt: {client_id: device, keepalive: 30s}
    steps:
      - connect
      - publish: {topic: a/b, payload: x, qos: 1}
links:
  - name: link
    delay: 100ms
broker: {kind: model}
timeline:
  - {at: 20s, do: blackhole, for: 8s}
expect:
  - lost == 0
`

func TestTheBaseOfTheBrokenScenariosIsGood(t *testing.T) {
	if _, err := Load("base", []byte(base)); err != nil {
		t.Fatal(err)
	}
}

// A brokenScenario is base with one text replaced.
type brokenScenario struct {
	from, to string
	at       string // line:column
	msg      string // part of the message
	hint     string // part of the hint
}

func (b *brokenScenario) text() string { return strings.Replace(base, b.from, b.to, 1) }

const (
	delay   = "    delay: 100ms"
	broker  = "broker: {kind: model}"
	connect = "      - connect\n"
	cut     = "{at: 20s, do: blackhole, for: 8s}"
	steps   = "    steps:\n" + connect + "      - publish: {topic: a/b, payload: x, qos: 1}\n"
	pool    = "    mqtt: {client_id: device, keepalive: 30s}\n"
	second  = "  - {name: other, steps: [connect]}\nlinks:\n"
)

var broken = []brokenScenario{
	// The language.
	{"version: 1\n", "", "1:1", `lacks the key "version"`, "add it: version: 1"},
	{"version: 1", "version: 2", "1:10", `version "2"`, "version: 1"},
	{"name: base\n", "", "1:1", `lacks the key "name"`, "name:"},
	{"name: base", "name: Base Case", "2:7", "not a name", "lower-case"},
	{delay, "    dealy: 100ms", "12:5", `unknown key "dealy"`, `did you mean "delay"?`},
	{delay, "    delay: 100ms\n    delay: 1s", "13:5", "stands here twice, first in line 12", "remove one"},
	{delay, "\tdelay: 100ms", "12:1", "a tab", "spaces"},
	{delay, "   delay: 100ms", "12:4", "not YAML", "indentation"},
	{delay, "    delay: \"1s", "12:12", "not YAML", "quotes"},
	{"name: base", "<<: {}", "2:1", "merge keys", "repeat"},
	{"name: base", "name: !foo x", "2:7", "the tag !foo", "remove"},
	{"name: base", "name: *base", "2:7", "alias *base has no anchor", "&base"},
	{"version: 1", "version: 1\n---\nversion: 1", "3:1", "second document", "two files"},
	{"name: base", "name: a\x01", "2:8", "U+0001", "remove"},
	// Kinds of value.
	{delay, "    delay:", "12:11", "delay has no value", "remove the key"},
	{delay, "    delay: [1s]", "12:12", "delay is a list", "one value"},
	{broker, "broker: model", "13:9", "broker is a text, not a mapping", "key: value"},
	{broker, "broker:", "13:8", "broker is empty", "key: value"},
	{"expect:\n  - lost == 0", "expect: lost == 0", "16:9", "expect is a text, not a list", "hyphen"},
	{"duration: 60s", "seed: -1\nduration: 60s", "3:7", "not a whole number", "digits"},
	{"duration: 60s", "seed: 99999999999999999999\nduration: 60s", "3:7", "out of range", "smaller"},
	{"duration: 60s", "clock: reel\nduration: 60s", "3:8", `"reel"`, `did you mean "real"?`},
	{"duration: 60s", "clock: real\nspeed: fast\nduration: 60s", "4:8", "not a number", "without a unit"},
	{"keepalive: 30s", "keepalive: 30s, clean_session: yes", "6:62", "neither true nor false", "true or false"},
	// Units.
	{delay, "    delay: 100", "12:12", "has no unit", "write 100s or another unit"},
	{delay, "    delay: 100msec", "12:12", `unknown unit "msec"`, "ns, us, ms"},
	{delay, "    delay: 100MS", "12:12", `unknown unit "MS"`, `did you mean "100ms"?`},
	{delay, "    delay: -5ms", "12:12", "negative", "without a sign"},
	{delay, "    delay: soon", "12:12", "not a duration", "100ms"},
	{delay, "    delay: 0.5ns", "12:12", "finer than one unit", ""},
	{delay, "    loss: 2", "12:11", "no percent sign", "write 2%"},
	{delay, "    loss: 0.02", "12:11", "no percent sign", "write 2%"},
	{delay, "    loss: 101%", "12:11", "more than everything", "100%"},
	{delay, "    loss: -1%", "12:11", "negative", "without a sign"},
	{delay, "    rate: 64kbps", "12:11", `unknown unit "kbps"`, "bit, kbit"},
	{delay, "    rate: -64kbit", "12:11", "negative", "without a sign"},
	{delay, "    rate: 0kbit", "12:11", "carries nothing", "unlimited"},
	{delay, "    queue: {bytes: 30KB}", "12:20", `unknown unit "KB"`, "did you mean"},
	{delay, "    queue: {packets: 0}", "12:22", "too small", "between 1 and 1000000"},
	{"keepalive: 30s", "keepalive: 1.5s", "6:42", "not a whole number of seconds", "whole seconds"},
	{"keepalive: 30s", "keepalive: 20h", "6:42", "too large", "65535s"},
	// Devices and addresses.
	{pool, pool + "    mtu: 100\n", "7:10", "mtu 100 is too small", "between 576 and 9000"},
	{pool, pool + "    kind: robot\n", "7:11", `"robot" is not known here`, "model"},
	{pool, pool + "    profile: lwip\n", "7:14", `"lwip" is not known here`, "netx"},
	{pool, pool + "    mac: 03:00:00:00:00:02\n", "7:10", "group address", "even"},
	{pool, pool + "    mac: 02-00-00-00-00-02\n", "7:10", "not an Ethernet address", "02:00:00:00:00:02"},
	{pool, pool + "    address: 10.0.0.2\n", "7:14", "lacks its prefix length", "10.0.0.2/24"},
	{pool, pool + "    address: 10.0.0.1/24\n", "7:14", "taken by the broker", "own address"},
	{pool, pool + "    address: 10.0.1.2/24\n", "7:14", "different networks", "10.0.0.0/24"},
	{pool, pool + "    address: 10.0.0.255/24\n", "7:14", "not the address of a host", "another"},
	{pool, pool + "    gateway: 10.0.9.1\n", "7:14", "not in the device's network", "10.0.0.0/24"},
	{pool, pool + "    pool: {packets: 4, memory: 20kB}\n", "7:11", "either packets or memory", "remove one"},
	{pool, pool + "    pool: {packets: 0}\n", "7:21", "too small", "65535"},
	{pool, pool + "    reconnect: 0s\n", "7:16", "a pause of 0s", "never"},
	{pool, pool + "    backoff: {max: 5s}\n", "7:14", "without reconnect", "reconnect:"},
	{pool, pool + "    reconnect: 9s\n    backoff: {max: 5s}\n", "8:20", "shorter than the first", "longer"},
	{"keepalive: 30s", "keepalive: 30s, offline_queue: 5", "6:62", "client with quirks", "quirks: none"},
	{"keepalive: 30s", "keepalive: 30s, persist: true", "6:56", "client with quirks", "quirks: none"},
	{pool, pool + "    quirks: defualt\n", "7:13", "neither default nor none", `did you mean "default"?`},
	{steps, "", "5:5", "does nothing", "steps: or app:"},
	{steps, steps + "    app: mine\n", "10:10", "either steps or an app", "remove one"},
	{"links:\n", second, "12:5", "must say to which it belongs", "device, other"},
	{"links:\n", strings.Replace(second, "other", "device", 1), "10:12", `the name "device" is taken`, "own name"},
	{delay, "    device: devise", "12:13", `no device is called "devise"`, `did you mean "device"?`},
	{delay, "    delay: 1ms\n  - {name: b}", "13:5", "has the link link already", "one link"},
	// Steps.
	{connect, "      - wait: 5s\n", "8:9", `unknown step "wait"`, "sleep: …; wait_for waits for an event"},
	{connect, "      - conect\n", "8:9", `unknown step "conect"`, `did you mean "connect"?`},
	{connect, "      - sleep\n", "8:9", "needs a duration", "sleep: 5s"},
	{connect, "      - connect: {}\n        sleep: 5s\n", "9:9", "here are 2", "hyphen"},
	{connect, "      - every: {period: 0s, do: [connect]}\n", "8:25", "too small", "1ms"},
	{connect, "      - every: {period: 1s}\n", "8:16", `lacks the key "do"`, "do:"},
	{connect, "      - every: {period: 1s, do: []}\n", "8:33", "0 entries", "between 1 and 5000"},
	{connect, "      - wait_for: {event: conected}\n", "8:27", `"conected"`, `did you mean "connected"?`},
	{"qos: 1", "qos: 4", "9:48", "not a quality of service", "0, 1 or 2"},
	{"payload: x", "payload: x, size: 3B", "9:18", "either a payload or a size", "remove one"},
	{"topic: a/b", "topic: a/#", "9:26", "not a topic name", "without"},
	{connect, "      - subscribe: {topic: a#}\n", "8:28", "not a topic filter", "alone"},
	{connect, "      - &a\n        every: {period: 1s, do: [*a]}\n", "9:16", "32 levels deep", ""},
	// The broker.
	{broker + "\n", "", "1:1", `lacks the key "broker"`, "broker: {kind: model}"},
	{broker, "broker: {kind: tap}", "13:16", "needs the real clock", "clock: real"},
	{broker, "broker: {tap: {name: hil0}}", "13:15", "has no TAP", "kind: tap"},
	{broker, "broker: {port: 70000}", "13:16", "too large", "65535"},
	{"duration: 60s", "speed: 2\nduration: 60s", "3:8", "virtual time has no speed", "clock: real"},
	// The timeline.
	{cut, "{at: 90s, do: blackhole}", "15:10", "not before the end of the run at 60s", "longer"},
	{cut, "{at: 20s}", "15:5", `lacks the key "do"`, "blackhole, link_down"},
	{cut, "{do: blackhole}", "15:5", `lacks the key "at"`, "at: 7s"},
	{cut, "{at: 20s, do: blackhol}", "15:19", `"blackhol"`, `did you mean "blackhole"?`},
	{cut, "{at: 20s, do: blackhole, for: 0s}", "15:35", "too small", "1ms"},
	{cut, "{at: 20s, do: blackhole, packets: 3}", "15:30", `blackhole does nothing with "packets"`, "do, for, link, devices, group, direction"},
	{cut, "{at: 20s, do: leak, for: 8s}", "15:5", `leak lacks the key "packets"`, "packets"},
	{cut, "{at: 20s, do: leak, packets: 17}", "15:34", "only 16 packets", "fewer"},
	{cut, "{at: 20s, do: loss, value: 10}", "15:32", "no percent sign", "10%"},
	{cut, "{at: 20s, do: delay, value: 10%}", "15:33", "unknown unit", "ms"},
	{cut, "{at: 20s, do: blackhole, link: lnk}", "15:36", `no link is called "lnk"`, `did you mean "link"?`},
	{cut, cut + "\n  - {at: 27s, do: blackhole, direction: up, for: 1s}", "16:5", "still on", "end before"},
	{cut, "{at: 1s, do: link_down, for: 5s}\n  - {at: 5s, do: tx_error}", "16:5", "still on", "end before"},
	{cut, "{at: 1s, do: broker_publish, topic: a/+}", "15:41", "not a topic name", "without"},
	// Expectations.
	{"lost == 0", "losst == 0", "17:5", `nothing called "losst"`, `did you mean "lost"?`},
	{"lost == 0", "lost = 0", "17:10", "unexpected token", "compare with =="},
	{"lost == 0", "lost", "17:5", "expected bool", "lost == 0"},
	{"lost == 0", "latency_p99 < 500", "17:17", "mismatched types", "500ms"},
	{"lost == 0", "latency_p99 < 500ms and lots == 0", "17:29", `"lots"`, `did you mean "lost"?`},
	{"lost == 0", `device("devise").lost == 0`, "17:12", `no device is called "devise"`, `did you mean "device"?`},
	{"lost == 0", "drops.reason.los == 0", "17:18", `"los"`, `did you mean "loss"?`},
	{"lost == 0", `link("link").up.drobbed == 0`, "17:21", `"drobbed"`, `did you mean "dropped"?`},
	{"lost == 0", "filter([1, 2], {true})", "17:5", `"filter"`, "abs, ceil"},
	{"  - lost == 0", "  - {text: x}", "17:5", `lacks the key "that"`, "that:"},
	{"lost == 0", "lost == 0" + strings.Repeat("+0", 240), "17:214", "the expression", "shorter"},
}

func TestBrokenScenariosAreRefusedWithPositionAndHint(t *testing.T) {
	for _, c := range slices.Concat(broken, brokenToo, brokenImpairments, brokenRules) {
		t.Run(fmt.Sprintf("%.60q", c.to), func(t *testing.T) {
			text := c.text()
			if text == base {
				t.Fatalf("base has no %q", c.from)
			}
			_, err := Load("f.yaml", []byte(text))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if at := fmt.Sprintf("%d:%d", e.Line, e.Column); at != c.at {
				t.Errorf("at %s, want %s", at, c.at)
			}
			if !strings.Contains(e.Msg, c.msg) {
				t.Errorf("message %q, want %q", e.Msg, c.msg)
			}
			if !strings.Contains(e.Hint, c.hint) {
				t.Errorf("hint %q, want %q", e.Hint, c.hint)
			}
			if !strings.HasPrefix(e.Error(), "f.yaml:"+c.at+": ") || !strings.HasSuffix(e.Excerpt, "^") {
				t.Errorf("reads as\n%v", e)
			}
			if n := strings.Count(err.Error(), "\n"); n > 24 {
				t.Errorf("%d lines: more than a screen", n)
			}
			if t.Failed() {
				t.Logf("\n%v", err)
			}
		})
	}
}

func TestSeveralErrorsAreReportedAtOnceInTheOrderOfTheFile(t *testing.T) {
	text := strings.NewReplacer(delay, "    delay: x\n    los: 2%", "qos: 1", "qos: 7", "lost == 0", "").Replace(base)
	_, err := Load("f.yaml", []byte(text))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	var at []string
	for _, e := range errs {
		at = append(at, fmt.Sprintf("%d:%d", e.Line, e.Column))
	}
	if got := strings.Join(at, " "); got != "9:48 12:12 13:5 18:5" {
		t.Errorf("errors at %s\n%v", got, err)
	}
}

func TestAtMostTenErrorsAreReported(t *testing.T) {
	text := strings.Replace(base, delay, strings.Repeat("    x: 1\n", 40), 1)
	_, err := Load("f.yaml", []byte(text))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != MaxErrors {
		t.Errorf("%d errors", len(errs))
	}
	text = base + strings.Repeat("  - lots == 0\n", 40)
	if _, err = Load("f.yaml", []byte(text)); !errors.As(err, &errs) || len(errs) != MaxErrors {
		t.Errorf("%d errors in the expectations", len(errs))
	}
}
