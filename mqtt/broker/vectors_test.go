package broker_test

import (
	"bytes"
	"fmt"
	"testing"

	"hilnet/internal/vectors"
	"hilnet/mqtt/broker"
	"hilnet/mqtt/codec"
)

// vectorsDecided are the cases that the broker does not match, and the clause of
// MQTT 3.1.1 that says otherwise.
var vectorsDecided = map[string]string{
	"CONNECT: v3.1.1 CONNECT: 10 proto ver 2 [MQTT-3.1.2-2]": level1,
	"CONNECT: v3.1.1 CONNECT: 10 proto ver 6 [MQTT-3.1.2-2]": level1,
}

const level1 = `the case wants a CONNACK of MQTT 5 (20 03 00 84 00); [MQTT-3.1.2-2]: "The Server MUST respond to the CONNECT Packet with a CONNACK return code 0x01"`

func TestVectors(t *testing.T) {
	vectors.Run(t, vectors.Broker(t), vectorsDecided, func(c *vectors.Case) error { return playVector(t, broker.Config{}, c) })
}

// A broker that answers differently must not pass: here every CONNECT without a
// user name is refused, so that no case that connects can end well.
func TestVectorsSeeABrokenBroker(t *testing.T) {
	closed := broker.Config{Users: []broker.User{{Name: "nobody"}}}
	if n := vectors.Misses(vectors.Broker(t), func(c *vectors.Case) error { return playVector(t, closed, c) }); n < 80 {
		t.Errorf("only %d cases see it", n)
	}
}

// vectorPeer is the client of a case.
type vectorPeer struct {
	b      *broker.Broker
	in     []byte // what the broker sent and nobody expected yet
	closed bool
}

const vectorConn, vectorHelper broker.ConnID = 1, 2

func (p *vectorPeer) send(data []byte) {
	if p.closed {
		return
	}
	p.b.Data(0, vectorConn, data)
	p.take()
}

func (p *vectorPeer) take() {
	for _, o := range p.b.Outputs() {
		if o.Conn != vectorConn {
			continue
		}
		p.in = append(p.in, o.Data...)
		p.closed = p.closed || o.Close || o.Abort
	}
}

func (p *vectorPeer) expect(want []byte) error {
	if !bytes.HasPrefix(p.in, want) {
		return fmt.Errorf("received % x, want % x", p.in, want)
	}
	p.in = p.in[len(want):]
	return nil
}

// playVector plays one case against a new broker.
func playVector(t *testing.T, cfg broker.Config, c *vectors.Case) error {
	t.Helper()
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &vectorPeer{b: b}
	b.Open(0, vectorConn, "")
	if c.Connect {
		p.send(connect(c.Name, true, 60))
		if err := p.expect([]byte{0x20, 2, 0, 0}); err != nil {
			return fmt.Errorf("the CONNECT before it: %w", err)
		}
	}
	for _, m := range c.Messages {
		switch m.Direction {
		case vectors.Send:
			p.send(m.Bytes)
		case vectors.Receive:
			if err := p.expect(m.Bytes); err != nil {
				return fmt.Errorf("%s: %w", m.Comment, err)
			}
		case vectors.Publish:
			b.Open(0, vectorHelper, "")
			b.Data(0, vectorHelper, connect("helper", true, 60))
			b.Data(0, vectorHelper, publish(m.Topic, m.Text, m.QoS, 1))
			if m.QoS == 2 {
				b.Data(0, vectorHelper, ack(codec.PUBREL, 1))
			}
			p.take()
			b.Closed(0, vectorHelper)
		}
	}
	if len(p.in) > 0 {
		return fmt.Errorf("% x beyond what was expected", p.in)
	}
	if c.Disconnect {
		if !p.closed {
			return fmt.Errorf("still connected")
		}
		return nil
	}
	p.send(pingreq)
	return p.expect([]byte{0xD0, 0})
}
