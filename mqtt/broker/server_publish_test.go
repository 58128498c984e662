package broker

import (
	"fmt"
	"testing"

	"hilnet/mqtt/codec"
)

// The server's own messages take the way of a client's: to those who subscribe
// now, and, retained, to those who come later.
func TestTheServerPublishesToItsSubscribers(t *testing.T) {
	b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	join := func(id ConnID, client string) {
		b.Open(0, id, "")
		in := codec.AppendConnect(nil, &codec.Connect{ClientID: []byte(client), CleanSession: true})
		in = codec.AppendSubscribe(in, 1, []codec.Subscription{{Filter: []byte("cmd/#"), QoS: 1}})
		b.Data(0, id, in)
	}
	publishes := func(id ConnID) (n int) {
		for _, o := range b.Outputs() {
			if o.Conn == id && len(o.Data) > 0 && o.Data[0]>>4 == byte(codec.PUBLISH) {
				n++
			}
		}
		return n
	}
	join(1, "early")
	if err := b.Publish(0, "cmd/reboot", []byte("now"), 1, true); err != nil {
		t.Fatal(err)
	}
	if n := publishes(1); n != 1 {
		t.Errorf("%d messages to the subscriber, want 1", n)
	}
	join(2, "late")
	if n := publishes(2); n != 1 {
		t.Errorf("%d retained messages to the late subscriber, want 1", n)
	}
	for topic, qos := range map[string]uint8{"": 0, "a/#": 0, "a": 3} {
		if b.Publish(0, topic, nil, qos, false) == nil {
			t.Errorf("publishing to %q at QoS %d is no error", topic, qos)
		}
	}
}

// Topics are remembered to save memory, so long ones, which a client may make up
// by the thousand, are not.
func TestSharedTopicsAreBoundedInBytes(t *testing.T) {
	b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxTopics {
		if err := b.Publish(0, fmt.Sprintf("%0*d", 200+i%200, i), nil, 0, false); err != nil {
			t.Fatal(err)
		}
		b.topic(fmt.Appendf(nil, "%0*d", 200+i%200, i))
	}
	n := 0
	for s := range b.topics {
		n += len(s)
	}
	if n == 0 || n > maxTopics*maxSharedTopic {
		t.Errorf("%d topics of %d bytes in all", len(b.topics), n)
	}
	for s := range b.topics {
		if len(s) > maxSharedTopic {
			t.Fatalf("a topic of %d bytes is kept", len(s))
		}
	}
}
