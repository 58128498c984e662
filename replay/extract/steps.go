package extract

import (
	"fmt"
	"math"
	"time"

	"hilnet/mqtt/codec"
)

// steps are what the application does.
func (m *Making) steps() []string {
	acts := m.hidden.taking(m.session.acts, int64(m.c.Duration))
	var all []string
	if m.hidden.wait > 0 {
		all = append(all, fmt.Sprintf("- sleep: %s", span(m.hidden.wait)))
	}
	now := int64(0) // as the scenario's device has it, which sleeps whole ticks
	for i := 0; i < len(acts); {
		a := &acts[i]
		if wait := int64(math.Round(float64(a.at-now)/float64(tick))) * int64(tick); wait > 0 {
			all = append(all, fmt.Sprintf("- sleep: %s", span(time.Duration(wait))))
			now += wait
		}
		if n, period := periodic(acts[i:]); n > 0 {
			all = append(all, fmt.Sprintf("- every: {period: %s, count: %d, do: [%s]}", span(time.Duration(period)*tick), n, step(a)))
			i += n
			now += int64(n-1) * period * int64(tick) // the step ends with its last round
			continue
		}
		if s := "- " + step(a); a.what != take || len(all) == 0 || all[len(all)-1] != s { // all is all
			all = append(all, s)
		}
		now = max(now, a.back)
		i++
	}
	return all
}

// leastPeriodic is how many equal acts in a row, evenly spaced, are written as
// one step.
const leastPeriodic = 4

// periodic reports how many acts from the first one are alike and evenly spaced, and
// their period in ticks.
func periodic(acts []act) (n int, period int64) {
	what := acts[0].what
	if what != codec.PUBLISH && what != take || len(acts) < leastPeriodic {
		return 0, 0
	}
	gap := float64(acts[1].at - acts[0].at)
	period = int64(math.Round(gap / float64(tick)))
	if period < 1 {
		return 0, 0
	}
	n = 1
	for n < len(acts) && acts[n].what == what && acts[n].pub == acts[0].pub {
		if off := acts[n].at - acts[0].at - int64(n)*period*int64(tick); off > int64(tick) || off < -int64(tick) {
			break
		}
		n++
	}
	if n < leastPeriodic {
		return 0, 0
	}
	return n, period
}

// step writes an act.
func step(a *act) string {
	switch a.what {
	case codec.CONNECT:
		return "connect"
	case codec.DISCONNECT:
		return "disconnect"
	case codec.SUBSCRIBE:
		return fmt.Sprintf("subscribe: {topic: %s, qos: %d}", quote(a.pub.topic), a.pub.qos)
	case codec.UNSUBSCRIBE:
		return fmt.Sprintf("unsubscribe: {topic: %s}", quote(a.pub.topic))
	case codec.PUBLISH:
		size, retain := "", ""
		if a.pub.size > 0 {
			size = fmt.Sprintf(", size: %dB", a.pub.size)
		}
		if a.pub.retain {
			retain = ", retain: true"
		}
		return fmt.Sprintf("publish: {topic: %s%s, qos: %d%s}", quote(a.pub.topic), size, a.pub.qos, retain)
	}
	return "message_get: all"
}
