package scenarios

import (
	"reflect"

	"hilnet/mqtt/codec"
)

func (c *checker) steps(path string, steps []Step) {
	for i := range steps {
		s, p := &steps[i], index(path, i)
		v, set := reflect.ValueOf(s).Elem(), 0
		for j := range v.NumField() {
			if !v.Field(j).IsNil() {
				set++
			}
		}
		if set != 1 {
			c.failf(p, "set exactly one field", "a step of %d kinds", set)
			continue
		}
		p = join(p, s.Name())
		if s.Reboot != nil && i < len(steps)-1 {
			c.failf(index(path, i+1), "put it in front of reboot, or remove it", "a step behind reboot is never reached")
		}
		switch {
		case s.Subscribe != nil:
			c.topicFilter(p+".topic", s.Subscribe.Topic)
		case s.Unsubscribe != nil:
			c.topicFilter(p+".topic", s.Unsubscribe.Topic)
		case s.Publish != nil:
			c.topicName(p+".topic", s.Publish.Topic)
			c.message(p, &s.Publish.Message)
			c.qos(p, int(s.Publish.QoS), 3)
		case s.Will != nil:
			c.topicName(p+".topic", s.Will.Topic)
		case s.Every != nil:
			c.steps(p+".do", s.Every.Do)
		case s.Repeat != nil:
			c.steps(p+".do", s.Repeat.Do)
		}
	}
}

func (c *checker) topicName(path, topic string) {
	if err := codec.ValidTopic([]byte(topic)); err != nil {
		c.failf(path, "write a topic name without + and #", "%q is not a topic name", topic)
	}
}

func (c *checker) topicFilter(path, filter string) {
	if err := codec.ValidFilter([]byte(filter)); err != nil {
		c.failf(path, "# stands alone behind the last slash, + alone between two", "%q is not a topic filter", filter)
	}
}

func (c *checker) message(path string, m *Message) {
	if m.Payload != "" && m.Size > 0 {
		c.failf(path, "remove one of them", "a message has either a payload or a size")
	}
}

func (c *checker) qos(path string, qos, most int) {
	if qos > most {
		c.failf(path+".qos", "write 0, 1 or 2", "%d is not a quality of service", qos)
	}
}
