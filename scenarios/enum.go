package scenarios

import "hilnet/trace"

// enum is a string type with a closed set of values.
type enum interface{ Values() []string }

// Clock is the time that a run passes in.
type Clock string

// The clocks.
const (
	Virtual Clock = "virtual"
	Real    Clock = "real"
)

// Values returns the valid clocks.
func (Clock) Values() []string { return []string{string(Virtual), string(Real)} }

// DeviceKind is what a device is made of.
type DeviceKind string

// The kinds of device.
const (
	KindModel  DeviceKind = "model"  // a model of a stack and its MQTT client
	KindTap    DeviceKind = "tap"    // what is at a TAP interface of this machine
	KindSocket DeviceKind = "socket" // an emulator at a unix socket
	KindBoard  DeviceKind = "board"  // a board at a network interface of this machine
)

// Values returns the valid kinds of device.
func (DeviceKind) Values() []string {
	return []string{string(KindModel), string(KindTap), string(KindSocket), string(KindBoard)}
}

// Profile is the network stack that a model device has.
type Profile string

// The profiles.
const (
	ProfileNetX  Profile = "netx"
	ProfileLinux Profile = "linux"
)

// Values returns the valid profiles.
func (Profile) Values() []string { return []string{string(ProfileNetX), string(ProfileLinux)} }

// QoS is an MQTT quality of service. NetX's client refuses to publish, and to
// subscribe, with 2; with quirks: none it does.
type QoS uint8

// AnyQoS is what an application may pass as one: 3 as well.
type AnyQoS uint8

// BrokerKind is what stands at the other end.
type BrokerKind string

// The kinds of broker.
const (
	BrokerModel   BrokerKind = "model"
	BrokerTap     BrokerKind = "tap"
	BrokerGateway BrokerKind = "gateway"
	BrokerSocket  BrokerKind = "socket"
	BrokerBoard   BrokerKind = "board"
	BrokerCapture BrokerKind = "capture"
)

// Values returns the valid kinds of broker.
func (BrokerKind) Values() []string {
	return []string{string(BrokerModel), string(BrokerTap), string(BrokerGateway), string(BrokerSocket), string(BrokerBoard), string(BrokerCapture)}
}

// Point is a place where frames are recorded.
type Point string

// The capture points.
const (
	PointDevice Point = "device"
	PointPeer   Point = "peer"
	PointBroker Point = "broker"
)

// Values returns the valid capture points.
func (Point) Values() []string {
	return []string{string(PointDevice), string(PointPeer), string(PointBroker)}
}

// Access is how the devices' links come together in front of the broker.
type Access string

// The kinds of access.
const (
	AccessShared   Access = "shared"   // one switch: a broadcast reaches everybody
	AccessIsolated Access = "isolated" // each device is alone behind its port: a broadcast costs one delivery
)

// Values returns the valid kinds of access.
func (Access) Values() []string { return []string{string(AccessShared), string(AccessIsolated)} }

// MaxShared is how many devices share a switch, and have captures of their own,
// unless the scenario says so: more are a fleet.
const MaxShared = 100

// Way says which directions of a link an action changes.
type Way string

// The ways.
const (
	Both Way = "both"
	Up   Way = "up"
	Down Way = "down"
)

// Values returns the valid ways.
func (Way) Values() []string { return []string{string(Both), string(Up), string(Down)} }

// Takes reports whether w includes the way up and the way down.
func (w Way) Takes() (up, down bool) { return w != Down, w != Up }

// ActionKind is what an entry of the timeline does.
type ActionKind string

// The actions.
const (
	Blackhole     ActionKind = "blackhole"
	LinkDown      ActionKind = "link_down"
	TxError       ActionKind = "tx_error"
	SetLoss       ActionKind = "loss"
	SetDelay      ActionKind = "delay"
	SetRate       ActionKind = "rate"
	Impair        ActionKind = "impair"
	BoxForget     ActionKind = "box_forget"
	BoxAddress    ActionKind = "box_address"
	Captive       ActionKind = "captive"
	AddMatch      ActionKind = "match"
	MatchRelease  ActionKind = "match_release"
	Leak          ActionKind = "leak"
	ReleaseLeak   ActionKind = "release"
	BrokerPublish ActionKind = "broker_publish"
	ResetDevice   ActionKind = "reboot"
	PowerCut      ActionKind = "power_cut"
	ServiceAnswer ActionKind = "service"

	BrokerCrash        ActionKind = "broker_crash"
	BrokerForget       ActionKind = "broker_forget"
	BrokerRefuse       ActionKind = "broker_refuse"
	BrokerDelayConnack ActionKind = "broker_delay_connack"
	BrokerDelayAcks    ActionKind = "broker_delay_acks"
	BrokerAcks         ActionKind = "broker_acks"
	BrokerStopReading  ActionKind = "broker_stop_reading"
	BrokerSplit        ActionKind = "broker_split"
	BrokerCoalesce     ActionKind = "broker_coalesce"
	BrokerGarbage      ActionKind = "broker_garbage"
)

// Values returns the valid actions.
func (ActionKind) Values() []string {
	return []string{
		string(Blackhole), string(LinkDown), string(TxError), string(SetLoss), string(SetDelay), string(SetRate),
		string(Impair), string(BoxForget), string(BoxAddress), string(Captive),
		string(AddMatch), string(MatchRelease),
		string(Leak), string(ReleaseLeak), string(BrokerPublish), string(ResetDevice), string(PowerCut),
		string(ServiceAnswer),
		string(BrokerCrash), string(BrokerForget), string(BrokerRefuse), string(BrokerDelayConnack), string(BrokerDelayAcks),
		string(BrokerAcks), string(BrokerStopReading), string(BrokerSplit), string(BrokerCoalesce), string(BrokerGarbage),
	}
}

// IsBrokerFault reports whether the action makes hilnet's broker do something
// wrong.
func (k ActionKind) IsBrokerFault() bool {
	switch k {
	case BrokerCrash, BrokerForget, BrokerRefuse, BrokerDelayConnack, BrokerDelayAcks, BrokerAcks, BrokerStopReading,
		BrokerSplit, BrokerCoalesce, BrokerGarbage:
		return true
	}
	return false
}

// BrokerState says what a broker that crashed knows when it starts again.
type BrokerState string

// What becomes of sessions and retained messages.
const (
	StateKept BrokerState = "kept" // persistent sessions and retained messages
	StateLost BrokerState = "lost" // nothing
)

// Values returns the valid words.
func (BrokerState) Values() []string { return []string{string(StateKept), string(StateLost)} }

// AckFault is what a broker does wrong with acknowledgements.
type AckFault string

// The faults of acknowledgements.
const (
	AcksMissing  AckFault = "missing"
	AcksWrong    AckFault = "wrong"
	AcksRepeated AckFault = "repeated"
)

// Values returns the valid faults.
func (AckFault) Values() []string {
	return []string{string(AcksMissing), string(AcksWrong), string(AcksRepeated)}
}

// EventName is a kind of event of the trace that an action may wait for.
type EventName string

// Values returns the events that an action may wait for.
func (EventName) Values() []string {
	kinds := []trace.Kind{
		trace.KindConnected, trace.KindDisconnected, trace.KindPublish, trace.KindAcked, trace.KindSubscribed,
		trace.KindReceived, trace.KindMessageGet, trace.KindPingReq, trace.KindPingResp, trace.KindPingTimeout,
		trace.KindBrokerConnected, trace.KindBrokerDisconnected, trace.KindBrokerReceived, trace.KindBrokerSent,
		trace.KindBrokerSubscribed, trace.KindPoolEmpty, trace.KindDrop, KindBoot, KindOff,
		trace.KindExecExit, trace.KindEdge,
		trace.KindService, trace.KindDHCP, trace.KindDHCPBound, trace.KindDHCPLost, trace.KindDNSQuery, trace.KindDNS,
	}
	all := make([]string, len(kinds))
	for i, k := range kinds {
		all[i] = string(k)
	}
	return all
}

// WaitEvent is what a wait_for step waits for.
type WaitEvent string

// The events of wait_for. Each is a state: where it holds already, the step
// ends at once.
const (
	WhenConnected    WaitEvent = "connected"    // the client has a session with the broker
	WhenDisconnected WaitEvent = "disconnected" // it has none
	WhenMessage      WaitEvent = "message"      // a received message waits for message_get
	WhenAcked        WaitEvent = "acked"        // every QoS 1 message published so far is acknowledged
)

// Values returns the valid events.
func (WaitEvent) Values() []string {
	return []string{string(WhenConnected), string(WhenDisconnected), string(WhenMessage), string(WhenAcked)}
}

// MessageGet says how many of the received messages a message_get step takes.
type MessageGet string

// The ways to take messages.
const (
	GetOne MessageGet = "one" // the oldest one; none is not an error
	GetAll MessageGet = "all" // all that wait
)

// Values returns the valid ways to take messages.
func (MessageGet) Values() []string { return []string{string(GetOne), string(GetAll)} }
