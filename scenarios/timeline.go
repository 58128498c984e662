package scenarios

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// An Action is one entry of the timeline. Which fields mean something depends on
// Do:
//
//	blackhole           For, Link, Way
//	link_down tx_error  For, Device
//	loss delay rate     For, Link, Way and the field of that name (value in a file)
//	leak                For, Device, Packets
//	release             Device, Packets
//	broker_publish      Topic, Message
//
// With For, what the action changed is as before when that time is over; without,
// it stays.
type Action struct {
	// When it happens, from the start of the run.
	At Duration `yaml:"at" required:"true" max:"8760h" alt:"7s"`
	// What happens.
	Do ActionKind `yaml:"do" required:"true" alt:"link_down"`
	// How long it lasts. Default: to the end of the run.
	For Duration `yaml:"for" min:"1ms" max:"8760h" alt:"3s"`
	// The link that it happens to. Default: the only one.
	Link string `yaml:"link" min:"1"`
	// The device that it happens to. Default: the only one.
	Device string `yaml:"device" min:"1"`
	// The ways of the link that it happens to.
	Way Way `yaml:"direction" default:"both" alt:"up"`

	// In a file one of these is the key value, as do says.
	Loss  Percent  `yaml:"-"` // with loss
	Delay Duration `yaml:"-"` // with delay
	Rate  Rate     `yaml:"-"` // with rate; 0: unlimited

	// Packets that leak out of the pool, or come back.
	Packets int `yaml:"packets" min:"1" max:"65535" alt:"2"`
	// Topic name of the message that the broker sends to its subscribers.
	Topic   string `yaml:"topic" min:"1" max:"65535" alt:"other/topic"`
	Message `yaml:",inline"`
}

// actionKeys are the keys of an action beside at and do; those that it must have
// come with an exclamation mark.
var actionKeys = map[ActionKind][]string{
	Blackhole:     {"for", "link", "direction"},
	LinkDown:      {"for", "device"},
	TxError:       {"for", "device"},
	SetLoss:       {"value!", "for", "link", "direction"},
	SetDelay:      {"value!", "for", "link", "direction"},
	SetRate:       {"value!", "for", "link", "direction"},
	Leak:          {"packets!", "for", "device"},
	ReleaseLeak:   {"packets!", "device"},
	BrokerPublish: {"topic!", "payload", "size", "qos", "retain"},
}

// takes reports whether the action has the key, and whether it must.
func (k ActionKind) takes(key string) (takes, must bool) {
	for _, name := range actionKeys[k] {
		bare, must := strings.CutSuffix(name, "!")
		if bare == key {
			return true, must
		}
	}
	return key == "at" || key == "do", key == "at" || key == "do"
}

// value returns the field that the key value sets, with its range.
func (a *Action) value() (reflect.Value, field, bool) {
	f := field{key: "value"}
	switch a.Do {
	case SetLoss:
		return reflect.ValueOf(&a.Loss).Elem(), f, true
	case SetDelay:
		f.max = "24h"
		return reflect.ValueOf(&a.Delay).Elem(), f, true
	case SetRate:
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
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.key == "do" })
	if i < 0 {
		d.fail(start(n), path, hint("add do: and one of: "+strings.Join(a.Do.Values(), ", "), "%s lacks the key \"do\"", last(path)))
		return
	}
	before := len(d.errs)
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
			d.field(p, path, &f, fv)
		case takes || !slices.Contains(known, p.key):
			rest = append(rest, p)
		default:
			d.fail(p.place, join(path, p.key), hint("its keys are "+a.Do.keyList(), "%s does nothing with %q", a.Do, p.key))
		}
	}
	for _, name := range actionKeys[a.Do] {
		key, must := strings.CutSuffix(name, "!")
		if must && !slices.ContainsFunc(pairs, func(p pair) bool { return p.key == key }) {
			d.fail(start(n), path, hint("add "+key+": …", "%s lacks the key %q", a.Do, key))
		}
	}
	d.fields(rest, start(n), path, v)
}

func (k ActionKind) keyList() string {
	return strings.ReplaceAll("at, do, "+strings.Join(actionKeys[k], ", "), "!", "")
}
