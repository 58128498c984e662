package scenarios

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// An Action is one entry of the timeline. It happens at a time (At), again and
// again (Every), or when something else has happened (After). Which of the other
// fields mean something depends on Do:
//
//	blackhole           For, Link, Way
//	link_down tx_error  For, Device
//	loss delay rate     For, Over, Link, Way and the field of that name (value in a file)
//	impair              For, Link, Way, Change
//	box_forget          Link: its middlebox knows no connection any more
//	box_address         Link, Address: its nat has another address
//	captive             For, Link: its middlebox resets every TCP connection and passes nothing
//	match               For, Link, Rule: the rule holds, and counts, from then on
//	match_release       Link: what its rules hold goes on
//	leak                For, Device, Packets
//	release             Device, Packets
//	broker_publish      Topic, Message
//	reboot              Device
//	power_cut           For, Device
//	service             For, Service, Answer
//
// Instead of Device, or Link, all but box_address take Devices or Group.
//
// Those of hilnet's broker happen to the connections of Device, or to all of them:
//
//	broker_crash          For (until it starts again), State; to the whole broker
//	broker_forget         Device: its session is lost and its connection reset
//	broker_refuse         For, Device, Code
//	broker_delay_connack  For, Device, Delay: a CONNECT is not looked at for so long
//	broker_delay_acks     For, Device, Delay: PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK wait
//	broker_acks           For, Device, Fault: these are missing, wrong or repeated
//	broker_stop_reading   For, Device: nothing is read, so that the window closes
//	broker_split          For, Device, Piece: each write is cut into pieces, a segment each
//	broker_coalesce       For, Device, Delay: what is written in so long a time goes in one write
//	broker_garbage        Device, Hex: bytes that answer nothing
//
// With For, what the action changed is as before when that time is over; without,
// it stays. What a device has in memory, leaks included, ends with a reboot and a
// power cut.
type Action struct {
	// When it happens for the first time, from the start of the run. Default: with every, after the first period.
	At Duration `yaml:"at" max:"8760h" alt:"7s"`
	// It happens again and again, with this time from one beginning to the next.
	Every Duration `yaml:"every" min:"1ms" max:"8760h" alt:"9s"`
	// With every: how often it happens, up to 1000000. Default: no limit.
	Count int `yaml:"count" min:"1" max:"1000000" alt:"3"`
	// With every: it happens only before this time of the run. Default: to the end of the run.
	Until Duration `yaml:"until" min:"1ms" max:"8760h" alt:"31s"`
	// It happens after something else has happened, instead of at a time.
	After *After `yaml:"after"`
	// A name for the action: it stands in the trace, and other actions may wait for it.
	Label string `yaml:"label" min:"1" max:"64" alt:"other-label"`
	// What happens.
	Do ActionKind `yaml:"do" required:"true" alt:"link_down"`
	// How long it lasts. Default: to the end of the run.
	For Duration `yaml:"for" min:"1ms" max:"8760h" alt:"3s"`
	// The link that it happens to. Default: the only one.
	Link string `yaml:"link" min:"1"`
	// The level changes evenly over this time, in 100 steps, from what it is then.
	Over Duration `yaml:"over" min:"1ms" max:"8760h" alt:"1500ms"`
	// What becomes different: keys of a direction. Each replaces what the link has there; the rest stays.
	Change *Change `yaml:"change" alt:"{loss: 50%}"`
	// The address that the nat has from then on, in the broker's network.
	Address netip.Addr `yaml:"address" alt:"10.0.0.91"`
	// The rule of the link that holds from then on, with the keys of those in match.
	Rule *Match `yaml:"rule" alt:"{do: drop, message: PUBACK}"`
	// The device that it happens to. Default: the only one; with what happens to the broker, every one.
	Device string `yaml:"device" min:"1"`
	// Several devices that it happens to, or to whose links it does; with what happens to the broker, to whose connections.
	Devices []string `yaml:"devices" min:"1" max:"16000" alt:"[b]"`
	// The same, as a choice among the devices that an entry stands for. The name of the entry alone is all of them.
	Group *Selection `yaml:"group"`
	// The ways of the link that it happens to.
	Way Way `yaml:"direction" default:"both" alt:"up"`

	// In a file one of these is the key value, as do says.
	Loss  Percent  `yaml:"-"` // with loss
	Delay Duration `yaml:"-"` // with delay, broker_delay_connack, broker_delay_acks and broker_coalesce
	Rate  Rate     `yaml:"-"` // with rate; 0: unlimited
	Share Percent  `yaml:"-"` // with rate, instead of Rate: a part of what the link has in the scenario

	// The return code of CONNACK.
	Code int `yaml:"code" min:"1" max:"255" alt:"5"`
	// What the broker does wrong with PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK: missing: it does not send them. wrong: they carry the next packet identifier. repeated: it sends them twice.
	Fault AckFault `yaml:"fault" alt:"repeated"`
	// What the broker knows when it starts again. kept: persistent sessions and retained messages. lost: nothing. Default: kept.
	State BrokerState `yaml:"state" alt:"lost"`
	// Bytes of each piece, up to 64 KiB.
	Piece Size `yaml:"piece" min:"1B" max:"64KiB" alt:"2B"`
	// Bytes to send, two hexadecimal digits each, up to 4096 bytes; spaces do not count.
	Hex string `yaml:"hex" min:"1" max:"12288" alt:"20 02 00 00"`

	// The service that answers otherwise.
	Service ServiceName `yaml:"service" alt:"dns"`
	// What it answers: one of the answers of the service.
	Answer string `yaml:"answer" min:"1" max:"64" alt:"off"`

	// Packets that leak out of the pool, or come back.
	Packets int `yaml:"packets" min:"1" max:"65535" alt:"2"`
	// Topic name of the message that the broker sends to its subscribers.
	Topic   string `yaml:"topic" min:"1" max:"65535" alt:"other/topic"`
	Message `yaml:",inline"`
	// Quality of service.
	QoS QoS `yaml:"qos" default:"0" alt:"1"`
}

// After is what an action waits for: an event, or another action by its label.
type After struct {
	// An event of the trace. Of those that can fail, only successes count.
	Event EventName `yaml:"event" alt:"mqtt.acked"`
	// With event: the device that it happens to. Default: any.
	Device string `yaml:"device" min:"1"`
	// The label of another action.
	Label string `yaml:"label" min:"1" max:"64"`
	// Which time counts, 1 to 1000000.
	Nth int `yaml:"nth" min:"1" max:"1000000" default:"1" alt:"2"`
	// Time from there to the action.
	Delay Duration `yaml:"delay" max:"8760h" default:"0s" alt:"3s"`
}

// timeKeys are the keys that every action may have.
var timeKeys = []string{"at", "every", "count", "until", "after", "label", "do"}

// actionKeys are the other keys of an action; those that it must have come with
// an exclamation mark.
var actionKeys = map[ActionKind][]string{
	Blackhole:     {"for", "link", "devices", "group", "direction"},
	LinkDown:      {"for", "device", "devices", "group"},
	TxError:       {"for", "device", "devices", "group"},
	SetLoss:       {"value!", "for", "over", "link", "devices", "group", "direction"},
	SetDelay:      {"value!", "for", "over", "link", "devices", "group", "direction"},
	SetRate:       {"value!", "for", "over", "link", "devices", "group", "direction"},
	Impair:        {"change!", "for", "link", "devices", "group", "direction"},
	BoxForget:     {"link", "devices", "group"},
	BoxAddress:    {"address!", "link"},
	Captive:       {"for", "link", "devices", "group"},
	AddMatch:      {"rule!", "for", "link"},
	MatchRelease:  {"link"},
	Leak:          {"packets!", "for", "device", "devices", "group"},
	ReleaseLeak:   {"packets!", "device", "devices", "group"},
	BrokerPublish: {"topic!", "payload", "size", "qos", "retain"},
	ResetDevice:   {"device", "devices", "group"},
	PowerCut:      {"for", "device", "devices", "group"},
	ServiceAnswer: {"service!", "answer!", "for"},

	BrokerCrash:        {"for", "state"},
	BrokerForget:       {"device", "devices", "group"},
	BrokerRefuse:       {"code!", "for", "device", "devices", "group"},
	BrokerDelayConnack: {"value!", "for", "device", "devices", "group"},
	BrokerDelayAcks:    {"value!", "for", "device", "devices", "group"},
	BrokerAcks:         {"fault!", "for", "device", "devices", "group"},
	BrokerStopReading:  {"for", "device", "devices", "group"},
	BrokerSplit:        {"piece!", "for", "device", "devices", "group"},
	BrokerCoalesce:     {"value!", "for", "device", "devices", "group"},
	BrokerGarbage:      {"hex!", "device", "devices", "group"},
}

// takes reports whether the action has the key, and whether it must.
func (k ActionKind) takes(key string) (takes, must bool) {
	for _, name := range actionKeys[k] {
		bare, must := strings.CutSuffix(name, "!")
		if bare == key {
			return true, must
		}
	}
	return slices.Contains(timeKeys, key), key == "do"
}

// Lasts reports whether the action may end again: whether it has the key for.
func (k ActionKind) Lasts() bool {
	takes, _ := k.takes("for")
	return takes
}

// value returns the field that the key value sets, with its range.
func (a *Action) value() (reflect.Value, field, bool) {
	f := field{key: "value"}
	switch a.Do {
	case SetLoss:
		return reflect.ValueOf(&a.Loss).Elem(), f, true
	case SetDelay:
		f.max = "4h"
		return reflect.ValueOf(&a.Delay).Elem(), f, true
	case BrokerDelayConnack, BrokerDelayAcks, BrokerCoalesce:
		f.max = "24h"
		return reflect.ValueOf(&a.Delay).Elem(), f, true
	case SetRate:
		if a.Share > 0 {
			return reflect.ValueOf(&a.Share).Elem(), f, true
		}
		return reflect.ValueOf(&a.Rate).Elem(), f, true
	}
	return reflect.Value{}, f, false
}

// action decodes an entry of the timeline: which keys it may have depends on do.
func (d *decoder) action(n ast.Node, path string, v reflect.Value) {
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	a := v.Addr().Interface().(*Action)
	has := func(key string) bool { return slices.ContainsFunc(pairs, func(p pair) bool { return p.key == key }) }
	if !has("do") {
		d.fail(start(n), path, hint("add do: and one of: "+strings.Join(a.Do.Values(), ", "), "%s lacks the key \"do\"", last(path)))
		return
	}
	before := len(d.errs)
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.key == "do" })
	d.value(pairs[i].value, join(path, "do"), reflect.ValueOf(&a.Do).Elem())
	if len(d.errs) > before {
		return
	}
	known := append(keysOf(fieldsOf(v.Type())), "value")
	var rest []pair
	for _, p := range pairs {
		switch takes, _ := a.Do.takes(p.key); {
		case p.key == "value" && takes:
			fv, f, _ := a.value()
			if a.Do == SetRate && isText(p.value) && strings.HasSuffix(p.value.GetToken().Value, "%") {
				fv = valueOf(&a.Share)
				f.min = "0.0001%"
			}
			d.field(p, path, &f, fv)
		case takes || !slices.Contains(known, p.key):
			rest = append(rest, p)
		default:
			d.fail(p.place, join(path, p.key), hint("its keys are "+a.Do.keyList(), "%s does nothing with %q", a.Do, p.key))
		}
	}
	for _, name := range actionKeys[a.Do] {
		if key, must := strings.CutSuffix(name, "!"); must && !has(key) {
			d.fail(start(n), path, hint("add "+key+": …", "%s lacks the key %q", a.Do, key))
		}
	}
	d.fields(rest, start(n), path, v)
	switch {
	case has("at") && has("after"):
		d.fail(d.src.places[join(path, "after")], join(path, "after"), hint("remove one of them", "an action has either at or after"))
	case has("at") || has("after") || d.now:
	case has("every"):
		a.At = a.Every
	default:
		d.fail(start(n), path, hint("add at: 7s, every: 10s or after: {event: mqtt.connected}", "%s lacks the key \"at\"", last(path)))
	}
}

func (k ActionKind) keyList() string {
	return strings.ReplaceAll(strings.Join(append(slices.Clone(timeKeys), actionKeys[k]...), ", "), "!", "")
}

// maxGarbage is the most that one action sends, in bytes.
const maxGarbage = 4096

// Bytes returns what Hex says, and whether it says anything.
func (a *Action) Bytes() ([]byte, bool) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(a.Hex), ""))
	return b, err == nil && len(b) > 0 && len(b) <= maxGarbage
}

// brokerFault checks an action on hilnet's broker.
func (c *checker) brokerFault(path string, a *Action) {
	if c.s.Broker.Kind != BrokerModel {
		c.failf(path+".do", "remove it, or make the broker kind: model", "only hilnet's own broker does wrong on demand")
		return
	}
	value := func(ok bool, key string) {
		if !ok {
			c.failf(path, "add "+key+": …", "%s lacks the key %q", a.Do, key)
		}
	}
	switch a.Do {
	case BrokerRefuse:
		value(a.Code > 0, "code")
	case BrokerAcks:
		value(a.Fault != "", "fault")
	case BrokerSplit:
		value(a.Piece > 0, "piece")
	case BrokerDelayConnack, BrokerDelayAcks, BrokerCoalesce:
		value(a.Delay > 0, "value")
	case BrokerGarbage:
		if _, ok := a.Bytes(); !ok {
			c.failf(path+".hex", `write bytes such as "20 02 00 00"`, "%q is not a row of 1 to %d bytes in hexadecimal digits", a.Hex, maxGarbage)
		}
	}
}
