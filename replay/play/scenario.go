package play

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// ClientScenario writes a scenario whose device does what the client of recorded
// conversations did, one after the other: it connects, subscribes, publishes and
// disconnects, with the recorded pauses in between; secure: in TLS. What hilnet's
// client cannot do is an error.
func ClientScenario(all []*script.Conversation, secure bool) ([]byte, error) {
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no MQTT conversation", ErrNothing)
	}
	d := map[string]any{"name": "device", "quirks": "none", "pool": map[string]any{"packets": clientPool}}
	var steps []any
	at, id := time.Duration(0), ""
	for i, c := range all {
		fail := func(format string, args ...any) ([]byte, error) {
			return nil, fmt.Errorf("conversation %d: hilnet's client cannot do what the recorded one did: %s; choose others with --conversation, name a --scenario, or play against HOST:PORT",
				c.ID, fmt.Sprintf(format, args...))
		}
		switch {
		case c.Unplayable(script.Broker, false) != "":
			return nil, fmt.Errorf("%w as broker: conversation %d: %s", ErrNothing, c.ID, c.Unplayable(script.Broker, false))
		case c.First(script.Client) != codec.CONNECT:
			return fail("begin without CONNECT")
		case c.Version != 4:
			return fail("speak another MQTT than 3.1.1")
		}
		if i == 0 {
			at = c.Open
		}
		mine, err := clientSteps(c, &steps, &at)
		if err != nil {
			return fail("%v", err)
		}
		if i > 0 && mine["client_id"] != id {
			return fail("it is another client than that of conversation %d, and there is one device", all[0].ID)
		}
		if i == 0 {
			id, _ = mine["client_id"].(string)
			d["mqtt"] = mine
		}
	}
	d["steps"] = steps
	broker := map[string]any{"kind": "model"}
	if secure {
		d["mqtt"].(map[string]any)["tls"], broker["tls"] = map[string]any{}, map[string]any{}
	}
	return json.MarshalIndent(map[string]any{
		"version": 1, "name": "play", "devices": []any{d}, "links": []any{map[string]any{"name": "link"}}, "broker": broker,
	}, "", " ") // which is YAML too
}

// clientPool is enough for any message that a scenario may have.
const clientPool = 512

// clientSteps appends what the client of one conversation did from a moment on,
// and returns how its MQTT client is set up.
func clientSteps(c *script.Conversation, steps *[]any, at *time.Duration) (map[string]any, error) {
	mqtt, acknowledged := map[string]any{}, false
	do := func(e *script.Event, name string, what any) {
		if pause := e.At - *at; pause > 0 {
			*steps = append(*steps, map[string]any{"sleep": fmt.Sprintf("%dns", pause)})
		}
		*at = e.At
		*steps = append(*steps, map[string]any{name: what})
	}
	for i := range c.Events {
		e := &c.Events[i]
		if e.From == script.Broker {
			if e.Type == codec.CONNACK {
				*at = max(*at, e.Ready+c.ToClient) // connect ends with it
			}
			continue
		}
		if e.Kind != script.Message {
			continue
		}
		f, err := script.Parse(e.Raw, c.Version)
		if err != nil {
			return nil, fmt.Errorf("send the malformed %s of frame %d", e.Label(), e.Frame)
		}
		switch e.Type {
		case codec.CONNECT:
			if mqtt, err = clientOptions(&f.Connect); err != nil {
				return nil, err
			}
			do(e, "connect", map[string]any{})
		case codec.PUBLISH:
			if f.Flags>>1&3 > 2 {
				return nil, fmt.Errorf("publish with QoS 3, as in frame %d", e.Frame)
			}
			payload := string(f.Payload)
			if !utf8.ValidString(payload) || strings.Contains(payload, "{n}") || strings.Contains(payload, "{t}") || len(payload) > 256<<10 {
				return nil, fmt.Errorf("publish what is in frame %d: a scenario's payload is text, without {n} and {t}", e.Frame)
			}
			acknowledged = acknowledged || f.Flags&0x06 != 0
			do(e, "publish", map[string]any{"topic": string(f.Topic), "payload": payload, "qos": f.Flags >> 1 & 3, "retain": f.Flags&1 != 0})
		case codec.SUBSCRIBE:
			if len(f.Filters) != 1 {
				return nil, fmt.Errorf("subscribe to %d filters at once, as in frame %d", len(f.Filters), e.Frame)
			}
			do(e, "subscribe", map[string]any{"topic": string(f.Filters[0].Topic), "qos": f.Filters[0].Options & 3})
		case codec.UNSUBSCRIBE:
			if len(f.Filters) != 1 {
				return nil, fmt.Errorf("unsubscribe from %d filters at once, as in frame %d", len(f.Filters), e.Frame)
			}
			do(e, "unsubscribe", map[string]any{"topic": string(f.Filters[0].Topic)})
		case codec.DISCONNECT:
			if acknowledged { // on a longer way that takes longer
				*steps = append(*steps, map[string]any{"wait_for": map[string]any{"event": "acked", "timeout": "60s"}})
			}
			do(e, "disconnect", map[string]any{})
		case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.PINGREQ: // the client's own business
		default:
			return nil, fmt.Errorf("send a %s, as in frame %d", e.Label(), e.Frame)
		}
	}
	return mqtt, nil
}

// clientOptions are those of a CONNECT.
func clientOptions(c *script.Connect) (map[string]any, error) {
	if len(c.ClientID) == 0 {
		return nil, fmt.Errorf("connect without a client identifier")
	}
	m := map[string]any{
		"client_id": string(c.ClientID), "keepalive": fmt.Sprintf("%ds", c.KeepAlive), "clean_session": c.Flags&cleanSession != 0,
	}
	if c.Flags&script.FlagUser != 0 {
		m["login"] = map[string]any{"user": string(c.User), "password": string(c.Password)}
	}
	if c.Flags&script.FlagWill != 0 {
		m["will"] = map[string]any{"topic": string(c.WillTopic), "message": string(c.Will), "qos": c.Flags >> 3 & 3, "retain": c.Flags&0x20 != 0}
	}
	return m, nil
}
