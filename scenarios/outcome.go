package scenarios

import (
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// An Outcome is what a run came to, computed from its trace alone by a [Tally].
// Its fields are the names that expectations use (the expr tags) and the keys of
// the JSON result. "Accepted" means that the client's publish call returned
// success, whether or not the message got any further.
type Outcome struct {
	// Counters over all devices.
	Traffic `expr:""`

	// Length of the run (end event).
	Duration time.Duration `json:"duration" expr:"duration"`
	// Frames and messages that were dropped (drop events), by reason and by place.
	Drops Drops `json:"drops" expr:"drops"`
	// Parts whose counters contradict each other, each in words. Empty when every
	// frame is accounted for.
	ConservationErrors []string `json:"conservation_errors" expr:"-"`
	// How many parts have counters that contradict each other: 0 when every frame is accounted for.
	ConservationErrorCount int `json:"-" expr:"conservation_errors"`

	// What the switch in front of the broker did with frames.
	Switch SwitchOutcome `json:"switch" expr:"switch"`
	// What passed the TAP interface, with a real broker.
	Tap TapOutcome `json:"tap" expr:"tap"`
	// What passed the gateway to this machine's own sockets.
	Gateway GatewayOutcome `json:"gateway" expr:"gateway"`
	// What went wrong and why, in words, by the moment at which it began.
	Findings []Finding `json:"findings" expr:"-"`
	// How many findings there are: kinds of trouble that a device had, however often.
	FindingCount int `json:"-" expr:"findings"`
	// How often each kind of finding happened, such as finding.packets_leaked.
	Finding map[string]int `json:"-" expr:"finding"`

	// The same by device and by link, in the order of the scenario.
	Devices []DeviceOutcome `json:"devices" expr:"devices"`
	Links   []LinkOutcome   `json:"links" expr:"links"`

	// How the devices compare, and which fare worst; nothing for one device.
	Spread []Spread `json:"spread" expr:"-"`

	firsts map[string][]Moment
}

// A Moment is an event of the trace, for a message.
type Moment struct {
	T    sim.Time `json:"t"`
	Seq  uint64   `json:"seq"`
	Text string   `json:"text"`
}

// Traffic counts the MQTT traffic of one device, or of all.
type Traffic struct {
	// Messages that the client accepted (publish events with status 0), of any
	// quality of service. Not counted: calls that failed; sending again.
	Published int `json:"published" expr:"published"`
	// Publish calls that failed (publish events with another status).
	PublishErrors int `json:"publish_errors" expr:"publish_errors"`
	// Messages that the broker acknowledged to the client (acked events).
	Acknowledged int `json:"acknowledged" expr:"acknowledged"`
	// Different messages that arrived at the broker (broker.received events, less
	// duplicated). Equal messages are counted as often as they were published.
	// Unknown with a real or a recorded broker.
	Delivered int `json:"delivered" expr:"delivered"`
	// Accepted messages of QoS 1 and 2 that did not arrive at the broker, those still
	// under way at the end included. Unknown with a real or a recorded broker.
	Lost int `json:"lost" expr:"lost"`
	// Arrivals at the broker beyond the first of each message. Unknown with a real
	// or a recorded broker.
	Duplicated int `json:"duplicated" expr:"duplicated"`
	// Messages that the application took (message_get events with status 0).
	Received int `json:"received" expr:"received"`
	// Connections that came up (connected events with status 0). Of a device that is
	// not a model those that hilnet's broker accepted (broker.connected events), here
	// and below; unknown with a real broker.
	Connects int `json:"connects" expr:"connects"`
	// Attempts to connect that failed (connected events with another status).
	ConnectErrors int `json:"connect_errors" expr:"connect_errors"`
	// Connections that came up after the first one of each device.
	Reconnects int `json:"reconnects" expr:"reconnects"`
	// Sessions that ended (disconnected events, or broker.disconnected), for whatever cause.
	Disconnects int `json:"disconnects" expr:"disconnects"`
	// Starts of a device after its first one (device.boot events with a count above
	// 1), whatever ended what ran before.
	Reboots int `json:"reboots" expr:"reboots"`
	// Keepalive requests that nobody answered in time (ping_timeout events).
	PingTimeouts int `json:"ping_timeouts" expr:"ping_timeouts"`

	// From the publish call to its acknowledgement (count of the acked events):
	// median, 95th and 99th percentile by nearest rank, and maximum. 0 when
	// nothing was acknowledged. Messages that were not are not in it.
	LatencyP50 time.Duration `json:"latency_p50" expr:"latency_p50"`
	LatencyP95 time.Duration `json:"latency_p95" expr:"latency_p95"`
	LatencyP99 time.Duration `json:"latency_p99" expr:"latency_p99"`
	LatencyMax time.Duration `json:"latency_max" expr:"latency_max"`
	// Moment of the last acknowledgement, from the start of the run; 0 when there
	// was none.
	LastAckTime time.Duration `json:"last_ack_time" expr:"last_ack_time"`
}

// DeviceOutcome is the part of an Outcome that one device has.
type DeviceOutcome struct {
	Name    string `json:"name" expr:"name"`
	Traffic `expr:""`
	Pool    PoolOutcome `json:"pool" expr:"pool"`
	NIC     NICOutcome  `json:"nic" expr:"nic"`
	// The program that the key exec runs.
	Exec ExecOutcome `json:"exec" expr:"exec"`
	// Drops at the device itself: its NIC, its stack, its client.
	Drops Drops `json:"drops" expr:"drops"`
	// The device's findings: how many, and how often each kind happened.
	FindingCount int            `json:"-" expr:"findings"`
	Finding      map[string]int `json:"-" expr:"finding"`
}

// ExecOutcome tells of the program that a device is, or that starts it (exec
// events).
type ExecOutcome struct {
	// How often it was started, and how often it ended, by itself or not.
	Starts int `json:"starts" expr:"starts"`
	Exits  int `json:"exits" expr:"exits"`
	// How it ended the last time: its exit status, or 128 and the signal that ended
	// it. A program that ends with the run ends by SIGTERM: 143.
	Status int `json:"status" expr:"status"`
	// Lines that it printed, those that the trace did not take excluded.
	Lines int `json:"lines" expr:"lines"`
}

// NICOutcome counts the frames of a device's NIC in all its boots (counters event
// of the stage "nic"). Of a device that is not a model these are the frames that
// passed its TAP, socket or interface here.
type NICOutcome struct {
	// Frames that the driver gave to the stack, and their bytes.
	RxFrames int `json:"rx_frames" expr:"rx_frames"`
	RxBytes  int `json:"rx_bytes" expr:"rx_bytes"`
	// Frames put on the wire, and their bytes.
	TxFrames int `json:"tx_frames" expr:"tx_frames"`
	TxBytes  int `json:"tx_bytes" expr:"tx_bytes"`
	// Frames that the driver dropped, each with a drop event.
	RxDropped int `json:"rx_dropped" expr:"rx_dropped"`
	TxDropped int `json:"tx_dropped" expr:"tx_dropped"`
}

// SwitchOutcome counts the frames of the switch that the links lead to (counters
// event of the stage "switch"). With a recorded broker there is none.
type SwitchOutcome struct {
	// Frames that came in.
	FramesIn int `json:"frames_in" expr:"frames_in"`
	// Frames to the one port where their destination is.
	Forwarded int `json:"forwarded" expr:"forwarded"`
	// With isolated access: broadcasts and the like that went to one port.
	Directed int `json:"directed" expr:"directed"`
	// Frames that went to all other ports.
	Flooded int `json:"flooded" expr:"flooded"`
	// Frames that need not leave the port that they came from: no loss.
	Filtered int `json:"filtered" expr:"filtered"`
	// Frames too short to have addresses, each with a drop event.
	Malformed int `json:"malformed" expr:"malformed"`
}

// TapOutcome counts the frames of the TAP interface, when the broker is real
// (counters event at the node "tap").
type TapOutcome struct {
	// Frames read from the kernel, and how many of them reached the switch.
	Read      int `json:"read" expr:"read"`
	Delivered int `json:"delivered" expr:"delivered"`
	// Frames lost because the loop did not keep up: after they were read, and in
	// the kernel's queue.
	Backlog       int `json:"backlog" expr:"backlog"`
	KernelDropped int `json:"kernel_dropped" expr:"kernel_dropped"`
	// Frames for the kernel, and how many of them it took.
	Put     int `json:"put" expr:"put"`
	Written int `json:"written" expr:"written"`
	// Frames that it did not take, each with a drop event.
	WriteFailed int `json:"write_failed" expr:"write_failed"`
	NoCarrier   int `json:"no_carrier" expr:"no_carrier"`
}

// GatewayOutcome counts what passed the gateway to this machine's own sockets
// (counters event of the stage "gateway").
type GatewayOutcome struct {
	// TCP connections that devices asked for, and those that were made.
	Requested int `json:"requested" expr:"requested"`
	Opened    int `json:"opened" expr:"opened"`
	// Of those that were not made: nobody takes connections there; there is no way
	// there; it is not allowed; the gateway or this machine has as many as it takes.
	Refused     int `json:"refused" expr:"refused"`
	Unreachable int `json:"unreachable" expr:"unreachable"`
	Prohibited  int `json:"prohibited" expr:"prohibited"`
	Limited     int `json:"limited" expr:"limited"`
	// Connections that were given up by the device before they were made.
	GivenUp int `json:"given_up" expr:"given_up"`
	// Connections that were open when the run ended, and the most at any moment.
	OpenAtEnd int `json:"open_at_end" expr:"open_at_end"`
	MaxOpen   int `json:"max_open" expr:"max_open"`
	// Bytes given to this machine's sockets, and to the devices' TCP.
	UpBytes   int `json:"up_bytes" expr:"up_bytes"`
	DownBytes int `json:"down_bytes" expr:"down_bytes"`
	// Bytes that had been taken from one side and not given to the other when their
	// connection ended, each with a drop event.
	Undelivered int `json:"undelivered" expr:"undelivered"`
	// UDP: pairs of source and destination, datagrams to this machine's sockets and
	// from them.
	Flows         int `json:"flows" expr:"flows"`
	Datagrams     int `json:"datagrams" expr:"datagrams"`
	DatagramsBack int `json:"datagrams_back" expr:"datagrams_back"`
}

// PoolOutcome is how a device's packet pool fared (counters event of the stage
// "pool" and pool.low and pool.empty events; each boot begins with a full pool).
type PoolOutcome struct {
	// Packets of the pool.
	Total int `json:"total" expr:"total"`
	// Fewest packets that were free at any moment, in any of the device's boots.
	MinFree int `json:"min_free" expr:"min_free"`
	// Packets that were free at the end.
	FreeAtEnd int `json:"free_at_end" expr:"free_at_end"`
	// Requests that found no free packet.
	EmptyRequests int `json:"empty_requests" expr:"empty_requests"`
}

// Drops counts drop events.
type Drops struct {
	Total int `json:"total" expr:"total"`
	// By reason, such as drops.reason.loss.
	Reason map[string]int `json:"reason" expr:"reason"`
	// By node and stage, such as drops.stage["link/up/loss"].
	Stage map[string]int `json:"stage" expr:"stage"`
}

// LinkOutcome is the part of an Outcome that one link has.
type LinkOutcome struct {
	Name string     `json:"name" expr:"name"`
	Up   WayOutcome `json:"up" expr:"up"`
	Down WayOutcome `json:"down" expr:"down"`
}

// WayOutcome counts the frames of one direction of a link (counters events of
// the stages "up" and "down").
type WayOutcome struct {
	// Frames that entered, and those that arrived at the far end.
	Entered int `json:"entered" expr:"entered"`
	Arrived int `json:"arrived" expr:"arrived"`
	// Frames that were dropped, and those under way at the end.
	Dropped  int `json:"dropped" expr:"dropped"`
	InFlight int `json:"in_flight" expr:"in_flight"`
	// Copies that the link made of frames.
	Duplicated int `json:"duplicated" expr:"duplicated"`
	// Drops by reason, such as link("link").up.reason.loss (drop events).
	Reason map[string]int `json:"reason" expr:"reason"`
}

// Kinds of event beside those of package trace.
const (
	// A device starts: Count (1 for the first time).
	KindBoot trace.Kind = "device.boot"
	// A device stops, with all that it holds in memory: Text (cause).
	KindOff trace.Kind = "device.off"
)

// The counters events that a Tally reads: Node is the device or link, Stage one
// of these names or a stage of a direction such as "up/loss", Values have these
// names.
const (
	StagePool = "pool" // at a device: total, free, min_free, empty_requests
	StageUp   = "up"   // at a link: in, duplicated, generated, out, dropped, in_flight
	StageDown = "down"
	StageNIC  = "nic" // at a device: of all its boots; rx_frames to tx_dropped
	// At a device, when it stops: packets that nobody can give back, by what lost them.
	StageLeaks = "pool/leaks"
	// At the broker, the switch that the links lead to: frames_in to malformed.
	StageSwitch = "switch"
	// At a recorded broker: frames, sent, held, max_held_ns, foreign, not_sent.
	StageRecording = "recording"
	// At a broker that is a gateway: requested to datagrams_back.
	StageGateway = "gateway"
)

// The names of the Values of counters events.
const (
	ValueTotal         = "total"
	ValueFree          = "free"
	ValueMinFree       = "min_free"
	ValueEmptyRequests = "empty_requests"

	ValueIn         = "in"
	ValueDuplicated = "duplicated"
	ValueGenerated  = "generated"
	ValueOut        = "out"
	ValueDropped    = "dropped"
	ValueInFlight   = "in_flight"

	ValueFrames  = "frames"      // of the recorded peer
	ValueSent    = "sent"        // of these
	ValueHeld    = "held"        // sent later than recorded, for want of what they answer
	ValueMaxHeld = "max_held_ns" // how much later at most
	ValueForeign = "foreign"     // frames of the device that belong to nothing recorded
	ValueNotSent = "not_sent"    // of the recorded peer's frames

	ValueRxFrames  = "rx_frames"
	ValueRxBytes   = "rx_bytes"
	ValueTxFrames  = "tx_frames"
	ValueTxBytes   = "tx_bytes"
	ValueRxDropped = "rx_dropped"
	ValueTxDropped = "tx_dropped"

	ValueFramesIn  = "frames_in"
	ValueForwarded = "forwarded"
	ValueDirected  = "directed"
	ValueFlooded   = "flooded"
	ValueFiltered  = "filtered"
	ValueMalformed = "malformed"

	ValueRead          = "read"
	ValueDelivered     = "delivered"
	ValueBacklog       = "backlog"
	ValueKernelDropped = "kernel_dropped"
	ValuePut           = "put"
	ValueWritten       = "written"
	ValueWriteFailed   = "write_failed"
	ValueNoCarrier     = "no_carrier"

	ValueRequested     = "requested"
	ValueOpened        = "opened"
	ValueRefused       = "refused"
	ValueUnreachable   = "unreachable"
	ValueProhibited    = "prohibited"
	ValueLimited       = "limited"
	ValueGivenUp       = "given_up"
	ValueOpenAtEnd     = "open_at_end"
	ValueMaxOpen       = "max_open"
	ValueUpBytes       = "up_bytes"
	ValueDownBytes     = "down_bytes"
	ValueUndelivered   = "undelivered"
	ValueFlows         = "flows"
	ValueDatagrams     = "datagrams"
	ValueDatagramsBack = "datagrams_back"
)
