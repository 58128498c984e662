package scenarios

import "net/netip"

// Version is the version of the scenario language that this package reads.
const Version = 1

// A Scenario is one scenario file with every default filled in.
type Scenario struct {
	// Version of the scenario language.
	Version int `yaml:"version" required:"true" min:"1" max:"1"`
	// Name of the scenario: lower-case letters, digits and hyphens. Output files are called after it.
	Name string `yaml:"name" required:"true" min:"1" max:"64" alt:"other-name"`
	// What the scenario teaches. The first line is its summary.
	About string `yaml:"about" alt:"other words"`
	// Seed of every random draw. The same seed repeats the run bit for bit.
	Seed uint64 `yaml:"seed" default:"1" alt:"2"`
	// Virtual time (as fast as the machine allows, repeatable) or real time.
	Clock Clock `yaml:"clock" default:"virtual" alt:"real"`
	// With clock real: how many seconds of the run pass in one second, 0.01 to 1000.
	Speed float64 `yaml:"speed" min:"0.01" max:"1000" default:"1" alt:"2"`
	// How long the run lasts.
	Duration Duration `yaml:"duration" min:"1ms" max:"8760h" default:"60s" alt:"30s"`
	// The network that broker and devices get their addresses from: the first one is the broker's, the next ones are the devices', in their order. Default: the broker's network.
	Network netip.Prefix `yaml:"network" alt:"10.9.0.0/16"`
	// The network that IPv6 addresses come from: the first one is the broker's, the next ones are those of the devices of profile linux, in their order. Default: nobody has an IPv6 address but those who say so.
	Network6 Prefix6 `yaml:"network6" alt:"fd77::/64"`
	// The devices.
	Devices []Device `yaml:"devices" required:"true" min:"1" max:"16000"`
	// The links, at most one for each device. A device without an entry has a link that changes nothing.
	Links []Link `yaml:"links" max:"16000"`
	// How the links come together: shared (one Ethernet switch: ARP requests and other broadcasts reach every device) or isolated (each device is alone behind its port of an access network, which passes a broadcast on to the broker, and an ARP request or neighbour solicitation to whom it asks for). Default: shared up to 100 devices, isolated with more.
	Access Access `yaml:"access" alt:"isolated"`
	// What the devices connect to.
	Broker Broker `yaml:"broker" required:"true"`
	// DHCP, DNS and SNTP in the network. Default: none.
	Services *Services `yaml:"services"`
	// What happens to links, devices and broker, and when.
	Timeline []Action `yaml:"timeline" max:"2000"`
	// Where frames are recorded: at the device's and the peer's end of each link, a file each (up to 1000 devices), or at the broker's port, one file for all. Default: [device, peer] up to 100 devices, [broker] with more.
	Capture []Point `yaml:"capture" alt:"[peer]"`
	// What no device may do. Default: nothing is watched.
	Oracles *Oracles `yaml:"oracles"`
	// What must be true at the end of the run.
	Expect []Expectation `yaml:"expect" max:"500"`
	// The files that other keys name, as they were when the scenario was read: recordings have them. Nobody needs to write them; of a file that is too large, only the hash is kept.
	Files []NamedFile `yaml:"files" max:"1000"`

	src    *source // where Load read it, nil for a Scenario made in Go
	origin origin  // which entries of the file devices and links came from
}

// A Device is one device of the scenario.
type Device struct {
	// Name of the device, different from every other name. Default: device, or device-2, device-3 and so on by position.
	Name string `yaml:"name" min:"1" max:"64" alt:"sensor"`
	// How many devices this entry stands for, up to 10000. {i} in its name, client identifier, login, will, topics and payloads becomes the number of the device in the entry, from 1; addresses that are given count up. A name without {i} gets the number behind a hyphen.
	Count int `yaml:"count" min:"1" max:"10000" default:"1" alt:"2"`
	// What the device is made of. model: hilnet's model of a stack and its MQTT client. Real ones, with clock real: tap: what is at a TAP interface of this machine. socket: an emulator at a unix socket. board: a board at a network interface of this machine.
	Kind DeviceKind `yaml:"kind" default:"model"`
	// The TAP interface, with kind tap.
	Tap *DeviceTap `yaml:"tap"`
	// The socket, with kind socket.
	Socket *DeviceSocket `yaml:"socket"`
	// The board, with kind board.
	Board *Board `yaml:"board"`
	// QEMU's monitor, with kind socket, and with kind tap on the descriptor's side.
	QMP *QMP `yaml:"qmp"`
	// The program that is the device, or that starts it. It runs in the namespace of its TAP. With kinds tap, socket and board.
	Exec *Exec `yaml:"exec"`
	// The network stack that is modelled.
	Profile Profile `yaml:"profile" default:"netx" alt:"linux"`
	// Ethernet address. Default: 02:00:00:00:00:02 for the first device, then counting up.
	MAC MAC `yaml:"mac" alt:"02:00:00:00:00:77"`
	// IPv4 address and prefix length; dhcp: the device asks for it, and connect waits for it, at most for the wait of its MQTT client. Profile netx, and devices that are no models. Default: the addresses behind the broker's, by position.
	Address Address4 `yaml:"address" alt:"10.0.0.77/24"`
	// Default gateway, an address on the device's network. Default: none, or what DHCP says.
	Gateway netip.Addr `yaml:"gateway" alt:"10.0.0.1"`
	// The name servers that the device asks for the host of its MQTT client, in this order. Default: those that DHCP tells it of; without DHCP, services.dns.
	DNS []netip.Addr `yaml:"dns" max:"5" alt:"[10.0.0.1]"`
	// IPv6 address and prefix length; slaac: made of the network that the broker then advertises (RFC 4862), which must be one of 64 bits; none. Profile linux only. Default: the next one in network6, where there is one.
	Address6 Address6 `yaml:"address6" alt:"fd00::77/64"`
	// How many neighbour solicitations look for another holder of an IPv6 address before the device uses it, as DupAddrDetectTransmits of RFC 4862; 0: none. Linux sends 1, and uses the address 1 to 2 seconds after its start.
	DAD int `yaml:"dad" max:"10" default:"1" alt:"3"`
	// Longest IP packet in bytes, 576 to 9000.
	MTU int `yaml:"mtu" min:"576" max:"9000" default:"1500" alt:"1280"`
	// The packet pool that the device receives into and sends from.
	Pool Pool `yaml:"pool"`
	// The MQTT client.
	MQTT MQTT `yaml:"mqtt"`
	// When the device is switched on.
	Start Duration `yaml:"start" max:"8760h" default:"0s" alt:"1s"`
	// The device is switched on at a moment within this time after start that the seed decides.
	StartSpread Duration `yaml:"start_spread" max:"8760h" default:"0s" alt:"10s"`
	// How long the device takes from a reset, or from the return of its power, to the start of its application. The first start takes no time.
	Boot Duration `yaml:"boot" min:"10ms" max:"1h" default:"1s" alt:"5s"`
	// Known bugs of the real NetX Duo that the device has: default (all of them) or none; behind it those that are otherwise, as in default -unread_leak, or none +unread_leak +copy_drop. emu quirks lists them.
	Quirks Quirks `yaml:"quirks" default:"default" alt:"none"`
	// What the application does when a connection ends or an attempt to connect fails: it connects again after this pause. Default: never.
	Reconnect Pause `yaml:"reconnect" default:"never" alt:"2s"`
	// How that pause grows while attempts fail, and how it is spread. Default: it is always the same.
	Backoff *Backoff `yaml:"backoff"`
	// What the application does, one after the other. A step that fails is recorded and the next one follows.
	Steps []Step `yaml:"steps" max:"5000"`
	// An application written in Go, by the name it is registered with in emu.Options.Apps. Instead of steps.
	App string `yaml:"app" alt:"my-app"`
}

// Backoff says how the pause before an attempt to connect grows. It begins with
// reconnect again after each connection.
type Backoff struct {
	// The longest pause.
	Max Duration `yaml:"max" min:"1ms" max:"8760h" default:"60s" alt:"3s"`
	// How many times as long the pause is after each attempt in a row that fails, 1 to 100.
	Factor float64 `yaml:"factor" min:"1" max:"100" default:"2" alt:"3"`
	// Each pause is spread by this share to either side, as the seed decides.
	Jitter Percent `yaml:"jitter" default:"0%" alt:"20%"`
}

// A Pool is a packet pool. Exactly one of Packets and Memory is set.
type Pool struct {
	// Number of packets, 1 to 65535. Default: 16, unless memory is given.
	Packets int `yaml:"packets" min:"1" max:"65535" alt:"8"`
	// Payload of a packet, link, network and transport headers included, 64 B to 16 KiB.
	Payload Size `yaml:"payload" min:"64B" max:"16KiB" default:"1536B" alt:"256B"`
	// Memory of the pool, packet headers included, instead of a number of packets.
	Memory Size `yaml:"memory" min:"128B" max:"64MiB" alt:"20kB"`
}

// MQTT configures a device's MQTT client.
type MQTT struct {
	// Client identifier. Default: the device's name.
	ClientID string `yaml:"client_id" min:"1" max:"65535" alt:"other-client"`
	// Keepalive in whole seconds up to 65535s; 0s switches it off.
	Keepalive Duration `yaml:"keepalive" max:"65535s" default:"60s" alt:"0s"`
	// Whether the broker forgets the session when the connection ends.
	CleanSession bool `yaml:"clean_session" default:"true" alt:"false"`
	// How long a call of the client may block (its wait option), rounded up to a clock tick of 10 ms.
	Wait Duration `yaml:"wait" max:"24h" default:"5s" alt:"100ms"`
	// The broker's name: the client asks its name servers for the address before each connect. Profile netx only. Default: the broker's address is known.
	Host string `yaml:"host" min:"1" max:"253" alt:"other.example"`
	// The version of IP to connect by. auto: IPv6 where the device and the broker have it, else IPv4. A connect by IPv6 first waits until the device may use an address, at most for the time in wait; then auto takes IPv4 instead.
	Family Family `yaml:"family" default:"auto" alt:"ipv4"`
	// User name and password.
	Login *Login `yaml:"login"`
	// TLS, with the broker's section of the same name. Default: none. Write tls: {} for TLS as the profile has it.
	TLS *DeviceTLS `yaml:"tls"`
	// The message that the broker publishes when the connection ends without a DISCONNECT.
	Will *Will `yaml:"will"`
	// The buffer that message_get copies the topic into, up to 64 KiB.
	TopicBuffer Size `yaml:"topic_buffer" min:"1B" max:"64KiB" default:"64KiB" alt:"2B"`
	// The buffer that it copies the payload into, up to 1 MiB.
	MessageBuffer Size `yaml:"message_buffer" min:"1B" max:"1MiB" default:"1MiB" alt:"2B"`
	// How many QoS 1 and 2 messages the client takes while there is no connection, up to 65535, to send them when there is one. Needs quirks: none.
	OfflineQueue int `yaml:"offline_queue" max:"65535" default:"0" alt:"10"`
	// Whether the client keeps its session (messages, identifiers, subscriptions) over a reset or a power cut, as in flash. Needs quirks: none.
	Persist bool `yaml:"persist" default:"false" alt:"true"`
	// Priority of the client's thread, 0 (highest) to 31.
	ThreadPriority int `yaml:"thread_priority" min:"0" max:"31" default:"5" alt:"9"`
}

// Login is what the client sends as user name and password.
type Login struct {
	// User name.
	User string `yaml:"user" required:"true" min:"1" max:"65535" alt:"other-user"`
	// Password. Default: none.
	Password string `yaml:"password" max:"65535" alt:"secret"`
}

// Will is the client's will message.
type Will struct {
	// Topic name.
	Topic string `yaml:"topic" required:"true" min:"1" max:"65535" alt:"other/topic"`
	// Payload.
	Message string `yaml:"message" max:"65535" alt:"gone"`
	// Quality of service.
	QoS QoS `yaml:"qos" default:"0" alt:"1"`
	// Whether the broker keeps the message for later subscribers.
	Retain bool `yaml:"retain" default:"false" alt:"true"`
}

// Broker is what the devices connect to.
type Broker struct {
	// model: hilnet's broker. Real ones, with clock real: tap: reached through a TAP interface of this machine. gateway: reached by this machine's own sockets, without any rights. socket: in an emulator at a unix socket. board: on a board at a network interface of this machine. capture: the peer of a recording, which sends to the only device what was recorded, segment by segment.
	Kind BrokerKind `yaml:"kind" default:"model"`
	// IPv4 address and prefix length that the devices connect to. Default: 10.0.0.1/24, with kind tap the TAP's own address.
	Address netip.Prefix `yaml:"address" alt:"10.0.0.99/24"`
	// IPv6 address and prefix length. Default: the first one in network6, with kind tap the TAP's own, otherwise none.
	Address6 Prefix6 `yaml:"address6" alt:"fd00::99/64"`
	// TCP port. Default: 1883, with TLS 8883.
	Port int `yaml:"port" min:"1" max:"65535" alt:"1884"`
	// TLS, with kind model only. Default: none. Every device must speak it too.
	TLS *BrokerTLS `yaml:"tls"`
	// Who may connect, with kind model only. Default: everybody, with or without a user name.
	Users []User `yaml:"users" max:"1000"`
	// What the broker holds at most, with kind model only.
	Limits BrokerLimits `yaml:"limits"`
	// A file with sessions and retained messages that the broker begins with, by its path from this file: NAME.state.json of a run with keep_state, or what emu broker --state wrote. With kind model only.
	State string `yaml:"state" min:"1" max:"4096"`
	// The broker's sessions and retained messages at the end of the run are written to NAME.state.json beside the trace. With kind model only.
	KeepState bool `yaml:"keep_state" default:"false" alt:"true"`
	// The TAP interface, with kind tap only.
	Tap *Tap `yaml:"tap"`
	// The gateway, with kind gateway only.
	Gateway *Gateway `yaml:"gateway"`
	// The socket, with kind socket only.
	Socket *DeviceSocket `yaml:"socket"`
	// The board, with kind board only.
	Board *Board `yaml:"board"`
	// A program that runs during the run, in the namespace of the TAP if there is one, such as a broker of your own. With a real broker only.
	Exec *Exec `yaml:"exec"`
	// The recording, with kind capture only.
	Capture *Recording `yaml:"capture"`
}

// A Recording is a capture file whose peer answers the device.
type Recording struct {
	// A pcap or pcapng file of Ethernet frames, by its path from this file. The addresses of the device and the broker must be those of the recording.
	File string `yaml:"file" required:"true" min:"1" max:"4096"`
	// Ethernet address that the device has in the recording. Default: the one it has here.
	Device MAC `yaml:"device"`
	// When the recording begins. Each frame of its peer is sent at its recorded time from then on, or when the device has sent what it answers.
	Start Duration `yaml:"start" max:"8760h" default:"0s" alt:"1s"`
	// Time by which the peer is slower than in the recording.
	Delay Duration `yaml:"delay" max:"24h" default:"0s" alt:"70ms"`
}

// BrokerLimits say what the broker holds at most. What is beyond is dropped, with
// a reason.
type BrokerLimits struct {
	// Bytes of an MQTT packet, 64 bytes to 256 MiB; a client that sends a longer one is disconnected.
	Packet Size `yaml:"packet" min:"64B" max:"256MiB" default:"1MiB" alt:"64B"`
	// Bytes of a client identifier, 23 to 65535; the broker answers a longer one with CONNACK 2.
	ClientID int `yaml:"client_id" min:"23" max:"65535" default:"65535" alt:"23"`
	// Connections, 1 to 65535.
	Connections int `yaml:"connections" min:"1" max:"65535" default:"16384" alt:"1"`
	// QoS 1 and 2 messages that were sent to one client and are not acknowledged, 1 to 65535.
	Inflight int `yaml:"inflight" min:"1" max:"65535" default:"20" alt:"1"`
	// QoS 1 and 2 messages that wait for one client, 1 to 1000000.
	Queued int `yaml:"queued" min:"1" max:"1000000" default:"1000" alt:"1"`
}

// A User may connect to the broker.
type User struct {
	// User name, different from every other one. An empty one stands for clients without a user name.
	Name string `yaml:"name" required:"true" max:"65535" alt:"other-user"`
	// Password. Default: empty.
	Password string `yaml:"password" max:"65535" alt:"other-password"`
	// Topic filters that cover what it may publish to; %c stands for its client identifier, %u for its user name. What else it publishes is acknowledged and dropped. Default: everything.
	Publish []string `yaml:"publish" max:"1000" alt:"[other/#]"`
	// Topic filters that cover what it may subscribe to, likewise. Other subscriptions are refused with SUBACK 128. Default: everything.
	Subscribe []string `yaml:"subscribe" max:"1000" alt:"[other/#]"`
}

// A Tap is a TAP interface of this machine.
type Tap struct {
	// Name of the interface, at most 15 characters. It is made when it does not exist.
	Name string `yaml:"name" min:"1" max:"15" default:"hil0" alt:"hil1"`
	// IPv4 address and prefix length of the host's side.
	Address netip.Prefix `yaml:"address" default:"10.0.0.1/24" alt:"10.0.0.98/24"`
	// IPv6 address and prefix length of the host's side. Default: none, and no IPv6 on the interface.
	Address6 Prefix6 `yaml:"address6" alt:"fd00::98/64"`
	// Network namespace that the interface is in, as in ip netns; private: one that is made for the run and goes with it. Default: the one the program runs in.
	Netns string `yaml:"netns" min:"1" max:"64" alt:"hilnet"`
}

// An Expectation is one thing that must be true at the end of the run.
type Expectation struct {
	// The expectation in words. Default: the expression.
	Text string `yaml:"text" min:"1" max:"500" alt:"other words"`
	// An expression over the outcome of the run.
	That string `yaml:"that" required:"true" min:"1" max:"500" alt:"published >= 0"`
}
