package scenarios

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Outcome returns what the events so far came to. The Tally goes on counting.
func (t *Tally) Outcome() *Outcome {
	o := &Outcome{Duration: t.duration, Drops: t.drops.clone(), Switch: t.net, Tap: t.tap, Gateway: t.gate, firsts: map[string][]Moment{}}
	if o.Duration == 0 {
		o.Duration = time.Duration(t.last.T)
	}
	devices := make([]deviceTally, len(t.devices))
	for i := range t.devices {
		devices[i] = t.devices[i]
	}
	others := t.others
	t.matchMessages(o, devices, &others)

	var latency []time.Duration
	for _, d := range append(slices.Clone(devices), others) {
		o.add(&d.Traffic)
		latency = append(latency, d.latency...)
	}
	o.setLatency(latency)
	for i := range devices {
		d := &devices[i]
		d.setLatency(slices.Clone(d.latency))
		d.Drops = d.Drops.clone()
		d.Pool.MinFree = max(d.Pool.MinFree, 0)
		o.Devices = append(o.Devices, d.DeviceOutcome)
	}
	o.Spread = spread(o.Devices)
	for _, l := range t.links {
		l.Up.Reason, l.Down.Reason = maps.Clone(l.Up.Reason), maps.Clone(l.Down.Reason)
		o.Links = append(o.Links, l)
	}
	maps.Copy(o.firsts, t.moments)
	for i := range t.devices {
		for name, m := range t.devices[i].moments { // into a map: the order means nothing
			o.firsts[fmt.Sprintf("device(%q).%s", t.devices[i].Name, name)] = m
		}
	}
	o.ConservationErrors = t.conservation()
	o.ConservationErrorCount = len(o.ConservationErrors)
	return o
}

func (d *Drops) clone() Drops {
	return Drops{Total: d.Total, Reason: maps.Clone(d.Reason), Stage: maps.Clone(d.Stage)}
}

// matchMessages compares what was published with what arrived. Equal messages
// cannot be told apart, so their numbers are compared; an arrival counts for an
// accepted call before it counts for a refused one.
func (t *Tally) matchMessages(o *Outcome, devices []deviceTally, others *deviceTally) {
	lost := map[string][]call{}
	for _, m := range t.order {
		d := others
		if m.device >= 0 {
			d = &devices[m.device]
		}
		delivered := min(m.arrived, m.accepted+m.refused)
		if m.accepted+m.refused == 0 {
			delivered = m.arrived - m.dup // of a publisher that has no trace, only DUP tells
		}
		d.Delivered += delivered
		d.Duplicated += m.arrived - delivered
		if m.qos == 0 || m.arrived >= m.accepted {
			continue
		}
		d.Lost += m.accepted - m.arrived
		lost["lost"] = append(lost["lost"], m.unarrived...)
		if m.device >= 0 {
			name := fmt.Sprintf("device(%q).lost", d.Name)
			lost[name] = append(lost[name], m.unarrived...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		slices.SortStableFunc(lost[name], func(a, b call) int { return cmp.Compare(a.seq, b.seq) })
		for _, c := range lost[name][:min(len(lost[name]), maxMoments)] {
			o.firsts[name] = append(o.firsts[name], c.moment())
		}
	}
}

// add adds the counters of one device. Percentiles are set apart.
func (t *Traffic) add(d *Traffic) {
	t.Published += d.Published
	t.PublishErrors += d.PublishErrors
	t.Acknowledged += d.Acknowledged
	t.Delivered += d.Delivered
	t.Lost += d.Lost
	t.Duplicated += d.Duplicated
	t.Received += d.Received
	t.Connects += d.Connects
	t.ConnectErrors += d.ConnectErrors
	t.Reconnects += d.Reconnects
	t.Disconnects += d.Disconnects
	t.Reboots += d.Reboots
	t.PingTimeouts += d.PingTimeouts
	t.LastAckTime = max(t.LastAckTime, d.LastAckTime)
}

func (t *Traffic) setLatency(all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	rank := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] }
	t.LatencyP50, t.LatencyP95, t.LatencyP99, t.LatencyMax = rank(50), rank(95), rank(99), all[len(all)-1]
}

// conservation returns in words which counters contradict each other or the
// drop events.
func (t *Tally) conservation() []string {
	all := []string{}
	at := t.dropsByPlace()
	for _, c := range t.counters {
		if c.text != "" {
			all = append(all, c.text)
		}
		if events := at[c.node+"/"+c.stage]; int64(events) != c.lost {
			all = append(all, fmt.Sprintf("%s/%s: dropped %d frames, the trace has %d drop events", c.node, c.stage, c.lost, events))
		}
	}
	return all
}

// dropsByPlace counts the drop events of each stage, and of what stages belong to.
func (t *Tally) dropsByPlace() map[string]int {
	sum := make(map[string]int, len(t.drops.Stage))
	for at, count := range t.drops.Stage { // into a map: the order means nothing
		sum[at] += count
		for i := range len(at) {
			if at[i] == '/' {
				sum[at[:i]] += count
			}
		}
	}
	return sum
}
