package trace

// A Kind says what happened. Its names are part of the trace format.
type Kind string

// The kinds of event.
const (
	// A frame, packet or message was dropped: Reason, Stage, and what of Frame, Client, Topic, Len is known. In
	// a link, Count is the frame's ordinal. An event with the value "frames" stands for so many of them.
	KindDrop Kind = "drop"
	// A link stage made a second copy of a frame: Frame (all copies have its number), Count (the copy's number).
	KindDuplicate Kind = "duplicate"
	// A link stage damaged a frame: Frame, Count (the first flipped bit, 8 a byte from the frame's start).
	KindCorrupt Kind = "corrupt"
	// A link stage marked a frame with ECN's "congestion experienced": Frame, Text (why).
	KindMark Kind = "mark"
	// A middlebox on the link sent a frame of its own: Frame, Text (what it is).
	KindGenerated Kind = "generated"
	// The modem of a link has another state: Text ("radio idle", "radio connected").
	KindLink Kind = "link"
	// A device's NIC changed: Text ("link_up", "link_down", "tx_error").
	KindNIC Kind = "nic"
	// The scenario's timeline acted: Text.
	KindAction Kind = "action"

	// A pool had no packet: Stage (the pool), Text (who asked), Count (ticks it may wait).
	KindPoolEmpty Kind = "pool.empty"
	// A pool reached a new minimum: Stage, Count (free packets).
	KindPoolLow Kind = "pool.low"
	// The scenario took packets away or gave them back: Stage, Count (packets, negative when given back).
	KindPoolLeak Kind = "pool.leak"

	// The device's TCP: Text.
	KindTCP Kind = "tcp"
	// The device's ARP: Text.
	KindARP Kind = "arp"
	// The device's IPv6 neighbour discovery: Text.
	KindND Kind = "nd"
	// An ICMP echo was answered or its answer arrived: Text.
	KindPing Kind = "ping"

	// A service of the network (DHCP, DNS, SNTP) got a request: Stage (the service), Frame, Len, Text (what it wanted,
	// and what was answered).
	KindService Kind = "service"
	// The device's DHCP client entered another state: Text.
	KindDHCP Kind = "dhcp.state"
	// The device has an address by DHCP, or has it for another time: Text (address, lease, server).
	KindDHCPBound Kind = "dhcp.bound"
	// The device has no address any more: Text (why).
	KindDHCPLost Kind = "dhcp.lost"
	// The device asked a name server: Text (what and whom), Count (its how manieth try).
	KindDNSQuery Kind = "dns.query"
	// A call that resolves a name ended: Status, Text (the name, and its address), Count (ns that it took).
	KindDNS Kind = "dns.resolved"

	// The client was asked to connect: Client, Text (server), Count (keepalive seconds).
	KindConnect Kind = "mqtt.connect"
	// The connection attempt ended: Client, Status.
	KindConnected Kind = "mqtt.connected"
	// TLS is up: Client, Count (ns that the handshake took), Text (version, cipher suite).
	KindTLS Kind = "tls.established"
	// TLS failed, in the handshake or later: Client, Stage (the cause in a word), Count (number of the peer's
	// alert, 0 if this side found it), Status (of NetX Secure, at a client), Text.
	KindTLSFailed Kind = "tls.failed"
	// The session ended: Client, Text (cause).
	KindDisconnected Kind = "mqtt.disconnected"
	// The application published: Client, Topic, QoS, ID, Len, Hash, Status (0: handed to TCP).
	KindPublish Kind = "mqtt.publish"
	// A queued message was sent again after a reconnect: Client, Topic, ID, Hash.
	KindRepublish Kind = "mqtt.republish"
	// The broker acknowledged a message (PUBACK or PUBCOMP): Client, ID, Hash, Count (ns since the publish call).
	KindAcked Kind = "mqtt.acked"
	// The client asked for a subscription or its end: Client, Topic, QoS, ID, Status.
	KindSubscribe   Kind = "mqtt.subscribe"
	KindSubscribed  Kind = "mqtt.subscribed"
	KindUnsubscribe Kind = "mqtt.unsubscribe"
	// A PUBLISH arrived at the client and was queued: Client, Topic, QoS, ID, Len, Hash, Count (queue depth).
	KindReceived Kind = "mqtt.received"
	// The application took a message: Client, Topic, Len, Hash, Status.
	KindMessageGet Kind = "mqtt.message_get"
	// Keepalive: a PINGREQ left, its PINGRESP came, or did not come in time.
	KindPingReq     Kind = "mqtt.pingreq"
	KindPingResp    Kind = "mqtt.pingresp"
	KindPingTimeout Kind = "mqtt.ping_timeout"
	// A thread has waited for something: Stage (thread), Text (what for, what it holds), Count (ns).
	KindWait Kind = "thread.wait"

	// A client connected to the broker: Client, Status (CONNACK code), Text (remote), Count (1: session present).
	KindBrokerConnected Kind = "broker.connected"
	// A client's connection ended at the broker: Client, Text (cause).
	KindBrokerDisconnected Kind = "broker.disconnected"
	// A PUBLISH arrived at the broker: Client, Topic, QoS, ID, Dup, Retain, Len, Hash, Count (sessions it goes to).
	KindBrokerReceived Kind = "broker.received"
	// The broker sent a PUBLISH to a subscriber: Client, Topic, QoS, ID, Dup, Len, Hash.
	KindBrokerSent Kind = "broker.sent"
	// A subscriber acknowledged: Client, Topic, QoS, ID, Hash.
	KindBrokerAcked Kind = "broker.acked"
	// A client subscribed or unsubscribed: Client, Topic, QoS (granted).
	KindBrokerSubscribed   Kind = "broker.subscribed"
	KindBrokerUnsubscribed Kind = "broker.unsubscribed"

	// A rule of a link, or a frame on its list, never had anything to do: Stage, Text, Count.
	KindUnused Kind = "link.unused"
	// A rule of a link chose a message or frame: Stage, Frame, Count (which one it is), Text.
	KindMatch Kind = "link.match"
	// A rule for MQTT messages cannot see them in a connection, or lost them: Stage, Frame, Text.
	KindUnread Kind = "link.unread"

	// What is at the other side of a socket came or went: Stage (the socket), Text.
	KindEdge Kind = "edge"
	// A TCP connection has come up through the gateway to the machine's own sockets: Client, Count (its number),
	// Text (who, where to, the machine's socket).
	KindGatewayOpen Kind = "gateway.open"
	// A connection through the gateway has ended: Client, Count (its number), Values (bytes each way), Text (why).
	KindGatewayClose Kind = "gateway.close"
	// A program that the scenario runs began: Count (its how manieth start), Text (the command).
	KindExecStart Kind = "exec.start"
	// A program printed a line: Stage ("stdout" or "stderr"), Text, Len (of the line, if it was cut).
	KindExecOutput Kind = "exec.output"
	// A program ended: Status (its exit status; of one that a signal ended 128 and the signal), Text (how).
	KindExecExit Kind = "exec.exit"
	// A device did what an oracle of the scenario forbids: Stage (the oracle), Frame, Count (ns, where it is about
	// time), Text.
	KindOracle Kind = "oracle"
	// The application said something: Text.
	KindApp Kind = "app"
	// Counters of a part at the end of the run: Node, Stage, Values.
	KindCounters Kind = "counters"
	// The level of a pool or queue at a moment: Node, Stage, Values. In a file of
	// their own beside the trace.
	KindSample Kind = "sample"
	// The run ended: Text (why), Count (ns of the run).
	KindEnd Kind = "end"
)
