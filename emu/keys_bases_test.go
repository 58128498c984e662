package emu

// keyBases are scenarios in which every key matters somewhere.
var keyBases = []string{
	// Everything that one device's client and application do.
	`
version: 1
name: client
about: first
seed: 1
duration: 20s
devices:
  - name: device
    kind: model
    profile: netx
    mac: 02:00:00:00:00:02
    address: 10.0.0.2/24
    mtu: 1500
    quirks: default
    reconnect: 1s
    pool: {packets: 16, payload: 1536B}
    mqtt:
      client_id: device
      keepalive: 5s
      clean_session: true
      wait: 3s
      thread_priority: 5
      login: {user: me, password: word}
      will: {topic: will, message: last words, qos: 0, retain: false}
    steps:
      - connect: {}
      - wait_for: {event: connected, timeout: 5s}
      - subscribe: {topic: "commands/#", qos: 0}
      - publish: {topic: telemetry, payload: "first {n} at {t}", qos: 0, retain: false}
      - publish: {topic: telemetry, size: 50B, qos: 1}
      - wait_for: {event: acked, timeout: 5s}
      - sleep: 500ms
      - every: {period: 500ms, count: 10, for: 4s, do: [publish: {topic: often, qos: 1}]}
      - repeat: {times: 2, do: [publish: {topic: repeated, qos: 1}]}
      - message_get: one
      - wait_for: {event: disconnected, timeout: 700ms}
      - unsubscribe: {topic: "commands/#"}
      - disconnect: {}
links:
  - {name: link, device: device, delay: 20ms, loss: 5%}
broker: {kind: model, address: 10.0.0.1/24, port: 1883}
timeline:
  - {at: 3s, do: broker_publish, topic: commands/a, payload: one, qos: 1}
  - {at: 3s, do: broker_publish, topic: commands/a, payload: two, qos: 1}
  - {at: 6s, do: blackhole, for: 7s}
capture: [device, peer]
expect:
  - {text: first words, that: published == 0}
`,
	// Rules that choose frames by what they carry.
	`
version: 1
name: rules
duration: 20s
devices:
  - steps:
      - connect
      - every: {period: 400ms, count: 20, do: [publish: {topic: a/b, size: 60B, qos: 1}]}
links:
  - delay: 30ms
    match:
      - {do: drop, message: PUBLISH, nth: 3, copies: first, direction: up, topic: "a/#", qos: 1, id: 3, dup: false}
      - {do: delay, message: PUBACK, nth: 5, by: 1s}
      - {do: hold, message: PUBACK, nth: 8, frames: 2}
      - {do: corrupt, message: PUBACK, nth: 10, byte: 0}
      - {do: drop, tcp: SYN, nth: 1}
      - {do: drop, bytes: 100..120}
      - {do: delay, frame: 30, direction: up, by: 700ms}
broker: {kind: model}
`,
	// A narrow link, each way with numbers of its own.
	`
version: 1
name: narrow
duration: 15s
devices:
  - pool: {memory: 40kB, payload: 512B}
    steps: [connect, every: {period: 100ms, do: [publish: {topic: t, size: 300B, qos: 0}]}]
links:
  - {delay: 10ms, loss: 3%, rate: 9600bit, overhead: 20B, queue: {packets: 5, bytes: 1MiB}}
broker: {kind: model}
`,
	`
version: 1
name: two-ways
duration: 15s
devices:
  - steps:
      - connect
      - subscribe: {topic: "#", qos: 1}
      - every: {period: 500ms, do: [publish: {topic: t, size: 300B, qos: 1}, publish: {topic: t, size: 300B, qos: 1}, message_get: all]}
links:
  - up: {delay: 10ms, loss: 3%, rate: 9600bit, overhead: 20B, queue: {packets: 5, bytes: 1MiB}}
    down: {delay: 40ms, loss: 3%, rate: 4800bit, overhead: 20B, queue: {packets: 5, bytes: 1MiB}}
broker: {kind: model}
`,
	// What waits: a connect to a broker that is cut off, then again and again.
	`
version: 1
name: waits
duration: 30s
devices:
  - mqtt: {wait: 2s}
    reconnect: 1s
    steps: [connect, wait_for: {event: message, timeout: 2s}, publish: {topic: t, qos: 1}]
broker: {kind: model}
timeline: [{at: 0s, do: blackhole, for: 5s}]
`,
	// Firmware in Go.
	`
version: 1
name: firmware
duration: 5s
devices: [{app: firmware}]
broker: {kind: model}
`,
	// Every action, with two devices and two links to choose from.
	`
version: 1
name: actions
duration: 30s
devices:
  - name: a
    steps: &steps
      - connect
      - subscribe: {topic: "commands/#", qos: 1}
      - every: {period: 400ms, do: [publish: {topic: t, payload: "{n}", qos: 0}]}
    mqtt: {wait: 500ms}
    reconnect: 1s
  - {name: b, mqtt: {wait: 500ms}, reconnect: 1s, steps: *steps}
links:
  - {name: link-a, device: a, delay: 5ms, match: [{do: duplicate, tcp: FIN}]}
  - {name: link-b, device: b, delay: 5ms, match: [{do: duplicate, tcp: FIN}]}
broker: {kind: model}
timeline:
  - {at: 24s, do: match, rule: {do: hold, message: PUBLISH, direction: up}, for: 2s, link: link-a}
  - {at: 24900ms, do: match_release, link: link-a}
  - {at: 2s, do: blackhole, for: 1s, link: link-a, direction: both}
  - {at: 5s, do: loss, value: 30%, for: 2s, link: link-a, direction: both}
  - {at: 9s, do: delay, value: 50ms, for: 2s, link: link-a, direction: both}
  - {at: 12s, do: rate, value: 20kbit, for: 2s, link: link-a, direction: both}
  - {at: 15s, do: link_down, for: 1s, device: a}
  - {at: 18s, do: tx_error, for: 1s, device: a}
  - {at: 21s, do: leak, for: 6s, device: a, packets: 3}
  - {at: 23s, do: release, device: a, packets: 1}
  - {at: 28s, do: broker_publish, topic: commands/a, payload: p, qos: 0, retain: false}
`,
	// A link that belongs to one of two.
	`
version: 1
name: one-link
duration: 5s
devices:
  - {name: a, steps: [connect]}
  - {name: b, steps: [connect]}
links: [{device: a, delay: 30ms}]
broker: {kind: model}
`,
	// An application that waits for a packet, with the client's mutex, when the
	// client's thread wants both: here priorities decide.
	`
version: 1
name: threads
duration: 20s
devices:
  - pool: {packets: 6, payload: 512B}
    mqtt: {wait: 2s}
    reconnect: 2s
    steps: [connect, every: {period: 200ms, do: [publish: {topic: t, size: 400B, qos: 1}]}]
links: [{delay: 200ms, rate: 9600bit, queue: {packets: 20}}]
broker: {kind: model}
`,
	// What the application sets for one connection, and buffers that it reads into.
	`
version: 1
name: calls
duration: 12s
devices:
  - mqtt: {keepalive: 60s, topic_buffer: 64KiB, message_buffer: 1MiB}
    steps:
      - login: {user: me, password: word}
      - will: {topic: will, message: last words, qos: 0, retain: false}
      - connect
      - subscribe: {topic: "#", qos: 0}
      - sleep: 3s
      - message_get: all
broker: {kind: model}
timeline:
  - {at: 1s, do: broker_publish, topic: commands, payload: one}
  - {at: 8s, do: power_cut}
`,
	// Actions on several devices.
	`
version: 1
name: groups
duration: 30s
devices:
  - {name: b, steps: &publishing [connect, every: {period: 1s, do: [publish: {topic: t, qos: 0}]}]}
  - {name: a, count: 4, steps: *publishing}
broker: {kind: model}
timeline:
  - {at: 3s, do: power_cut, for: 1s, devices: [a-1, a-3]}
  - {at: 8s, do: power_cut, for: 1s, group: {of: b}}
  - {at: 15s, do: blackhole, for: 2s, group: {of: a, from: 1, to: 3, every: 1}}
`,
	// A message that is kept for a late subscriber.
	`
version: 1
name: retained
duration: 6s
devices:
  - steps: [connect, {sleep: 3s}, subscribe: {topic: "#", qos: 1}, {sleep: 1s}, message_get: all, delete: {}]
broker: {kind: model}
timeline: [{at: 1s, do: broker_publish, topic: kept, size: 20B, qos: 1}]
`,
	// Power, parameters, users, and what waits for something else.
	`
version: 1
name: power
duration: 40s
network: 10.7.0.0/24
params: {payload: from a parameter}
devices:
  - name: device-{i}
    count: 1
    start: 500ms
    start_spread: 3s
    boot: 2s
    mqtt: {login: {user: me, password: word}}
    reconnect: 1s
    steps: [connect, {sleep: 1s}, publish: {topic: t, payload: "${payload}", qos: 1}, {sleep: 6s}, reboot: {}]
broker: {users: [{name: me, password: word}]}
timeline:
  - {every: 2s, count: 4, until: 9s, label: tick, do: broker_publish, topic: a, payload: "{n}"}
  - {after: {event: mqtt.connected, nth: 1, delay: 1s}, do: broker_publish, topic: b}
  - {after: {label: tick, nth: 1, delay: 1500ms}, do: power_cut, for: 4s}
`,
	// The fixed client: pauses that grow, messages that wait for a connection, a
	// session that outlives the device.
	`
version: 1
name: fixed
duration: 60s
devices:
  - quirks: none
    mqtt: {clean_session: false, offline_queue: 3, persist: false, wait: 500ms}
    reconnect: 1s
    backoff: {max: 8s, factor: 2, jitter: 10%}
    steps: [connect, every: {period: 800ms, do: [publish: {topic: t, payload: "{n}", qos: 2}]}]
broker: {kind: model}
timeline: [{at: 5s, do: link_down, for: 15s}, {at: 30s, do: blackhole, for: 10s}, {at: 32s, do: power_cut, for: 1s}]
`,
	// Somebody who is refused.
	`
version: 1
name: users
duration: 3s
devices: [{mqtt: {login: {user: me, password: guessed}}, steps: [connect]}]
broker: {users: [{name: me, password: word}]}
`,
	// An event of one of two devices, and an action with no end.
	`
version: 1
name: events
duration: 40s
devices:
  - {name: a, steps: [connect, {sleep: 5s}, connect]}
  - {name: b, start: 4s, steps: [connect]}
broker: {kind: model}
timeline:
  - {label: one, at: 7s, do: broker_publish, topic: one}
  - {label: two, at: 9s, do: broker_publish, topic: two}
  - {after: {label: one}, do: broker_publish, topic: three}
  - {after: {event: mqtt.connected, device: a}, do: reboot, device: a}
  - {every: 10s, until: 25s, do: broker_publish, topic: four}
`,
	// A broker with rules and limits, and a device that is beyond each of them:
	// a long identifier, a large packet, many messages that wait.
	`
version: 1
name: broker-rules
duration: 12s
devices:
  - name: a
    mqtt: {client_id: an-identifier-of-more-than-23-bytes, clean_session: false, login: {user: me, password: word}}
    steps:
      - connect
      - subscribe: {topic: "t/#", qos: 1}
      - publish: {topic: t/a, size: 90B, qos: 1}
      - {sleep: 2s}
      - message_get: all
      - disconnect
      - {sleep: 4s}
      - connect
  - {name: b, start: 500ms, mqtt: {login: {user: me, password: word}}, steps: [connect]}
broker:
  users: [{name: me, password: word, publish: ["t/#"], subscribe: ["t/#"]}]
  limits: {client_id: 65535, packet: 1MiB, connections: 100, inflight: 20, queued: 1000}
  state: testdata/broker-state.json
  keep_state: false
timeline:
  - {at: 1s, every: 10ms, count: 8, do: broker_publish, topic: t/b, qos: 1}
  - {at: 5s, every: 10ms, count: 8, do: broker_publish, topic: t/c, qos: 1}
`,
	// What the broker does wrong.
	`
version: 1
name: broker-faults
duration: 33s
devices:
  - name: a
    mqtt: {clean_session: false, keepalive: 4s, wait: 2s}
    reconnect: 1s
    steps: &faulty
      - connect
      - subscribe: {topic: "commands/#", qos: 1}
      - every: {period: 900ms, do: [publish: {topic: t, payload: "{n}", qos: 1}]}
  - {name: b, mqtt: {clean_session: false, keepalive: 4s, wait: 2s}, reconnect: 1s, steps: *faulty}
broker: {kind: model}
timeline:
  - {at: 1s, do: broker_delay_acks, value: 300ms, for: 2s, device: a}
  - {at: 4s, do: broker_acks, fault: missing, for: 2s, device: a}
  - {at: 6s, do: broker_refuse, code: 3, for: 3s, device: a}
  - {at: 7s, do: broker_forget, device: a}
  - {at: 10500ms, do: broker_delay_connack, value: 1s, for: 2s, device: a}
  - {at: 11s, do: broker_forget, device: a}
  - {at: 15s, do: broker_split, piece: 1B, for: 2s, device: a}
  - {at: 18s, do: broker_coalesce, value: 900ms, for: 2s, device: a}
  - {at: 22s, do: broker_garbage, hex: "d0 00 f0", device: a}
  - {at: 25s, do: broker_stop_reading, for: 2s, device: a}
  - {at: 28s, do: broker_crash, for: 2s, state: kept}
`,
	// A recorded broker, whose device had another hardware address.
	`
version: 1
name: recorded
duration: 3s
devices:
  - {address: 10.50.0.2/24, mqtt: {client_id: netx-golden, keepalive: 4s}, steps: [connect]}
broker: {kind: capture, address: 10.50.0.1/24, capture: {file: ../pcaps/golden/netx/1-basic.pcap, device: "02:4e:58:00:00:02", start: 0s, delay: 0s}}
`,
	// TLS, with a device that shows its certificate and one that speaks 1.3.
	`
version: 1
name: tls
duration: 5s
devices:
  - {name: a, mqtt: {wait: 1s, tls: {certificate: valid, server_name: broker, min_version: "1.2", ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA256], handshake_time: 0s}}, steps: [connect]}
  - {name: b, profile: linux, mqtt: {wait: 1s, tls: {certificate: valid, max_version: "1.3"}}, steps: [connect]}
broker: {tls: {certificate: valid, client_certificate: required, min_version: "1.2", max_version: "1.3", ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]}}
`,
	`
version: 1
name: tls-without-certificates
duration: 5s
devices: [{mqtt: {tls: {}}, steps: [connect]}]
broker: {tls: {}}
`,
	// Two families of addresses.
	`
version: 1
name: families
duration: 5s
network6: fd00::/64
devices:
  - {profile: linux, dad: 1, mqtt: {family: auto}, steps: [connect]}
broker: {kind: model}
`,
	// What the oracles watch for: a device that loses its power while the broker
	// still sends to it, reboots, and sends when its link is down.
	`
version: 1
name: oracles
duration: 120s
devices:
  - pool: {packets: 20}
    mqtt: {wait: 2s, keepalive: 5s}
    reconnect: 300ms
    steps:
      - connect
      - subscribe: {topic: "#", qos: 1}
      - every: {period: 700ms, do: [publish: {topic: t, qos: 1}, message_get: all]}
broker: {kind: model}
timeline:
  - {every: 900ms, until: 100s, do: broker_publish, topic: c, qos: 1}
  - {at: 10s, do: link_down, for: 5s}
  - {at: 25s, do: power_cut, for: 80s}
oracles: {arp_unanswered: 60s, no_progress: 100s, reconnect_min: 1ms, reconnect_max: 100s, sends_while_down: false, isn_repeated: false}
`,
	// Services: one device asks for all, one for a name, at another server first.
	`
version: 1
name: services
duration: 60s
devices:
  - {name: a, address: dhcp, mqtt: {host: broker.example, wait: 2s}, reconnect: 1s, steps: [connect, every: {period: 5s, do: [publish: {topic: t}]}]}
  - {name: b, dns: [10.0.0.1, 10.0.0.254], mqtt: {host: broker.example, wait: 2s}, steps: [connect]}
broker: {kind: model}
services:
  address: 10.0.0.254/24
  dhcp: {lease: 12s, router: 10.0.0.1, dns: [10.0.0.254], delay: 10ms, answer: right}
  dns: {names: [{name: broker.example, addresses: [10.0.0.1], ttl: 60s}], delay: 10ms, answer: right}
timeline:
  - {at: 20s, do: service, service: dhcp, answer: silent, for: 15s}
  - {at: 40s, do: blackhole, for: 8s, link: link-a}
`,
}
