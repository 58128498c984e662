package scenarios

import (
	"strconv"
	"strings"

	"hilnet/sim"
)

// A Step is one thing that a device's application does: exactly one field is
// set. In a file it is a mapping with one key, or the key alone.
type Step struct {
	// Connect to the broker.
	Connect *Connect `yaml:"connect"`
	// Disconnect from the broker.
	Disconnect *Disconnect `yaml:"disconnect"`
	// Subscribe to a topic filter.
	Subscribe *Subscribe `yaml:"subscribe"`
	// End the subscription to a topic filter.
	Unsubscribe *Unsubscribe `yaml:"unsubscribe"`
	// Publish a message.
	Publish *Publish `yaml:"publish"`
	// Take received messages: one (the oldest) or all.
	MessageGet *MessageGet `yaml:"message_get" alt:"all"`
	// Do nothing for a time.
	Sleep *Duration `yaml:"sleep" max:"8760h" alt:"5s"`
	// Wait until something is so.
	WaitFor *WaitFor `yaml:"wait_for"`
	// Do steps at a fixed period.
	Every *Every `yaml:"every"`
	// Do steps several times.
	Repeat *Repeat `yaml:"repeat"`
	// Set user name and password for the next connect.
	Login *Login `yaml:"login"`
	// Set the will for the next connect.
	Will *Will `yaml:"will"`
	// Delete the MQTT client.
	Delete *Delete `yaml:"delete"`
	// Reset the device in an orderly way.
	Reboot *Reboot `yaml:"reboot"`
}

// Name returns the step's key, such as "publish", or "" when no field is set.
func (s *Step) Name() string {
	switch {
	case s.Connect != nil:
		return "connect"
	case s.Disconnect != nil:
		return "disconnect"
	case s.Subscribe != nil:
		return "subscribe"
	case s.Unsubscribe != nil:
		return "unsubscribe"
	case s.Publish != nil:
		return "publish"
	case s.MessageGet != nil:
		return "message_get"
	case s.Sleep != nil:
		return "sleep"
	case s.WaitFor != nil:
		return "wait_for"
	case s.Every != nil:
		return "every"
	case s.Repeat != nil:
		return "repeat"
	case s.Login != nil:
		return "login"
	case s.Will != nil:
		return "will"
	case s.Delete != nil:
		return "delete"
	case s.Reboot != nil:
		return "reboot"
	}
	return ""
}

// Connect connects to the broker with the options of the device's MQTT client.
// While the client is connected it does nothing.
type Connect struct{}

// Disconnect ends the connection with a DISCONNECT. It also ends what reconnect
// does, until the next connect.
type Disconnect struct{}

// Delete deletes the MQTT client, as nxd_mqtt_client_delete does: without a
// DISCONNECT. No other step of the client works after it, but reboot does.
type Delete struct{}

// Reboot disconnects, if there is a connection, and resets the device. When it
// has booted, the application starts from its first step with nothing but what
// the broker remembers.
type Reboot struct{}

// Subscribe subscribes to a topic filter.
type Subscribe struct {
	// Topic filter.
	Topic string `yaml:"topic" required:"true" min:"1" max:"65535" alt:"other/#"`
	// Quality of service that is asked for.
	QoS QoS `yaml:"qos" default:"0" alt:"1"`
}

// Unsubscribe ends the subscription to a topic filter.
type Unsubscribe struct {
	// Topic filter.
	Topic string `yaml:"topic" required:"true" min:"1" max:"65535" alt:"other/#"`
}

// Publish publishes a message.
type Publish struct {
	// Topic name.
	Topic   string `yaml:"topic" required:"true" min:"1" max:"65535" alt:"other/topic"`
	Message `yaml:",inline"`
	// Quality of service. 3 is none, which an application may ask for all the same.
	QoS AnyQoS `yaml:"qos" default:"0" alt:"1"`
}

// A Message is what is published.
type Message struct {
	// Payload. {n} becomes the number of the message of this step, from 1; {t} the time of the run in milliseconds. Default: empty.
	Payload string `yaml:"payload" max:"262144" alt:"other {n} at {t}"`
	// Length of a generated payload that begins with the number of the message, instead of a payload, 1 B to 256 KiB.
	Size Size `yaml:"size" min:"1B" max:"256KiB" alt:"100B"`
	// Whether the broker keeps the message for later subscribers.
	Retain bool `yaml:"retain" default:"false" alt:"true"`
}

// Render returns the payload of message number n, published at t.
func (m *Message) Render(n int, t sim.Time) []byte {
	if m.Size > 0 {
		b := make([]byte, m.Size)
		for i := range b {
			b[i] = 'a' + byte(i%26)
		}
		copy(b, strconv.Itoa(n)+" ")
		return b
	}
	// Numbers hold no braces, so the second replacement finds only what was written.
	s := strings.ReplaceAll(m.Payload, "{n}", strconv.Itoa(n))
	return []byte(strings.ReplaceAll(s, "{t}", strconv.FormatInt(int64(t)/1e6, 10)))
}

// WaitFor waits until something is so.
type WaitFor struct {
	// What to wait for. Where it is so already, the step ends at once.
	Event WaitEvent `yaml:"event" required:"true" alt:"message"`
	// How long to wait at most. The next step follows in any case.
	Timeout Duration `yaml:"timeout" max:"8760h" default:"10s" alt:"1s"`
}

// Every does steps at a fixed period: the first time at once, then at multiples
// of the period after it. A round that is late begins at once, and none is
// skipped. Without count and for it goes on to the end of the run.
type Every struct {
	// Time from the beginning of one round to the beginning of the next.
	Period Duration `yaml:"period" required:"true" min:"1ms" max:"8760h" alt:"2s"`
	// Number of rounds, up to 1000000000. Default: no limit.
	Count int `yaml:"count" min:"1" max:"1000000000" alt:"3"`
	// Rounds begin only within this time. Default: no limit.
	For Duration `yaml:"for" min:"1ms" max:"8760h" alt:"10s"`
	// The steps of a round.
	Do []Step `yaml:"do" required:"true" min:"1" max:"5000"`
}

// Repeat does steps several times, without a pause.
type Repeat struct {
	// Number of rounds, 1 to 1000000000.
	Times int `yaml:"times" required:"true" min:"1" max:"1000000000" alt:"3"`
	// The steps of a round.
	Do []Step `yaml:"do" required:"true" min:"1" max:"5000"`
}
