package scenarios

// rule makes a link of the base that has one rule.
func rule(keys string) string { return "    match: [{" + keys + "}]" }

// fixedClient makes the device's client one without quirks.
func fixedClient(keys string) string {
	return "    quirks: none\n    mqtt: {client_id: device, " + keys + "}\n"
}

// retry makes the device one that connects again, with a growing pause.
func retry(backoff string) string { return pool + "    reconnect: 1s\n    backoff: " + backoff + "\n" }

// brokenRules are broken rules of links, ramps, boxes, pauses, queues without a
// connection, faults and limits of the broker, and groups of devices.
var brokenRules = []brokenScenario{
	// Rules.
	{delay, rule("do: drop"), "12:13", "does not say what it chooses", "message:, tcp:, bytes: or frame:"},
	{delay, rule("message: PUBLISH"), "12:13", `lacks the key "do"`, "do:"},
	{delay, rule("do: drop, message: PUBISH"), "12:33", `"PUBISH"`, `did you mean "PUBLISH"?`},
	{delay, rule("do: drop, message: PUBLISH, tcp: SYN"), "12:47", "not by message and tcp", "two rules"},
	{delay, rule("do: drop, tcp: SYN+SYN"), "12:29", "not TCP flags", "SYN+ACK"},
	{delay, rule("do: drop, tcp: ''"), "12:29", "not TCP flags", "SYN+ACK"},
	{delay, rule("do: drop, bytes: 9..3"), "12:31", "not a range of bytes", "0..99"},
	{delay, rule("do: drop, frame: 0"), "12:31", "too small", "between 1"},
	{delay, rule("do: duplicate, frame: 3, nth: 2"), "12:44", "does nothing beside frame", "choose by message"},
	{delay, rule("do: duplicate, frame: 3, copies: all"), "12:47", "does nothing beside frame", "choose by message"},
	{delay, rule("do: drop, message: PUBACK, topic: a"), "12:48", "only with message: PUBLISH", "remove it"},
	{delay, rule("do: drop, message: PINGREQ, id: 4"), "12:46", "has a packet identifier", "remove it"},
	{delay, rule("do: drop, message: PUBLISH, qos: 0, id: 4"), "12:54", "QoS 0 has no packet identifier", "qos: 1"},
	{delay, rule("do: drop, message: CONNACK, direction: up"), "12:53", "no CONNACK ever goes up", "direction: down"},
	{delay, rule("do: drop, message: SUBSCRIBE, direction: down"), "12:55", "no SUBSCRIBE ever goes down", "direction: up"},
	{delay, rule("do: corrupt, message: PINGREQ, byte: 2"), "12:51", "a PINGREQ has 2 bytes", "0 to 1"},
	{delay, rule("do: corrupt, message: PUBLISH"), "12:13", `lacks the key "byte"`, "byte: 3"},
	{delay, rule("do: corrupt, message: PUBLISH, byte: -1"), "12:51", "too small", "between 0"},
	{delay, rule("do: hold, message: PUBLISH, frames: 0"), "12:50", "too small", "1000000"},
	{delay, rule("do: delay, message: PUBLISH, by: 0s"), "12:47", "too small", "4h"},
	{delay, rule("do: drop, message: PUBLISH, copies: none"), "12:50", "no number of copies", "first, all"},
	{delay, "    match: {do: drop, tcp: SYN}", "12:12", "not a list", "hyphen"},
	{delay, "    drop_frames: [3, 4, 3]", "12:25", "frame 3 stands here twice", "remove one"},
	{delay, "    drop_frames: [5..9]", "12:19", "not a whole number", "digits"},
	// Ramps and boxes.
	{cut, "{at: 1s, do: loss, value: 5%, over: 0s}", "15:41", "too small", "1ms"},
	{cut, "{at: 1s, do: blackhole, over: 5s}", "15:29", `does nothing with "over"`, "its keys are"},
	{cut, "{at: 1s, every: 2s, do: delay, value: 5ms, over: 5s}", "15:54", "takes 5s and begins again after 2s", "shorter"},
	{cut, "{at: 1s, do: impair, change: {delay: 5ms}, over: 5s}", "15:48", `impair does nothing with "over"`, "change"},
	{delay, way("middlebox: {kind: nat, idle_tcp: 0s}"), "12:38", "too small", "168h"},
	{delay, way("middlebox: {idle_tcp: 5s}"), "12:16", `lacks the key "kind"`, "kind:"},
	{delay, way("middlebox: {kind: nat, connections: 0}"), "12:41", "too small", "1000000"},
	// Pauses, and messages without a connection.
	{pool, retry("{max: 5s, factor: 0.5}"), "8:32", "too small", "between 1 and 100"},
	{pool, retry("{jitter: 200%}"), "8:23", "more than everything", "100%"},
	{pool, retry("5s"), "8:14", "not a mapping", "key: value"},
	{pool, retry("{min: 1s}"), "8:15", `unknown key "min"`, "max, factor, jitter"},
	{pool, pool + "    backof: {max: 5s}\n", "7:5", `unknown key "backof"`, `did you mean "backoff"?`},
	{pool, fixedClient("offline_queue: 70000"), "7:46", "too large", "65535"},
	{pool, fixedClient("offline_queue: -1"), "7:46", "a negative value", "0 or more"},
	{pool, fixedClient("persist: 1"), "7:40", "neither true nor false", "true"},
	{pool, pool + "    offline_queue: 5\n", "7:5", `unknown key "offline_queue"`, "it belongs in mqtt:"},
	{connect, "      - connect: {wait: 5s}\n", "8:19", `unknown key "wait"`, "no keys here"},
	// The broker.
	{broker, "broker: {limits: {conections: 5}}", "13:19", `unknown key "conections"`, `did you mean "connections"?`},
	{broker, "broker: {limits: {packet: 1B}}", "13:27", "too small", "64B"},
	{broker, "broker: {limits: 5}", "13:18", "not a mapping", "key: value"},
	{cut, "{at: 1s, do: broker_acks, fault: lost, for: 5s}", "15:38", `"lost"`, "missing, wrong, repeated"},
	{cut, "{at: 1s, do: broker_split, piece: 0B}", "15:39", "too small", "64KiB"},
	{cut, "{at: 1s, do: broker_garbage, hex: '123'}", "15:39", "hexadecimal digits", "20 02 00 00"},
	{cut, "{at: 1s, do: broker_crash, state: gone}", "15:39", `"gone"`, "kept, lost"},
	{cut, "{at: 1s, do: broker_refuse}", "15:5", `lacks the key "code"`, "code:"},
	{broker, "broker: {tls: {}}", "6:11", "the broker speaks TLS, and device does not", "tls: {}"},
	{pool, "    mqtt: {client_id: device, tls: {}}\n", "6:36", "the broker does not", "to the broker"},
	// Groups.
	{cut, "{at: 1s, do: reboot, group: devise}", "15:33", `"devise"`, `did you mean "device"?`},
	{cut, "{at: 1s, do: reboot, group: {from: 5}}", "15:33", "no such device among 1", "others"},
	{cut, "{at: 1s, do: reboot, devices: [device, device]}", "15:44", "stands here twice", "remove one"},
	{cut, "{at: 1s, do: reboot, device: device, devices: [device]}", "15:34", "a device or several", "into the list"},
}
